/*
 * regconf.h - registries.conf (version 2): mirrors, blocked and insecure registries, short names.
 *
 * Model: a struct regconf collects any number of TOML texts in order of reading (main file, drop-ins, short-name
 * files). Later texts win as containers-registries.conf(5) says: a [[registry]] with the same prefix is replaced whole,
 * an alias with the same name is replaced (an empty value removes it), a non-empty unqualified-search-registries list
 * replaces the list. The deprecated version 1 layout is refused by name. Pure: no I/O; the engine finds the files.
 *
 * Calling sequence:
 *     struct regconf c = REGCONF_INIT;
 *     r = regconf_add(&c, text, len, "/etc/containers/registries.conf", e);
 *     r = regconf_expand(&c, "busybox", &names, e);
 *     r = regconf_sources(&c, "docker.io/library/busybox", by_digest, &list, e);
 *     regconf_free(&c);
 * Unknown keys are ignored, so that files written for newer readers work; wrong types are errors naming file and key.
 */
#ifndef RL_MODEL_REGCONF_H
#define RL_MODEL_REGCONF_H

#include <stdbool.h>
#include <stddef.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

enum { REGCONF_TEXT_MAX = 1 << 20 };

enum regconf_pull { REGCONF_PULL_ALL, REGCONF_PULL_DIGEST, REGCONF_PULL_TAG, REGCONF_PULL_N };

struct regconf_endpoint {
	char *location; /* HOST[:PORT][/PATH], no scheme */
	bool insecure;
	enum regconf_pull pull; /* mirrors only: what may be fetched from it */
};

struct regconf_registry {
	char *prefix; /* HOST[:PORT][/NAMESPACE[/REPO]], or "*.DOMAIN" for all hosts below a domain */
	struct regconf_endpoint self;
	bool blocked;
	bool mirror_by_digest_only;
	struct regconf_endpoint *mirrors;
	size_t nmirrors;
};

struct regconf {
	struct strv search; /* unqualified-search-registries */
	struct regconf_registry *registries;
	size_t nregistries;
	struct strv aliases;	  /* "short=full" */
	struct strv cred_helpers; /* credential-helpers, "containers-auth.json" included */
};
#define REGCONF_INIT                                                                                                   \
	{                                                                                                              \
		.search = STRV_INIT                                                                                    \
	}

/* On failure the texts added before stay, this one has no effect. */
int regconf_add(struct regconf *c, const char *text, size_t len, const char *what, struct err *e) RL_CHECK;
void regconf_free(struct regconf *c);

/* The registry entry with the longest prefix that matches "HOST[:PORT]/PATH[:TAG][@DIGEST]", or NULL. */
const struct regconf_registry *regconf_find(const struct regconf *c, const char *name);

/* Candidates for a name as typed (see registry_expand); tags and digests are carried over. Appends. */
int regconf_expand(const struct regconf *c, const char *name, struct strv *out, struct err *e) RL_CHECK;

/* One place to try: the rewritten "HOST[:PORT]/PATH" and whether it is insecure. */
struct regconf_source {
	char *name;
	bool insecure;
	bool is_mirror;
};
struct regconf_sources {
	struct regconf_source *items;
	size_t count;
};
/* Places for repository "HOST[:PORT]/PATH", mirrors first, for pulling (by tag or by digest) or, with `push`, only the
 * registry itself. -EPERM: blocked. */
int regconf_sources(const struct regconf *c, const char *repository, bool by_digest, bool push,
		    struct regconf_sources *ret_sources, struct err *e) RL_CHECK;
void regconf_sources_free(struct regconf_sources *s);

#endif
