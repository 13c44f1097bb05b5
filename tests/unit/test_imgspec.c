/* Image documents: what is accepted, what is refused and why, and that our own documents are accepted by ourselves. */
#include "rl/model/imgspec.h"

#include <errno.h>

#include "rl/base/mem.h"
#include "tap.h"

#define H	   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define D	   "sha256:" H
#define DESC(type) "{\"mediaType\":\"" type "\",\"digest\":\"" D "\",\"size\":10}"
#define CONFIG	   "\"config\":" DESC(IMGSPEC_OCI_CONFIG)
#define LAYERS	   "\"layers\":[" DESC(IMGSPEC_OCI_LAYER_GZIP) "]"
#define M(rest)	   "{\"schemaVersion\":2," rest "}"

static int kind_of(const char *text, const char *declared, enum imgspec_kind *ret, struct err *e)
{
	autojson json_t *doc = NULL;
	return imgspec_kind(text, strlen(text), declared, ret, &doc, e);
}

static void test_kind(void)
{
	static const struct {
		const char *text, *declared, *what;
		int kind; /* -1: refused */
	} table[] = {
		{M(CONFIG "," LAYERS), NULL, "an OCI manifest without mediaType", IMGSPEC_MANIFEST},
		{M("\"mediaType\":\"" IMGSPEC_OCI_MANIFEST "\"," CONFIG "," LAYERS), IMGSPEC_OCI_MANIFEST,
		 "an OCI manifest under its own type", IMGSPEC_MANIFEST},
		{M("\"mediaType\":\"" IMGSPEC_DOCKER_MANIFEST "\"," CONFIG "," LAYERS), NULL, "a docker manifest",
		 IMGSPEC_MANIFEST},
		{M("\"manifests\":[]"), IMGSPEC_OCI_INDEX, "an index", IMGSPEC_INDEX},
		{M("\"mediaType\":\"" IMGSPEC_DOCKER_LIST "\",\"manifests\":[]"), NULL, "a manifest list",
		 IMGSPEC_INDEX},
		{M("\"manifests\":[]," CONFIG "," LAYERS), NULL, "CVE-2021-41190: a document with manifests and layers",
		 -1},
		{M("\"manifests\":[],\"config\":null"), NULL, "an index with a config that is null", -1},
		{M("\"manifests\":[],\"fsLayers\":[]"), NULL, "an index with fsLayers", -1},
		{M("\"mediaType\":\"" IMGSPEC_OCI_INDEX "\"," CONFIG "," LAYERS), NULL,
		 "a manifest that says it is an index", -1},
		{M("\"mediaType\":\"" IMGSPEC_OCI_MANIFEST "\",\"manifests\":[]"), NULL,
		 "an index that says it is a manifest", -1},
		{M(CONFIG "," LAYERS), IMGSPEC_OCI_INDEX, "a manifest announced as an index", -1},
		{M("\"mediaType\":\"" IMGSPEC_DOCKER_MANIFEST "\"," CONFIG "," LAYERS), IMGSPEC_OCI_MANIFEST,
		 "a docker manifest announced as an OCI one", -1},
		{M("\"mediaType\":7," CONFIG "," LAYERS), NULL, "a mediaType that is a number", -1},
		{"{\"schemaVersion\":1,\"fsLayers\":[]}", NULL, "schema 1", -1},
		{"{\"schemaVersion\":\"2\"," CONFIG "}", NULL, "a schemaVersion that is a string", -1},
		{"{" CONFIG "," LAYERS "}", NULL, "a missing schemaVersion", -1},
		{M("\"x\":1"), NULL, "neither shape", -1},
		{"[]", NULL, "an array", -1},
		{"", NULL, "nothing", -1},
		{M(CONFIG "," LAYERS) "x", NULL, "bytes after the document", -1},
		{M(CONFIG "," CONFIG "," LAYERS), NULL, "a duplicate key", -1},
	};
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct err e = ERR_INIT;
		enum imgspec_kind kind = IMGSPEC_KIND_N;
		int r = kind_of(table[i].text, table[i].declared, &kind, &e);
		if (table[i].kind < 0)
			tap_ok(r < 0 && *e.text && kind == IMGSPEC_KIND_N, "%s is refused", table[i].what);
		else if (!tap_ok(r == 0 && (int)kind == table[i].kind, "%s is recognised", table[i].what))
			tap_diag("%s", e.text);
	}
	struct err e = ERR_INIT;
	enum imgspec_kind kind;
	autostr struct str big = STR_INIT;
	str_adds(&big, "{\"schemaVersion\":2,\"x\":\"");
	while (big.len <= IMGSPEC_MANIFEST_MAX)
		str_adds(&big, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			       "aaaaaaaaaaaaaaa");
	str_adds(&big, "\"}");
	tap_ok(kind_of(big.buf, NULL, &kind, &e) == -EBADMSG, "a manifest above 4 MiB is not even parsed");
}

static int manifest(const char *text, struct imgspec_manifest *ret, struct err *e)
{
	autojson json_t *doc = NULL;
	enum imgspec_kind kind;
	int r = imgspec_kind(text, strlen(text), NULL, &kind, &doc, e);
	return r < 0 ? r : imgspec_manifest_parse(doc, ret, e);
}

static void test_manifest(void)
{
	struct err e = ERR_INIT;
	struct imgspec_manifest m = {0};
	if (tap_ok(manifest(M(CONFIG ",\"layers\":[" DESC(IMGSPEC_OCI_LAYER) "," DESC(
				    IMGSPEC_DOCKER_LAYER_GZIP) "," DESC(IMGSPEC_OCI_LAYER_ZSTD) "]"),
			    &m, &e) == 0,
		   "a manifest with three kinds of layers is parsed")) {
		tap_is_int(m.nlayers, 3, "with all of them");
		tap_ok(m.layers[0].compression == IMGSPEC_PLAIN && m.layers[1].compression == IMGSPEC_GZIP &&
			       m.layers[2].compression == IMGSPEC_ZSTD,
		       "and their compressions");
		tap_is_str(m.config.digest, D, "the config's digest is right");
		imgspec_manifest_free(&m);
	} else {
		tap_diag("%s", e.text);
	}
	tap_ok(manifest(M(CONFIG ",\"layers\":[]"), &m, &e) == 0, "an image without layers is legal");
	imgspec_manifest_free(&m);
#define LAYER(digest, size, type)                                                                                      \
	M(CONFIG ",\"layers\":[{\"mediaType\":\"" type "\",\"digest\":\"" digest "\",\"size\":" size "}]")
#define T IMGSPEC_OCI_LAYER
	static const struct {
		const char *text, *what;
	} bad[] = {
		{LAYER("../../../../etc/passwd", "1", T), "CVE-2024-3727: a digest that is a path"},
		{LAYER("sha256:../../etc/passwd", "1", T), "a digest with a path behind its algorithm"},
		{LAYER("sha256:0123", "1", T), "a short digest"},
		{LAYER("sha256:" H "0", "1", T), "a long digest"},
		{LAYER("sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", "1", T),
		 "an upper-case digest"},
		{LAYER("sha512:" H H, "1", T), "another algorithm"},
		{LAYER("", "1", T), "an empty digest"},
		{LAYER(D, "-1", T), "a negative size"},
		{LAYER(D, "1e3", T), "a size that is a float"},
		{LAYER(D, "\"1\"", T), "a size that is a string"},
		{LAYER(D, "9223372036854775807", T), "an absurd size"},
		{LAYER(D, "null", T), "a missing size"},
		{LAYER(D, "1", ""), "an empty layer type"},
		{LAYER(D, "1", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"),
		 "a layer that is no file system"},
		{M(CONFIG), "a missing list of layers"},
		{M(CONFIG ",\"layers\":{}"), "layers that are an object"},
		{M(CONFIG ",\"layers\":[1]"), "a layer that is a number"},
		{M("\"config\":{}," LAYERS), "an empty config descriptor"},
		{M("\"config\":7," LAYERS), "a config that is a number"},
		{M("\"config\":" DESC("application/vnd.cncf.helm.config.v1+json") "," LAYERS), "an artifact"},
		{M("\"config\":{\"mediaType\":\"" IMGSPEC_OCI_CONFIG "\",\"digest\":\"" D
		   "\",\"size\":99999999}," LAYERS),
		 "a config above its bound"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct imgspec_manifest untouched = {.nlayers = 77};
		struct err why = ERR_INIT;
		int r = manifest(bad[i].text, &untouched, &why);
		tap_ok(r < 0 && *why.text && untouched.nlayers == 77, "%s is refused", bad[i].what);
	}
	autostr struct str many = STR_INIT;
	str_adds(&many, "{\"schemaVersion\":2," CONFIG ",\"layers\":[");
	for (int i = 0; i <= IMGSPEC_LAYERS_MAX; i++)
		str_addf(&many, "%s%s", i ? "," : "", DESC(IMGSPEC_OCI_LAYER));
	str_adds(&many, "]}");
	tap_ok(manifest(many.buf, &m, &e) == -EBADMSG, "1001 layers are refused");
}

#define ENTRY(platform)                                                                                                \
	"{\"mediaType\":\"" IMGSPEC_OCI_MANIFEST "\",\"digest\":\"" D "\",\"size\":1,\"platform\":{" platform "}}"
#define P(os, arch) "\"os\":\"" os "\",\"architecture\":\"" arch "\""
#define V(v)	    ",\"variant\":\"" v "\""

static int choose(const char *entries, const char *platform, struct err *e)
{
	autofree char *text = xasprintf("{\"schemaVersion\":2,\"manifests\":[%s]}", entries);
	autojson json_t *doc = NULL;
	enum imgspec_kind kind;
	struct imgspec_index x = {0};
	struct imgspec_platform want = {0};
	int r = imgspec_kind(text, strlen(text), NULL, &kind, &doc, e);
	if (r == 0)
		r = imgspec_index_parse(doc, &x, e);
	if (r == 0)
		r = imgspec_platform_parse(platform, &want, e);
	if (r == 0)
		r = imgspec_index_choose(&x, &want, e);
	imgspec_index_free(&x);
	imgspec_platform_free(&want);
	return r;
}

static void test_index(void)
{
	struct err e = ERR_INIT;
	static const char arms[] = ENTRY(P("linux", "arm") V("v5")) "," ENTRY(P("linux", "arm") V("v7")) "," ENTRY(
		P("linux", "arm") V("v6")) "," ENTRY(P("linux", "arm64") V("v8")) "," ENTRY(P("linux", "amd64"));
	tap_is_int(choose(arms, "linux/amd64", &e), 4, "the entry of the architecture is chosen");
	tap_is_int(choose(arms, "x86_64", &e), 4, "a common other name of it will do");
	tap_is_int(choose(arms, "linux/arm/v7", &e), 1, "the exact variant is chosen");
	tap_is_int(choose(arms, "linux/arm/v6", &e), 2, "an older variant does not get a newer one");
	tap_is_int(choose(arms, "linux/arm", &e), 1, "arm without a variant is v7");
	tap_is_int(choose(arms, "linux/arm64", &e), 3, "arm64 without a variant is v8");
	tap_is_int(choose(ENTRY(P("linux", "amd64") V("v3")) "," ENTRY(P("linux", "amd64")), "linux/amd64", &e), 1,
		   "amd64 does not get x86-64-v3");
	tap_ok(choose(arms, "linux/s390x", &e) == -ENOENT && strstr(e.text, "linux/arm/v5"),
	       "a platform that is missing is an error that lists those there are");
	tap_ok(choose(arms, "windows/amd64", &e) == -ENOENT, "another system is not taken");
	tap_ok(choose(ENTRY(P("unknown", "unknown")), "linux/amd64", &e) == -ENOENT,
	       "an unknown platform is not taken");
	tap_ok(choose("{\"mediaType\":\"" IMGSPEC_OCI_MANIFEST "\",\"digest\":\"" D
		      "\",\"size\":1,\"annotations\":{\"vnd.docker.reference.type\":\"attestation-manifest\"}}",
		      "linux/amd64", &e) == -ENOENT,
	       "an attestation is not taken for an image");
	tap_is_int(choose(DESC(IMGSPEC_OCI_MANIFEST), "linux/amd64", &e), 0, "an entry without a platform is taken");
	tap_ok(choose("{\"mediaType\":\"" IMGSPEC_OCI_MANIFEST "\",\"digest\":\"sha256:x\",\"size\":1}", "linux/amd64",
		      &e) == -EBADMSG,
	       "CVE-2026-95839: an entry with a malformed digest is refused");
	tap_ok(choose("{\"mediaType\":\"" IMGSPEC_OCI_MANIFEST "\",\"digest\":\"" D "\",\"size\":1,\"platform\":[]}",
		      "linux/amd64", &e) == -EBADMSG,
	       "a platform that is an array is refused");
	struct imgspec_platform p;
	static const char *const wrong[] = {"", "linux/", "a/b/c/d", "linux/AMD64", "linux/../x", "linux/amd 64"};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		tap_ok(imgspec_platform_parse(wrong[i], &p, &e) == -EINVAL, "platform \"%s\" is refused", wrong[i]);
}

static int config(const char *text, struct imgspec_config *ret, struct err *e)
{
	autojson json_t *doc = NULL;
	int r = json_parse(text, strlen(text), "config", &doc, e);
	return r < 0 ? r : imgspec_config_parse(doc, ret, e);
}

#define ROOTFS "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" D "\"]}"

static void test_config(void)
{
	struct err e = ERR_INIT;
	struct imgspec_config c = {0};
	static const char full[] =
		"{\"architecture\":\"arm64\",\"os\":\"linux\",\"variant\":\"v8\",\"created\":\"2020-01-01T00:00:00Z\","
		"\"author\":\"me\",\"config\":{\"Env\":[\"A=b\",\"PATH=/bin\",\"noequals\",\"=x\"],\"Cmd\":[\"sh\"],"
		"\"Entrypoint\":null,\"WorkingDir\":\"/w\",\"User\":\"1:2\",\"Volumes\":{\"/../../x\":{}},"
		"\"ExposedPorts\":{\"80/tcp\":{}},\"Labels\":{\"k\":\"v\"},\"StopSignal\":\"SIGINT\","
		"\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"],\"Interval\":5,\"Retries\":3},\"Shell\":[\"/bin/sh\"],"
		"\"OnBuild\":[\"RUN x\"]}," ROOTFS ",\"history\":[{\"created_by\":\"a\"},{\"empty_layer\":true}],"
		"\"container_config\":{\"Cmd\":7},\"unknown\":[1,2]}";
	if (tap_ok(config(full, &c, &e) == 0, "a full config is parsed")) {
		tap_ok(c.env.count == 2 && str_eq(c.env.items[0], "A=b"), "Env keeps what has a key");
		tap_ok(c.cmd.count == 1 && c.entrypoint.count == 0, "null is the same as absent");
		tap_is_str(c.working_dir, "/w", "WorkingDir is there");
		tap_is_str(c.user, "1:2", "User is there");
		tap_is_str(c.volumes.items[0], "/../../x", "a hostile volume path is handed on as it is");
		tap_is_str(c.exposed_ports.items[0], "80/tcp", "ExposedPorts is there");
		tap_is_str(c.labels.items[0], "k=v", "Labels are there");
		tap_is_str(c.stop_signal, "SIGINT", "StopSignal is there");
		tap_ok(c.health.set && c.health.test.count == 2 && c.health.interval == 5 && c.health.retries == 3,
		       "Healthcheck is there");
		tap_ok(c.shell.count == 1 && c.onbuild.count == 1, "Shell and OnBuild are there");
		tap_ok(str_eq(c.platform.architecture, "arm64") && str_eq(c.platform.variant, "v8"),
		       "the platform is there");
		tap_ok(c.nhistory == 2 && c.history[1].empty_layer, "the history is there");
		tap_ok(c.diff_ids.count == 1 && str_eq(c.diff_ids.items[0], D), "the DiffIDs are there");
		imgspec_config_free(&c);
	} else {
		tap_diag("%s", e.text);
	}
	tap_ok(config("{" ROOTFS "}", &c, &e) == 0 && !c.user && c.cmd.count == 0, "a config may say nothing at all");
	imgspec_config_free(&c);
	static const struct {
		const char *text, *what;
	} bad[] = {
		{"{}", "a config without rootfs"},
		{"[]", "a config that is an array"},
		{"{\"rootfs\":{\"diff_ids\":[\"x\"]}}", "a DiffID that is no digest"},
		{"{\"rootfs\":{\"diff_ids\":[7]}}", "a DiffID that is a number"},
		{"{\"rootfs\":{\"type\":\"x\",\"diff_ids\":[]}}", "a rootfs of another type"},
		{"{" ROOTFS ",\"config\":[]}", "an inner config that is an array"},
		{"{" ROOTFS ",\"config\":{\"Env\":\"A=b\"}}", "an Env that is a string"},
		{"{" ROOTFS ",\"config\":{\"Cmd\":[1]}}", "a Cmd with a number in it"},
		{"{" ROOTFS ",\"config\":{\"User\":0}}", "a User that is a number"},
		{"{" ROOTFS ",\"config\":{\"Labels\":{\"a\":{}}}}", "a label that is an object"},
		{"{" ROOTFS ",\"config\":{\"Volumes\":[]}}", "Volumes that are an array"},
		{"{" ROOTFS ",\"config\":{\"Healthcheck\":{\"Interval\":-1}}}", "a negative interval"},
		{"{" ROOTFS ",\"config\":{\"User\":\"a\\u0000b\"}}", "a NUL in a string"},
		{"{" ROOTFS ",\"history\":[7]}", "a history step that is a number"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err why = ERR_INIT;
		tap_ok(config(bad[i].text, &c, &why) < 0 && *why.text, "%s is refused", bad[i].what);
	}
	struct imgspec_manifest m = {.nlayers = 2};
	if (config("{" ROOTFS "}", &c, &e) == 0) {
		tap_ok(imgspec_match(&m, &c, &e) == -EBADMSG, "two layers and one DiffID do not match");
		m.nlayers = 1;
		tap_ok(imgspec_match(&m, &c, &e) == 0, "one and one do");
		imgspec_config_free(&c);
	}
}

static void test_change(void)
{
	static const struct {
		const char *instruction, *want; /* the inner config afterwards */
	} good[] = {
		{"CMD [\"a\",\"b c\"]", "{\"Cmd\":[\"a\",\"b c\"]}"},
		{"cmd echo hi", "{\"Cmd\":[\"/bin/sh\",\"-c\",\"echo hi\"]}"},
		{"CMD=/bin/bash", "{\"Cmd\":[\"/bin/sh\",\"-c\",\"/bin/bash\"]}"},
		{"CMD [not json", "{\"Cmd\":[\"/bin/sh\",\"-c\",\"[not json\"]}"},
		{"ENTRYPOINT [\"x\"]", "{\"Entrypoint\":[\"x\"]}"},
		{"ENV A=1 B=\"x y\" C='z \\ w'", "{\"Env\":[\"A=1\",\"B=x y\",\"C=z \\\\ w\"]}"},
		{"ENV A some text", "{\"Env\":[\"A=some text\"]}"},
		{"ENV A=1 A=2", "{\"Env\":[\"A=2\"]}"},
		{"EXPOSE 80 53/udp 8000-8001",
		 "{\"ExposedPorts\":{\"80/tcp\":{},\"53/udp\":{},\"8000/tcp\":{},\"8001/tcp\":{}}}"},
		{"LABEL a=b c=\"d e\"", "{\"Labels\":{\"a\":\"b\",\"c\":\"d e\"}}"},
		{"STOPSIGNAL SIGINT", "{\"StopSignal\":\"SIGINT\"}"},
		{"USER 1:2", "{\"User\":\"1:2\"}"},
		{"VOLUME [\"/a\",\"/b\"]", "{\"Volumes\":{\"/a\":{},\"/b\":{}}}"},
		{"VOLUME /a /b", "{\"Volumes\":{\"/a\":{},\"/b\":{}}}"},
		{"WORKDIR rel/../x", "{\"WorkingDir\":\"/x\"}"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct err e = ERR_INIT;
		autojson json_t *doc = imgspec_config_new("amd64", NULL, "2020-01-01T00:00:00Z");
		autostr struct str text = STR_INIT;
		if (!tap_ok(imgspec_change(doc, good[i].instruction, &e) == 0, "%s is taken", good[i].instruction))
			tap_diag("%s", e.text);
		json_print(json_object_get(doc, "config"), false, &text);
		tap_is_str(text.buf, good[i].want, "and means the right thing");
	}
	static const char *const bad[] = {"RUN rm -rf /",   "CMD",	  "",	       "ENV",
					  "ENV =x",	    "LABEL a",	  "EXPOSE 0",  "EXPOSE 70000",
					  "EXPOSE 80/icmp", "EXPOSE 9-8", "ENV A=\"x", "COPY a b",
					  "CMDX a",	    "USER "};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = ERR_INIT;
		autojson json_t *doc = imgspec_config_new("amd64", NULL, "2020-01-01T00:00:00Z");
		tap_ok(imgspec_change(doc, bad[i], &e) == -EINVAL, "\"%s\" is refused", bad[i]);
	}
}

/* docker writes null for everything that is empty, and configs without history or config are right ones. */
static void test_change_foreign(void)
{
	static const char *const configs[] = {
		"{\"config\":{\"Env\":null,\"Labels\":null,\"ExposedPorts\":null,\"Volumes\":null},\"history\":null}",
		"{\"config\":null}",
		"{}",
		"{\"config\":[],\"history\":{}}",
	};
	static const char *const changes[] = {"ENV A=b", "LABEL x=y", "EXPOSE 80", "VOLUME /v"};
	for (size_t i = 0; i < ARRAY_SIZE(configs); i++) {
		struct err e = ERR_INIT;
		json_t *parsed = NULL;
		tap_ok(json_parse(configs[i], strlen(configs[i]), "config", &parsed, &e) == 0, "%s", configs[i]);
		autojson json_t *doc = parsed;
		autostr struct str text = STR_INIT;
		for (size_t k = 0; k < ARRAY_SIZE(changes); k++)
			tap_ok(imgspec_change(doc, changes[k], &e) == 0, "%s is taken", changes[k]);
		json_print(json_object_get(doc, "config"), false, &text);
		tap_is_str(text.buf,
			   "{\"Env\":[\"A=b\"],\"Labels\":{\"x\":\"y\"},\"ExposedPorts\":{\"80/"
			   "tcp\":{}},\"Volumes\":{\"/v\":{}}}",
			   "and all of it is there");
		imgspec_config_add_layer(doc, D, "2020-01-01T00:00:00Z", "x", NULL);
		tap_is_int((long)json_array_size(json_object_get(doc, "history")), 1,
			   "a layer gets its line of history");
	}
}

static void test_docker_entry(void)
{
	static const struct {
		const char *text;
		int r;
	} table[] = {
		{"{\"Config\":\"c.json\",\"RepoTags\":[\"a:1\"],\"Layers\":[\"l/layer.tar\"]}", 0},
		{"{\"Config\":\"c.json\",\"RepoTags\":null,\"Layers\":[]}", 0},
		{"{\"RepoTags\":[\"a:1\"],\"Layers\":[]}", -EBADMSG},
		{"{\"Config\":1,\"Layers\":[]}", -EBADMSG},
		{"{\"Config\":\"c\",\"Layers\":[1]}", -EBADMSG},
		{"{\"Config\":\"c\",\"Layers\":\"x\"}", -EBADMSG},
		{"[]", -EBADMSG},
	};
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct err e = ERR_INIT;
		json_t *parsed = NULL;
		struct imgspec_docker_entry entry = {.config = NULL};
		tap_ok(json_parse(table[i].text, strlen(table[i].text), "entry", &parsed, &e) == 0, "%s",
		       table[i].text);
		autojson json_t *doc = parsed;
		tap_ok(imgspec_docker_entry_parse(doc, &entry, &e) == table[i].r, "is %s",
		       table[i].r ? "refused" : "taken");
		imgspec_docker_entry_free(&entry);
	}
}

static void test_build(void)
{
	struct err e = ERR_INIT;
	autojson json_t *c = imgspec_config_new("arm64", "v8", "2020-01-01T00:00:00Z");
	imgspec_config_add_layer(c, D, "2020-01-01T00:00:00Z", "me", NULL);
	struct imgspec_config parsed = {0};
	tap_ok(imgspec_config_parse(c, &parsed, &e) == 0 && parsed.diff_ids.count == 1 && parsed.nhistory == 1,
	       "a config of ours is accepted by ourselves");
	autojson json_t *doc = imgspec_manifest_new(D, 10);
	imgspec_manifest_add_layer(doc, imgspec_layer_media_type(IMGSPEC_ZSTD), D, 10);
	autostr struct str text = STR_INIT;
	struct imgspec_manifest m = {0};
	json_print(doc, false, &text);
	tap_ok(manifest(text.buf, &m, &e) == 0 && imgspec_match(&m, &parsed, &e) == 0,
	       "a manifest of ours is accepted and matches");
	imgspec_manifest_free(&m);
	imgspec_config_free(&parsed);
	const char *os, *architecture, *variant;
	imgspec_host_platform(&os, &architecture, &variant);
	autofree char *said = xasprintf("%s/%s%s%s", os, architecture, variant ? "/" : "", variant ? variant : "");
	struct imgspec_platform p;
	tap_ok(imgspec_platform_parse(said, &p, &e) == 0 && str_eq(p.architecture, architecture),
	       "the host's platform is a platform (%s)", said);
	imgspec_platform_free(&p);
}

int main(void)
{
	tap_plan_later();
	test_kind();
	test_manifest();
	test_index();
	test_config();
	test_change();
	test_change_foreign();
	test_docker_entry();
	test_build();
	return tap_done();
}
