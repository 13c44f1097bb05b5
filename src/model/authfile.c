/*
 * authfile.c - see authfile.h.
 *
 * Keys of "auths" come in several spellings. key_matches brings both sides to HOST[:PORT][/PATH]: a leading "http://"
 * or "https://" and docker's trailing "/v1/", "/v2/" and "/" are dropped, and the names docker has had for its hub are
 * one name. A key with a path is a namespace and matches whole components only; the longest wins, as
 * containers-auth.json(5) says. An entry without anything in it (docker leaves such entries where credsStore holds the
 * secret) is "not here".
 *
 * Secrets are wiped where this file owns the memory; copies inside jansson are not under our control.
 */
#include "rl/model/authfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rl/base/base64.h"
#include "rl/base/mem.h"

static void wipe_free(char **s)
{
	if (*s)
		explicit_bzero(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

void authfile_cred_free(struct authfile_cred *c)
{
	wipe_free(&c->user);
	wipe_free(&c->password);
	wipe_free(&c->identity_token);
	wipe_free(&c->registry_token);
}

/* ---- keys ---- */

static const char hub[] = "docker.io";

/* Any spelling of a key as HOST[:PORT][/PATH]; malloc'd. */
static char *normal_key(const char *key)
{
	const char *rest = str_after(key, "https://");
	rest = rest ? rest : str_after(key, "http://");
	rest = rest ? rest : key;
	char *k = xstrdup(rest);
	for (bool again = true; again;) {
		size_t n = strlen(k);
		again = true;
		if (n && k[n - 1] == '/')
			k[n - 1] = 0;
		else if (rest != key && (str_ends(k, "/v1") || str_ends(k, "/v2")))
			k[n - 3] = 0;
		else
			again = false;
	}
	static const char *const hub_names[] = {"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"};
	for (size_t i = 0; i < ARRAY_SIZE(hub_names); i++) {
		const char *path = str_after(k, hub_names[i]);
		if (path && (*path == 0 || *path == '/')) {
			char *n = xasprintf("%s%s", hub, path);
			free(k);
			return n;
		}
	}
	return k;
}

/* Length of the match, 0 for none. */
static size_t key_matches(const char *key, const char *name)
{
	autofree char *k = normal_key(key);
	size_t n = strlen(k);
	if (!n || strncmp(k, name, n) != 0 || (name[n] != 0 && name[n] != '/'))
		return 0;
	return n;
}

bool authfile_is_helper_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
	return n > 0 && n <= 64 && name[n] == 0;
}

/* ---- reading ---- */

int authfile_parse(const char *text, size_t len, const char *what, json_t **ret_doc, struct err *e)
{
	static const char *const maps[] = {"auths", "credHelpers"};
	autojson json_t *doc = NULL;
	json_t *map;
	size_t blank = 0;
	while (blank < len && strchr(" \t\r\n", text[blank]) && text[blank])
		blank++;
	if (blank == len) {
		*ret_doc = json_object();
		return 0;
	}
	int r = json_parse(text, len, what, &doc, e);
	if (r < 0)
		return r;
	if (!json_is_object(doc))
		return err_set(e, EBADMSG, "%s: not a JSON object", what);
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		if (json_get_obj(doc, maps[i], &map, e) < 0)
			return err_ctx(e, "%s", what);
	*ret_doc = take_ptr(&doc);
	return 0;
}

static int split_creds(const struct str *text, struct authfile_cred *c, struct err *e)
{
	const char *colon = memchr(text->buf, ':', text->len);
	if (!colon || memchr(text->buf, 0, text->len))
		return err_set(e, EBADMSG, "\"auth\" is not the base64 of USER:PASSWORD");
	c->user = xstrndup(text->buf, (size_t)(colon - text->buf));
	c->password = xstrdup(colon + 1);
	return 0;
}

static int read_entry(const json_t *entry, struct authfile_cred *c, struct err *e)
{
	const char *auth = NULL, *identity = NULL, *token = NULL, *user = NULL, *password = NULL;
	if (json_get_str(entry, "auth", &auth, e) < 0 || json_get_str(entry, "identitytoken", &identity, e) < 0 ||
	    json_get_str(entry, "registrytoken", &token, e) < 0 || json_get_str(entry, "username", &user, e) < 0 ||
	    json_get_str(entry, "password", &password, e) < 0)
		return e ? -e->code : -EINVAL;
	if ((auth && strlen(auth) > AUTHFILE_SECRET_MAX) || (identity && strlen(identity) > AUTHFILE_SECRET_MAX) ||
	    (token && strlen(token) > AUTHFILE_SECRET_MAX))
		return err_set(e, EBADMSG, "secret too long");
	if (identity && *identity)
		c->identity_token = xstrdup(identity);
	if (token && *token)
		c->registry_token = xstrdup(token);
	if (auth && *auth) {
		autostr struct str text = STR_INIT;
		int r = base64_decode(auth, strlen(auth), &text, e);
		if (r == 0)
			r = split_creds(&text, c, e);
		explicit_bzero(text.buf, text.len);
		return r;
	}
	if (user && password) {
		c->user = xstrdup(user);
		c->password = xstrdup(password);
	}
	return 0;
}

static bool cred_is_empty(const struct authfile_cred *c)
{
	/* Docker writes the user "<token>" or an empty one with an empty password beside an identity token. */
	return !(c->user && *c->user) && !(c->password && *c->password) && !c->identity_token && !c->registry_token;
}

int authfile_find(const json_t *doc, const char *name, struct authfile_cred *ret_cred, struct err *e)
{
	json_t *auths = json_object_get(doc, "auths");
	const char *key, *best_key = NULL;
	json_t *entry, *best = NULL;
	size_t best_len = 0;
	json_object_foreach (auths, key, entry) {
		size_t n = key_matches(key, name);
		if (n < best_len || n == 0 || !json_is_object(entry))
			continue;
		/* Two spellings of one key: the plain one wins. */
		if (n == best_len && strchr(best_key, ':') == NULL)
			continue;
		best = entry;
		best_key = key;
		best_len = n;
	}
	if (!best)
		return 0;
	struct authfile_cred c = AUTHFILE_CRED_INIT;
	int r = read_entry(best, &c, e);
	if (r < 0) {
		authfile_cred_free(&c);
		err_ctx(e, "credentials for \"%s\"", best_key);
		return -EBADMSG;
	}
	if (cred_is_empty(&c)) {
		authfile_cred_free(&c);
		return 0;
	}
	*ret_cred = c;
	return 1;
}

const char *authfile_helper(const json_t *doc, const char *host)
{
	json_t *map = json_object_get(doc, "credHelpers");
	const char *key;
	json_t *v;
	json_object_foreach (map, key, v) {
		autofree char *k = normal_key(key);
		if (json_is_string(v) && str_eq(k, host))
			return json_string_value(v);
	}
	return NULL;
}

const char *authfile_store(const json_t *doc)
{
	const char *name = json_str_or_null(doc, "credsStore");
	return name && *name ? name : NULL;
}

/* ---- writing ---- */

static bool remove_same(json_t *auths, const char *normal)
{
	const char *key;
	json_t *v;
	void *next;
	bool removed = false;
	json_object_foreach_safe(auths, next, key, v)
	{
		autofree char *k = normal_key(key);
		if (str_eq(k, normal)) {
			json_object_del(auths, key);
			removed = true;
		}
	}
	return removed;
}

bool authfile_remove(json_t *doc, const char *key)
{
	autofree char *normal = normal_key(key);
	json_t *auths = json_object_get(doc, "auths");
	return auths && remove_same(auths, normal);
}

void authfile_set(json_t *doc, const char *key, const struct authfile_cred *cred)
{
	json_t *auths = json_member(doc, "auths", JSON_OBJECT); /* null counts as not there */
	json_t *entry = json_object();
	authfile_remove(doc, key);
	if (cred->user && cred->password) {
		autostr struct str plain = STR_INIT;
		autostr struct str auth = STR_INIT;
		str_addf(&plain, "%s:%s", cred->user, cred->password);
		base64_encode(plain.buf, plain.len, &auth);
		json_put_str(entry, "auth", auth.buf);
		explicit_bzero(plain.buf, plain.len);
		explicit_bzero(auth.buf, auth.len);
	}
	json_put_str(entry, "identitytoken", cred->identity_token);
	json_put_str(entry, "registrytoken", cred->registry_token);
	json_put(auths, key, entry);
}

void authfile_keys(const json_t *doc, struct strv *out)
{
	const char *key;
	json_t *v;
	json_object_foreach (json_object_get(doc, "auths"), key, v)
		strv_add(out, key);
}

/* ---- helpers ---- */

int authfile_helper_answer(const char *text, size_t len, struct authfile_cred *ret_cred, struct err *e)
{
	autojson json_t *doc = NULL;
	const char *user = NULL, *secret = NULL;
	int r = json_parse(text, len, "answer of the credential helper", &doc, e);
	if (r < 0)
		return r;
	if (!json_is_object(doc) || json_get_str(doc, "Username", &user, e) < 0 ||
	    json_get_str(doc, "Secret", &secret, e) < 0 || !user || !secret || strlen(secret) > AUTHFILE_SECRET_MAX) {
		err_clear(e);
		return err_set(e, EBADMSG, "answer of the credential helper: no Username and Secret");
	}
	*ret_cred = (struct authfile_cred)AUTHFILE_CRED_INIT;
	if (str_eq(user, "<token>")) {
		ret_cred->identity_token = xstrdup(secret);
	} else {
		ret_cred->user = xstrdup(user);
		ret_cred->password = xstrdup(secret);
	}
	return 0;
}

void authfile_helper_request(const char *server, const struct authfile_cred *cred, struct str *out)
{
	autojson json_t *doc = json_object();
	bool token = !cred->user && cred->identity_token;
	json_put_str(doc, "ServerURL", server);
	json_put_str(doc, "Username", token ? "<token>" : cred->user);
	json_put_str(doc, "Secret", token ? cred->identity_token : cred->password);
	json_print(doc, false, out);
}

int authfile_creds_parse(const char *text, struct authfile_cred *ret_cred, struct err *e)
{
	const char *colon = strchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : strlen(text);
	if (!n)
		return err_set(e, EINVAL, "--creds: the user name is missing (USER:PASSWORD)");
	*ret_cred = (struct authfile_cred)AUTHFILE_CRED_INIT;
	ret_cred->user = xstrndup(text, n);
	ret_cred->password = colon ? xstrdup(colon + 1) : NULL;
	return 0;
}
