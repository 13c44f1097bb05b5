/* links: engine/registry model base */
/* Login as the registry sees it; how credentials are stored is test_registry_creds.c. */
#include "registry_server.h"

#include <errno.h>
#include <sys/stat.h>

#include "rl/base/mem.h"

#define ANN "Basic YW5uOnB3" /* ann:pw */

static const struct reply closed[] = {
	{.method = "GET", .target = "/v2/", .auth = ANN, .body = "{}"},
	{.method = "GET", .target = "/v2/", .status = "401 No", .headers = "WWW-Authenticate: Basic realm=\"r\"\r\n"},
	{.method = NULL},
};
static const struct reply open_to_all[] = {{.method = "GET", .target = "/v2/", .body = "{}"}, {.method = NULL}};
static const struct reply none[] = {{.method = NULL}};

static struct client c;
static char authfile[] = "/tmp/rl-unit.XXXXXX";

static int login(const char *user, const char *password, bool skip)
{
	struct registry_login l = {.key = c.domain, .user = user, .password = password, .skip_verify = skip};
	err_clear(&c.e);
	return registry_login(c.r, &l, NULL, &c.e);
}

static struct server *start(const struct reply *script)
{
	struct server *s = server_start(script);
	client_open(&c, s, NULL, REGISTRY_PULL);
	client_insecure(&c);
	setenv("REGISTRY_AUTH_FILE", authfile, 1);
	return s;
}

static void stop(struct server *s)
{
	client_close(&c);
	server_stop(s);
}

static off_t stored(void)
{
	struct stat st;
	return stat(authfile, &st) < 0 ? -1 : st.st_size;
}

int main(void)
{
	tap_plan_later();
	close(mkstemp(authfile));
	char *user = NULL;
	struct server *s = start(closed);
	tap_is_int(login(NULL, NULL, false), -ENOENT, "without credentials there is nothing to check");
	tap_is_int(login("ann", "no", false), -EACCES, "a wrong password is refused");
	tap_is_int(stored(), 0, "and not stored");
	tap_is_int(registry_login_user(c.r, c.domain, &user, &c.e), -ENOENT, "nobody is logged in");
	tap_is_int(login("ann", "pw", false), 0, "the right one is accepted");
	tap_ok(stored() > 0, "and stored");
	tap_is_int(login(NULL, NULL, false), 0, "what is stored can be checked");
	tap_is_int(registry_login_user(c.r, c.domain, &user, &c.e), 0, "and says");
	tap_is_str(user, "ann", "who is logged in");
	tap_is_int(login("ann", "changed", true), 0, "without asking the registry anything is stored");
	tap_is_int(login(NULL, NULL, false), -EACCES, "and found to be wrong later");
	tap_is_int(login("ann", NULL, false), -EINVAL, "a password is needed");
	tap_is_int(registry_logout(c.r, c.domain, &c.e), 1, "logout forgets");
	tap_is_int(login(NULL, NULL, false), -ENOENT, "all of it");
	stop(s);
	s = start(open_to_all);
	tap_is_int(login("ann", "pw", false), 1, "a registry that asks for nothing is told apart");
	stop(s);
	s = start(none);
	tap_is_int(login("ann", "pw", false), -ENOENT, "a server that is no registry is refused");
	tap_has(c.e.text, "no registry", "by name");
	stop(s);
	free(user);
	unlink(authfile);
	return tap_done();
}
