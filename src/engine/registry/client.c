/*
 * client.c - one client: its configuration, its endpoints, and the places a repository can be had from.
 *
 * registries.conf is CONTAINERS_REGISTRIES_CONF (then nothing else), or ~/.config/containers/registries.conf (then
 * nothing of /etc), or /etc/containers/registries.conf with the drop-ins *.conf of registries.conf.d beside it; then
 * the user's drop-ins, by name. Aliases recorded by other tools (short-name-aliases.conf in the cache directory) come
 * last.
 *
 * Endpoints are found by authority and live as long as the client: what was learned about one (scheme, address class)
 * must hold for everybody who talks to it.
 */
#include "curl_load_int.h"
#include "registry_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"

enum { DROP_INS_MAX = 256, RETRY_DELAY_DEFAULT = 500, IDLE_CONNECTIONS = 8 };

/* ---- registries.conf ---- */

/* 1 read, 0 not there. */
static int read_conf(struct regconf *c, const char *path, struct err *e)
{
	autostr struct str text = STR_INIT;
	struct err why = ERR_INIT;
	int r = io_read_file(AT_FDCWD, path, REGCONF_TEXT_MAX, &text, &why);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0) {
		if (e)
			*e = why;
		return r;
	}
	r = regconf_add(c, text.buf, text.len, path, e);
	return r < 0 ? r : 1;
}

static int read_drop_ins(struct regconf *c, const char *dir, struct err *e)
{
	autodir DIR *d = opendir(dir);
	autostrv struct strv names = STRV_INIT;
	struct dirent *entry;
	while (d && (entry = readdir(d))) {
		if (entry->d_name[0] == '.' || !str_ends(entry->d_name, ".conf"))
			continue;
		if (names.count >= DROP_INS_MAX)
			return err_set(e, E2BIG, "%s: more than %d files", dir, DROP_INS_MAX);
		strv_add(&names, entry->d_name);
	}
	strv_sort(&names);
	for (size_t i = 0; i < names.count; i++) {
		autofree char *path = path_join(dir, names.items[i]);
		int r = read_conf(c, path, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static char *user_dir(const char *xdg, const char *below_home, const char *rest)
{
	const char *base = getenv(xdg), *home = getenv("HOME");
	if (base && *base == '/')
		return path_join(base, rest);
	if (!home || *home != '/')
		return NULL;
	autofree char *dir = path_join(home, below_home);
	return path_join(dir, rest);
}

static int load_conf(struct registry *r, struct err *e)
{
	const char *env = getenv("CONTAINERS_REGISTRIES_CONF");
	const char *only = r->o.registries_conf ? r->o.registries_conf : env && *env ? env : NULL;
	if (only) {
		int n = read_conf(&r->conf, only, e);
		return n < 0 ? n : n ? 0 : err_sys(e, ENOENT, "open %s", only);
	}
	autofree char *mine = user_dir("XDG_CONFIG_HOME", ".config", "containers/registries.conf");
	autofree char *mine_d = user_dir("XDG_CONFIG_HOME", ".config", "containers/registries.conf.d");
	autofree char *learned = getuid() == 0
					 ? xstrdup("/var/cache/containers/short-name-aliases.conf")
					 : user_dir("XDG_CACHE_HOME", ".cache", "containers/short-name-aliases.conf");
	int n = mine ? read_conf(&r->conf, mine, e) : 0;
	if (n == 0) {
		n = read_conf(&r->conf, "/etc/containers/registries.conf", e);
		if (n >= 0)
			n = read_drop_ins(&r->conf, "/etc/containers/registries.conf.d", e);
	}
	if (n >= 0 && mine_d)
		n = read_drop_ins(&r->conf, mine_d, e);
	if (n >= 0 && learned) {
		/* Root of a user namespace only looks like root: the real one's file is out of reach, and only a comfort. */
		struct err why = ERR_INIT;
		n = read_conf(&r->conf, learned, &why);
		if (n < 0 && n != -EACCES && e)
			*e = why;
		n = n == -EACCES ? 0 : n;
	}
	return n < 0 ? n : 0;
}

/* ---- proxies ---- */

static char *env_copy(const char *lower, const char *upper)
{
	const char *v = getenv(lower);
	if (!v || !*v)
		v = getenv(upper);
	return v && *v ? xstrdup(v) : NULL;
}

static void load_proxies(struct registry *r)
{
	autofree char *all = env_copy("all_proxy", "ALL_PROXY");
	/* In a CGI program HTTP_PROXY is what the client's "Proxy:" header says. */
	r->proxy_http = env_copy("http_proxy", getenv("REQUEST_METHOD") ? "http_proxy" : "HTTP_PROXY");
	r->proxy_https = env_copy("https_proxy", "HTTPS_PROXY");
	r->no_proxy = env_copy("no_proxy", "NO_PROXY");
	if (!r->proxy_http && all)
		r->proxy_http = xstrdup(all);
	if (!r->proxy_https && all)
		r->proxy_https = xstrdup(all);
}

/* ---- life ---- */

int registry_open(const struct registry_opts *opts, struct registry **ret_registry, struct err *e)
{
	struct registry *r = xcalloc(1, sizeof(*r));
	r->o = *opts;
	r->conf = (struct regconf)REGCONF_INIT;
	r->o.retries = opts->retries < 0 ? 0 : opts->retries ? opts->retries : REGISTRY_RETRIES_DEFAULT;
	r->o.retry_delay_ms = opts->retry_delay_ms ? opts->retry_delay_ms : RETRY_DELAY_DEFAULT;
	r->o.stall_seconds = opts->stall_seconds ? opts->stall_seconds : REGISTRY_STALL_DEFAULT;
	int n = 0;
	if (opts->creds) {
		n = authfile_creds_parse(opts->creds, &r->explicit_cred, e);
		r->has_explicit = n == 0;
	}
	if (n == 0)
		n = load_conf(r, e);
	load_proxies(r);
	/* libcrypto writes to sockets without MSG_NOSIGNAL, and receivers of blobs may go away. */
	signal(SIGPIPE, SIG_IGN);
	if (n == 0)
		n = curl_load(e);
	if (n == 0 && (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(r->multi = curl_multi_init())))
		n = err_set(e, ENOMEM, "libcurl cannot be started");
	if (n < 0) {
		registry_close(r);
		return n;
	}
	curl_multi_setopt(r->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
	*ret_registry = r;
	return 0;
}

void registry_close(struct registry *r)
{
	if (!r)
		return;
	while (r->xfers)
		http_abandon(r->xfers);
	for (size_t i = 0; i < r->nendpoints; i++) {
		free(r->endpoints[i]->shown);
		free(r->endpoints[i]->authority);
		certs_free(&r->endpoints[i]->certs);
		free(r->endpoints[i]);
	}
	free(r->endpoints);
	if (r->multi)
		curl_multi_cleanup(r->multi);
	regconf_free(&r->conf);
	authfile_cred_free(&r->explicit_cred);
	free(r->proxy_http);
	free(r->proxy_https);
	free(r->no_proxy);
	free(r);
}

int registry_expand(const struct registry *r, const char *name, struct strv *out, struct err *e)
{
	return regconf_expand(&r->conf, name, out, e);
}

/* ---- endpoints ---- */

struct http_endpoint *endpoint_get(struct registry *r, const char *authority, const char *shown, bool insecure)
{
	for (size_t i = 0; i < r->nendpoints; i++)
		if (strcasecmp(r->endpoints[i]->authority, authority) == 0)
			return r->endpoints[i];
	struct http_endpoint *ep = xcalloc(1, sizeof(*ep));
	ep->shown = xstrdup(shown);
	ep->authority = xstrdup(authority);
	ep->insecure = r->o.tls_verify == 0 || (insecure && r->o.tls_verify < 0);
	ep->verify = !ep->insecure;
	ep->certs.ca = (struct str)STR_INIT;
	r->endpoints = xreallocarray(r->endpoints, r->nendpoints + 1, sizeof(*r->endpoints));
	r->endpoints[r->nendpoints++] = ep;
	return ep;
}

/* ---- repositories ---- */

static void place_free(struct place *p)
{
	auth_free(p->auth);
	free(p->name);
	free(p->path);
	free(p);
}

/* Names become URLs and paths of certs.d: nothing but what the grammar of references allows. */
static int check_place(const char *name, struct err *e)
{
	const char *slash = strchr(name, '/');
	if (!slash || slash == name ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:[]_") !=
		    (size_t)(slash - name) ||
	    strspn(slash, "abcdefghijklmnopqrstuvwxyz0123456789-._/") != strlen(slash) || strstr(slash, "//") ||
	    strstr(slash, "/.") || str_ends(slash, "/"))
		return err_set(e, EINVAL, "\"%s\" is no repository of a registry", name);
	return 0;
}

static struct place *place_get(struct registry_repo *repo, const struct regconf_source *s)
{
	for (size_t i = 0; i < repo->nplaces; i++)
		if (str_eq(repo->places[i]->name, s->name))
			return repo->places[i];
	struct place *p = xcalloc(1, sizeof(*p));
	size_t n = strcspn(s->name, "/");
	autofree char *host = xstrndup(s->name, n);
	p->name = xstrdup(s->name);
	p->path = xstrdup(s->name + n + 1);
	p->is_mirror = s->is_mirror;
	p->ep = endpoint_get(repo->r, str_eq(host, "docker.io") ? "registry-1.docker.io" : host, host, s->insecure);
	p->auth = auth_new(repo->r, p->ep, p->name);
	strv_addf(&p->auth->scopes, "repository:%s:%s", p->path, repo->mode == REGISTRY_PUSH ? "pull,push" : "pull");
	repo->places = xreallocarray(repo->places, repo->nplaces + 1, sizeof(*repo->places));
	repo->places[repo->nplaces++] = p;
	return p;
}

int repo_order(struct registry_repo *repo, bool by_digest, struct err *e)
{
	struct regconf_sources s = {.items = NULL};
	int r = regconf_sources(&repo->r->conf, repo->name, by_digest, repo->mode == REGISTRY_PUSH, &s, e);
	for (size_t i = 0; i < s.count && r == 0; i++)
		r = check_place(s.items[i].name, e);
	if (r == 0) {
		repo->norder = 0;
		repo->order = xreallocarray(repo->order, s.count + 1, sizeof(*repo->order));
		for (size_t i = 0; i < s.count; i++)
			repo->order[repo->norder++] = place_get(repo, &s.items[i]);
	}
	regconf_sources_free(&s);
	return r;
}

/* Worth asking another place? Anything that place may answer better, but not our own refusals and interruptions. */
bool is_failover(int result)
{
	return result < 0 && result != -ECANCELED && result != -EPERM;
}

int registry_repo_open(struct registry *r, const char *domain, const char *path, enum registry_mode mode,
		       struct registry_repo **ret_repo, struct err *e)
{
	struct registry_repo *repo = xcalloc(1, sizeof(*repo));
	repo->r = r;
	repo->mode = mode;
	repo->name = xasprintf("%s/%s", domain, path);
	int n = check_place(repo->name, e);
	if (n == 0)
		n = repo_order(repo, false, e);
	if (n < 0) {
		registry_repo_close(repo);
		return n;
	}
	*ret_repo = repo;
	return 0;
}

void registry_repo_close(struct registry_repo *repo)
{
	if (!repo)
		return;
	for (size_t i = 0; i < repo->nplaces; i++)
		place_free(repo->places[i]);
	free(repo->places);
	free(repo->order);
	free(repo->name);
	free(repo);
}
