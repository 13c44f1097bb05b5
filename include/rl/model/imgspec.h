/*
 * imgspec.h - image documents: manifest, index (manifest list) and image config, OCI and docker schema 2.
 *
 * Model: bytes in, verified structs out. Nothing of a document is trusted: media types must match the shape (a document
 * that could be read both as a manifest and as an index is refused, CVE-2021-41190), digests are strictly
 * "sha256:" + 64 lower-case hex digits (CVE-2024-3727), sizes and counts are bounded, `urls` are never kept. Members
 * that are not listed here, annotations included, have no meaning to us and cannot get any.
 *
 * Calling sequence:
 *     r = imgspec_kind(bytes, len, declared_media_type, &doc, e);        // what is it?
 *     r = imgspec_manifest_parse(doc, &m, e);  ...  imgspec_manifest_free(&m);
 *     r = imgspec_config_parse(config_doc, &c, e);  r = imgspec_match(&m, &c, e);
 * Ownership: structs own their strings. Errors: -EBADMSG for documents that are wrong, -EOPNOTSUPP for right ones that
 * are not container images (artifacts, schema 1).
 */
#ifndef RL_MODEL_IMGSPEC_H
#define RL_MODEL_IMGSPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"
#include "rl/model/imgref.h"

enum {
	IMGSPEC_MANIFEST_MAX = 4 << 20, /* bytes of a manifest or index (registries cut at the same size) */
	IMGSPEC_CONFIG_MAX = 8 << 20,
	IMGSPEC_LAYERS_MAX = 1000,
	IMGSPEC_INDEX_MAX = 4096, /* entries of one index */
	IMGSPEC_DEPTH_MAX = 4,	  /* index in index */
};
#define IMGSPEC_BLOB_MAX ((int64_t)1 << 46)

#define IMGSPEC_OCI_MANIFEST	  "application/vnd.oci.image.manifest.v1+json"
#define IMGSPEC_OCI_INDEX	  "application/vnd.oci.image.index.v1+json"
#define IMGSPEC_OCI_CONFIG	  "application/vnd.oci.image.config.v1+json"
#define IMGSPEC_OCI_LAYER	  "application/vnd.oci.image.layer.v1.tar"
#define IMGSPEC_OCI_LAYER_GZIP	  "application/vnd.oci.image.layer.v1.tar+gzip"
#define IMGSPEC_OCI_LAYER_ZSTD	  "application/vnd.oci.image.layer.v1.tar+zstd"
#define IMGSPEC_DOCKER_MANIFEST	  "application/vnd.docker.distribution.manifest.v2+json"
#define IMGSPEC_DOCKER_LIST	  "application/vnd.docker.distribution.manifest.list.v2+json"
#define IMGSPEC_DOCKER_CONFIG	  "application/vnd.docker.container.image.v1+json"
#define IMGSPEC_DOCKER_LAYER	  "application/vnd.docker.image.rootfs.diff.tar"
#define IMGSPEC_DOCKER_LAYER_GZIP "application/vnd.docker.image.rootfs.diff.tar.gzip"

enum imgspec_kind { IMGSPEC_MANIFEST, IMGSPEC_INDEX, IMGSPEC_KIND_N };
enum imgspec_compression { IMGSPEC_PLAIN, IMGSPEC_GZIP, IMGSPEC_ZSTD, IMGSPEC_COMPRESSION_N };

struct imgspec_platform {
	char *os, *architecture, *variant; /* NULL: not said */
};

struct imgspec_desc {
	char *media_type;
	char digest[IMGREF_DIGEST_SIZE];
	int64_t size;
	enum imgspec_compression compression; /* layers only: what the media type says */
	struct imgspec_platform platform;     /* index entries only */
	char *ref_name;			      /* annotation org.opencontainers.image.ref.name, or NULL */
	char *image_name;		      /* annotation io.containerd.image.name, or NULL */
	bool is_attestation; /* index entries only: buildkit's attestation manifests, platform unknown */
};

struct imgspec_manifest {
	char *media_type; /* one of the two manifest types */
	struct imgspec_desc config;
	struct imgspec_desc *layers; /* bottom first */
	size_t nlayers;
};

struct imgspec_index {
	char *media_type;
	struct imgspec_desc *manifests;
	size_t nmanifests;
};

struct imgspec_history {
	char *created, *created_by, *comment, *author; /* NULL: not said */
	bool empty_layer;
};

struct imgspec_health {
	bool set;
	struct strv test;					 /* "NONE" | "CMD", args... | "CMD-SHELL", command */
	int64_t interval, timeout, start_period, start_interval; /* nanoseconds, 0: default */
	int64_t retries;
};

struct imgspec_config {
	struct imgspec_platform platform;
	char *created, *author; /* NULL: not said */
	struct strv env;	/* "KEY=value"; items without '=' or with an empty key are dropped */
	struct strv cmd, entrypoint, shell, onbuild;
	struct strv volumes;	   /* keys as the image says them: hostile paths, resolve inside the root */
	struct strv exposed_ports; /* "80/tcp" */
	struct strv labels;	   /* "key=value"; inert data */
	char *working_dir, *user, *stop_signal; /* NULL: not said */
	struct imgspec_health health;
	struct strv diff_ids; /* "sha256:...", bottom first */
	struct imgspec_history *history;
	size_t nhistory;
};

/* Parse the bytes and say which of the two shapes they are. `declared` is the media type under which the document was
 * announced (descriptor or Content-Type), or NULL; it and the document's own mediaType must agree with the shape. */
int imgspec_kind(const char *bytes, size_t len, const char *declared, enum imgspec_kind *ret_kind, json_t **ret_doc,
		 struct err *e) RL_CHECK;

int imgspec_manifest_parse(const json_t *doc, struct imgspec_manifest *ret_manifest, struct err *e) RL_CHECK;
void imgspec_manifest_free(struct imgspec_manifest *m);
int imgspec_index_parse(const json_t *doc, struct imgspec_index *ret_index, struct err *e) RL_CHECK;
void imgspec_index_free(struct imgspec_index *x);
int imgspec_config_parse(const json_t *doc, struct imgspec_config *ret_config, struct err *e) RL_CHECK;
void imgspec_config_free(struct imgspec_config *c);
/* What a manifest and its config must agree on: as many layers as DiffIDs. */
int imgspec_match(const struct imgspec_manifest *m, const struct imgspec_config *c, struct err *e) RL_CHECK;

/* One image of a docker archive: an entry of the array in manifest.json. What it calls files are names of members of
 * the archive, any text; names are any text too. */
struct imgspec_docker_entry {
	char *config;
	struct strv layers; /* bottom first */
	struct strv names;
};
int imgspec_docker_entry_parse(const json_t *item, struct imgspec_docker_entry *ret_entry, struct err *e) RL_CHECK;
void imgspec_docker_entry_free(struct imgspec_docker_entry *entry);

/* Only the DiffIDs of a config, for readers in a hurry: appended as 64 hex digits without the prefix. */
int imgspec_diff_ids(const json_t *config_doc, struct strv *out, struct err *e) RL_CHECK;

/* Compression a layer's media type promises; -EOPNOTSUPP for types that are no file system layers. */
int imgspec_layer_compression(const char *media_type, enum imgspec_compression *ret_compression,
			      struct err *e) RL_CHECK;
const char *imgspec_layer_media_type(enum imgspec_compression c); /* OCI's */

/* This machine as OCI says it: "linux", "amd64", "arm64" + "v8", ... Static strings; variant may be NULL. */
void imgspec_host_platform(const char **ret_os, const char **ret_architecture, const char **ret_variant);
/* Parse "os/arch[/variant]" or "arch". */
int imgspec_platform_parse(const char *text, struct imgspec_platform *ret_platform, struct err *e) RL_CHECK;
void imgspec_platform_free(struct imgspec_platform *p);
/* The entry of an index that suits `want` best (exact variant, then none, then lower ones), or -ENOENT with the list
 * of what there is. Returns its position. */
int imgspec_index_choose(const struct imgspec_index *x, const struct imgspec_platform *want, struct err *e) RL_CHECK;

/* Documents of our own. The config document can be changed with imgspec_change before it is printed. */
json_t *imgspec_config_new(const char *architecture, const char *variant, const char *created);
/* One Dockerfile-like instruction of `import -c`: CMD ENTRYPOINT ENV EXPOSE LABEL STOPSIGNAL USER VOLUME WORKDIR. */
int imgspec_change(json_t *config_doc, const char *instruction, struct err *e) RL_CHECK;
void imgspec_config_add_layer(json_t *config_doc, const char *diff_id, const char *created, const char *created_by,
			      const char *comment);
json_t *imgspec_desc_new(const char *media_type, const char *digest, int64_t size);
json_t *imgspec_manifest_new(const char *config_digest, int64_t config_size);
void imgspec_manifest_add_layer(json_t *manifest_doc, const char *media_type, const char *digest, int64_t size);

#endif
