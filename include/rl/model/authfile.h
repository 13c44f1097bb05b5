/*
 * authfile.h - credentials in docker's config.json and containers' auth.json, and docker's credential-helper answers.
 *
 * Model: the document stays a JSON object; reading looks entries up in it, writing changes one entry and leaves every
 * other member as it was. Keys of "auths" are hosts ("quay.io", "localhost:5000"), namespaces ("quay.io/team", longest
 * match wins) or docker's old URLs ("https://index.docker.io/v1/"). Pure: no I/O, no process is started.
 *
 * Calling sequence:
 *     r = authfile_parse(text, len, "auth.json", &doc, e);
 *     r = authfile_find(doc, "docker.io/library/busybox", &cred, e);      // 1 found, 0 not here
 *     helper = authfile_helper(doc, "docker.io");                         // or NULL
 * Ownership: struct authfile_cred owns its strings; authfile_cred_free wipes them.
 */
#ifndef RL_MODEL_AUTHFILE_H
#define RL_MODEL_AUTHFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"

enum { AUTHFILE_TEXT_MAX = 4 << 20, AUTHFILE_SECRET_MAX = 64 << 10 };

struct authfile_cred {
	char *user, *password; /* NULL: none */
	char *identity_token;  /* OAuth2 refresh token, or NULL */
	char *registry_token;  /* bearer token to use as it is, or NULL */
};
#define AUTHFILE_CRED_INIT                                                                                             \
	{                                                                                                              \
		.user = NULL                                                                                           \
	}
void authfile_cred_free(struct authfile_cred *c);
#define autocred __attribute__((cleanup(authfile_cred_free)))

/* An empty text is an empty object. -EBADMSG: not a JSON object. Errors never quote contents. */
int authfile_parse(const char *text, size_t len, const char *what, json_t **ret_doc, struct err *e) RL_CHECK;

/* Credentials for "HOST[:PORT][/PATH]": 1, or 0 if there are none. -EBADMSG: the entry is there and broken. */
int authfile_find(const json_t *doc, const char *name, struct authfile_cred *ret_cred, struct err *e) RL_CHECK;
/* The helper (NAME of docker-credential-NAME) that credHelpers names for a host, or NULL. Borrowed from doc. */
const char *authfile_helper(const json_t *doc, const char *host);
/* credsStore, or NULL. Borrowed from doc. */
const char *authfile_store(const json_t *doc);
/* A name that may follow "docker-credential-": letters, digits, '-', '_', '.'; never a path. */
bool authfile_is_helper_name(const char *name);

/* Set or remove one entry. Key as in the model; remove returns whether it was there (docker's URL forms of the same
 * host included). */
void authfile_set(json_t *doc, const char *key, const struct authfile_cred *cred);
bool authfile_remove(json_t *doc, const char *key);
/* The keys of "auths", appended. */
void authfile_keys(const json_t *doc, struct strv *out);

/* The answer of `docker-credential-NAME get`. */
int authfile_helper_answer(const char *text, size_t len, struct authfile_cred *ret_cred, struct err *e) RL_CHECK;
/* The document `store` wants on standard input. Wipe it after use. */
void authfile_helper_request(const char *server, const struct authfile_cred *cred, struct str *out);

/* "USER:PASSWORD" of --creds. Without a colon the password is missing (NULL). */
int authfile_creds_parse(const char *text, struct authfile_cred *ret_cred, struct err *e) RL_CHECK;

#endif
