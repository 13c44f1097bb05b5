/*
 * template.h - the subset of Go's text/template that docker and podman scripts use, over JSON values.
 *
 * Language: text with {{ }} actions, {{- and -}} trim, comments {{/ * * /}}; fields {{.A.B}}, variables {{$x := .A}}
 * and
 * {{$x = .B}}, {{$x.F}}; pipelines {{.A | f "x"}}, parentheses, strings "..." and `...`, characters, numbers, true,
 * false, nil; if / else if / else, range (also "$i, $v :="), with, break, continue, end.
 * Functions: json, len, index, slice, upper, lower, title, join, split, print, println, printf; eq, ne, lt,
 * le, gt, ge, and, or, not; truncate, pad, trim, replace.
 * Member names are looked up exactly, then without regard to case (docker says .Id where podman says .ID).
 *
 * Model: template_parse makes a tree once, template_run walks it per document. With `strict` a member that is missing
 * from the document itself (not from something inside it) is an error that names the nearest one, as it is in Go for
 * structs; anywhere else it prints "<no value>", as it does in Go for maps.
 * "\t" and "\n" written outside of actions stay as typed: out.h turns them for docker's benefit before parsing.
 *
 * Limits: nesting 64, output 64 MiB per run, so that a template cannot take the machine with it.
 * Ownership: template_free releases the tree. Errors: -EINVAL with position.
 */
#ifndef RL_CMD_TEMPLATE_H
#define RL_CMD_TEMPLATE_H

#include <stdbool.h>

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"

struct template;

int template_parse(const char *text, struct template **ret_template, struct err *e) RL_CHECK;
/* Appends to `out`; on failure `out` holds what was made until then. */
int template_run(const struct template *t, const json_t *doc, bool strict, struct str *out, struct err *e) RL_CHECK;
void template_free(struct template *t);

static inline void cleanup_template(struct template **t)
{
	template_free(*t);
}
#define autotemplate __attribute__((cleanup(cleanup_template)))

/* The first field of every top-level {{...}} value that is a plain field chain on the document: ".Names" gives
 * "Names"; used for headings. */
void template_fields(const struct template *t, struct strv *out);

#endif
