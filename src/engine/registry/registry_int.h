/*
 * registry_int.h - what the files of the registry engine share.
 *
 *     url.c       URLs, proxies, classes of addresses            (pure)
 *     certs.c     certs.d trees
 *     creds.c     finding and storing credentials; login.c: the verbs
 *     http.c      one exchange with one server: redirects, retries, the event loop           (libcurl)
 *     http_easy.c one attempt: options, limits, callbacks; http_error.c: what people are told
 *     auth.c      challenges and tokens, on top of http.c
 *     client.c    registry_open, registries.conf files, repositories and their places
 *     manifest.c, blobs.c, push.c    the operations; download.c: a file that is no registry's
 *
 * Everything is driven by one loop, http_loop: exchanges (struct http_xfer) are queued, and tasks (struct http_task)
 * are run when a descriptor is ready; both end by calling back. Callbacks may queue more, and never block, but for
 * credential helpers (bounded).
 */
#ifndef RL_ENGINE_REGISTRY_INT_H
#define RL_ENGINE_REGISTRY_INT_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "rl/base/digest.h"
#include "rl/engine/registry.h"
#include "rl/model/authfile.h"
#include "rl/model/regconf.h"
#include "rl/model/wwwauth.h"

enum {
	HTTP_HEADERS_MAX = 64 << 10, /* all header bytes of one attempt, interim responses included */
	HTTP_URL_MAX = 16 << 10,
	HTTP_REDIRECTS_MAX = 8,
	HTTP_ERROR_BODY_MAX = 64 << 10,
	HTTP_ATTEMPTS_TOTAL = 60,	 /* of one exchange, however much progress it makes */
	HTTP_PROGRESS_RESETS = 64 << 10, /* bytes that make a failed attempt not count */
	HTTP_SHORT_TIMEOUT = 120,	 /* seconds, for exchanges that are not streams */
	HTTP_CONNECT_TIMEOUT = 15,
	HTTP_UPLOAD_STALL = 300, /* a registry may think long about a finished upload */
};

/* ---- url.c ---- */

enum addr_class { ADDR_PUBLIC, ADDR_PRIVATE, ADDR_LOOPBACK, ADDR_LINK_LOCAL, ADDR_CLASS_N };

struct url {
	char *text, *scheme, *host, *port; /* host lower-case, IPv6 with brackets; port always a number */
};
void url_free(struct url *u);
#define autourl __attribute__((cleanup(url_free)))
/* `ref` relative to `base` (NULL: must be absolute). Only http and https, no user name. */
int url_resolve(const char *base, const char *ref, struct url *ret_url, struct err *e) RL_CHECK;
bool url_same_origin(const struct url *a, const struct url *b);
/* For a query: everything but unreserved characters percent-encoded. */
void url_escape(struct str *out, const char *text);

enum addr_class addr_class_of(const struct sockaddr *sa);
/* For a literal address or "localhost": its class in *ret_class and true; false for names. */
bool addr_class_of_host(const char *host, enum addr_class *ret_class);
/* May a server at `from` send us on to `to`? */
bool addr_may_lead_to(enum addr_class from, enum addr_class to);
/* Does no_proxy exempt host:port? */
bool proxy_exempt(const char *no_proxy, const char *host, const char *port);

/* ---- certs.c ---- */

struct certs {
	struct str ca;	  /* PEM: system bundle and ours; empty: libcurl's default */
	char *cert, *key; /* client certificate files, or NULL */
};
int certs_load(const struct registry_opts *o, const char *const *hosts, struct certs *ret_certs,
	       struct err *e) RL_CHECK;
void certs_free(struct certs *c);
/* The system's CA bundle: SSL_CERT_FILE, libcurl's default or a well-known place; NULL if none is there. */
const char *certs_system_bundle(void);

/* ---- endpoints ---- */

/* One server: an authority as URLs name it. Lives as long as the client. */
struct http_endpoint {
	char *shown;	 /* for people and for lookups: "docker.io" */
	char *authority; /* HOST[:PORT] to connect to: "registry-1.docker.io" */
	bool verify;	 /* certificate must be right */
	bool insecure;	 /* http is allowed */
	bool plain;	 /* http is used: https did not work and insecure is set */
	bool decided;	 /* something answered: the scheme stays */
	bool addr_known;
	enum addr_class addr;	    /* the most public it was seen at: decides where it may lead */
	enum addr_class addr_worst; /* the least public: decides who may lead to it */
	bool certs_loaded;
	struct certs certs;
};

/* ---- exchanges ---- */

struct auth_ctx;
struct http_xfer;

enum http_state { HTTP_NEW, HTTP_QUEUED, HTTP_TOKEN, HTTP_RUNNING, HTTP_DONE };

struct http_reply {
	long status;
	char *content_type, *digest, *location, *link, *content_range, *range, *retry_after, *etag, *last_modified;
	int64_t content_length; /* -1: not said */
	int64_t chunk_min;
	struct wwwauth challenges;
};

/* Request body read piece by piece. */
struct http_source {
	/* bytes (0: end), -EAGAIN: pause until http_resume, another -errno: x->err is filled */
	ssize_t (*read)(struct http_xfer *x, void *buf, size_t len);
	int (*rewind)(struct http_xfer *x); /* back to the first byte of this exchange */
	int64_t size;
};

struct http_xfer {
	struct http_xfer *next;
	struct registry *r;
	struct http_endpoint *ep; /* who is asked */
	struct auth_ctx *auth;	  /* NULL: nothing to authenticate with */

	/* request: set by the caller before http_start */
	const char *method;
	char *target; /* "/v2/..." below ep, or an absolute URL */
	struct strv headers;
	const void *body; /* in memory, borrowed; */
	size_t body_len;
	struct http_source source; /* or streamed, when .read is set */
	size_t reply_max;	   /* bound of the collected reply */
	bool stream;		   /* no overall time limit, only the stall limit */
	bool pausable;		   /* HTTP/1.1, so that pausing holds the peer back instead of filling our memory */
	bool once;		   /* not to be repeated (not idempotent) */
	bool strict;		   /* not to be redirected to another origin */
	bool no_registry;	   /* people are not told what helps with registries */
	char *basic;		   /* this "user:password" instead of auth (token requests). Owned */
	char *owned_body;	   /* freed (and wiped) with the exchange */
	struct http_endpoint *lead_from; /* who sent us to ep (token requests), or NULL: the user */
	int retries;			 /* attempts beyond the first */
	int stall;			 /* seconds, 0: the client's */

	/* hooks; all may be NULL */
	void (*prepare)(struct http_xfer *x); /* before each attempt */
	int (*on_head)(struct http_xfer *x);  /* 2xx head is there; -errno with x->err ends it */
	int (*on_body)(struct http_xfer *x, const void *p, size_t len); /* 0, HTTP_PAUSE or -errno with x->err */
	void (*on_done)(struct http_xfer *x);				/* result is final; may http_again or free x */
	void *user;

	/* outcome */
	int result;
	struct err err;
	struct http_reply reply;
	struct str text; /* collected reply body */

	/* private to http.c and auth.c */
	enum http_state state;
	CURL *easy;
	struct curl_slist *attempt_headers;
	struct url url;		      /* of the current hop */
	struct http_endpoint *hop_ep; /* of the current hop: TLS settings */
	bool same_origin;	      /* of the endpoint, and never left it */
	bool left_origin; /* a redirect led elsewhere: no credentials any more, even if the next leads back */
	bool direct;	  /* not through a proxy */
	bool head_seen, cut, aborted;
	uint64_t header_bytes, received;
	unsigned redirects, attempts, attempts_total, auth_tries;
	bool basic_used;     /* a password was sent: sending it again is of no use */
	unsigned token_used; /* generation of the token sent, 0: none */
	int64_t not_before;
	char errbuf[CURL_ERROR_SIZE];
};

enum { HTTP_PAUSE = 1 };

/* Something else the loop does: run() is called when `due` is set or `fd` is ready for `events`. */
struct http_task {
	struct http_task *next;
	int fd; /* -1: none */
	short events;
	bool due;
	void (*run)(struct http_task *t);
};

struct registry {
	struct registry_opts o;
	struct regconf conf;
	struct authfile_cred explicit_cred; /* --creds */
	bool has_explicit;
	CURLM *multi;
	struct http_endpoint **endpoints;
	size_t nendpoints;
	struct http_xfer *xfers;
	struct http_task *tasks;
	char *proxy_http, *proxy_https, *no_proxy;
	bool h2;
};

int64_t now_ms(void);

/* http.c */
struct http_xfer *http_new(struct registry *r, struct http_endpoint *ep, struct auth_ctx *auth, const char *method,
			   char *target);
void http_free(struct http_xfer *x);
void http_start(struct http_xfer *x);
/* The same after the pause that attempt number `attempt` (1, 2, ...) calls for. */
void http_start_later(struct http_xfer *x, unsigned attempt);
/* From on_done: try the same exchange again after a pause if attempts are left (true), or now if `now`. Otherwise false
 * and the outcome stays. */
bool http_again(struct http_xfer *x, bool now);
void http_resume(struct http_xfer *x);
/* Run until x has its result; returns it, with *e filled from it. Starts x if it is new. */
int http_do(struct http_xfer *x, struct err *e) RL_CHECK;
/* Run until *done is true. -ECANCELED. */
int http_loop(struct registry *r, const bool *done, struct err *e) RL_CHECK;
void http_task_add(struct registry *r, struct http_task *t);
void http_task_remove(struct registry *r, struct http_task *t);
/* x ends with this error (fills x->err as err_set does); for hooks. */
int http_refuse(struct http_xfer *x, int code, const char *fmt, ...) RL_PRINTF(3, 4);
/* Ends x without an answer; on_done is not called. */
void http_abandon(struct http_xfer *x);
/* Something a registry wrote, as one bounded line of plain characters, malloc'd. */
char *http_quote(const char *text, size_t len);
/* "bytes FIRST-LAST/TOTAL"; TOTAL is UINT64_MAX where it is "*". False: `text` is something else, or NULL. */
bool http_content_range(const char *text, uint64_t *ret_first, uint64_t *ret_last, uint64_t *ret_total);
/* A date of a header in seconds, -1 for what is none, or NULL. */
int64_t http_date(const char *text);
/* For auth.c: the token x waited for is there, or will not come. */
void http_token_ready(struct http_xfer *x, int result, const struct err *cause);

/* ---- auth.c ---- */

enum auth_kind { AUTH_UNKNOWN, AUTH_BASIC, AUTH_BEARER };

/* How one repository (or login) authenticates at one endpoint. */
struct auth_ctx {
	struct registry *r;
	struct http_endpoint *ep;
	char *name;			    /* what credentials are looked up for: "docker.io/library/busybox" */
	struct strv scopes;		    /* "repository:library/busybox:pull" */
	const struct authfile_cred *forced; /* login: these and no others. Borrowed */
	bool creds_known;
	bool pinged; /* /v2/ was asked for a challenge */
	struct authfile_cred cred;
	enum auth_kind kind;
	char *realm, *service, *asked_scope;
	char *token;
	int64_t token_until;
	unsigned generation;
	struct http_xfer *fetch; /* token request under way */
};
struct auth_ctx *auth_new(struct registry *r, struct http_endpoint *ep, const char *name);
void auth_free(struct auth_ctx *a);
/* Put an Authorization header on the attempt: 0; or 1: wait, http_token_ready will be called; or -errno in x->err. */
int auth_attach(struct http_xfer *x);
/* A 401 came: 0 to try again, -errno in x->err. */
int auth_challenged(struct http_xfer *x);

/* ---- creds.c ---- */

/* 1 found, 0 none. */
int creds_find(struct registry *r, const char *name, struct authfile_cred *ret_cred, struct err *e) RL_CHECK;
struct creds_files {
	struct strv paths; /* in order of reading */
};
void creds_files(const struct registry_opts *o, struct strv *out);
/* Docker's program protocol: verb "get", "store", "erase". 1 done, 0 not found (get, erase). */
int creds_helper(const char *helper, const char *verb, const char *input, size_t len, struct str *out,
		 struct err *e) RL_CHECK;
int creds_read_file(const char *path, json_t **ret_doc, struct err *e) RL_CHECK;

/* ---- client.c ---- */

/* One place a repository can be had from. */
struct place {
	struct http_endpoint *ep;
	struct auth_ctx *auth;
	char *name; /* "HOST/PATH" after rewriting */
	char *path; /* PATH */
	bool is_mirror;
};

struct registry_repo {
	struct registry *r;
	char *name; /* "DOMAIN/PATH" */
	enum registry_mode mode;
	struct place **places; /* all ever used */
	size_t nplaces;
	struct place **order; /* for the last manifest, best first */
	size_t norder;
	struct place *served; /* gave the last manifest, or NULL */
};

struct http_endpoint *endpoint_get(struct registry *r, const char *authority, const char *shown, bool insecure);
/* Fill repo->order. */
int repo_order(struct registry_repo *repo, bool by_digest, struct err *e) RL_CHECK;
bool is_failover(int result);
/* `which` is a tag or a digest, nothing else (it becomes part of a URL). */
int check_which(const char *which, struct err *e) RL_CHECK;

#endif
