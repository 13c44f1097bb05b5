/*
 * template_int.h - the tree between template.c (which makes it) and template_run.c (which walks it).
 *
 * A template is a list of nodes. A pipeline is a list of commands, a command a list of operands whose first may be a
 * function. Everything is freed by template_free.
 */
#ifndef RL_CMD_TEMPLATE_INT_H
#define RL_CMD_TEMPLATE_INT_H

#include "rl/cmd/template.h"

enum { TEMPLATE_DEPTH_MAX = 64, TEMPLATE_OUT_MAX = 64 << 20, TEMPLATE_STEPS_MAX = 20000000, TEMPLATE_VARS_MAX = 64 };

enum operand_kind {
	OPERAND_FIELD, /* .A.B on dot; no names: dot itself */
	OPERAND_VAR,   /* $x.A.B; name "" is "$", the document */
	OPERAND_PIPE,  /* ( ... ).A.B */
	OPERAND_VALUE, /* a constant; NULL: nil */
	OPERAND_FUNC,
};

struct pipe;

struct operand {
	enum operand_kind kind;
	char *name;	   /* variable or function */
	struct strv chain; /* member names */
	struct pipe *pipe;
	json_t *value;
	size_t pos;
};

struct command {
	struct operand *operands;
	size_t count;
};

struct pipe {
	struct command *commands;
	size_t count;
};

enum node_kind { NODE_TEXT, NODE_OUTPUT, NODE_ASSIGN, NODE_IF, NODE_RANGE, NODE_WITH, NODE_BREAK, NODE_CONTINUE };

struct node {
	enum node_kind kind;
	struct node *next;
	size_t pos;
	char *text; /* NODE_TEXT */
	struct pipe *pipe;
	char *var;     /* assigned, or range's element, or NULL */
	char *key_var; /* range's index, or NULL */
	bool declares; /* := and not = */
	struct node *body;
	struct node *otherwise;
};

struct template
{
	struct node *nodes;
	char *source;
};

/* docker's only method: {{.Label "key"}} of a row whose Labels are "key=value,...". */
bool template_is_label(const struct command *c);

/* True if there is a function of this name; the parser asks, so that a mistyped one is found before anything ran. */
bool template_has_function(const char *name);
const char *template_nearest_function(const char *name);

/* Call a function (template_func.c). `args` are borrowed, members may be NULL ("no value"). *ret_value is a new
 * reference or NULL. */
int template_call(const char *name, json_t *const *args, size_t nargs, json_t **ret_value, struct err *e) RL_CHECK;
/* Append a value as Go's %v prints it. */
void template_print_value(const json_t *value, struct str *out);
/* printf FORMAT VALUE...: args[0] must be a string. */
int template_printf(json_t *const *args, size_t nargs, struct str *out, struct err *e) RL_CHECK;
/* Keep the first characters (UTF-8). */
void template_cut(struct str *s, size_t characters);
/* For json_dump_callback. */
int template_add_json(const char *buf, size_t len, void *out);
bool template_is_true(const json_t *value);

#endif
