/* links: engine/registry model base */
/*
 * Finding and storing credentials with real files and a helper program made here; no network.
 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "rl/base/base64.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "src/engine/registry/registry_int.h"

static char *dir;

static char *at(const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

static void put(const char *name, const char *text, mode_t mode)
{
	autofree char *path = at(name);
	autofree char *cut = xstrdup(name);
	char *slash = strrchr(cut, '/');
	struct err e = ERR_INIT;
	if (slash) {
		*slash = 0;
		autofree char *parent = at(cut);
		if (io_mkdirs(AT_FDCWD, parent, 0700, &e) < 0)
			tap_diag("%s", e.text);
	}
	unlink(path);
	if (io_write_file(AT_FDCWD, path, text, strlen(text), mode, &e) < 0)
		tap_diag("%s", e.text);
}

static void set_env(const char *key, const char *name)
{
	autofree char *path = name ? at(name) : NULL;
	if (path)
		setenv(key, path, 1);
	else
		unsetenv(key);
}

static char *find_with(const struct registry_opts *o, const char *name)
{
	struct registry *r = NULL;
	struct err e = ERR_INIT;
	autocred struct authfile_cred c = AUTHFILE_CRED_INIT;
	int n = registry_open(o, &r, &e);
	if (n == 0)
		n = creds_find(r, name, &c, &e);
	registry_close(r);
	if (n < 0)
		return xasprintf("error %d", -n);
	return n ? xasprintf("%s:%s", c.user ? c.user : "-", c.password ? c.password : c.identity_token)
		 : xstrdup("none");
}

static void finds(const char *name, const char *want, const char *sentence)
{
	autofree char *conf = at("empty.conf");
	struct registry_opts o = {.tls_verify = -1, .registries_conf = conf};
	autofree char *got = find_with(&o, name);
	tap_is_str(got, want, sentence);
}

/* A user named like the file tells where credentials came from. */
static void put_auth(const char *file, const char *key, const char *user)
{
	autofree char *plain = xasprintf("%s:pw", user);
	autostr struct str coded = STR_INIT;
	base64_encode(plain, strlen(plain), &coded);
	autofree char *text = xasprintf("{\"auths\":{\"%s\":{\"auth\":\"%s\"}}}", key, coded.buf);
	put(file, text, 0600);
}

static void test_order(void)
{
	finds("a.org/x", "none", "no file, no credentials");
	put_auth("home/.docker/config.json", "a.org", "docker");
	finds("a.org/x", "docker:pw", "docker's file is read");
	put_auth("home/.config/containers/auth.json", "a.org", "config");
	finds("a.org/x", "config:pw", "containers' file in the home directory comes before it");
	put_auth("run/containers/auth.json", "a.org", "run");
	set_env("XDG_RUNTIME_DIR", "run");
	finds("a.org/x", "run:pw", "the one in the runtime directory before that");
	put_auth("run/containers/auth.json", "other.org", "run");
	finds("a.org/x", "config:pw", "a file without an entry is passed over");
	put_auth("env.json", "a.org", "env");
	set_env("REGISTRY_AUTH_FILE", "env.json");
	finds("a.org/x", "env:pw", "REGISTRY_AUTH_FILE is the only file");
	finds("other.org/x", "none", "... really the only one");
	autofree char *conf = at("empty.conf");
	autofree char *given = at("given.json");
	put_auth("given.json", "a.org", "given");
	struct registry_opts o = {.tls_verify = -1, .authfile = given, .registries_conf = conf};
	autofree char *got = find_with(&o, "a.org/x");
	tap_is_str(got, "given:pw", "--authfile comes before all of them");
	autofree char *missing = at("missing.json");
	o.authfile = missing;
	autofree char *got2 = find_with(&o, "a.org/x");
	tap_is_str(got2, "error 2", "--authfile must be there");
	o.creds = "me:too";
	autofree char *got3 = find_with(&o, "a.org/x");
	tap_is_str(got3, "me:too", "--creds wins");
	put("env.json", "{ broken", 0600);
	finds("a.org/x", "error 74", "a broken file is an error, not anonymous");
	set_env("REGISTRY_AUTH_FILE", NULL);
	put("dock/config.json", "{\"auths\":{\"d.org\":{\"auth\":\"YTpi\"}}}", 0600);
	set_env("DOCKER_CONFIG", "dock");
	finds("d.org/x", "a:b", "DOCKER_CONFIG moves docker's file");
	set_env("DOCKER_CONFIG", NULL);
}

static const char helper_text[] =
	"#!/bin/sh\n"
	"read -r line || :\n"
	"case $1 in\n"
	"get)\n"
	"  case $line in\n"
	"  good.org) echo '{\"ServerURL\":\"good.org\",\"Username\":\"helped\",\"Secret\":\"s\"}' ;;\n"
	"  https://index.docker.io/v1/) echo '{\"Username\":\"<token>\",\"Secret\":\"hub\"}' ;;\n"
	"  loud.org) yes | head -c 1000000 ;;\n"
	"  garbage.org) echo hello ;;\n"
	"  fails.org) echo 'the vault is locked'; exit 1 ;;\n"
	"  closes.org) exec >&-; sleep 0.2; exit 1 ;;\n"
	"  *) echo 'credentials not found in native keychain'; exit 1 ;;\n"
	"  esac ;;\n"
	"store) echo \"$line\" >\"$HELPER_FILE\" ;;\n"
	"erase) [ -f \"$HELPER_FILE\" ] && rm \"$HELPER_FILE\" || { echo 'credentials not found'; exit 1; } ;;\n"
	"esac\n";

static void test_helpers(void)
{
	autofree char *path = xasprintf("%s/bin:%s", dir, getenv("PATH"));
	autofree char *file = at("helper.out");
	put("bin/docker-credential-test", helper_text, 0755);
	setenv("PATH", path, 1);
	setenv("HELPER_FILE", file, 1);
	put("run/containers/auth.json",
	    "{\"credHelpers\":{\"good.org\":\"test\",\"docker.io\":\"test\",\"loud.org\":\"test\","
	    "\"garbage.org\":\"test\",\"closes.org\":\"test\",\"fails.org\":\"test\",\"gone.org\":\"nosuch\",\"evil."
	    "org\":\"../../bin/sh\",\"miss.org\":\"test\"},"
	    "\"auths\":{\"miss.org\":{\"auth\":\"YTpi\"}}}",
	    0600);
	finds("good.org/x", "helped:s", "a credential helper is asked");
	finds("docker.io/library/x", "-:hub", "for docker.io under docker's URL");
	finds("miss.org/x", "a:b", "one that has nothing is passed over");
	finds("loud.org/x", "error 27", "one that writes too much is stopped");
	finds("garbage.org/x", "error 74", "one that writes no JSON is an error");
	finds("fails.org/x", "error 5", "one that fails is an error");
	finds("closes.org/x", "error 5", "one that closes its output early is waited for");
	finds("gone.org/x", "error 2", "one that is not installed is an error");
	finds("evil.org/x", "error 22", "one that is a path is refused");
	put("run/containers/auth.json", "{\"credsStore\":\"test\",\"auths\":{\"good.org\":{}}}", 0600);
	finds("good.org/x", "helped:s", "credsStore is asked for everything");
	finds("nothing.org/x", "none", "and may have nothing");
}

static mode_t mode_of(const char *path)
{
	struct stat st;
	return stat(path, &st) < 0 ? 0 : st.st_mode & 07777;
}

static void test_store(void)
{
	autofree char *conf = at("empty.conf");
	autofree char *run = at("run/containers/auth.json");
	autofree char *where = NULL;
	struct registry_opts o = {.tls_verify = -1, .registries_conf = conf};
	struct registry *r = NULL;
	struct err e = ERR_INIT;
	if (registry_open(&o, &r, &e) < 0)
		tap_diag("%s", e.text);
	unlink(run);
	struct registry_login l = {.key = "new.org", .user = "ann", .password = "pw", .skip_verify = true};
	tap_is_int(registry_login(r, &l, &where, &e), 0, "credentials are stored");
	tap_is_str(where, run, "in the runtime directory");
	tap_is_int(mode_of(run), 0600, "readable by the owner only");
	finds("new.org/x", "ann:pw", "and found again");
	put("run/containers/auth.json", "{\"auths\":{\"keep.org\":{\"auth\":\"YTpi\"}},\"other\":[1]}", 0644);
	tap_is_int(registry_login(r, &l, NULL, &e), 0, "an existing file is changed");
	finds("keep.org/x", "a:b", "other entries stay");
	tap_is_int(mode_of(run), 0600, "a file that was readable for all is not any more");
	autostr struct str text = STR_INIT;
	if (io_read_file(AT_FDCWD, run, 1 << 20, &text, &e) < 0)
		tap_diag("%s", e.text);
	tap_has(text.buf, "\"other\"", "unknown members stay");

	autofree char *real = at("dotfiles/auth.json");
	put("dotfiles/auth.json", "{}", 0600);
	unlink(run);
	if (symlink(real, run) < 0)
		tap_diag("symlink");
	tap_is_int(registry_login(r, &l, NULL, &e), 0, "a symlinked file is changed");
	struct stat st;
	tap_ok(lstat(run, &st) == 0 && S_ISLNK(st.st_mode), "and stays a symlink");

	put("run/containers/auth.json", "{ broken", 0600);
	tap_ok(registry_login(r, &l, NULL, &e) < 0, "a broken file is not overwritten");
	err_clear(&e);
	put("run/containers/auth.json", "{\"credsStore\":\"test\"}", 0600);
	free(take_ptr(&where));
	tap_is_int(registry_login(r, &l, &where, &e), 0, "with credsStore the helper stores");
	tap_is_str(where, "docker-credential-test", "and is named");
	autofree char *stored = at("helper.out");
	str_cut(&text, 0);
	if (io_read_file(AT_FDCWD, stored, 1 << 20, &text, &e) < 0)
		tap_diag("%s", e.text);
	tap_has(text.buf, "\"Secret\":\"pw\"", "the helper got the secret");
	str_cut(&text, 0);
	if (io_read_file(AT_FDCWD, run, 1 << 20, &text, &e) < 0)
		tap_diag("%s", e.text);
	tap_ok(!strstr(text.buf, "pw") && strstr(text.buf, "new.org"), "the file only remembers for whom");
	tap_is_int(registry_logout(r, "new.org", &e), 1, "logout erases there");
	tap_ok(access(stored, F_OK) < 0, "the helper has forgotten");
	tap_is_int(registry_logout(r, "new.org", &e), 0, "logging out twice is no error");
	put_auth("home/.docker/config.json", "new.org", "docker");
	put_auth("run/containers/auth.json", "new.org/ns", "run");
	tap_is_int(registry_logout(r, NULL, &e), 3, "logout of all empties every file");
	finds("new.org/ns/x", "none", "nothing is left");
	l.user = "a:b";
	tap_is_int(registry_login(r, &l, NULL, &e), -EINVAL, "a user name with a colon is refused");
	l.user = "a";
	l.key = "../../x";
	tap_is_int(registry_login(r, &l, NULL, &e), -EINVAL, "a key that is no registry is refused");
	registry_close(r);
}

int main(void)
{
	tap_plan_later();
	dir = tap_tmpdir();
	put("empty.conf", "", 0600);
	put("home/x", "", 0600);
	set_env("HOME", "home");
	unsetenv("XDG_CONFIG_HOME");
	unsetenv("XDG_CACHE_HOME");
	unsetenv("DOCKER_CONFIG");
	unsetenv("REGISTRY_AUTH_FILE");
	/* Not the machine's /run/containers. */
	set_env("XDG_RUNTIME_DIR", "nowhere");
	test_order();
	test_helpers();
	test_store();
	struct err e = ERR_INIT;
	if (io_remove_tree(AT_FDCWD, dir, &e) < 0)
		tap_diag("%s", e.text);
	free(dir);
	return tap_done();
}
