/*
 * imgspec.c - manifests, indexes and platforms; see imgspec.h. (imgspec_config.c reads configs, imgspec_build.c makes
 * documents.)
 *
 * A document is looked at twice: imgspec_kind decides from the members that are there which of the two shapes it has
 * and refuses everything that is neither or could be both; the parse functions then take only the members of their own
 * shape. A member of the wrong type is an error, never "absent". No member is interpreted that the header does not
 * list, so that no annotation or extension can mean something to us by accident.
 */
#include "rl/model/imgspec.h"

#include <errno.h>
#include <string.h>

#include "rl/base/mem.h"

enum { MEDIA_TYPE_MAX = 255, NAME_MAX_BYTES = 1024 };

/* json.h reports -EINVAL for a member of the wrong type; in a document of somebody else that is a bad document. */
static int bad_document(struct err *e)
{
	if (e)
		e->code = EBADMSG;
	return -EBADMSG;
}

static int get_text(const json_t *obj, const char *key, char **ret_text, struct err *e)
{
	const char *text = NULL;
	if (json_get_str(obj, key, &text, e) < 0)
		return bad_document(e);
	*ret_text = text ? xstrdup(text) : NULL;
	return 0;
}

static bool is_manifest_type(const char *t)
{
	return str_eq(t, IMGSPEC_OCI_MANIFEST) || str_eq(t, IMGSPEC_DOCKER_MANIFEST);
}

static bool is_index_type(const char *t)
{
	return str_eq(t, IMGSPEC_OCI_INDEX) || str_eq(t, IMGSPEC_DOCKER_LIST);
}

static int check_media_type(const char *own, const char *declared, enum imgspec_kind kind, struct err *e)
{
	const char *shape = kind == IMGSPEC_INDEX ? "an index" : "a manifest";
	const char *types[] = {own, declared};
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (!types[i])
			continue;
		bool fits = kind == IMGSPEC_INDEX ? is_index_type(types[i]) : is_manifest_type(types[i]);
		if (!fits)
			return err_set(e, EBADMSG, "media type \"%.100s\" on a document that has the shape of %s",
				       types[i], shape);
	}
	if (own && declared && !str_eq(own, declared))
		return err_set(e, EBADMSG, "announced as \"%.100s\" but says \"%.100s\" itself", declared, own);
	return 0;
}

int imgspec_kind(const char *bytes, size_t len, const char *declared, enum imgspec_kind *ret_kind, json_t **ret_doc,
		 struct err *e)
{
	if (len > IMGSPEC_MANIFEST_MAX)
		return err_set(e, EBADMSG, "manifest of %zu bytes: more than %d are not read", len,
			       IMGSPEC_MANIFEST_MAX);
	autojson json_t *doc = NULL;
	int r = json_parse(bytes, len, "manifest", &doc, e);
	if (r < 0)
		return r;
	if (!json_is_object(doc))
		return err_set(e, EBADMSG, "manifest: not an object");
	const json_t *version = json_object_get(doc, "schemaVersion");
	if (json_is_integer(version) && json_integer_value(version) == 1)
		return err_set(e, EOPNOTSUPP, "manifest of docker schema 1, which is not supported");
	if (!json_is_integer(version) || json_integer_value(version) != 2)
		return err_set(e, EBADMSG, "manifest: schemaVersion is not 2");
	/* CVE-2021-41190: two readers must not be able to see two different things. */
	bool as_index = json_object_get(doc, "manifests");
	bool as_manifest = json_object_get(doc, "config") || json_object_get(doc, "layers") ||
			   json_object_get(doc, "fsLayers");
	if (as_index == as_manifest)
		return err_set(e, EBADMSG,
			       as_index ? "ambiguous document: it is both a manifest and an index"
					: "neither a manifest nor an index");
	enum imgspec_kind kind = as_index ? IMGSPEC_INDEX : IMGSPEC_MANIFEST;
	const char *own = NULL;
	if (json_get_str(doc, "mediaType", &own, e) < 0)
		return bad_document(e);
	r = check_media_type(own, declared, kind, e);
	if (r < 0)
		return r;
	*ret_kind = kind;
	*ret_doc = take_ptr(&doc);
	return 0;
}

/* ---- descriptors ---- */

static void desc_free(struct imgspec_desc *d)
{
	free(d->media_type);
	free(d->ref_name);
	free(d->image_name);
	imgspec_platform_free(&d->platform);
}

static int parse_platform(const json_t *obj, struct imgspec_platform *p, struct err *e)
{
	json_t *platform = NULL;
	int r = json_get_obj(obj, "platform", &platform, e);
	if (r < 0)
		return bad_document(e);
	if (!platform)
		return 0;
	if (get_text(platform, "os", &p->os, e) < 0 || get_text(platform, "architecture", &p->architecture, e) < 0 ||
	    get_text(platform, "variant", &p->variant, e) < 0)
		return -EBADMSG;
	return 0;
}

static int parse_annotations(const json_t *obj, struct imgspec_desc *d, struct err *e)
{
	json_t *annotations = NULL;
	if (json_get_obj(obj, "annotations", &annotations, e) < 0)
		return bad_document(e);
	if (!annotations)
		return 0;
	char *reference_type = NULL;
	if (get_text(annotations, "org.opencontainers.image.ref.name", &d->ref_name, e) < 0 ||
	    get_text(annotations, "io.containerd.image.name", &d->image_name, e) < 0 ||
	    get_text(annotations, "vnd.docker.reference.type", &reference_type, e) < 0)
		return -EBADMSG;
	d->is_attestation = reference_type && str_eq(reference_type, "attestation-manifest");
	free(reference_type);
	if ((d->ref_name && strlen(d->ref_name) > NAME_MAX_BYTES) ||
	    (d->image_name && strlen(d->image_name) > NAME_MAX_BYTES))
		return err_set(e, EBADMSG, "an image name of more than %d bytes", NAME_MAX_BYTES);
	return 0;
}

static int fill_desc(const json_t *obj, struct imgspec_desc *d, struct err *e)
{
	if (!json_is_object(obj))
		return err_set(e, EBADMSG, "descriptor: not an object");
	const char *digest = NULL;
	if (get_text(obj, "mediaType", &d->media_type, e) < 0 || json_get_str(obj, "digest", &digest, e) < 0 ||
	    json_get_int(obj, "size", &d->size, e) < 0)
		return bad_document(e);
	if (!d->media_type || strlen(d->media_type) > MEDIA_TYPE_MAX)
		return err_set(e, EBADMSG, "descriptor without a usable mediaType");
	/* CVE-2024-3727: the digest becomes a file name and part of a URL. */
	if (!digest || !imgref_is_digest(digest))
		return err_set(e, EBADMSG, "descriptor whose digest is not sha256: and 64 hex digits (\"%.80s\")",
			       digest ? digest : "");
	memcpy(d->digest, digest, IMGREF_DIGEST_SIZE);
	if (!json_object_get(obj, "size") || d->size < 0 || d->size > IMGSPEC_BLOB_MAX)
		return err_set(e, EBADMSG, "descriptor of %.19s with an impossible size", digest);
	return 0;
}

static int parse_desc(const json_t *obj, struct imgspec_desc *ret_desc, struct err *e)
{
	struct imgspec_desc d = {.size = -1};
	int r = fill_desc(obj, &d, e);
	if (r < 0) {
		desc_free(&d);
		return r;
	}
	*ret_desc = d;
	return 0;
}

static const struct {
	const char *type;
	enum imgspec_compression compression;
} layer_types[] = {
	{IMGSPEC_OCI_LAYER, IMGSPEC_PLAIN},
	{IMGSPEC_OCI_LAYER_GZIP, IMGSPEC_GZIP},
	{IMGSPEC_OCI_LAYER_ZSTD, IMGSPEC_ZSTD},
	{IMGSPEC_DOCKER_LAYER, IMGSPEC_PLAIN},
	{IMGSPEC_DOCKER_LAYER_GZIP, IMGSPEC_GZIP},
	{"application/vnd.docker.image.rootfs.diff.tar.zstd", IMGSPEC_ZSTD},
	{"application/vnd.docker.image.rootfs.foreign.diff.tar", IMGSPEC_PLAIN},
	{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", IMGSPEC_GZIP},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar", IMGSPEC_PLAIN},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", IMGSPEC_GZIP},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", IMGSPEC_ZSTD},
};

int imgspec_layer_compression(const char *media_type, enum imgspec_compression *ret_compression, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(layer_types); i++) {
		if (str_eq(media_type, layer_types[i].type)) {
			*ret_compression = layer_types[i].compression;
			return 0;
		}
	}
	return err_set(e, EOPNOTSUPP, "\"%.100s\" is not a file system layer", media_type);
}

static const char *const oci_layer_type[] = {
	[IMGSPEC_PLAIN] = IMGSPEC_OCI_LAYER,
	[IMGSPEC_GZIP] = IMGSPEC_OCI_LAYER_GZIP,
	[IMGSPEC_ZSTD] = IMGSPEC_OCI_LAYER_ZSTD,
};
_Static_assert(ARRAY_SIZE(oci_layer_type) == IMGSPEC_COMPRESSION_N, "one media type per compression");

const char *imgspec_layer_media_type(enum imgspec_compression c)
{
	return oci_layer_type[c];
}

/* ---- manifest ---- */

static int fill_manifest(const json_t *doc, struct imgspec_manifest *m, struct err *e)
{
	if (get_text(doc, "mediaType", &m->media_type, e) < 0)
		return -EBADMSG;
	if (!m->media_type)
		m->media_type = xstrdup(IMGSPEC_OCI_MANIFEST);
	const json_t *config = json_object_get(doc, "config");
	if (!config)
		return err_set(e, EBADMSG, "manifest without a config");
	int r = parse_desc(config, &m->config, e);
	if (r < 0)
		return err_ctx(e, "config");
	if (!str_eq(m->config.media_type, IMGSPEC_OCI_CONFIG) && !str_eq(m->config.media_type, IMGSPEC_DOCKER_CONFIG))
		return err_set(e, EOPNOTSUPP, "not a container image: its config is \"%.100s\"", m->config.media_type);
	if (m->config.size > IMGSPEC_CONFIG_MAX)
		return err_set(e, EBADMSG, "config of %lld bytes: more than %d are not read", (long long)m->config.size,
			       IMGSPEC_CONFIG_MAX);
	json_t *layers = NULL;
	if (json_get_array(doc, "layers", &layers, e) < 0)
		return bad_document(e);
	size_t n = layers ? json_array_size(layers) : 0;
	if (!layers || n > IMGSPEC_LAYERS_MAX)
		return err_set(e, EBADMSG, "manifest with %zu layers (1 to %d)", n, IMGSPEC_LAYERS_MAX);
	m->layers = xcalloc(n + 1, sizeof(*m->layers));
	for (; m->nlayers < n; m->nlayers++) {
		struct imgspec_desc *d = &m->layers[m->nlayers];
		r = parse_desc(json_array_get(layers, m->nlayers), d, e);
		if (r < 0)
			return err_ctx(e, "layer %zu", m->nlayers + 1);
		r = imgspec_layer_compression(d->media_type, &d->compression, e);
		if (r < 0) {
			m->nlayers++; /* this one is filled and must be freed */
			return err_ctx(e, "layer %zu", m->nlayers);
		}
	}
	return 0;
}

int imgspec_manifest_parse(const json_t *doc, struct imgspec_manifest *ret_manifest, struct err *e)
{
	struct imgspec_manifest m = {0};
	int r = fill_manifest(doc, &m, e);
	if (r < 0) {
		imgspec_manifest_free(&m);
		return r;
	}
	*ret_manifest = m;
	return 0;
}

void imgspec_manifest_free(struct imgspec_manifest *m)
{
	free(m->media_type);
	desc_free(&m->config);
	for (size_t i = 0; i < m->nlayers; i++)
		desc_free(&m->layers[i]);
	free(m->layers);
	*m = (struct imgspec_manifest){0};
}

/* ---- index ---- */

static int fill_index(const json_t *doc, struct imgspec_index *x, struct err *e)
{
	if (get_text(doc, "mediaType", &x->media_type, e) < 0)
		return -EBADMSG;
	if (!x->media_type)
		x->media_type = xstrdup(IMGSPEC_OCI_INDEX);
	json_t *entries = NULL;
	if (json_get_array(doc, "manifests", &entries, e) < 0)
		return bad_document(e);
	size_t n = entries ? json_array_size(entries) : 0;
	if (!entries || n > IMGSPEC_INDEX_MAX)
		return err_set(e, EBADMSG, "index with %zu entries (at most %d)", n, IMGSPEC_INDEX_MAX);
	x->manifests = xcalloc(n + 1, sizeof(*x->manifests));
	for (; x->nmanifests < n; x->nmanifests++) {
		const json_t *obj = json_array_get(entries, x->nmanifests);
		struct imgspec_desc d = {0};
		int r = parse_desc(obj, &d, e);
		if (r >= 0)
			r = parse_platform(obj, &d.platform, e);
		if (r >= 0)
			r = parse_annotations(obj, &d, e);
		if (r < 0) {
			desc_free(&d);
			return err_ctx(e, "entry %zu of the index", x->nmanifests + 1);
		}
		x->manifests[x->nmanifests] = d;
	}
	return 0;
}

int imgspec_index_parse(const json_t *doc, struct imgspec_index *ret_index, struct err *e)
{
	struct imgspec_index x = {0};
	int r = fill_index(doc, &x, e);
	if (r < 0) {
		imgspec_index_free(&x);
		return r;
	}
	*ret_index = x;
	return 0;
}

void imgspec_index_free(struct imgspec_index *x)
{
	free(x->media_type);
	for (size_t i = 0; i < x->nmanifests; i++)
		desc_free(&x->manifests[i]);
	free(x->manifests);
	*x = (struct imgspec_index){0};
}

int imgspec_match(const struct imgspec_manifest *m, const struct imgspec_config *c, struct err *e)
{
	if (m->nlayers != c->diff_ids.count)
		return err_set(e, EBADMSG, "the manifest has %zu layers, its config %zu DiffIDs", m->nlayers,
			       c->diff_ids.count);
	return 0;
}

/* ---- platforms ---- */

void imgspec_platform_free(struct imgspec_platform *p)
{
	free(p->os);
	free(p->architecture);
	free(p->variant);
	*p = (struct imgspec_platform){0};
}

void imgspec_host_platform(const char **ret_os, const char **ret_architecture, const char **ret_variant)
{
	*ret_os = "linux";
	*ret_variant = NULL;
#if defined(__x86_64__)
	*ret_architecture = "amd64";
#elif defined(__aarch64__)
	*ret_architecture = "arm64";
	*ret_variant = "v8";
#elif defined(__arm__)
	*ret_architecture = "arm";
	*ret_variant = "v7";
#elif defined(__i386__)
	*ret_architecture = "386";
#elif defined(__riscv) && __riscv_xlen == 64
	*ret_architecture = "riscv64";
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
	*ret_architecture = "ppc64le";
#elif defined(__s390x__)
	*ret_architecture = "s390x";
#elif defined(__loongarch64)
	*ret_architecture = "loong64";
#elif defined(__mips64)
	*ret_architecture = "mips64le";
#else
#error "OCI's name of this architecture is not known"
#endif
}

static const struct {
	const char *said, *architecture, *variant;
} architecture_alias[] = {
	{"x86_64", "amd64", NULL}, {"x86-64", "amd64", NULL}, {"aarch64", "arm64", NULL}, {"i386", "386", NULL},
	{"i686", "386", NULL},	   {"armhf", "arm", "v7"},    {"armel", "arm", "v6"},	  {"armv7l", "arm", "v7"},
};

static const char *canonical_architecture(const char *text, const char **ret_variant)
{
	for (size_t i = 0; i < ARRAY_SIZE(architecture_alias); i++) {
		if (str_eq(text, architecture_alias[i].said)) {
			if (architecture_alias[i].variant)
				*ret_variant = architecture_alias[i].variant;
			return architecture_alias[i].architecture;
		}
	}
	return text;
}

static bool is_platform_word(const char *p)
{
	size_t n = strlen(p);
	return n >= 1 && n <= 32 && *p != '.' && strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == n;
}

int imgspec_platform_parse(const char *text, struct imgspec_platform *ret_platform, struct err *e)
{
	autostrv struct strv parts = STRV_INIT;
	strv_split(&parts, text, '/');
	if (parts.count > 3)
		return err_set(e, EINVAL, "platform \"%s\" is not os/arch[/variant]", text);
	for (size_t i = 0; i < parts.count; i++)
		if (!is_platform_word(parts.items[i]))
			return err_set(e, EINVAL, "platform \"%s\" is not os/arch[/variant]", text);
	const char *os = parts.count > 1 ? parts.items[0] : "linux";
	const char *variant = parts.count > 2 ? parts.items[2] : NULL;
	const char *alias_variant = NULL;
	const char *architecture = canonical_architecture(parts.items[parts.count > 1 ? 1 : 0], &alias_variant);
	if (!variant)
		variant = alias_variant;
	ret_platform->os = xstrdup(os);
	ret_platform->architecture = xstrdup(architecture);
	ret_platform->variant = variant ? xstrdup(variant) : NULL;
	return 0;
}

/* "v7" -> 7. What an architecture means when it says no variant: arm64 is v8, arm v7, amd64 v1. */
static int variant_number(const char *architecture, const char *variant)
{
	if (variant && variant[0] == 'v' && variant[1] >= '0' && variant[1] <= '9')
		return variant[1] - '0';
	return str_eq(architecture, "arm64") ? 8 : str_eq(architecture, "arm") ? 7 : 1;
}

/* 0: does not run; the higher the better. */
static int suitability(const struct imgspec_desc *d, const struct imgspec_platform *want)
{
	if (d->is_attestation || (!is_manifest_type(d->media_type) && !is_index_type(d->media_type)))
		return 0;
	const struct imgspec_platform *p = &d->platform;
	if (!p->architecture && !p->os)
		return 1; /* not said: as good as any, behind all that say */
	const char *alias_variant = NULL;
	if (!p->os || !p->architecture || !str_eq(p->os, want->os) ||
	    !str_eq(canonical_architecture(p->architecture, &alias_variant), want->architecture))
		return 0;
	int has = variant_number(want->architecture, p->variant ? p->variant : alias_variant);
	int wants = variant_number(want->architecture, want->variant);
	return has > wants ? 0 : 10 + has;
}

int imgspec_index_choose(const struct imgspec_index *x, const struct imgspec_platform *want, struct err *e)
{
	int best = -1;
	int best_rank = 0;
	autostr struct str offered = STR_INIT;
	for (size_t i = 0; i < x->nmanifests; i++) {
		const struct imgspec_desc *d = &x->manifests[i];
		int rank = suitability(d, want);
		if (rank > best_rank) {
			best = (int)i;
			best_rank = rank;
		}
		if (!d->is_attestation && d->platform.os && d->platform.architecture && offered.len < 200)
			str_addf(&offered, "%s%s/%s%s%s", offered.len ? ", " : "", d->platform.os,
				 d->platform.architecture, d->platform.variant ? "/" : "",
				 d->platform.variant ? d->platform.variant : "");
	}
	if (best < 0)
		return err_set(e, ENOENT, "the image does not exist for %s/%s%s%s (it does for: %.220s)", want->os,
			       want->architecture, want->variant ? "/" : "", want->variant ? want->variant : "",
			       offered.len ? offered.buf : "nothing");
	return best;
}
