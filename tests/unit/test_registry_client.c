/* links: engine/registry model base */
/* Opening a client and repositories: which configuration counts, what is refused. No traffic. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "src/engine/registry/registry_int.h"

static char *dir;

static void put(const char *name, const char *text)
{
	autofree char *path = xasprintf("%s/%s", dir, name);
	char *slash = strrchr(path, '/');
	struct err e = ERR_INIT;
	*slash = 0;
	if (io_mkdirs(AT_FDCWD, path, 0700, &e) < 0)
		tap_diag("%s", e.text);
	*slash = '/';
	if (io_write_file(AT_FDCWD, path, text, strlen(text), 0600, &e) < 0)
		tap_diag("%s", e.text);
}

/* The first candidate for `name`, or the error. */
static char *first(const struct registry_opts *o, const char *name)
{
	struct registry *r = NULL;
	struct err e = ERR_INIT;
	autostrv struct strv out = STRV_INIT;
	int n = registry_open(o, &r, &e);
	if (n == 0)
		n = registry_expand(r, name, &out, &e);
	registry_close(r);
	return n < 0 ? xasprintf("error %d %s", -n, e.text) : xstrdup(out.items[0]);
}

static void expands(const struct registry_opts *o, const char *want, const char *sentence)
{
	autofree char *got = first(o, "x");
	tap_is_str(got, want, sentence);
}

static int open_repo(struct registry *r, const char *domain, const char *path)
{
	struct registry_repo *repo = NULL;
	struct err e = ERR_INIT;
	int n = registry_repo_open(r, domain, path, REGISTRY_PULL, &repo, &e);
	registry_repo_close(repo);
	return n;
}

static void test_files(void)
{
	struct registry_opts o = {.tls_verify = -1};
	put("config/containers/registries.conf", "unqualified-search-registries=['user.org']");
	expands(&o, "user.org/x", "the user's registries.conf is read");
	put("config/containers/registries.conf.d/20.conf", "unqualified-search-registries=['d20.org']");
	put("config/containers/registries.conf.d/10.conf", "unqualified-search-registries=['d10.org']");
	put("config/containers/registries.conf.d/30.conf.off", "unqualified-search-registries=['d30.org']");
	expands(&o, "d20.org/x", "then its drop-ins, by name, *.conf only");
	put("env.conf", "unqualified-search-registries=['env.org']");
	autofree char *env = xasprintf("%s/env.conf", dir);
	setenv("CONTAINERS_REGISTRIES_CONF", env, 1);
	expands(&o, "env.org/x", "CONTAINERS_REGISTRIES_CONF is read instead of all of them");
	put("given.conf", "unqualified-search-registries=['given.org']");
	autofree char *given = xasprintf("%s/given.conf", dir);
	o.registries_conf = given;
	expands(&o, "given.org/x", "a file that was given comes before it");
	put("given.conf", "x = ");
	autofree char *got = first(&o, "x");
	tap_has(got, "given.conf: line 1", "a broken file is an error with its line");
	o.registries_conf = "/nonexistent/x";
	autofree char *gone = first(&o, "x");
	tap_has(gone, "error 2 ", "one that was named and is not there is an error");
	o.registries_conf = env;
	o.creds = ":pw";
	autofree char *bad = first(&o, "x");
	tap_has(bad, "error 22 ", "--creds without a user is an error");
}

static void test_repos(void)
{
	struct registry_opts o = {.tls_verify = -1};
	struct registry *r = NULL;
	struct registry_repo *repo = NULL;
	struct err e = ERR_INIT;
	put("env.conf",
	    "[[registry]]\nlocation='blocked.org'\nblocked=true\n[[registry]]\nlocation='a.org'\ninsecure=true\n"
	    "[[registry.mirror]]\nlocation='m.org:5000/deep'\n[[registry]]\nprefix='bad.org'\nlocation='bad.org/"
	    "UPPER'\n");
	if (registry_open(&o, &r, &e) < 0)
		tap_diag("%s", e.text);
	tap_is_int(open_repo(r, "b.org", "x/y"), 0, "a repository is opened without traffic");
	tap_is_int(open_repo(r, "blocked.org", "x"), -EPERM, "a blocked one is not");
	tap_is_int(open_repo(r, "b.org", "../x"), -EINVAL, "a path with .. is refused");
	tap_is_int(open_repo(r, "b.org", "x?y"), -EINVAL, "so is one that would change the URL");
	tap_is_int(open_repo(r, "b.org", "x//y"), -EINVAL, "and an empty component");
	tap_is_int(open_repo(r, "b.org", "X"), -EINVAL, "and upper case");
	tap_is_int(open_repo(r, "user@b.org", "x"), -EINVAL, "a host with a user name is refused");
	tap_is_int(open_repo(r, "", "x"), -EINVAL, "and no host at all");
	tap_is_int(open_repo(r, "bad.org", "x"), -EINVAL, "what registries.conf rewrites is checked too");
	tap_is_int(open_repo(r, "[::1]:5000", "x"), 0, "an IPv6 address is a host");
	if (registry_repo_open(r, "a.org", "x", REGISTRY_PULL, &repo, &e) < 0)
		tap_diag("%s", e.text);
	tap_is_str(repo->order[0]->path, "deep/x", "the mirror comes first, with its prefix");
	tap_ok(repo->order[0]->ep->verify && !repo->order[0]->ep->insecure, "the mirror is verified");
	tap_ok(!repo->order[1]->ep->verify && repo->order[1]->ep->insecure, "the insecure registry is not");
	tap_is_str(repo->order[1]->auth->scopes.items[0], "repository:x:pull", "the scope is that of pulling");
	registry_repo_close(repo);
	if (registry_repo_open(r, "a.org", "x", REGISTRY_PUSH, &repo, &e) < 0)
		tap_diag("%s", e.text);
	tap_ok(repo->norder == 1 && !repo->order[0]->is_mirror, "pushing has one place, the registry");
	tap_is_str(repo->order[0]->auth->scopes.items[0], "repository:x:pull,push", "and its scope");
	registry_repo_close(repo);
	if (registry_repo_open(r, "docker.io", "library/x", REGISTRY_PULL, &repo, &e) < 0)
		tap_diag("%s", e.text);
	tap_is_str(repo->order[0]->ep->authority, "registry-1.docker.io", "docker.io is served from elsewhere");
	tap_is_str(repo->order[0]->ep->shown, "docker.io", "and called docker.io");
	registry_repo_close(repo);
	registry_close(r);
	o.tls_verify = 1;
	if (registry_open(&o, &r, &e) < 0)
		tap_diag("%s", e.text);
	tap_ok(endpoint_get(r, "a.org", "a.org", true)->verify, "--tls-verify wins over insecure = true");
	tap_ok(endpoint_get(r, "A.ORG", "A.ORG", true) == endpoint_get(r, "a.org", "a.org", true),
	       "hosts are one whatever their case");
	registry_close(r);
}

int main(void)
{
	tap_plan_later();
	dir = tap_tmpdir();
	autofree char *config = xasprintf("%s/config", dir);
	setenv("HOME", dir, 1);
	setenv("XDG_CONFIG_HOME", config, 1);
	unsetenv("XDG_CACHE_HOME");
	unsetenv("CONTAINERS_REGISTRIES_CONF");
	test_files();
	test_repos();
	struct err e = ERR_INIT;
	if (io_remove_tree(AT_FDCWD, dir, &e) < 0)
		tap_diag("%s", e.text);
	free(dir);
	return tap_done();
}
