/*
 * ignore.h - .dockerignore and .containerignore: which paths of a context are left out.
 *
 * One pattern per line; '#' lines are comments; '!' in front takes paths back in; the last pattern that matches decides.
 * A pattern matches whole paths from the context's top: '*' and '?' not beyond a '/', "**" across any number of
 * directories, [a-z] and [^a-z], '\' takes the next character literally. What matches a directory matches everything
 * below it. (moby's rules.) Matching costs at most pattern length times path length: nothing a file can say makes it
 * exponential.
 *
 * Ownership: struct ignore owns its patterns. Pure. Errors: -EINVAL names the line; -E2BIG.
 */
#ifndef RL_MODEL_IGNORE_H
#define RL_MODEL_IGNORE_H

#include <stdbool.h>
#include <stddef.h>

#include "rl/base/err.h"

enum { IGNORE_PATTERNS_MAX = 10000, IGNORE_PATTERN_MAX = 4096 };

struct ignore_pattern;

struct ignore {
	struct ignore_pattern *items;
	size_t count;
	bool has_exceptions;
};

#define IGNORE_INIT                                                                                                    \
	{                                                                                                              \
		.items = NULL                                                                                          \
	}

/* Append the patterns of a file. `what` names it in errors. */
int ignore_parse(struct ignore *g, const char *text, size_t len, const char *what, struct err *e) RL_CHECK;
/* Append one pattern (--exclude). */
int ignore_add(struct ignore *g, const char *pattern, struct err *e) RL_CHECK;
void ignore_free(struct ignore *g);
#define autoignore __attribute__((cleanup(ignore_free)))

/* Is the path (relative, clean, no leading slash) left out? "." never is. */
bool ignore_match(const struct ignore *g, const char *path);
/* May something below this directory, which is left out itself, be taken back in? */
bool ignore_may_reenter(const struct ignore *g, const char *dir);

/* One pattern of COPY against one path: '*', '?', [...] within components, as filepath.Match. */
bool ignore_glob(const char *pattern, const char *path);
/* Has it a wildcard? */
bool ignore_is_glob(const char *text);

#endif
