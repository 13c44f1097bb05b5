/*
 * template_run.c - Go templates: walking the tree over a document.
 *
 * A value is a json_t; NULL stands for "there is nothing" and prints as "<no value>". Every function here that gives a
 * value gives a new reference. Variables live on a small stack that blocks cut back when they end. The number of steps
 * and the size of the output are bounded, because nested ranges multiply.
 */
#include <errno.h>
#include <strings.h>

#include "rl/base/mem.h"
#include "template_int.h"

struct variable {
	const char *name;
	json_t *value;
};

struct run {
	const json_t *doc;
	bool strict;
	struct str *out;
	struct err *e;
	size_t steps;
	struct variable vars[TEMPLATE_VARS_MAX];
	size_t nvars;
};

/* How a list of nodes ended. */
enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE };

static json_t *share(const json_t *value)
{
	return json_incref((json_t *)(uintptr_t)value);
}

static int push_var(struct run *run, const char *name, json_t *value)
{
	if (run->nvars == TEMPLATE_VARS_MAX)
		return err_set(run->e, EINVAL, "template: more than %d variables", TEMPLATE_VARS_MAX);
	run->vars[run->nvars++] = (struct variable){name, json_incref(value)};
	return 0;
}

static void pop_vars(struct run *run, size_t to)
{
	while (run->nvars > to)
		json_decref(run->vars[--run->nvars].value);
}

static struct variable *find_var(struct run *run, const char *name)
{
	for (size_t i = run->nvars; i > 0; i--)
		if (str_eq(run->vars[i - 1].name, name))
			return &run->vars[i - 1];
	return NULL;
}

/* Exactly, then without regard to case. */
static json_t *find_member(const json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);
	const char *key;
	json_t *member;
	if (value)
		return value;
	json_object_foreach ((json_t *)(uintptr_t)object, key, member) {
		if (!strcasecmp(key, name))
			return member;
	}
	return NULL;
}

static int no_such_field(struct run *run, const json_t *doc, const char *name)
{
	size_t n = 0;
	const char **names = xcalloc(json_object_size(doc) + 1, sizeof(*names));
	autofree const char **owned = names;
	const char *key;
	json_t *member;
	json_object_foreach ((json_t *)(uintptr_t)doc, key, member) {
		names[n++] = key;
	}
	const char *near = str_nearest(name, names);
	err_set(run->e, EINVAL, "template: there is no field .%s", name);
	return near ? err_hint(run->e, "did you mean .%s?", near) : -EINVAL;
}

/* Follow .A.B from `from`. *ret is a new reference or NULL. */
static int follow(struct run *run, const json_t *from, const struct strv *chain, json_t **ret)
{
	const json_t *value = from;
	for (size_t i = 0; i < chain->count; i++) {
		const char *name = chain->items[i];
		if (!value || json_is_null(value)) {
			value = NULL;
			break;
		}
		if (!json_is_object(value))
			return err_set(run->e, EINVAL, "template: .%s: the value before it has no fields", name);
		const json_t *member = find_member(value, name);
		if (!member && run->strict && value == run->doc)
			return no_such_field(run, value, name);
		value = member;
	}
	*ret = share(value);
	return 0;
}

static int eval_pipe(struct run *run, const struct pipe *pipe, const json_t *dot, json_t **ret);

static int eval_operand(struct run *run, const struct operand *o, const json_t *dot, json_t **ret)
{
	struct variable *var;
	int r;
	switch (o->kind) {
	case OPERAND_FIELD:
		return follow(run, dot, &o->chain, ret);
	case OPERAND_VAR:
		if (!*o->name)
			return follow(run, run->doc, &o->chain, ret);
		var = find_var(run, o->name);
		if (!var)
			return err_set(run->e, EINVAL, "template: there is no variable $%s", o->name);
		return follow(run, var->value, &o->chain, ret);
	case OPERAND_PIPE: {
		json_t *inner = NULL;
		r = eval_pipe(run, o->pipe, dot, &inner);
		autojson json_t *owned = inner;
		return r < 0 ? r : follow(run, owned, &o->chain, ret);
	}
	case OPERAND_VALUE:
		*ret = json_incref(o->value);
		return 0;
	case OPERAND_FUNC:
		return template_call(o->name, NULL, 0, ret, run->e);
	}
	return 0;
}

bool template_is_label(const struct command *c)
{
	const struct operand *o = &c->operands[0];
	return o->kind == OPERAND_FIELD && c->count == 2 && o->chain.count == 1 && str_eq(o->chain.items[0], "Label") &&
	       c->operands[1].kind == OPERAND_VALUE && json_is_string(c->operands[1].value);
}

static int eval_label(struct run *run, const char *key, const json_t *dot, json_t **ret)
{
	const json_t *labels = json_object_get(dot, "Labels");
	autostrv struct strv all = STRV_INIT;
	if (!json_is_string(labels))
		return err_set(run->e, EINVAL, "template: there are no labels here for .Label");
	strv_split(&all, json_string_value(labels), ',');
	const char *value = strv_env_get(&all, key);
	*ret = json_string(value ? value : "");
	return 0;
}

/* `piped` is the value from the left of '|', or have_piped is false. */
static int eval_command(struct run *run, const struct command *c, const json_t *dot, bool have_piped, json_t *piped,
			json_t **ret)
{
	enum { ARGS_MAX = 64 };
	json_t *args[ARGS_MAX];
	size_t n = 0;
	int r = 0;
	if (template_is_label(c))
		return eval_label(run, json_string_value(c->operands[1].value), dot, ret);
	if (c->operands[0].kind != OPERAND_FUNC)
		return eval_operand(run, &c->operands[0], dot, ret);
	if (c->count >= ARGS_MAX)
		return err_set(run->e, EINVAL, "template: too many arguments");
	for (size_t i = 1; i < c->count && r >= 0; i++) {
		json_t *value = NULL;
		r = eval_operand(run, &c->operands[i], dot, &value);
		if (r >= 0)
			args[n++] = value;
	}
	size_t total = n;
	if (have_piped)
		args[total++] = piped;
	if (r >= 0)
		r = template_call(c->operands[0].name, args, total, ret, run->e);
	while (n > 0)
		json_decref(args[--n]);
	return r;
}

static int eval_pipe(struct run *run, const struct pipe *pipe, const json_t *dot, json_t **ret)
{
	json_t *value = NULL;
	if (++run->steps > TEMPLATE_STEPS_MAX)
		return err_set(run->e, EINVAL, "template: takes too many steps");
	for (size_t i = 0; i < pipe->count; i++) {
		json_t *next = NULL;
		int r = eval_command(run, &pipe->commands[i], dot, i > 0, value, &next);
		json_decref(value);
		if (r < 0)
			return r;
		value = next;
	}
	*ret = value;
	return 0;
}

static int run_list(struct run *run, const struct node *n, const json_t *dot, enum flow *ret_flow);

/* One round of a range. */
static int run_round(struct run *run, const struct node *n, json_t *key, json_t *element, enum flow *ret_flow)
{
	size_t vars = run->nvars;
	int r = 0;
	if (++run->steps > TEMPLATE_STEPS_MAX)
		return err_set(run->e, EINVAL, "template: takes too many steps");
	if (n->key_var)
		r = push_var(run, n->key_var, key);
	if (r >= 0 && n->var)
		r = push_var(run, n->var, element);
	if (r >= 0)
		r = run_list(run, n->body, element, ret_flow);
	pop_vars(run, vars);
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int range_object(struct run *run, const struct node *n, json_t *object)
{
	size_t count = 0;
	const char **names = xcalloc(json_object_size(object) + 1, sizeof(*names));
	autofree const char **owned = names;
	const char *key;
	json_t *member;
	json_object_foreach (object, key, member) {
		names[count++] = key;
	}
	qsort(names, count, sizeof(*names), by_name);
	for (size_t i = 0; i < count; i++) {
		autojson json_t *name = json_string(names[i]);
		enum flow flow = FLOW_NEXT;
		int r = run_round(run, n, name, json_object_get(object, names[i]), &flow);
		if (r < 0)
			return r;
		if (flow == FLOW_BREAK)
			break;
	}
	return 0;
}

static int range_array(struct run *run, const struct node *n, json_t *array)
{
	/* A number counts up to itself. */
	json_int_t count = json_is_array(array) ? (json_int_t)json_array_size(array) : json_integer_value(array);
	for (json_int_t i = 0; i < count; i++) {
		autojson json_t *index = json_integer(i);
		json_t *element = json_is_array(array) ? json_array_get(array, (size_t)i) : index;
		enum flow flow = FLOW_NEXT;
		int r = run_round(run, n, index, element, &flow);
		if (r < 0)
			return r;
		if (flow == FLOW_BREAK)
			break;
	}
	return 0;
}

static int run_range(struct run *run, const struct node *n, json_t *value, const json_t *dot, enum flow *ret_flow)
{
	if (!template_is_true(value))
		return run_list(run, n->otherwise, dot, ret_flow);
	if (json_is_object(value))
		return range_object(run, n, value);
	if (json_is_array(value) || json_is_integer(value))
		return range_array(run, n, value);
	return err_set(run->e, EINVAL, "template: range can go over lists and maps only");
}

static int run_block(struct run *run, const struct node *n, const json_t *dot, enum flow *ret_flow)
{
	json_t *value = NULL;
	size_t vars = run->nvars;
	int r = eval_pipe(run, n->pipe, dot, &value);
	autojson json_t *owned = value;
	if (r < 0)
		return r;
	if (n->kind == NODE_RANGE)
		return run_range(run, n, value, dot, ret_flow);
	if (n->var)
		r = push_var(run, n->var, value);
	if (r >= 0) {
		bool on = template_is_true(value);
		const json_t *inner = on && n->kind == NODE_WITH ? value : dot;
		r = run_list(run, on ? n->body : n->otherwise, inner, ret_flow);
	}
	pop_vars(run, vars);
	return r;
}

static int run_assign(struct run *run, const struct node *n, const json_t *dot)
{
	json_t *value = NULL;
	int r = eval_pipe(run, n->pipe, dot, &value);
	autojson json_t *owned = value;
	if (r < 0)
		return r;
	if (n->declares)
		return push_var(run, n->var, value);
	struct variable *var = find_var(run, n->var);
	if (!var)
		return err_set(run->e, EINVAL, "template: there is no variable $%s", n->var);
	json_decref(var->value);
	var->value = take_ptr(&owned);
	return 0;
}

static int run_output(struct run *run, const struct node *n, const json_t *dot)
{
	json_t *value = NULL;
	int r = eval_pipe(run, n->pipe, dot, &value);
	autojson json_t *owned = value;
	if (r >= 0)
		template_print_value(value, run->out);
	return r;
}

static int run_list(struct run *run, const struct node *n, const json_t *dot, enum flow *ret_flow)
{
	size_t vars = run->nvars;
	int r = 0;
	for (; n && r >= 0 && *ret_flow == FLOW_NEXT; n = n->next) {
		switch (n->kind) {
		case NODE_TEXT:
			str_adds(run->out, n->text);
			break;
		case NODE_OUTPUT:
			r = run_output(run, n, dot);
			break;
		case NODE_ASSIGN:
			r = run_assign(run, n, dot);
			break;
		case NODE_IF:
		case NODE_WITH:
		case NODE_RANGE:
			r = run_block(run, n, dot, ret_flow);
			break;
		case NODE_BREAK:
			*ret_flow = FLOW_BREAK;
			break;
		case NODE_CONTINUE:
			*ret_flow = FLOW_CONTINUE;
			break;
		}
		if (r >= 0 && run->out->len > TEMPLATE_OUT_MAX)
			r = err_set(run->e, EFBIG, "template: more than 64 MiB of output");
	}
	pop_vars(run, vars);
	return r;
}

int template_run(const struct template *t, const json_t *doc, bool strict, struct str *out, struct err *e)
{
	struct run run = {.doc = doc, .strict = strict && json_is_object(doc), .out = out, .e = e};
	enum flow flow = FLOW_NEXT;
	int r = run_list(&run, t->nodes, doc, &flow);
	pop_vars(&run, 0);
	return r < 0 ? r : 0;
}
