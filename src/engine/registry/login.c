/*
 * login.c - rl login and logout: credentials checked with the registry, and kept.
 *
 * Files are changed under a lock of their directory, read again under it, and replaced by rename, so that two logins at
 * the same time both survive and a reader never sees half a file. A file that is a symlink (people keep dot files in
 * repositories) is replaced where it points to.
 */
#include "registry_int.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"

/* ---- storing ---- */

/* Where new credentials go. */
static char *target_file(const struct registry_opts *o, bool docker_file)
{
	const char *env = getenv("REGISTRY_AUTH_FILE"), *run = getenv("XDG_RUNTIME_DIR"), *home = getenv("HOME");
	const char *config = getenv("XDG_CONFIG_HOME"), *docker = getenv("DOCKER_CONFIG");
	if (o->authfile)
		return xstrdup(o->authfile);
	if (docker_file) {
		if (docker && *docker)
			return path_join(docker, "config.json");
		return home && *home == '/' ? path_join(home, ".docker/config.json") : NULL;
	}
	if (env && *env)
		return xstrdup(env);
	if (run && *run == '/')
		return path_join(run, "containers/auth.json");
	if (config && *config == '/')
		return path_join(config, "containers/auth.json");
	return home && *home == '/' ? path_join(home, ".config/containers/auth.json") : NULL;
}

struct edit {
	char *path; /* symlinks resolved */
	int lockfd;
	json_t *doc;
};

static void edit_close(struct edit *x)
{
	free(x->path);
	close_fd(&x->lockfd);
	json_decref(x->doc);
}
#define autoedit __attribute__((cleanup(edit_close)))

/* Lock and read. -ENOENT: there is no such file and `create` is not set. */
static int edit_open(const char *path, bool create, struct edit *x, struct err *e)
{
	char *real = realpath(path, NULL);
	x->path = real ? real : xstrdup(path);
	autofree char *dir = path_dir(x->path);
	if (!real && !create)
		return -ENOENT;
	x->lockfd = io_open_dir(AT_FDCWD, dir, create, 0700, e);
	if (x->lockfd < 0)
		return x->lockfd;
	int r = io_lock(x->lockfd, true, e);
	if (r < 0)
		return r;
	struct err why = ERR_INIT;
	r = creds_read_file(x->path, &x->doc, &why);
	if (r == -ENOENT && create) {
		x->doc = json_object();
		return 0;
	}
	if (r < 0 && e)
		*e = why;
	return r;
}

static int edit_save(struct edit *x, struct err *e)
{
	autostr struct str text = STR_INIT;
	json_print(x->doc, true, &text);
	str_addc(&text, '\n');
	int r = io_replace_file(AT_FDCWD, x->path, text.buf, text.len, 0600, true, e);
	explicit_bzero(text.buf, text.len);
	return r;
}

static const char *server_name(const char *host)
{
	return str_eq(host, "docker.io") ? "https://index.docker.io/v1/" : host;
}

static int store_creds(const struct registry_opts *o, const struct registry_login *l, const char *host,
		       char **ret_where, struct err *e)
{
	autofree char *path = target_file(o, l->docker_file);
	autoedit struct edit x = {.lockfd = -1};
	struct authfile_cred cred = {.user = (char *)(uintptr_t)l->user, .password = (char *)(uintptr_t)l->password};
	if (!path) {
		err_set(e, ENOENT, "no place for credentials: neither HOME nor XDG_RUNTIME_DIR is set");
		return err_hint(e, "name a file with --authfile");
	}
	int r = edit_open(path, true, &x, e);
	if (r < 0)
		return r;
	const char *helper = authfile_helper(x.doc, host);
	helper = helper ? helper : authfile_store(x.doc);
	if (helper) {
		autostr struct str request = STR_INIT;
		autostr struct str answer = STR_INIT;
		authfile_helper_request(server_name(host), &cred, &request);
		r = creds_helper(helper, "store", request.buf, request.len, &answer, e);
		explicit_bzero(request.buf, request.len);
		if (r < 0)
			return r;
		/* An empty entry says whom the helper knows about, as docker leaves it. */
		cred = (struct authfile_cred)AUTHFILE_CRED_INIT;
	}
	authfile_set(x.doc, l->docker_file ? server_name(l->key) : l->key, &cred);
	r = edit_save(&x, e);
	if (r == 0 && ret_where)
		*ret_where = helper ? xasprintf("docker-credential-%s", helper) : xstrdup(x.path);
	return r;
}

/* ---- asking the registry ---- */

/* 0 accepted, 1 the registry wanted nothing. */
static int verify(struct registry *r, const char *host, const struct authfile_cred *cred, struct err *e)
{
	struct regconf_sources s = {.items = NULL};
	autofree char *probe = xasprintf("%s/probe", host);
	const struct regconf_registry *g = regconf_find(&r->conf, probe);
	regconf_sources_free(&s);
	if (g && g->blocked)
		return err_set(e, EPERM, "%s: blocked by registries.conf", host);
	bool hub = str_eq(host, "docker.io");
	struct http_endpoint *ep = endpoint_get(r, hub ? "registry-1.docker.io" : host, host, g && g->self.insecure);
	struct auth_ctx *a = auth_new(r, ep, host);
	a->forced = cred;
	struct http_xfer *x = http_new(r, ep, a, "GET", xstrdup("/v2/"));
	int n = http_do(x, e);
	bool open = n == 0 && a->kind == AUTH_UNKNOWN;
	if (n == -ENOENT && e) {
		err_clear(e);
		n = err_set(e, ENOENT, "%s: this server is no registry (it has no /v2/)", host);
	}
	http_free(x);
	auth_free(a);
	return n < 0 ? n : open;
}

static int check_key(const char *key, char **ret_host, struct err *e)
{
	size_t n = strcspn(key, "/");
	if (!n || *key == '.' ||
	    strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:[]/") != strlen(key) ||
	    strlen(key) > IMGREF_REPO_MAX || strstr(key, "//"))
		return err_set(e, EINVAL, "\"%s\" is not REGISTRY[/NAMESPACE]", key);
	*ret_host = xstrndup(key, n);
	return 0;
}

int registry_login(struct registry *r, const struct registry_login *l, char **ret_where, struct err *e)
{
	autofree char *host = NULL;
	autocred struct authfile_cred stored = AUTHFILE_CRED_INIT;
	int n = check_key(l->key, &host, e);
	if (n < 0)
		return n;
	if (!l->user) {
		n = creds_find(r, l->key, &stored, e);
		if (n <= 0)
			return n < 0 ? n : err_set(e, ENOENT, "%s: no credentials are stored", l->key);
		return verify(r, host, &stored, e);
	}
	if (!l->password || !*l->user || strpbrk(l->user, ":\n"))
		return err_set(e, EINVAL, "a user name (without ':') and a password are needed");
	struct authfile_cred cred = {.user = (char *)(uintptr_t)l->user, .password = (char *)(uintptr_t)l->password};
	int open = l->skip_verify ? 0 : verify(r, host, &cred, e);
	if (open < 0)
		return open;
	n = store_creds(&r->o, l, host, ret_where, e);
	return n < 0 ? n : open;
}

/* ---- forgetting ---- */

static int erase_from_helper(const char *helper, const char *host, struct err *e)
{
	autostr struct str out = STR_INIT;
	const char *server = server_name(host);
	return creds_helper(helper, "erase", server, strlen(server), &out, e);
}

static int logout_key(struct edit *x, const char *key, struct err *e)
{
	autofree char *host = xstrndup(key, strcspn(key, "/"));
	const char *helper = authfile_helper(x->doc, host);
	int n = 0;
	helper = helper ? helper : authfile_store(x->doc);
	if (helper) {
		n = erase_from_helper(helper, host, e);
		if (n < 0)
			return n;
	}
	return authfile_remove(x->doc, key) || n;
}

static int logout_file(const char *path, const char *key, struct err *e)
{
	autoedit struct edit x = {.lockfd = -1};
	autostrv struct strv keys = STRV_INIT;
	int r = edit_open(path, false, &x, e), count = 0;
	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR ? 0 : r;
	if (key) {
		strv_add(&keys, key);
	} else {
		const char *host;
		json_t *v;
		authfile_keys(x.doc, &keys);
		json_object_foreach (json_object_get(x.doc, "credHelpers"), host, v)
			if (!strv_has(&keys, host))
				strv_add(&keys, host);
	}
	for (size_t i = 0; i < keys.count; i++) {
		r = logout_key(&x, keys.items[i], e);
		if (r < 0)
			return r;
		count += r;
	}
	r = count ? edit_save(&x, e) : 0;
	return r < 0 ? r : count;
}

int registry_logout(struct registry *r, const char *key, struct err *e)
{
	autofree char *host = NULL;
	autostrv struct strv files = STRV_INIT;
	int count = 0, n = key ? check_key(key, &host, e) : 0;
	if (n < 0)
		return n;
	creds_files(&r->o, &files);
	for (size_t i = 0; i < files.count; i++) {
		n = logout_file(files.items[i], key, e);
		if (n < 0)
			return n;
		count += n;
	}
	return count;
}

int registry_login_user(struct registry *r, const char *key, char **ret_user, struct err *e)
{
	autocred struct authfile_cred c = AUTHFILE_CRED_INIT;
	autofree char *host = NULL;
	int n = check_key(key, &host, e);
	if (n == 0)
		n = creds_find(r, key, &c, e);
	if (n < 0)
		return n;
	if (!n || !c.user)
		return err_set(e, ENOENT, "%s: not logged in", key);
	*ret_user = take_ptr(&c.user);
	return 0;
}
