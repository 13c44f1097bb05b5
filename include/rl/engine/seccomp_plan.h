/*
 * seccomp_plan.h - from a seccomp profile, a capability set and the machine to a filter ready to load.
 *
 * Model: everything is decided and compiled before the container is cloned; what the child does is one call,
 * seccomp_filter_load(&plan.filter, plan.flags, e) (rl/kern/seccomp.h), which allocates nothing.
 *   - no profile (text NULL): the default profile; a built-in filter where the capability set has one;
 *   - otherwise the program is looked up in `cache_dirfd` and, if it is not there, compiled through libseccomp (10 to
 *     15 ms) and stored. A cache file holds the whole source text, the capability set, the kernel version and our
 *     version and is used only if all of them are equal; a damaged file is compiled again. Failing to write is no
 *     error.
 *
 * Calling sequence:
 *     struct seccomp_plan plan = SECCOMP_PLAN_INIT;
 *     r = seccomp_plan_make(&(struct seccomp_plan_input){ .caps = caps, .cache_dirfd = fd }, &plan, e);
 *     for each plan.warnings.items[i]: tell the user
 *     ...
 *     seccomp_plan_free(&plan);
 *
 * What the plan leaves to the runtime: setting no_new_privs; sending the listener's descriptor to listener_path (with
 * SECCOMP_FILTER_FLAG_NEW_LISTENER in plan.flags, seccomp_filter_load returns it).
 * Errors: -EINVAL and -EBADMSG name the member of the profile; -E2BIG the program is longer than the kernel allows.
 */
#ifndef RL_ENGINE_SECCOMP_PLAN_H
#define RL_ENGINE_SECCOMP_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/str.h"
#include "rl/kern/seccomp.h"
#include "rl/model/seccomp_profile.h"

struct seccomp_plan_input {
	const char *text; /* the profile's JSON; NULL: the default profile */
	size_t len;
	enum seccomp_profile_format format;
	const char *what; /* name of the document in errors; NULL: "seccomp profile" */
	uint64_t caps;	  /* the container's capabilities (docker: its bounding set), bit n is capability n */
	int cache_dirfd;  /* directory for compiled programs, or -1 for none */
};

struct seccomp_plan {
	struct seccomp_filter filter; /* what to load */
	unsigned int flags;	      /* SECCOMP_FILTER_FLAG_* for seccomp_filter_load */
	char *listener_path;	      /* NULL where nobody listens */
	char *listener_metadata;
	struct strv warnings;		/* sentences: names no kernel of ours knows, rules that have no effect */
	struct seccomp_program program; /* owns filter's instructions unless they are built in */
};

#define SECCOMP_PLAN_INIT                                                                                              \
	{                                                                                                              \
		.flags = 0                                                                                             \
	}

int seccomp_plan_make(const struct seccomp_plan_input *in, struct seccomp_plan *ret_plan, struct err *e) RL_CHECK;
void seccomp_plan_free(struct seccomp_plan *plan);

/* The default profile's JSON, as in share/seccomp/default.json (for `rl` to print or to start a custom one from). */
const char *seccomp_plan_default_text(size_t *ret_len);

/* The pure part, also used by the build-time generator: a profile's rules that hold for this machine, capability set
 * and kernel. `ret_rules->rules` is malloc'd for the caller to free and borrows names from the profile. Sentences about
 * rules without effect are added to `warnings` (may be NULL). */
int seccomp_plan_rules(const struct seccomp_profile *profile, enum seccomp_arch native, uint64_t caps,
		       unsigned int kernel_major, unsigned int kernel_minor, struct seccomp_rules *ret_rules,
		       struct strv *warnings, struct err *e) RL_CHECK;

#endif
