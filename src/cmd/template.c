/*
 * template.c - Go templates: text to tree.
 *
 * A recursive-descent parser that works on the text directly. `struct scan` is the position; text between actions is
 * copied, with blanks trimmed where an action says "{{-" or "-}}". Nesting of blocks and of parentheses is bounded by
 * TEMPLATE_DEPTH_MAX. On failure the part of the tree that exists is freed by the caller through template_free, so
 * every node is linked into the tree before it is filled.
 */
#include <errno.h>

#include "rl/base/mem.h"
#include "template_int.h"

struct scan {
	const char *text;
	const char *p;
	unsigned depth;
	unsigned loops; /* how many range blocks we are in, for break and continue */
	struct err *e;
};

RL_PRINTF(2, 3) static int bad(struct scan *s, const char *fmt, ...)
{
	char why[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return err_set(s->e, EINVAL, "template, character %zu: %s", (size_t)(s->p - s->text) + 1, why);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_name_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void skip_blanks(struct scan *s)
{
	while (is_blank(*s->p))
		s->p++;
}

static char *take_name(struct scan *s)
{
	const char *start = s->p;
	while (is_name_start(*s->p) || is_digit(*s->p))
		s->p++;
	return xstrndup(start, (size_t)(s->p - start));
}

/* At "}}" or at " -}}". */
static bool at_close(const struct scan *s)
{
	return str_after(s->p, "}}") || (str_after(s->p, "-}}") && s->p > s->text && is_blank(s->p[-1]));
}

static int take_close(struct scan *s)
{
	skip_blanks(s);
	if (str_after(s->p, "-}}") && is_blank(s->p[-1])) {
		s->p += 3;
		skip_blanks(s);
		return 0;
	}
	if (!str_after(s->p, "}}"))
		return *s->p ? bad(s, "'%c' is not expected here", *s->p) : bad(s, "'}}' is missing");
	s->p += 2;
	return 0;
}

/* Names after '.', as many as follow each other. */
static void take_chain(struct scan *s, struct strv *chain)
{
	while (*s->p == '.' && is_name_start(s->p[1])) {
		s->p++;
		strv_add_owned(chain, take_name(s));
	}
}

static int take_escape(struct scan *s, struct str *out)
{
	static const char from[] = "abfnrtv\\'\"";
	static const char to[] = "\a\b\f\n\r\t\v\\'\"";
	char c = *s->p++;
	const char *at = c ? strchr(from, c) : NULL;
	if (at) {
		str_addc(out, to[at - from]);
		return 0;
	}
	unsigned long code = 0;
	char digits[9] = "";
	size_t n = c == 'x' ? 2 : c == 'u' ? 4 : 0;
	if (n == 0 || strspn(s->p, "0123456789abcdefABCDEF") < n)
		return bad(s, "unknown escape '\\%c'", c ? c : '?');
	memcpy(digits, s->p, n);
	s->p += n;
	code = strtoul(digits, NULL, 16);
	if (code == 0 || (code >= 0xd800 && code < 0xe000) || (c == 'x' && code >= 0x80))
		return bad(s, "escape '\\%c%s' is not supported", c, digits);
	if (code < 0x80) {
		str_addc(out, (char)code);
	} else if (code < 0x800) {
		str_addc(out, (char)(0xc0 | code >> 6));
		str_addc(out, (char)(0x80 | (code & 0x3f)));
	} else {
		str_addc(out, (char)(0xe0 | code >> 12));
		str_addc(out, (char)(0x80 | (code >> 6 & 0x3f)));
		str_addc(out, (char)(0x80 | (code & 0x3f)));
	}
	return 0;
}

static int take_string(struct scan *s, json_t **ret)
{
	char quote = *s->p++;
	autostr struct str text = STR_INIT;
	while (*s->p != quote) {
		if (!*s->p || (*s->p == '\n' && quote != '`'))
			return bad(s, "a string is not closed");
		if (*s->p != '\\' || quote == '`') {
			str_addc(&text, *s->p++);
			continue;
		}
		s->p++;
		int r = take_escape(s, &text);
		if (r < 0)
			return r;
	}
	s->p++;
	*ret = json_string_lossy(text.buf, text.len);
	return 0;
}

/* 'x': the number of a character. */
static int take_character(struct scan *s, json_t **ret)
{
	json_t *text = NULL;
	int r = take_string(s, &text);
	if (r < 0)
		return r;
	autojson json_t *owned = text;
	if (json_string_length(owned) != 1)
		return bad(s, "one ASCII character is expected between single quotes");
	*ret = json_integer(json_string_value(owned)[0]);
	return 0;
}

static int take_number(struct scan *s, json_t **ret)
{
	char *end_int;
	char *end_real;
	errno = 0;
	long long i = strtoll(s->p, &end_int, 10);
	bool range = errno == ERANGE;
	double d = strtod(s->p, &end_real);
	const char *end = end_real > end_int ? end_real : end_int;
	if (end == s->p || range || is_name_start(*end) || d > 1e300 || d < -1e300)
		return bad(s, "this is not a number");
	*ret = end_real > end_int ? json_real(d) : json_integer(i);
	s->p = end;
	return 0;
}

static int parse_pipe(struct scan *s, struct pipe **ret);

static int take_word(struct scan *s, struct operand *o)
{
	autofree char *name = take_name(s);
	o->kind = OPERAND_VALUE;
	if (str_eq(name, "true") || str_eq(name, "false")) {
		o->value = json_boolean(str_eq(name, "true"));
		return 0;
	}
	if (str_eq(name, "nil"))
		return 0;
	if (!template_has_function(name)) {
		const char *near = template_nearest_function(name);
		bad(s, "there is no function '%s'", name);
		return near ? err_hint(s->e, "did you mean '%s'?", near) : -EINVAL;
	}
	o->kind = OPERAND_FUNC;
	o->name = take_ptr(&name);
	return 0;
}

static int take_operand(struct scan *s, struct operand *o)
{
	int r = 0;
	o->pos = (size_t)(s->p - s->text);
	char c = *s->p;
	if (c == '.' && !is_digit(s->p[1])) {
		o->kind = OPERAND_FIELD;
		if (is_name_start(s->p[1]))
			take_chain(s, &o->chain);
		else
			s->p++;
	} else if (c == '$') {
		s->p++;
		o->kind = OPERAND_VAR;
		o->name = take_name(s);
		take_chain(s, &o->chain);
	} else if (c == '(') {
		s->p++;
		o->kind = OPERAND_PIPE;
		r = parse_pipe(s, &o->pipe);
		if (r < 0)
			return r;
		skip_blanks(s);
		if (*s->p != ')')
			return bad(s, "')' is missing");
		s->p++;
		take_chain(s, &o->chain);
	} else if (c == '"' || c == '`') {
		o->kind = OPERAND_VALUE;
		r = take_string(s, &o->value);
	} else if (c == '\'') {
		o->kind = OPERAND_VALUE;
		r = take_character(s, &o->value);
	} else if (is_digit(c) || c == '-' || c == '+' || c == '.') {
		o->kind = OPERAND_VALUE;
		r = take_number(s, &o->value);
	} else if (is_name_start(c)) {
		r = take_word(s, o);
	} else {
		r = c ? bad(s, "'%c' is not expected here", c) : bad(s, "'}}' is missing");
	}
	if (r < 0)
		return r;
	if (*s->p && !is_blank(*s->p) && !strchr(")|}:=,", *s->p))
		return bad(s, "'%c' is not expected here", *s->p);
	return 0;
}

static int parse_command(struct scan *s, struct command *c)
{
	for (;;) {
		skip_blanks(s);
		if (!*s->p || at_close(s) || *s->p == '|' || *s->p == ')')
			break;
		c->operands = xreallocarray(c->operands, c->count + 1, sizeof(*c->operands));
		struct operand *o = &c->operands[c->count++];
		*o = (struct operand){.kind = OPERAND_FIELD};
		int r = take_operand(s, o);
		if (r < 0)
			return r;
	}
	if (!c->count)
		return bad(s, "a value is missing");
	return 0;
}

static int parse_pipe(struct scan *s, struct pipe **ret)
{
	if (++s->depth > TEMPLATE_DEPTH_MAX)
		return bad(s, "nested more than %d deep", TEMPLATE_DEPTH_MAX);
	struct pipe *pipe = xcalloc(1, sizeof(*pipe));
	*ret = pipe;
	for (;;) {
		pipe->commands = xreallocarray(pipe->commands, pipe->count + 1, sizeof(*pipe->commands));
		struct command *c = &pipe->commands[pipe->count++];
		*c = (struct command){.count = 0};
		int r = parse_command(s, c);
		if (r < 0)
			return r;
		/* Only functions take arguments, and only they can receive a value from the left. */
		bool func = c->operands[0].kind == OPERAND_FUNC || template_is_label(c);
		if (!func && (c->count > 1 || pipe->count > 1))
			return bad(s, "only a function can have arguments");
		skip_blanks(s);
		if (*s->p != '|')
			break;
		s->p++;
	}
	s->depth--;
	return 0;
}

/* "$x :=", "$x =", and for range "$i, $v :=". Nothing there: position unchanged, node->var stays NULL. */
static int parse_assignment(struct scan *s, struct node *n)
{
	skip_blanks(s);
	const char *start = s->p;
	if (*s->p != '$')
		return 0;
	s->p++;
	n->var = take_name(s);
	skip_blanks(s);
	if (*s->p == ',' && n->kind == NODE_RANGE) {
		s->p++;
		skip_blanks(s);
		n->key_var = take_ptr(&n->var);
		if (*s->p++ != '$') {
			s->p--;
			return bad(s, "a second variable is missing after ','");
		}
		n->var = take_name(s);
		skip_blanks(s);
	}
	n->declares = str_after(s->p, ":=");
	if (n->declares || (*s->p == '=' && !n->key_var)) {
		s->p += n->declares ? 2 : 1;
		if (!*n->var || (n->key_var && !*n->key_var))
			return bad(s, "'$' cannot be assigned");
		return 0;
	}
	if (n->key_var)
		return bad(s, "':=' is missing");
	/* A value that begins with a variable. */
	free(n->var);
	n->var = NULL;
	s->p = start;
	return 0;
}

static int parse_list(struct scan *s, struct node **list, const char **ret_end);

static bool take_keyword(struct scan *s, const char *word)
{
	const char *after = str_after(s->p, word);
	if (!after || is_name_start(*after) || is_digit(*after))
		return false;
	s->p = after;
	return true;
}

/* What follows the body of if, range or with: {{else}} LIST {{end}}, {{else if ...}}, or {{end}}. `end` is the keyword
 * that ended the body and whose action is still open, or NULL at the end of the text. */
static int parse_otherwise(struct scan *s, struct node *n, const char *end)
{
	if (!end)
		return bad(s, "'{{end}}' is missing");
	if (str_eq(end, "end"))
		return take_close(s);
	skip_blanks(s);
	if (n->kind != NODE_RANGE) {
		bool is_if = take_keyword(s, "if");
		if (is_if || take_keyword(s, "with")) {
			/* The rest is a block of its own, closed by the same {{end}}. */
			struct node *inner = xcalloc(1, sizeof(*inner));
			n->otherwise = inner;
			inner->kind = is_if ? NODE_IF : NODE_WITH;
			inner->pos = (size_t)(s->p - s->text);
			if (++s->depth > TEMPLATE_DEPTH_MAX)
				return bad(s, "nested more than %d deep", TEMPLATE_DEPTH_MAX);
			int r = parse_assignment(s, inner);
			if (r >= 0)
				r = parse_pipe(s, &inner->pipe);
			if (r >= 0)
				r = take_close(s);
			const char *inner_end = NULL;
			if (r >= 0)
				r = parse_list(s, &inner->body, &inner_end);
			if (r >= 0)
				r = parse_otherwise(s, inner, inner_end);
			s->depth--;
			return r;
		}
	}
	int r = take_close(s);
	if (r < 0)
		return r;
	const char *last = NULL;
	r = parse_list(s, &n->otherwise, &last);
	if (r < 0)
		return r;
	if (!last || !str_eq(last, "end"))
		return last ? bad(s, "a second 'else'") : bad(s, "'{{end}}' is missing");
	return take_close(s);
}

static int parse_block(struct scan *s, struct node *n)
{
	if (++s->depth > TEMPLATE_DEPTH_MAX)
		return bad(s, "nested more than %d deep", TEMPLATE_DEPTH_MAX);
	int r = parse_assignment(s, n);
	if (r < 0)
		return r;
	r = parse_pipe(s, &n->pipe);
	if (r < 0)
		return r;
	r = take_close(s);
	if (r < 0)
		return r;
	s->loops += n->kind == NODE_RANGE;
	const char *end = NULL;
	r = parse_list(s, &n->body, &end);
	s->loops -= n->kind == NODE_RANGE;
	if (r < 0)
		return r;
	r = parse_otherwise(s, n, end);
	s->depth--;
	return r;
}

/* One action after "{{"; *ret_end is set when it was "end" or "else", whose action stays open. */
static int parse_action(struct scan *s, struct node ***tail, const char **ret_end)
{
	static const struct {
		const char *word;
		enum node_kind kind;
	} blocks[] = {{"if", NODE_IF}, {"range", NODE_RANGE}, {"with", NODE_WITH}};
	skip_blanks(s);
	if (str_after(s->p, "/*")) {
		const char *close = strstr(s->p + 2, "*/");
		if (!close)
			return bad(s, "a comment is not closed");
		s->p = close + 2;
		return take_close(s);
	}
	bool is_end = take_keyword(s, "end");
	if (is_end || take_keyword(s, "else")) {
		*ret_end = is_end ? "end" : "else";
		return 0;
	}
	struct node *n = xcalloc(1, sizeof(*n));
	**tail = n;
	*tail = &n->next;
	n->pos = (size_t)(s->p - s->text);
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
		if (take_keyword(s, blocks[i].word)) {
			n->kind = blocks[i].kind;
			return parse_block(s, n);
		}
	}
	bool is_break = take_keyword(s, "break");
	if (is_break || take_keyword(s, "continue")) {
		n->kind = is_break ? NODE_BREAK : NODE_CONTINUE;
		return s->loops ? take_close(s) : bad(s, "break and continue belong inside range");
	}
	n->kind = NODE_OUTPUT;
	int r = parse_assignment(s, n);
	if (r < 0)
		return r;
	if (n->var)
		n->kind = NODE_ASSIGN;
	r = parse_pipe(s, &n->pipe);
	return r < 0 ? r : take_close(s);
}

static void add_text(struct node ***tail, const char *text, size_t len)
{
	if (!len)
		return;
	struct node *n = xcalloc(1, sizeof(*n));
	n->kind = NODE_TEXT;
	n->text = xstrndup(text, len);
	**tail = n;
	*tail = &n->next;
}

/* Nodes up to the end of the text or to {{end}} or {{else}}; *ret_end stays NULL at the end of the text. */
static int parse_list(struct scan *s, struct node **list, const char **ret_end)
{
	struct node **tail = list;
	while (*s->p) {
		const char *open = strstr(s->p, "{{");
		size_t len = open ? (size_t)(open - s->p) : strlen(s->p);
		bool trim = open && open[2] == '-' && is_blank(open[3]);
		size_t keep = len;
		while (trim && keep && is_blank(s->p[keep - 1]))
			keep--;
		add_text(&tail, s->p, keep);
		s->p += len;
		if (!open)
			break;
		s->p += trim ? 3 : 2;
		int r = parse_action(s, &tail, ret_end);
		if (r < 0 || *ret_end)
			return r;
	}
	return 0;
}

int template_parse(const char *text, struct template **ret_template, struct err *e)
{
	autotemplate struct template *t = xcalloc(1, sizeof(*t));
	t->source = xstrdup(text);
	struct scan s = {.text = t->source, .p = t->source, .e = e};
	const char *end = NULL;
	int r = parse_list(&s, &t->nodes, &end);
	if (r < 0)
		return r;
	if (end)
		return bad(&s, "'%s' without if, range or with", end);
	*ret_template = take_ptr(&t);
	return 0;
}

static void free_pipe(struct pipe *pipe)
{
	if (!pipe)
		return;
	for (size_t i = 0; i < pipe->count; i++) {
		struct command *c = &pipe->commands[i];
		for (size_t k = 0; k < c->count; k++) {
			free(c->operands[k].name);
			strv_free(&c->operands[k].chain);
			json_decref(c->operands[k].value);
			free_pipe(c->operands[k].pipe);
		}
		free(c->operands);
	}
	free(pipe->commands);
	free(pipe);
}

static void free_nodes(struct node *n)
{
	while (n) {
		struct node *next = n->next;
		free_pipe(n->pipe);
		free_nodes(n->body);
		free_nodes(n->otherwise);
		free(n->text);
		free(n->var);
		free(n->key_var);
		free(n);
		n = next;
	}
}

void template_free(struct template *t)
{
	if (!t)
		return;
	free_nodes(t->nodes);
	free(t->source);
	free(t);
}

void template_fields(const struct template *t, struct strv *out)
{
	for (const struct node *n = t->nodes; n; n = n->next) {
		if (n->kind != NODE_OUTPUT)
			continue;
		const struct command *c = &n->pipe->commands[0];
		for (size_t i = 0; i < c->count; i++) {
			if (c->operands[i].kind == OPERAND_FIELD && c->operands[i].chain.count) {
				strv_add(out, c->operands[i].chain.items[0]);
				break;
			}
		}
	}
}
