/*
 * fmt.h - values as people write and read them: sizes, durations, times, and text in columns.
 *
 * Model: pure text in, numbers out, and back; no system calls but the clock where a function takes no `now`. Readers
 * accept what docker and podman accept for the same thing; anything else is -EINVAL (or -ERANGE when too large) with a
 * text that begins with `what`, the name of the option or field.
 *
 * Ownership: results go into the caller's buffer (FMT_SIZE bytes are always enough) or struct str. struct fmt_table
 * owns its cells; fmt_table_free releases them.
 *     struct fmt_table t = FMT_TABLE_INIT;
 *     fmt_table_row(&t, "NAME", "SIZE", NULL);
 *     fmt_table_print(&t, &out);
 * Context: any.
 */
#ifndef RL_BASE_FMT_H
#define RL_BASE_FMT_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

enum { FMT_SIZE = 48 };

/* Sizes: "512", "64m", "1g", "1.5GiB", "10kb"; units b k m g t p, powers of 1024 whatever the spelling, as docker reads
 * them. A fraction is rounded down to whole bytes. */
int fmt_parse_size(const char *text, const char *what, uint64_t *ret_bytes, struct err *e) RL_CHECK;
/* Durations: "90" (seconds), "1h30m", "1.5s", "250ms", "10us", "5ns". Result in nanoseconds. */
int fmt_parse_duration(const char *text, const char *what, uint64_t *ret_ns, struct err *e) RL_CHECK;
/* Times of documents: RFC 3339 with any offset, fraction ignored. Seconds since 1970, may be negative. */
int fmt_parse_time(const char *text, const char *what, int64_t *ret_seconds, struct err *e) RL_CHECK;
/* Times that people type, in nanoseconds since 1970: a duration before `now_ns`, a time of the above kind with its fraction,
 * "2026-11-22", "2026-11-22T18:01" and "2026-11-22T18:01:07" where the caller lives, or seconds since 1970, which a bare
 * number is once it is a longer duration than people live. */
int fmt_parse_when(const char *text, const char *what, int64_t now_ns, int64_t *ret_ns, struct err *e) RL_CHECK;

/* "0B", "987kB", "7.42MB": powers of 1000, three significant digits, as in docker's tables. */
void fmt_size(uint64_t bytes, char ret[FMT_SIZE]);
/* "64MiB", "1.5GiB": powers of 1024. */
void fmt_size_binary(uint64_t bytes, char ret[FMT_SIZE]);
/* How long something lasted: "Less than a second", "42 seconds", "About an hour", "3 days", "5 weeks", "2 years". */
void fmt_duration(int64_t seconds, char ret[FMT_SIZE]);
/* "2026-11-22T18:01:07Z". */
void fmt_time(int64_t seconds, char ret[FMT_SIZE]);
/* "2026-11-22 18:01:07 +0000 UTC". */
void fmt_time_long(int64_t seconds, char ret[FMT_SIZE]);

/* A table of text cells, columns three spaces apart, the last one not padded. Rows may differ in length. Width counts
 * UTF-8 characters; control characters in cells are shown as '?', because cells may quote hostile names. */
struct fmt_table {
	struct strv *rows;
	size_t nrows;
	size_t size;
};

#define FMT_TABLE_INIT                                                                                                 \
	{                                                                                                              \
		.rows = NULL                                                                                           \
	}

void fmt_table_row(struct fmt_table *t, const char *cell, ...) __attribute__((sentinel));
/* Takes the cells of `row` and leaves it empty. */
void fmt_table_row_strv(struct fmt_table *t, struct strv *row);
void fmt_table_print(const struct fmt_table *t, struct str *out);
void fmt_table_free(struct fmt_table *t);
#define autotable __attribute__((cleanup(fmt_table_free)))

/* Append `text` broken at spaces so that no line is wider than `width`; lines after the first start with `indent`
 * spaces, and the first one is taken to start at column `column`. */
void fmt_wrap(struct str *out, const char *text, size_t column, size_t indent, size_t width);

#endif
