/*
 * out.h - how verbs show rows: a table, JSON, or a Go template.
 *
 * Model: a verb makes a json array of flat or deep objects (one per row) and a list of columns; out_rows renders them
 * as `--format` asks:
 *     NULL or ""           the table of the default columns, with a heading
 *     "json"               docker: one object per line; podman and rl: one array
 *     "table TEMPLATE"     the template per row, cells separated by \t, lined up below headings
 *     TEMPLATE             the template per row, one line each
 * Headings of a template table come from the columns (a field without a column gets its name in capitals).
 *
 * out_doc renders one document: as JSON, or through a template.
 * Everything is put into a string and written at once by out_flush, which is also where a full disk or a closed pipe is
 * noticed.
 */
#ifndef RL_CMD_OUT_H
#define RL_CMD_OUT_H

#include "rl/base/json.h"
#include "rl/base/str.h"
#include "rl/cmd/verb.h"

struct out_column {
	const char *field;   /* member of a row */
	const char *heading; /* "IMAGE ID" */
	bool extra;	     /* known to templates, not in the default table */
};

#define OUT_COLUMN_END                                                                                                 \
	{                                                                                                              \
		.field = NULL                                                                                          \
	}

struct out_style {
	const struct out_column *columns;
	const char *format; /* --format or NULL */
	bool no_heading;    /* --noheading */
	enum cmd_flavour flavour;
};

int out_rows(const struct out_style *style, const json_t *rows, struct str *out, struct err *e) RL_CHECK;

/* format NULL or "json": indented JSON of `docs`, an array. Else the template, once per member. */
int out_docs(const json_t *docs, const char *format, struct str *out, struct err *e) RL_CHECK;

/* Write to standard output. */
int out_flush(const struct str *out, struct err *e) RL_CHECK;

/* Ask on the terminal before something is destroyed: 1 to go on (`force`, or "y"), 0 not to. Without a terminal that is
 * -EINVAL, with "`verb`: " in front. */
int out_confirm(const char *verb, const char *question, bool force, struct err *e) RL_CHECK;

#endif
