#include "tap.h"

#include <errno.h>

#include "rl/base/mem.h"
#include "rl/model/regconf.h"

static void add(struct regconf *c, const char *text)
{
	struct err e = ERR_INIT;
	if (regconf_add(c, text, strlen(text), "r.conf", &e) < 0)
		tap_diag("%s", e.text);
}

/* "a b c" of what a short name expands to. */
static char *expand(const struct regconf *c, const char *name)
{
	autostrv struct strv out = STRV_INIT;
	struct err e = ERR_INIT;
	struct str s = STR_INIT;
	if (regconf_expand(c, name, &out, &e) < 0)
		str_addf(&s, "error %d", e.code);
	for (size_t i = 0; i < out.count; i++)
		str_addf(&s, "%s%s", i ? " " : "", out.items[i]);
	return str_take(&s);
}

/* "name! name" of the sources; '!' marks insecure, '^' mirrors. */
static char *sources(const struct regconf *c, const char *repo, bool by_digest, bool push)
{
	struct regconf_sources out = {.items = NULL};
	struct err e = ERR_INIT;
	struct str s = STR_INIT;
	if (regconf_sources(c, repo, by_digest, push, &out, &e) < 0)
		str_addf(&s, "error %d", e.code);
	for (size_t i = 0; i < out.count; i++)
		str_addf(&s, "%s%s%s%s", i ? " " : "", out.items[i].is_mirror ? "^" : "", out.items[i].name,
			 out.items[i].insecure ? "!" : "");
	regconf_sources_free(&out);
	return str_take(&s);
}

static void expands(const struct regconf *c, const char *name, const char *want, const char *sentence)
{
	autofree char *got = expand(c, name);
	tap_is_str(got, want, sentence);
}

static void comes_from(const struct regconf *c, const char *repo, const char *want, const char *sentence)
{
	autofree char *got = sources(c, repo, false, false);
	tap_is_str(got, want, sentence);
}

static void refused(const char *text, int code, const char *part, const char *sentence)
{
	struct regconf c = REGCONF_INIT;
	struct err e = ERR_INIT;
	int r = regconf_add(&c, text, strlen(text), "r.conf", &e);
	if (!tap_ok(r == -code && strstr(e.text, part), "%s", sentence))
		tap_diag("%d %s", r, e.text);
	tap_ok(c.nregistries == 0 && c.aliases.count == 0 && c.search.count == 0, "... and has no effect");
	regconf_free(&c);
}

static void test_short_names(void)
{
	struct regconf c = REGCONF_INIT;
	expands(&c, "busybox", "docker.io/library/busybox", "without configuration a short name means docker's hub");
	expands(&c, "team/app:1", "docker.io/team/app:1", "a namespace on the hub gets no library/");
	expands(&c, "quay.io/a/b:1", "quay.io/a/b:1", "a name with a domain stands for itself");
	expands(&c, "localhost/a", "localhost/a", "localhost is a domain");
	expands(&c, "host:5000/a", "host:5000/a", "a port makes a domain");
	expands(&c, "localhost:5000", "docker.io/library/localhost:5000",
		"what looks like host and port alone is name and tag");
	add(&c, "unqualified-search-registries = [\"registry.example.org\", \"docker.io\"]\n[aliases]\n"
		"debian = \"docker.io/library/debian\"\n\"team/app\" = \"quay.io/team/app\"\n");
	expands(&c, "busybox:1.36", "registry.example.org/busybox:1.36 docker.io/library/busybox:1.36",
		"unqualified-search registries are candidates in their order");
	expands(&c, "debian:12", "docker.io/library/debian:12", "an alias is the one candidate, the tag is kept");
	expands(&c, "debian@sha256:00", "docker.io/library/debian@sha256:00", "a digest is kept too");
	expands(&c, "debian:12@sha256:00", "docker.io/library/debian:12@sha256:00", "and both together");
	expands(&c, "team/app", "quay.io/team/app", "aliases may have a namespace");
	expands(&c, "debianx", "registry.example.org/debianx docker.io/library/debianx",
		"an alias matches whole names only");
	expands(&c, "", "error 22", "an empty name is refused");
	add(&c,
	    "unqualified-search-registries = [\"quay.io\"]\n[aliases]\ndebian = \"\"\n\"team/app\" = \"ghcr.io/t/a\"");
	expands(&c, "debian", "quay.io/debian",
		"a later text replaces the search list and removes an alias by an empty value");
	expands(&c, "team/app", "ghcr.io/t/a", "a later text replaces an alias");
	regconf_free(&c);
}

static void test_sources(void)
{
	struct regconf c = REGCONF_INIT;
	comes_from(&c, "docker.io/library/x", "docker.io/library/x",
		   "without configuration a repository comes from itself");
	add(&c, "[[registry]]\nprefix = \"docker.io\"\nlocation = \"cache.example.org/hub\"\n"
		"[[registry.mirror]]\nlocation = \"m1.example.org:5000\"\ninsecure = true\n"
		"[[registry.mirror]]\nlocation = \"m2.example.org/deep/er/\"\npull-from-mirror = \"digest-only\"\n"
		"[[registry.mirror]]\nlocation = \"m3.example.org\"\npull-from-mirror = \"tag-only\"\n"
		"[[registry]]\nlocation = \"docker.io/team\"\nblocked = true\n"
		"[[registry]]\nprefix = \"*.corp.example.org\"\ninsecure = true\n"
		"[[registry]]\nprefix = \"*.moved.example.org\"\nlocation = \"new.example.org\"\n"
		"[[registry]]\nlocation = \"localhost\"\ninsecure = true\n"
		"[[registry]]\nlocation = \"d.example.org\"\nmirror-by-digest-only = true\n"
		"[[registry.mirror]]\nlocation = \"dm.example.org\"\n");
	comes_from(&c, "docker.io/library/x",
		   "^m1.example.org:5000/library/x! ^m3.example.org/library/x cache.example.org/hub/library/x",
		   "mirrors come first, the location is rewritten, digest-only mirrors are left out for tags");
	autofree char *d = sources(&c, "docker.io/library/x", true, false);
	tap_is_str(d,
		   "^m1.example.org:5000/library/x! ^m2.example.org/deep/er/library/x cache.example.org/hub/library/x",
		   "tag-only mirrors are left out for digests, a slash at the end of a location does not matter");
	autofree char *p = sources(&c, "docker.io/library/x", false, true);
	tap_is_str(p, "cache.example.org/hub/library/x", "pushing goes to the registry itself, never to a mirror");
	comes_from(&c, "docker.io/team/x", "error 1", "the longest prefix wins: a blocked namespace is blocked");
	comes_from(&c, "docker.io/teams/x",
		   "^m1.example.org:5000/teams/x! ^m3.example.org/teams/x cache.example.org/hub/teams/x",
		   "prefixes match whole components");
	comes_from(&c, "a.b.corp.example.org/x", "a.b.corp.example.org/x!", "a wildcard matches every host below");
	comes_from(&c, "a.corp.example.org:5000/x", "a.corp.example.org:5000/x!", "with a port as well");
	comes_from(&c, "corp.example.org/x", "corp.example.org/x", "but not the domain itself");
	comes_from(&c, "evilcorp.example.org/x", "evilcorp.example.org/x", "nor one that only ends alike");
	comes_from(&c, "a.moved.example.org/p/q", "new.example.org/p/q", "a wildcard's location replaces the host");
	comes_from(&c, "localhost:5000/x", "localhost:5000/x", "a host without port is no prefix of one with a port");
	comes_from(&c, "localhost/x", "localhost/x!", "and matches itself");
	comes_from(&c, "d.example.org/x", "d.example.org/x", "mirror-by-digest-only: by tag no mirror");
	autofree char *dd = sources(&c, "d.example.org/x", true, false);
	tap_is_str(dd, "^dm.example.org/x d.example.org/x", "mirror-by-digest-only: by digest the mirror");
	add(&c, "[[registry]]\nprefix=\"docker.io\"\n");
	comes_from(&c, "docker.io/library/x", "docker.io/library/x",
		   "a later table for the same prefix replaces the earlier whole");
	regconf_free(&c);
}

static void test_bad(void)
{
	refused("[registries.search]\nregistries=['docker.io']", EOPNOTSUPP, "version 1",
		"the version 1 layout is refused by name");
	refused("[[registry]]\ninsecure=true", EINVAL, "neither prefix nor location",
		"a registry without name is refused");
	refused("[[registry]]\nlocation=\"https://x.org\"", EINVAL, "scheme", "a location with a scheme is refused");
	refused("[[registry]]\nlocation=\"x.org\"\ninsecure=\"yes\"", EINVAL, "insecure", "a wrong type names its key");
	refused("[[registry]]\nlocation=\"x\"\n[[registry]]\nprefix=\"x\"", EINVAL, "two",
		"two tables for one prefix are refused");
	refused("[[registry]]\nprefix=\"a*.x\"\nlocation=\"y\"", EINVAL, "'*'", "a wildcard in the middle is refused");
	refused("[[registry]]\nlocation=\"x\"\n[[registry.mirror]]\ninsecure=true", EINVAL, "mirror",
		"a mirror without location is refused");
	refused("[[registry]]\nlocation=\"x\"\n[[registry.mirror]]\nlocation=\"y\"\npull-from-mirror=\"some\"", EINVAL,
		"pull-from-mirror", "an unknown pull-from-mirror is refused");
	refused("[[registry]]\nlocation=\"x y\"", EINVAL, "HOST", "blanks in a location are refused");
	refused("[aliases]\n\"a:1\"=\"x.org/a\"", EINVAL, "short name", "an alias for a tag is refused");
	refused("[aliases]\na=\"b\"", EINVAL, "HOST/PATH", "an alias that names no registry is refused");
	refused("[aliases]\na=1", EINVAL, "string", "an alias that is no text is refused");
	refused("unqualified-search-registries='x'", EINVAL, "unqualified", "a list that is no list is refused");
	refused("unqualified-search-registries=['https://x']", EINVAL, "scheme",
		"a scheme in the search list is refused");
	refused("registry=1", EINVAL, "registry", "a registry that is no table is refused");
	struct regconf c = REGCONF_INIT;
	add(&c, "future-key = 1\n[[registry]]\nlocation=\"x.org\"\nfuture=[1]\n");
	comes_from(&c, "x.org/a", "x.org/a", "unknown keys are ignored");
	regconf_free(&c);
}

int main(void)
{
	tap_plan_later();
	test_short_names();
	test_sources();
	test_bad();
	return tap_done();
}
