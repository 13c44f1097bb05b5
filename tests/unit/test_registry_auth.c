/* links: engine/registry model base */
/* Challenges and tokens: who is asked what, with which credentials, how often. */
#include "registry_server.h"

#include <errno.h>

#include "rl/base/mem.h"

#define ANN "Basic YW5uOnB3" /* ann:pw */

static struct client c;
static char challenge[400], evil[400];

static struct server *start(const struct reply *script, const char *creds, enum registry_mode mode)
{
	struct server *s = server_start(script);
	client_open(&c, s, creds, mode);
	client_insecure(&c);
	return s;
}

static int get(const char *which)
{
	struct registry_manifest m = REGISTRY_MANIFEST_INIT;
	err_clear(&c.e);
	int r = registry_get_manifest(c.repo, which, &m, &c.e);
	registry_manifest_free(&m);
	return r;
}

static void stop(struct server *s)
{
	client_close(&c);
	server_stop(s);
}

static void test_basic(void)
{
	static const struct reply script[] = {
		{.method = "GET", .target = "*", .auth = ANN, .body = "{}"},
		{.method = "GET",
		 .target = "*",
		 .status = "401 No",
		 .headers = "WWW-Authenticate: Basic realm=\"r\"\r\n"},
		{.method = NULL},
	};
	struct server *s = start(script, "ann:pw", REGISTRY_PULL);
	tap_is_int(get("v1"), 0, "Basic is answered");
	tap_is_int(get("v2"), 0, "and used again");
	tap_is_int(server_asked(s, "GET /v2/ - "), 1, "the registry is asked once what it wants");
	tap_is_int(server_asked(s, "GET /v2/x/manifests/v1 " ANN), 1, "then the password comes with the first request");
	tap_is_int(server_asked(s, "GET /v2/x/manifests/v1 - "), 0, "no request is wasted");
	stop(s);
	s = start(script, "ann:wrong", REGISTRY_PULL);
	tap_is_int(get("v1"), -EACCES, "a wrong password is EACCES");
	tap_is_int(server_asked(s, "GET /v2/x/manifests/v1 "), 1, "and not tried again");
	tap_has(c.e.hint, "rl login", "with a remedy");
	stop(s);
	s = start(script, NULL, REGISTRY_PULL);
	tap_is_int(get("v1"), -EACCES, "no password is EACCES too");
	tap_has(c.e.text, "user name and password", "and says what is missing");
	stop(s);
}

static void test_bearer(void)
{
	static const struct reply script[] = {
		{.method = "GET", .target = "/v2/x/manifests/v1", .auth = "Bearer one", .times = 2, .body = "{}"},
		{.method = "GET", .target = "*", .auth = "Bearer two", .body = "{}"},
		{.method = "GET", .target = "*", .status = "401 No", .headers = challenge},
		{.method = NULL},
	};
	/* The server's table is what it was at its fork: the token server comes first, its port is part of the challenge. */
	static const struct reply tokens[] = {
		{.method = "GET", .target = "/token*", .times = 1, .body = "{\"token\":\"one\",\"expires_in\":300}"},
		{.method = "GET", .target = "/token*", .body = "{\"access_token\":\"two\"}"},
		{.method = "POST", .target = "/token", .body = "{\"access_token\":\"two\"}"},
		{.method = NULL},
	};
	struct server *t = server_start(tokens);
	snprintf(challenge, sizeof(challenge),
		 "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:%u/token\",service=\"svc\"\r\n", t->port);
	struct server *s = start(script, NULL, REGISTRY_PULL);
	tap_is_int(get("v1"), 0, "a token is fetched");
	tap_is_int(server_asked(t, "GET /token?service=svc&scope=repository%3Ax%3Apull - "), 1,
		   "for the scope of pulling, without credentials when there are none");
	tap_is_int(get("v1"), 0, "the token is used again");
	tap_is_int(server_asked(t, "GET /token"), 1, "without fetching another");
	tap_is_int(get("v1"), 0, "a token that is not accepted any more is replaced");
	tap_is_int(server_asked(t, "GET /token"), 2, "once");
	stop(s);

	s = start(script, "ann:pw", REGISTRY_PUSH);
	tap_is_int(get("v9"), 0, "with credentials");
	tap_is_int(server_asked(t, "GET /token?account=ann&service=svc&scope=repository%3Ax%3Apull%2Cpush " ANN), 1,
		   "the token server gets them, and the scope of pushing");
	tap_is_int(server_asked(s, "GET /v2/x/manifests/v9 Basic"), 0, "the registry does not");
	stop(s);

	s = start(script, NULL, REGISTRY_PULL);
	c.repo->order[0]->auth->creds_known = true;
	c.repo->order[0]->auth->cred.identity_token = xstrdup("refresh");
	tap_is_int(get("v9"), 0, "an identity token is exchanged");
	tap_is_int(server_asked(t, "POST /token - "), 1, "by POST");
	stop(s);

	s = start(script, NULL, REGISTRY_PULL);
	c.repo->order[0]->auth->creds_known = true;
	c.repo->order[0]->auth->cred.registry_token = xstrdup("two");
	tap_is_int(get("v9"), 0, "a registry token is used as it is");
	stop(s);
	server_stop(t);
}

static void refuses(const char *realm, const char *part, const char *sentence)
{
	static const struct reply script[] = {
		{.method = "GET", .target = "*", .status = "401 No", .headers = evil},
		{.method = NULL},
	};
	snprintf(evil, sizeof(evil), "WWW-Authenticate: Bearer realm=\"%s\"\r\n", realm);
	struct server *s = start(script, "ann:pw", REGISTRY_PULL);
	int r = get("v1");
	if (!tap_ok(r == -EPERM && strstr(c.e.text, part), "%s", sentence))
		tap_diag("%d %s", r, c.e.text);
	stop(s);
}

int main(void)
{
	tap_plan_later();
	test_basic();
	test_bearer();
	refuses("http://token.example.org/", "does not use https", "a token server without https is refused");
	refuses("https://169.254.169.254/", "internal address", "one at a link-local address is refused");
	refuses("https://[::ffff:169.254.1.1]/", "internal address", "in any notation");
	return tap_done();
}
