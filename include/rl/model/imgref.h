/*
 * imgref.h - names of images: what people type, and the one normal form everything else uses.
 *
 * Grammar (docker's):  [DOMAIN[:PORT]/]PATH[:TAG][@sha256:HEX]
 *     DOMAIN  dot-separated labels of [A-Za-z0-9-] (no '-' at an end) or an IPv6 address in []; the part before the
 *             first '/' is a domain only if it has a '.', a ':' or an upper-case letter or is "localhost"
 *     PATH    '/'-separated components of [a-z0-9], separated inside by one '.', one or two '_' or any number of '-'
 *     TAG     [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
 * Normal form: the domain is always there ("docker.io", which "index.docker.io" becomes too), one-component paths of
 * docker.io get "library/", and a reference with neither tag nor digest gets the tag "latest". DOMAIN/PATH is at most
 * 255 bytes. A path of 64 hex digits is refused without a domain: it would be mistaken for an image id.
 *
 * Everything here is pure and safe on hostile text. Errors: -EINVAL, quoting the text and naming what is wrong.
 */
#ifndef RL_MODEL_IMGREF_H
#define RL_MODEL_IMGREF_H

#include <stdbool.h>
#include <stddef.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

enum { IMGREF_REPO_MAX = 255, IMGREF_TAG_MAX = 128, IMGREF_DIGEST_SIZE = 72 /* "sha256:" + 64 hex + NUL */ };

struct imgref {
	char *domain;			 /* "docker.io", "localhost:5000", "[::1]:5000" */
	char *path;			 /* "library/busybox" */
	char *tag;			 /* NULL if there is only a digest */
	char digest[IMGREF_DIGEST_SIZE]; /* "" if there is none */
	bool short_name;		 /* no domain was typed */
};

int imgref_parse(const char *text, struct imgref *ret_ref, struct err *e) RL_CHECK;
void imgref_free(struct imgref *r);

/* "docker.io/library/busybox:latest" (plus "@sha256:..." if there is a digest). */
char *imgref_format(const struct imgref *r);
/* The form people know, of a canonical name: "busybox:latest", "quay.io/x/y:1". Points into `canonical`. */
const char *imgref_familiar(const char *canonical);
/* "docker.io/library/busybox" of a canonical name, malloc'd. */
char *imgref_repository(const char *canonical);

/* A digest of the only algorithm we take: "sha256:" and 64 lower-case hex digits, nothing else. */
bool imgref_is_digest(const char *text);
/* Exactly 64 lower-case hex digits. */
bool imgref_is_hex(const char *text);
/* 3 to 64 lower-case hex digits: may be (the beginning of) an image id. Fewer are a name, as for podman and buildah: one
 * digit would find some image or other for most names of one letter. */
enum { IMGREF_ID_PREFIX_MIN = 3 };
bool imgref_is_id_prefix(const char *text);

/* Where an image is, for verbs that take more than names of the store. */
enum imgref_transport {
	IMGREF_STORE,	       /* no transport: a name or id */
	IMGREF_DOCKER,	       /* docker://REFERENCE */
	IMGREF_OCI,	       /* oci:DIR[:TAG] */
	IMGREF_OCI_ARCHIVE,    /* oci-archive:FILE[:TAG] */
	IMGREF_DOCKER_ARCHIVE, /* docker-archive:FILE[:REFERENCE] */
	IMGREF_DIR,	       /* dir:DIR */
	IMGREF_TRANSPORT_N,
};

struct imgref_location {
	enum imgref_transport transport;
	char *path;  /* file or directory; for IMGREF_STORE and IMGREF_DOCKER the reference as typed */
	char *which; /* tag or reference inside an archive or layout, or NULL */
};

/* Split "TRANSPORT:..." off. A text without a known transport is IMGREF_STORE and is not looked at further. */
int imgref_locate(const char *text, struct imgref_location *ret_location, struct err *e) RL_CHECK;
void imgref_location_free(struct imgref_location *l);
/* "oci-archive", ...; "" for IMGREF_STORE. */
const char *imgref_transport_name(enum imgref_transport t);

#endif
