/*
 * regconf.c - see regconf.h.
 *
 * Every text is read into a struct regconf of its own first and merged only when all of it is right, so that a broken
 * drop-in has no half effect. Matching works on "HOST[:PORT]/PATH[:TAG][@DIGEST]": a prefix matches if the name goes on
 * with '/', ':' or '@' or ends there; "*.example.org" matches hosts below the domain, and what it matched (the host) is
 * replaced as a whole by `location`. The longest match wins, as in containers-registries.conf(5).
 */
#include "rl/model/regconf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rl/base/mem.h"
#include "rl/model/toml.h"

enum { ENTRIES_MAX = 4096, EXPAND_MAX = 32 };

static const char *const pull_names[] = {
	[REGCONF_PULL_ALL] = "all",
	[REGCONF_PULL_DIGEST] = "digest-only",
	[REGCONF_PULL_TAG] = "tag-only",
};
_Static_assert(ARRAY_SIZE(pull_names) == REGCONF_PULL_N, "one name per value");

static void registry_free(struct regconf_registry *g)
{
	free(g->prefix);
	free(g->self.location);
	for (size_t i = 0; i < g->nmirrors; i++)
		free(g->mirrors[i].location);
	free(g->mirrors);
	memset(g, 0, sizeof(*g));
}

void regconf_free(struct regconf *c)
{
	for (size_t i = 0; i < c->nregistries; i++)
		registry_free(&c->registries[i]);
	free(c->registries);
	strv_free(&c->search);
	strv_free(&c->aliases);
	strv_free(&c->cred_helpers);
	memset(c, 0, sizeof(*c));
}

/* ---- reading ---- */

/* HOST[:PORT][/PATH] without scheme, tag or digest; what is between the slashes is checked when it is used. */
static int check_location(const char *s, const char *key, struct err *e)
{
	if (strstr(s, "://"))
		return err_set(e, EINVAL, "%s \"%s\": a scheme is not allowed here", key, s);
	if (!*s || *s == '/' ||
	    strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:[]/*@") != strlen(s))
		return err_set(e, EINVAL, "%s \"%s\" is not HOST[:PORT][/PATH]", key, s);
	return 0;
}

/* A copy without trailing slashes. */
static char *location_copy(const char *s)
{
	size_t n = strlen(s);
	while (n && s[n - 1] == '/')
		n--;
	return xstrndup(s, n);
}

static int read_endpoint(const json_t *table, struct regconf_endpoint *out, struct err *e)
{
	const char *location = NULL;
	if (json_get_str(table, "location", &location, e) < 0 ||
	    json_get_bool(table, "insecure", &out->insecure, e) < 0)
		return -EINVAL;
	if (!location)
		return 0;
	if (check_location(location, "location", e) < 0)
		return -EINVAL;
	out->location = location_copy(location);
	return 0;
}

static int read_mirror(const json_t *table, struct regconf_endpoint *out, struct err *e)
{
	const char *pull = NULL;
	int r = read_endpoint(table, out, e);
	if (r < 0)
		return r;
	if (!out->location || strchr(out->location, '*'))
		return err_set(e, EINVAL, "a mirror needs a location without '*'");
	r = json_get_str(table, "pull-from-mirror", &pull, e);
	if (r <= 0 || !*pull)
		return r < 0 ? r : 0;
	for (size_t i = 0; i < ARRAY_SIZE(pull_names); i++) {
		if (str_eq(pull, pull_names[i])) {
			out->pull = (enum regconf_pull)i;
			return 0;
		}
	}
	return err_set(e, EINVAL, "pull-from-mirror \"%s\": not all, digest-only or tag-only", pull);
}

static int read_mirrors(const json_t *table, struct regconf_registry *g, struct err *e)
{
	json_t *mirrors = NULL, *m;
	size_t i;
	int r = json_get_array(table, "mirror", &mirrors, e);
	if (r <= 0)
		return r;
	if (json_array_size(mirrors) > ENTRIES_MAX)
		return err_set(e, E2BIG, "more than %d mirrors", ENTRIES_MAX);
	g->mirrors = xcalloc(json_array_size(mirrors) + 1, sizeof(*g->mirrors));
	json_array_foreach (mirrors, i, m) {
		if (!json_is_object(m))
			return err_set(e, EINVAL, "\"mirror\" is not a table");
		g->nmirrors++;
		r = read_mirror(m, &g->mirrors[i], e);
		if (r < 0)
			return r;
		if (g->mirror_by_digest_only && g->mirrors[i].pull != REGCONF_PULL_ALL)
			return err_set(e, EINVAL, "pull-from-mirror and mirror-by-digest-only exclude each other");
	}
	return 0;
}

static int read_registry(const json_t *table, struct regconf_registry *g, struct err *e)
{
	const char *prefix = NULL;
	int r = read_endpoint(table, &g->self, e);
	if (r < 0)
		return r;
	if (json_get_str(table, "prefix", &prefix, e) < 0 || json_get_bool(table, "blocked", &g->blocked, e) < 0 ||
	    json_get_bool(table, "mirror-by-digest-only", &g->mirror_by_digest_only, e) < 0)
		return -EINVAL;
	if (prefix && *prefix) {
		const char *star = strchr(prefix, '*');
		if (check_location(prefix, "prefix", e) < 0)
			return -EINVAL;
		if (star && (star != prefix || prefix[1] != '.' || strpbrk(prefix + 1, "*/@")))
			return err_set(e, EINVAL, "prefix \"%s\": '*' only as \"*.DOMAIN\"", prefix);
		g->prefix = location_copy(prefix);
	} else if (g->self.location) {
		g->prefix = xstrdup(g->self.location);
	} else {
		return err_set(e, EINVAL, "neither prefix nor location");
	}
	if (!g->self.location && g->prefix[0] != '*')
		g->self.location = xstrdup(g->prefix);
	if (g->self.location && strchr(g->self.location, '*'))
		return err_set(e, EINVAL, "location \"%s\": no '*' here", g->self.location);
	return read_mirrors(table, g, e);
}

static int read_registries(const json_t *doc, struct regconf *c, struct err *e)
{
	json_t *list = NULL, *item;
	size_t i;
	int r = json_get_array(doc, "registry", &list, e);
	if (r <= 0)
		return r;
	if (json_array_size(list) > ENTRIES_MAX)
		return err_set(e, E2BIG, "more than %d [[registry]] tables", ENTRIES_MAX);
	c->registries = xcalloc(json_array_size(list) + 1, sizeof(*c->registries));
	json_array_foreach (list, i, item) {
		if (!json_is_object(item))
			return err_set(e, EINVAL, "\"registry\" is not a table");
		c->nregistries++;
		r = read_registry(item, &c->registries[i], e);
		if (r < 0)
			return err_ctx(e, "[[registry]] number %zu", i + 1);
		for (size_t k = 0; k < i; k++)
			if (str_eq(c->registries[k].prefix, c->registries[i].prefix))
				return err_set(e, EINVAL, "two [[registry]] tables for \"%s\"",
					       c->registries[i].prefix);
	}
	return 0;
}

static int read_aliases(const json_t *doc, struct regconf *c, struct err *e)
{
	json_t *table = NULL, *v;
	const char *name;
	int r = json_get_obj(doc, "aliases", &table, e);
	if (r <= 0)
		return r;
	json_object_foreach (table, name, v) {
		const char *to = json_string_value(v);
		if (!to)
			return err_set(e, EINVAL, "alias \"%s\" is not a string", name);
		if (!*name || strpbrk(name, "=@:"))
			return err_set(e, EINVAL, "alias \"%s\": a short name without tag is wanted", name);
		if (*to && (check_location(to, "alias for", e) < 0 || !strchr(to, '/') || strpbrk(to, "*@")))
			return err_set(e, EINVAL, "alias \"%s\": \"%s\" is not HOST/PATH", name, to);
		strv_addf(&c->aliases, "%s=%s", name, to);
	}
	return 0;
}

static int read_doc(const json_t *doc, struct regconf *c, struct err *e)
{
	static const char *const v1[] = {"search", "insecure", "block"};
	json_t *registries = json_object_get(doc, "registries");
	for (size_t i = 0; json_is_object(registries) && i < ARRAY_SIZE(v1); i++)
		if (json_object_get(registries, v1[i]))
			return err_set(e, EOPNOTSUPP, "[registries.%s] is the old version 1 layout", v1[i]);
	if (json_get_strv(doc, "unqualified-search-registries", &c->search, e) < 0 ||
	    json_get_strv(doc, "credential-helpers", &c->cred_helpers, e) < 0)
		return -EINVAL;
	for (size_t i = 0; i < c->search.count; i++)
		if (check_location(c->search.items[i], "unqualified-search-registries", e) < 0)
			return -EINVAL;
	if (c->search.count > EXPAND_MAX)
		return err_set(e, E2BIG, "more than %d unqualified-search-registries", EXPAND_MAX);
	int r = read_registries(doc, c, e);
	return r < 0 ? r : read_aliases(doc, c, e);
}

/* ---- merging ---- */

static void alias_put(struct strv *aliases, const char *item)
{
	size_t n = strcspn(item, "=") + 1;
	for (size_t i = 0; i < aliases->count; i++) {
		if (strncmp(aliases->items[i], item, n) == 0) {
			strv_remove(aliases, i);
			break;
		}
	}
	if (item[n])
		strv_add(aliases, item);
}

static void registry_put(struct regconf *c, struct regconf_registry *g)
{
	for (size_t i = 0; i < c->nregistries; i++) {
		if (str_eq(c->registries[i].prefix, g->prefix)) {
			registry_free(&c->registries[i]);
			c->registries[i] = *g;
			memset(g, 0, sizeof(*g));
			return;
		}
	}
	c->registries = xreallocarray(c->registries, c->nregistries + 1, sizeof(*c->registries));
	c->registries[c->nregistries++] = *g;
	memset(g, 0, sizeof(*g));
}

static void merge(struct regconf *c, struct regconf *from)
{
	for (size_t i = 0; i < from->nregistries; i++)
		registry_put(c, &from->registries[i]);
	from->nregistries = 0;
	for (size_t i = 0; i < from->aliases.count; i++)
		alias_put(&c->aliases, from->aliases.items[i]);
	if (from->search.count) {
		strv_free(&c->search);
		strv_add_all(&c->search, &from->search);
	}
	if (from->cred_helpers.count) {
		strv_free(&c->cred_helpers);
		strv_add_all(&c->cred_helpers, &from->cred_helpers);
	}
}

int regconf_add(struct regconf *c, const char *text, size_t len, const char *what, struct err *e)
{
	autojson json_t *doc = NULL;
	struct regconf new = REGCONF_INIT;
	if (len > REGCONF_TEXT_MAX)
		return err_set(e, EFBIG, "%s: longer than %d bytes", what, REGCONF_TEXT_MAX);
	int r = toml_parse(text, len, what, &doc, e);
	if (r < 0)
		return r;
	r = read_doc(doc, &new, e);
	if (r == 0 && c->nregistries + new.nregistries > ENTRIES_MAX)
		r = err_set(e, E2BIG, "more than %d [[registry]] tables", ENTRIES_MAX);
	if (r < 0)
		err_ctx(e, "%s", what);
	else
		merge(c, &new);
	regconf_free(&new);
	return r;
}

/* ---- asking ---- */

/* Bytes of `name` the prefix stands for, 0 if it does not match. */
static size_t prefix_matches(const char *prefix, const char *name)
{
	size_t n;
	if (prefix[0] == '*') {
		size_t host = strcspn(name, "/"), suffix = strlen(prefix + 1);
		size_t bare = strcspn(name, ":/");
		/* With or without the port: "*.example.org" also means hosts with one. */
		if (host > suffix && memcmp(name + host - suffix, prefix + 1, suffix) == 0)
			return host;
		if (bare > suffix && memcmp(name + bare - suffix, prefix + 1, suffix) == 0)
			return host;
		return 0;
	}
	n = strlen(prefix);
	if (strncmp(prefix, name, n) != 0)
		return 0;
	/* "localhost" is no prefix of "localhost:5000/x": a ':' may follow only behind the path, where it is a tag. */
	if (name[n] == ':' && !strchr(prefix, '/'))
		return 0;
	return name[n] == 0 || strchr("/:@", name[n]) ? n : 0;
}

const struct regconf_registry *regconf_find(const struct regconf *c, const char *name)
{
	const struct regconf_registry *best = NULL;
	size_t best_len = 0;
	for (size_t i = 0; i < c->nregistries; i++) {
		const struct regconf_registry *g = &c->registries[i];
		size_t len = prefix_matches(g->prefix, name) ? strlen(g->prefix) : 0;
		if (len > best_len) {
			best = g;
			best_len = len;
		}
	}
	return best;
}

/* A domain is what imgref.h takes for one: a '.', a ':' or an upper-case letter before the first '/', or "localhost".
 */
static bool has_domain(const char *name)
{
	size_t n = strcspn(name, "/");
	if (!name[n])
		return false;
	if (n == 9 && memcmp(name, "localhost", 9) == 0)
		return true;
	for (size_t i = 0; i < n; i++)
		if (strchr(".:[", name[i]) || (name[i] >= 'A' && name[i] <= 'Z'))
			return true;
	return false;
}

int regconf_expand(const struct regconf *c, const char *name, struct strv *out, struct err *e)
{
	/* A tag follows the last '/', a digest the first '@'. */
	size_t end = strcspn(name, "@");
	if (!end)
		return err_set(e, EINVAL, "\"%s\" is no image name", name);
	for (size_t i = end; i > 0 && name[i - 1] != '/'; i--)
		if (name[i - 1] == ':')
			end = i - 1;
	if (has_domain(name)) {
		strv_add(out, name);
		return 0;
	}
	for (size_t i = 0; i < c->aliases.count; i++) {
		const char *a = c->aliases.items[i];
		if (strncmp(a, name, end) == 0 && a[end] == '=') {
			strv_addf(out, "%s%s", a + end + 1, name + end);
			return 0;
		}
	}
	if (!c->search.count)
		strv_addf(out, "docker.io/%s%s", strchr(name, '/') ? "" : "library/", name);
	for (size_t i = 0; i < c->search.count; i++) {
		const char *host = c->search.items[i];
		bool official = str_eq(host, "docker.io") && !memchr(name, '/', end);
		strv_addf(out, "%s/%s%s", host, official ? "library/" : "", name);
	}
	return 0;
}

static void add_source(struct regconf_sources *s, const struct regconf_endpoint *ep, const char *rest,
		       const char *whole, bool is_mirror)
{
	s->items = xreallocarray(s->items, s->count + 1, sizeof(*s->items));
	s->items[s->count++] = (struct regconf_source){
		.name = ep->location ? xasprintf("%s%s", ep->location, rest) : xstrdup(whole),
		.insecure = ep->insecure,
		.is_mirror = is_mirror,
	};
}

static bool mirror_serves(const struct regconf_registry *g, const struct regconf_endpoint *m, bool by_digest)
{
	if (g->mirror_by_digest_only && !by_digest)
		return false;
	return m->pull == REGCONF_PULL_ALL || (m->pull == REGCONF_PULL_DIGEST) == by_digest;
}

int regconf_sources(const struct regconf *c, const char *repository, bool by_digest, bool push,
		    struct regconf_sources *ret_sources, struct err *e)
{
	const struct regconf_registry *g = regconf_find(c, repository);
	const struct regconf_endpoint plain = {.location = NULL};
	struct regconf_sources s = {.items = NULL};
	if (!g) {
		add_source(&s, &plain, "", repository, false);
		*ret_sources = s;
		return 0;
	}
	if (g->blocked) {
		err_set(e, EPERM, "%s: blocked by registries.conf (prefix \"%s\")", repository, g->prefix);
		return err_hint(e, "remove `blocked = true` from that [[registry]] table if this is not wanted");
	}
	const char *rest = repository + prefix_matches(g->prefix, repository);
	for (size_t i = 0; !push && i < g->nmirrors; i++)
		if (mirror_serves(g, &g->mirrors[i], by_digest))
			add_source(&s, &g->mirrors[i], rest, repository, true);
	add_source(&s, &g->self, rest, repository, false);
	*ret_sources = s;
	return 0;
}

void regconf_sources_free(struct regconf_sources *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i].name);
	free(s->items);
	s->items = NULL;
	s->count = 0;
}
