/*
 * auth.c - answering challenges: Basic, and Bearer with the token protocol of registries.
 *
 * A struct auth_ctx is what one repository knows about authenticating at one endpoint. It learns from the first 401 (if
 * there are credentials, from that of /v2/, asked before anything else) and from then on attaches credentials by
 * itself; a token is fetched once for all exchanges that wait for it.
 *
 *     401 -> auth_challenged: which scheme, which realm -> exchange queued again -> auth_attach: token valid? header :
 *     start a token request, exchange waits (HTTP_TOKEN) -> token_done -> http_token_ready for everyone who waits
 *
 * Where credentials go: Basic to the endpoint itself and nowhere else. To the realm of a Bearer challenge (which the
 * registry names, over a verified connection): user and password or the identity token. The realm must be https, or
 * http at the same host as an endpoint that is reached over http itself; the token server may not redirect to another
 * origin and, like a redirect, may not be at an address the registry may not lead to.
 *
 * Two 401s in a row with fresh credentials are final. A rejected token of an earlier exchange is dropped and fetched
 * again once.
 */
#include "registry_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rl/base/base64.h"
#include "rl/base/json.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

enum {
	TOKEN_REPLY_MAX = 256 << 10,
	TOKEN_LIFE_DEFAULT = 60, /* seconds, when the server does not say */
	TOKEN_LIFE_MAX = 24 * 3600,
	TOKEN_MARGIN_MS = 5000, /* a token about to expire is not used */
	AUTH_TRIES_MAX = 2,
};

struct auth_ctx *auth_new(struct registry *r, struct http_endpoint *ep, const char *name)
{
	struct auth_ctx *a = xcalloc(1, sizeof(*a));
	a->r = r;
	a->ep = ep;
	a->name = xstrdup(name);
	return a;
}

static void drop_token(struct auth_ctx *a)
{
	if (a->token)
		explicit_bzero(a->token, strlen(a->token));
	free(a->token);
	a->token = NULL;
}

void auth_free(struct auth_ctx *a)
{
	if (!a)
		return;
	http_free(a->fetch);
	drop_token(a);
	authfile_cred_free(&a->cred);
	strv_free(&a->scopes);
	free(a->name);
	free(a->realm);
	free(a->service);
	free(a->asked_scope);
	free(a);
}

/* a->cred is filled once; none is a result too. */
static int need_creds(struct auth_ctx *a, struct err *e)
{
	if (a->creds_known || a->forced)
		return 0;
	int r = creds_find(a->r, a->name, &a->cred, e);
	if (r < 0)
		return r;
	a->creds_known = true;
	return 0;
}

static const struct authfile_cred *creds(const struct auth_ctx *a)
{
	return a->forced ? a->forced : &a->cred;
}

static void add_header(struct http_xfer *x, const char *scheme, const char *value)
{
	autostr struct str line = STR_INIT;
	str_addf(&line, "Authorization: %s %s", scheme, value);
	x->attempt_headers = curl_slist_append(x->attempt_headers, line.buf);
	explicit_bzero(line.buf, line.len);
}

static int attach_basic(struct http_xfer *x)
{
	const struct authfile_cred *c = creds(x->auth);
	autostr struct str plain = STR_INIT;
	autostr struct str coded = STR_INIT;
	if (!c->user || !c->password) {
		http_refuse(x, EACCES, "the registry wants a user name and password and there are none");
		return err_hint(&x->err, "rl login %s", x->ep->shown);
	}
	str_addf(&plain, "%s:%s", c->user, c->password);
	base64_encode(plain.buf, plain.len, &coded);
	add_header(x, "Basic", coded.buf);
	x->basic_used = true;
	explicit_bzero(plain.buf, plain.len);
	explicit_bzero(coded.buf, coded.len);
	return 0;
}

/* ---- tokens ---- */

static void add_param(struct str *s, const char *key, const char *value)
{
	if (!value)
		return;
	if (s->len && !strchr("?&", s->buf[s->len - 1]))
		str_addc(s, '&');
	str_addf(s, "%s=", key);
	url_escape(s, value);
}

static void token_done(struct http_xfer *t);

/* Values of a token may not end the header they are put into. */
static bool is_token_text(const char *s)
{
	size_t n = strlen(s);
	for (size_t i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] >= 0x7f)
			return false;
	return n > 0 && n <= AUTHFILE_SECRET_MAX;
}

/* The realm is allowed (see the theory block): its endpoint. */
static int realm_endpoint(struct http_xfer *x, const struct url *realm, struct http_endpoint **ret_ep)
{
	struct auth_ctx *a = x->auth;
	autourl struct url own = {.text = NULL};
	autofree char *base = xasprintf("%s://%s/", a->ep->plain ? "http" : "https", a->ep->authority);
	enum addr_class class, from = a->ep->addr_known ? a->ep->addr : ADDR_PUBLIC;
	int r = url_resolve(NULL, base, &own, &x->err);
	if (r < 0)
		return r;
	bool same_host = str_eq(own.host, realm->host), http = str_eq(realm->scheme, "http");
	if (http && !(same_host && a->ep->plain))
		return http_refuse(x, EPERM, "the token server %s does not use https, refused", realm->host);
	if (addr_class_of_host(realm->host, &class) && !addr_may_lead_to(from, class))
		return http_refuse(x, EPERM, "the token server %s has an internal address, refused", realm->host);
	bool standard = str_eq(realm->port, http ? "80" : "443");
	autofree char *authority = xasprintf("%s%s%s", realm->host, standard ? "" : ":", standard ? "" : realm->port);
	if (strcasecmp(authority, a->ep->authority) == 0) {
		*ret_ep = a->ep;
		return 0;
	}
	struct http_endpoint *ep = endpoint_get(a->r, authority, authority, same_host && a->ep->insecure);
	/* A token server that was reached over http stays so; one over https cannot become so. */
	if (!ep->decided)
		ep->plain = http;
	ep->decided = true;
	*ret_ep = ep;
	return 0;
}

static void add_scopes(const struct auth_ctx *a, struct str *s, bool joined)
{
	autostr struct str all = STR_INIT;
	for (size_t i = 0; i < a->scopes.count; i++) {
		if (!joined)
			add_param(s, "scope", a->scopes.items[i]);
		str_addf(&all, "%s%s", i ? " " : "", a->scopes.items[i]);
	}
	if (a->asked_scope && !strv_has(&a->scopes, a->asked_scope)) {
		if (!joined)
			add_param(s, "scope", a->asked_scope);
		str_addf(&all, "%s%s", all.len ? " " : "", a->asked_scope);
	}
	if (joined && all.len)
		add_param(s, "scope", all.buf);
}

/* GET realm?service=&scope=, with Basic when there is a user; or POST with the identity token. */
static int start_token_request(struct http_xfer *x)
{
	struct auth_ctx *a = x->auth;
	const struct authfile_cred *c = creds(a);
	autourl struct url realm = {.text = NULL};
	autostr struct str query = STR_INIT;
	struct http_endpoint *ep = NULL;
	int r = url_resolve(NULL, a->realm, &realm, &x->err);
	if (r < 0)
		return err_ctx(&x->err, "%s: token server", x->ep->shown);
	r = realm_endpoint(x, &realm, &ep);
	if (r < 0)
		return r;
	bool oauth = c->identity_token != NULL;
	if (oauth) {
		str_adds(&query, "grant_type=refresh_token&client_id=rl");
		add_param(&query, "refresh_token", c->identity_token);
	} else {
		str_addf(&query, "%s%s", realm.text, strchr(realm.text, '?') ? "&" : "?");
		if (c->user)
			add_param(&query, "account", c->user);
	}
	add_param(&query, "service", a->service);
	add_scopes(a, &query, oauth);
	struct http_xfer *t = http_new(a->r, ep, NULL, oauth ? "POST" : "GET", oauth ? xstrdup(realm.text) : NULL);
	t->user = a;
	t->strict = true;
	t->on_done = token_done;
	t->reply_max = TOKEN_REPLY_MAX;
	t->lead_from = a->ep;
	if (oauth) {
		strv_add(&t->headers, "Content-Type: application/x-www-form-urlencoded");
		t->body_len = query.len;
		t->owned_body = str_take(&query);
		t->body = t->owned_body;
	} else {
		t->target = str_take(&query);
		if (c->user && c->password)
			t->basic = xasprintf("%s:%s", c->user, c->password);
	}
	a->fetch = t;
	http_start(t);
	return 0;
}

static int read_token(struct auth_ctx *a, struct http_xfer *t, struct err *e)
{
	autojson json_t *doc = NULL;
	const char *token = NULL;
	int64_t life = TOKEN_LIFE_DEFAULT;
	int r = json_parse(t->text.buf, t->text.len, "answer of the token server", &doc, e);
	if (r < 0)
		return r;
	if (!json_is_object(doc))
		return err_set(e, EBADMSG, "answer of the token server: not an object");
	token = json_str_or_null(doc, "token");
	if (!token || !*token)
		token = json_str_or_null(doc, "access_token");
	if (!token || !is_token_text(token))
		return err_set(e, EBADMSG, "answer of the token server: no token");
	life = json_int_or(doc, "expires_in", TOKEN_LIFE_DEFAULT);
	life = life < TOKEN_LIFE_DEFAULT ? TOKEN_LIFE_DEFAULT : RL_MIN(life, (int64_t)TOKEN_LIFE_MAX);
	drop_token(a);
	a->token = xstrdup(token);
	a->token_until = now_ms() + life * 1000;
	a->generation++;
	return 0;
}

/* Everybody waiting for this context gets the outcome. Outcomes may free exchanges, so the list is read anew. */
static void tell_waiting(struct auth_ctx *a, int result, const struct err *cause)
{
	for (bool again = true; again;) {
		again = false;
		for (struct http_xfer *x = a->r->xfers; x; x = x->next) {
			if (x->state == HTTP_TOKEN && x->auth == a) {
				http_token_ready(x, result, cause);
				again = true;
				break;
			}
		}
	}
}

static void token_done(struct http_xfer *t)
{
	struct auth_ctx *a = t->user;
	struct err e = ERR_INIT;
	int r = t->result;
	if (r < 0) {
		e = t->err;
		/* The registry's name first: the token server's means little to people. */
		err_ctx(&e, "%s: token server", a->ep->shown);
		if (t->reply.status == 401 || t->reply.status == 403 || t->reply.status == 400) {
			e.hint[0] = 0;
			err_hint(&e, "the stored or given credentials are wrong or expired: `rl login %s`",
				 a->ep->shown);
			e.code = EACCES;
			r = -EACCES;
		}
	} else {
		r = read_token(a, t, &e);
		if (r < 0)
			err_ctx(&e, "%s", a->ep->shown);
	}
	a->fetch = NULL;
	tell_waiting(a, r, &e);
	http_free(t);
}

/* ---- what http.c calls ---- */

static char *copy_or_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

static void learn(struct auth_ctx *a, const struct wwwauth_challenge *ch)
{
	a->kind = ch->scheme == WWWAUTH_BASIC ? AUTH_BASIC : AUTH_BEARER;
	free(a->realm);
	free(a->service);
	free(a->asked_scope);
	a->realm = copy_or_null(ch->realm);
	a->service = copy_or_null(ch->service);
	a->asked_scope = copy_or_null(ch->scope);
}

/* Whatever came of asking, the exchanges that wait go on; without a challenge they go on without credentials. */
static void ping_done(struct http_xfer *t)
{
	struct auth_ctx *a = t->user;
	const struct wwwauth_challenge *ch = wwwauth_choose(&t->reply.challenges);
	if (t->reply.status == 401 && ch)
		learn(a, ch);
	a->fetch = NULL;
	a->pinged = true;
	tell_waiting(a, 0, NULL);
	http_free(t);
}

/*
 * Nothing is known yet. A registry that lets everybody in may answer 404 for what is private instead of asking who we
 * are; so where there are credentials, /v2/ is asked first. Credentials that cannot be read are no error until they are
 * needed.
 */
static int attach_unknown(struct http_xfer *x)
{
	struct auth_ctx *a = x->auth;
	const struct authfile_cred *c = creds(a);
	struct err why = ERR_INIT;
	if (a->fetch)
		return 1;
	if (a->pinged || need_creds(a, &why) < 0)
		return 0;
	if (!c->user && !c->identity_token && !c->registry_token)
		return 0;
	struct http_xfer *t = http_new(a->r, a->ep, NULL, "GET", xstrdup("/v2/"));
	t->user = a;
	t->on_done = ping_done;
	a->fetch = t;
	http_start(t);
	return 1;
}

int auth_attach(struct http_xfer *x)
{
	struct auth_ctx *a = x->auth;
	if (a->kind == AUTH_UNKNOWN)
		return attach_unknown(x);
	if (need_creds(a, &x->err) < 0)
		return -x->err.code;
	if (a->kind == AUTH_BASIC)
		return attach_basic(x);
	const char *ready = creds(a)->registry_token;
	if (ready && is_token_text(ready)) {
		add_header(x, "Bearer", ready);
		return 0;
	}
	if (a->token && a->token_until - now_ms() > TOKEN_MARGIN_MS) {
		x->token_used = a->generation;
		add_header(x, "Bearer", a->token);
		return 0;
	}
	if (a->fetch)
		return 1;
	int r = start_token_request(x);
	return r < 0 ? r : 1;
}

static int final_401(struct http_xfer *x, const struct wwwauth_challenge *ch)
{
	struct auth_ctx *a = x->auth;
	autofree char *said = http_quote(x->text.buf, x->text.len);
	bool had = creds(a)->user || creds(a)->identity_token || creds(a)->registry_token;
	http_refuse(x, EACCES, "access to %s refused%s", a->name,
		    !ch ? ": the registry offers no way of authenticating that we know" : "");
	log_debug(LOG_REGISTRY, "401: %s", said);
	if (had)
		return err_hint(&x->err, "the credentials used may be wrong or not allow this: `rl login %s`",
				a->ep->shown);
	return err_hint(&x->err, "the repository does not exist, or needs `rl login %s`", a->ep->shown);
}

int auth_challenged(struct http_xfer *x)
{
	struct auth_ctx *a = x->auth;
	const struct wwwauth_challenge *ch = wwwauth_choose(&x->reply.challenges);
	bool stale = a->kind == AUTH_BEARER && x->token_used && x->token_used == a->generation;
	bool outdated = x->token_used && x->token_used != a->generation;
	if (!ch || ++x->auth_tries > AUTH_TRIES_MAX || x->basic_used)
		return final_401(x, ch);
	/* Another exchange has renewed the token in the meantime: use that one. */
	if (outdated)
		return 0;
	if (stale)
		drop_token(a);
	learn(a, ch);
	return 0;
}
