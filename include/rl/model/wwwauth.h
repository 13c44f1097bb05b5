/*
 * wwwauth.h - WWW-Authenticate: which ways of authenticating a registry offers.
 *
 * Model: header values in, a list of challenges out (scheme and parameters, RFC 7235). Several challenges may stand in
 * one value, several headers may be fed one after the other. Bounded: WWWAUTH_VALUE_MAX bytes a value,
 * WWWAUTH_CHALLENGES_MAX challenges; what goes beyond is an error, and so is a value that is not of the grammar.
 * Schemes other than Basic and Bearer are parsed and kept as WWWAUTH_OTHER. A parameter given twice is refused. Pure.
 *
 * Calling sequence: struct wwwauth w = WWWAUTH_INIT; wwwauth_add(&w, value, len, e); wwwauth_choose(&w); wwwauth_free.
 */
#ifndef RL_MODEL_WWWAUTH_H
#define RL_MODEL_WWWAUTH_H

#include <stddef.h>

#include "rl/base/err.h"

enum { WWWAUTH_VALUE_MAX = 8192, WWWAUTH_CHALLENGES_MAX = 8 };

enum wwwauth_scheme { WWWAUTH_OTHER, WWWAUTH_BASIC, WWWAUTH_BEARER, WWWAUTH_SCHEME_N };

struct wwwauth_challenge {
	enum wwwauth_scheme scheme;
	char *realm, *service, *scope, *error; /* NULL: not given */
};

struct wwwauth {
	struct wwwauth_challenge items[WWWAUTH_CHALLENGES_MAX];
	size_t count;
};
#define WWWAUTH_INIT                                                                                                   \
	{                                                                                                              \
		.count = 0                                                                                             \
	}

/* On failure nothing of this value is added. -EBADMSG: not of the grammar; -E2BIG: beyond the bounds. */
int wwwauth_add(struct wwwauth *w, const char *value, size_t len, struct err *e) RL_CHECK;
/* The challenge to answer: Bearer with a realm before Basic; NULL if there is neither. */
const struct wwwauth_challenge *wwwauth_choose(const struct wwwauth *w);
void wwwauth_free(struct wwwauth *w);

#endif
