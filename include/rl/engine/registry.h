/*
 * registry.h - the client of image registries (OCI distribution, docker v2), for rl-image only.
 *
 * Model: struct registry is one client: configuration (registries.conf, certs.d, credentials), one libcurl multi handle
 * and a cache of tokens. struct registry_repo is one repository of one registry together with the places it may be
 * read from: the mirrors registries.conf names, then the registry itself. Whichever place gave the manifest is asked
 * first for the blobs. Pushing never goes to a mirror.
 *
 * Calling sequence (pull):
 *     registry_open(&(struct registry_opts){ .tls_verify = -1 }, &reg, e);
 *     registry_expand(reg, "busybox", &names, e);              // short names -> candidates, each for imgref_parse
 *     registry_repo_open(reg, ref.domain, ref.path, REGISTRY_PULL, &repo, e);
 *     registry_get_manifest(repo, tag_or_digest, &m, e);       // bytes, digest computed by us
 *     ... imgspec_kind, imgspec_index_parse, choose, registry_get_manifest(repo, digest, ...)
 *     registry_get_blob(repo, config.digest, config.size, IMGSPEC_CONFIG_MAX, &config, e);
 *     registry_fetch_all(repo, blobs, n, &(struct registry_transfer){ .parallel = 4 }, e);
 * or, for the middle part, registry_get_image(), which follows an index to the manifest of one platform.
 * Calling sequence (push): registry_repo_open(..., REGISTRY_PUSH, ...); registry_push_all(); registry_push_manifest().
 *
 * Trust: nothing a registry says is believed. Every byte is hashed; digests and sizes must be those asked for;
 * documents above their bounds, headers above 64 KiB, stalled and endless answers end the request. Credentials go to
 * the registry they are for and to the token server it names, never to where a redirect points. A redirect or a token
 * server leads to http, or to a loopback, link-local or private address, only if the registry itself is there.
 *
 * Retries: connection failures, stalls, truncated answers, 408, 429 and 5xx are tried again, with exponential backoff
 * and jitter or after Retry-After (at most REGISTRY_RETRY_AFTER_MAX seconds); a blob goes on where it broke off.
 *
 * Ownership: the client owns everything of itself; repos must be closed before the client. Strings given in are copied
 * unless a field says "borrowed". Context: one thread, host side, ordinary user. Blocks, but see `cancel_fd`. Opening a
 * client makes the process ignore SIGPIPE.
 *
 * Errors worth telling apart: -ENOENT no such manifest or blob; -EACCES refused (hint: rl login); -EPERM blocked by
 * registries.conf, or forbidden redirect; -EBADMSG something does not verify; -EFBIG above a bound; -ETIMEDOUT,
 * -ECONNREFUSED, -EHOSTUNREACH (name or route), -EPROTO (TLS or HTTP) after all retries; -EAGAIN rate limit;
 * -ECANCELED cancel_fd became readable. Texts begin with the registry's host.
 */
#ifndef RL_ENGINE_REGISTRY_H
#define RL_ENGINE_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "rl/base/err.h"
#include "rl/base/str.h"
#include "rl/model/imgref.h"
#include "rl/model/imgspec.h"

enum {
	REGISTRY_RETRIES_DEFAULT = 3,
	REGISTRY_RETRY_AFTER_MAX = 60, /* seconds; a registry that wants more is told to the user instead */
	REGISTRY_STALL_DEFAULT = 30, /* seconds below REGISTRY_STALL_RATE on average before a transfer is broken off */
	REGISTRY_STALL_RATE = 256,   /* bytes per second */
	REGISTRY_PARALLEL_DEFAULT = 4,
	REGISTRY_PARALLEL_MAX = 32,
	REGISTRY_TAGS_MAX = 200000,
};

struct registry;
struct registry_repo;

/* All strings borrowed for the life of the client; NULL and 0 are the defaults. */
struct registry_opts {
	const char *creds;	     /* --creds USER[:PASSWORD]; wins over every file */
	const char *authfile;	     /* --authfile; the only file then */
	const char *cert_dir;	     /* --cert-dir: holds *.crt, *.cert, *.key itself; the only directory then */
	int tls_verify;		     /* -1: as registries.conf says; 0: not verified, http allowed; 1: verified */
	const char *registries_conf; /* CONTAINERS_REGISTRIES_CONF otherwise, otherwise the usual places */
	int retries;		     /* -1: none; 0: REGISTRY_RETRIES_DEFAULT */
	unsigned retry_delay_ms;     /* first pause, doubled each time; 0: 500 */
	unsigned stall_seconds;	     /* 0: REGISTRY_STALL_DEFAULT */
	int cancel_fd;		     /* > 0: readable means stop (signalfd, eventfd, pipe) */
};

int registry_open(const struct registry_opts *opts, struct registry **ret_registry, struct err *e) RL_CHECK;
void registry_close(struct registry *r);

/* What a name typed by a person may stand for, best first: itself when it has a domain; else the one alias; else one
 * name per unqualified-search registry (docker.io when none is configured). Never asks. Appends to `out`. */
int registry_expand(const struct registry *r, const char *name, struct strv *out, struct err *e) RL_CHECK;

enum registry_mode { REGISTRY_PULL, REGISTRY_PUSH };
/* No traffic yet. -EPERM: blocked. */
int registry_repo_open(struct registry *r, const char *domain, const char *path, enum registry_mode mode,
		       struct registry_repo **ret_repo, struct err *e) RL_CHECK;
void registry_repo_close(struct registry_repo *repo);

/* ---- reading ---- */

struct registry_manifest {
	struct str body;
	char digest[IMGREF_DIGEST_SIZE]; /* of the body, by us */
	char *media_type;		 /* Content-Type without parameters, or NULL */
	char *host;			 /* the place that gave it */
};
#define REGISTRY_MANIFEST_INIT                                                                                         \
	{                                                                                                              \
		.body = STR_INIT                                                                                       \
	}
void registry_manifest_free(struct registry_manifest *m);

/* `which` is a tag or a digest. At most IMGSPEC_MANIFEST_MAX bytes. The body's digest is the one asked for, and the
 * one Docker-Content-Digest says when it says one. Whether the document is sane is for imgspec_kind to say. */
int registry_get_manifest(struct registry_repo *repo, const char *which, struct registry_manifest *ret_manifest,
			  struct err *e) RL_CHECK;
/* Ask without fetching (HEAD): what a tag points at now. Where the registry does not say, the manifest is fetched. */
int registry_head_manifest(struct registry_repo *repo, const char *which, char ret_digest[IMGREF_DIGEST_SIZE],
			   struct err *e) RL_CHECK;

struct registry_image {
	struct registry_manifest index;	   /* index.body.len == 0: the reference is no index */
	struct registry_manifest manifest; /* of the platform */
	struct str config;		   /* bytes, verified against the manifest */
};
/* Follow a reference to one platform's manifest (through at most IMGSPEC_DEPTH_MAX indexes) and its config.
 * `platform` NULL: this machine. ret_image must be zeroed or REGISTRY_IMAGE_INIT. */
#define REGISTRY_IMAGE_INIT                                                                                            \
	{                                                                                                              \
		.index = REGISTRY_MANIFEST_INIT, .manifest = REGISTRY_MANIFEST_INIT, .config = STR_INIT                \
	}
int registry_get_image(struct registry_repo *repo, const char *which, const struct imgspec_platform *platform,
		       struct registry_image *ret_image, struct err *e) RL_CHECK;
void registry_image_free(struct registry_image *i);

/* All tags, in the registry's order, page by page; at most REGISTRY_TAGS_MAX. Appends to `out`. */
int registry_list_tags(struct registry_repo *repo, struct strv *out, struct err *e) RL_CHECK;

/* One small blob into memory. size: as the descriptor says. -EFBIG if above `max`. Appends to `out`. */
int registry_get_blob(struct registry_repo *repo, const char *digest, uint64_t size, uint64_t max, struct str *out,
		      struct err *e) RL_CHECK;

/*
 * Where a blob's bytes go besides the partial file: in order, each byte once, before the digest is known to be right,
 * so the receiver publishes nothing until done() said 0.
 */
struct registry_sink {
	/* Take up to `len` bytes: the number taken (>= 1), -EAGAIN: none now, ask again when wait_fd is writable;
	 * another -errno ends the job. */
	ssize_t (*write)(void *arg, const void *data, size_t len);
	/* Start over at byte 0 (a resumed file turned out to be wrong): 0, or -errno if that cannot be. May be NULL. */
	int (*restart)(void *arg);
	/* Exactly once: 0 all bytes delivered and verified, or -errno. May be NULL. */
	void (*done)(void *arg, int result);
	void *arg;
	int wait_fd; /* polled for writability after -EAGAIN; -1: write never says -EAGAIN */
};

enum registry_state {
	REGISTRY_WAITING,  /* not begun */
	REGISTRY_CHECKING, /* reading what the partial file already has */
	REGISTRY_RUNNING,
	REGISTRY_RETRYING, /* pausing before another attempt */
	REGISTRY_DONE,
	REGISTRY_FAILED,
	REGISTRY_EXISTS, /* push: was there already, or mounted */
	REGISTRY_STATE_N,
};

struct registry_blob {
	const char *digest; /* borrowed */
	uint64_t size;	    /* as the descriptor says */
	int partial_fd;	    /* 0 or -1: none. Read-write, regular: bytes it has are hashed (and given to the sink), the
	                       rest is fetched with Range and appended; on success it holds the whole blob. On failure
	                       it holds a correct beginning, except after -EBADMSG: then it is empty. Not synced. */
	const struct registry_sink *sink; /* NULL: only the file. Borrowed */
	/* results */
	int result;	  /* 0 or -errno */
	uint64_t resumed; /* bytes that did not have to be fetched */
};

struct registry_transfer {
	unsigned parallel; /* jobs at once; 0: REGISTRY_PARALLEL_DEFAULT */
	/* At every change of state and else at most ten times a second for each job. May be NULL. */
	void (*progress)(void *arg, size_t job, enum registry_state state, uint64_t done, uint64_t size);
	void *progress_arg;
	bool keep_going; /* do the other jobs although one failed; the first failure is returned in the end */
	/* Something else to look after meanwhile: called when watch_fd (> 0) is readable. A negative result ends the
	 * transfer with that error, as it is. May be NULL. */
	int (*watch)(void *arg, struct err *e);
	void *watch_arg;
	int watch_fd;
};

/* Fetch blobs, several at once. The error of the first failure; the others are then broken off (-ECANCELED). */
int registry_fetch_all(struct registry_repo *repo, struct registry_blob *blobs, size_t n,
		       const struct registry_transfer *t, struct err *e) RL_CHECK;

/* ---- what is no registry ---- */

/*
 * One file from an address. Redirects, proxies, certificates and retries are as above, but no credentials are looked for.
 * A transfer that broke is gone on with only in the same version of the file (a strong ETag, Last-Modified), or, where
 * the server names none and fd can be emptied, begun again. -EPIPE: nobody reads fd any more; -ESTALE: neither of the two.
 */
struct registry_download {
	const char *url; /* http or https, without a user name. Borrowed */
	int fd;		 /* gets the bytes in order, each once; a pipe's reader is waited for */
	uint64_t max;	 /* most bytes; 0: what is possible for a blob */
	void (*progress)(void *arg, uint64_t done, uint64_t total); /* total 0: not known. May be NULL */
	void *progress_arg;
	int64_t modified; /* result: when the server says it was changed, in seconds, or -1 */
};
int registry_download(struct registry *r, struct registry_download *d, struct err *e) RL_CHECK;

/* ---- writing ---- */

/* What is uploaded. Digest and size may be unknown beforehand (compressed as it goes): they are results then. */
struct registry_upload {
	const char *digest; /* borrowed; NULL: not known yet (then neither HEAD nor mount). Checked while reading */
	uint64_t size;	    /* with `digest`; checked while reading */
	/* Without `digest`: what it had the last time (or NULL), and its size. If the registry has that, nothing is
	 * produced; else what it will have is not known. Borrowed. */
	const char *known_digest;
	uint64_t known_size;
	const char *mount_from; /* path of a repository of the same registry that may have it, or NULL. Borrowed */
	int fd;			/* > 0: a regular file, read from byte 0 with pread; else `read` */
	/* up to `len` bytes into buf; 0: the end; -EAGAIN: when wait_fd is readable; another -errno ends the job. What
	 * was read is kept until the registry has it (REGISTRY_CHUNK bytes at a time), so it is read only once. */
	ssize_t (*read)(void *arg, void *buf, size_t len);
	/* Or NULL: produce it again from byte 0, because the registry lost the upload. wait_fd stays. -errno: impossible. */
	int (*restart)(void *arg);
	void *arg;
	int wait_fd;
	/* results */
	int result;
	bool existed;
	char ret_digest[IMGREF_DIGEST_SIZE];
	uint64_t ret_size;
};
enum { REGISTRY_CHUNK = 6 << 20 };

int registry_push_all(struct registry_repo *repo, struct registry_upload *uploads, size_t n,
		      const struct registry_transfer *t, struct err *e) RL_CHECK;
/* 1: the registry has this blob (and ret_size, if not NULL, is its size), 0: it has not. */
int registry_has_blob(struct registry_repo *repo, const char *digest, uint64_t *ret_size, struct err *e) RL_CHECK;
/* `which`: tag, or the digest of the bytes. The digest the registry reports must be that of the bytes. */
int registry_push_manifest(struct registry_repo *repo, const char *which, const char *media_type, const void *bytes,
			   size_t len, char ret_digest[IMGREF_DIGEST_SIZE], struct err *e) RL_CHECK;
/* Delete a manifest by digest, or a tag where the registry can. */
int registry_delete_manifest(struct registry_repo *repo, const char *which, struct err *e) RL_CHECK;

/* ---- credentials ---- */

struct registry_login {
	const char *user, *password; /* borrowed; user NULL: those already stored are checked and nothing is written */
	const char *key;	     /* what they are for: DOMAIN or DOMAIN/PATH... */
	bool skip_verify;	     /* do not ask the registry */
	bool docker_file;	     /* write docker's config.json instead */
};
/* Verify with the registry, then store: in the credential helper configured for it, else in the auth file (--authfile,
 * REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers/auth.json, else ~/.config/containers/auth.json), mode 0600, replaced
 * atomically. ret_where (malloc'd) says where. Returns 1 if the registry asked for no credentials at all, else 0. */
int registry_login(struct registry *r, const struct registry_login *l, char **ret_where, struct err *e) RL_CHECK;
/* Forget credentials: `key` as above or NULL for all, in every file and helper that would be read. Returns how many
 * were there; 0 is no error. */
int registry_logout(struct registry *r, const char *key, struct err *e) RL_CHECK;
/* The user name stored for a key (malloc'd), or -ENOENT. */
int registry_login_user(struct registry *r, const char *key, char **ret_user, struct err *e) RL_CHECK;

#endif
