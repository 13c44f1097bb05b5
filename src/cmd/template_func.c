/*
 * template_func.c - Go templates: the functions.
 *
 * One table, one small function each. A function gets borrowed arguments (NULL: no value) and gives a new reference.
 * Strings longer than TEMPLATE_OUT_MAX are refused, since a loop that doubles one would otherwise take all memory.
 */
#include <ctype.h>
#include <errno.h>

#include "rl/base/mem.h"
#include "template_int.h"

struct call {
	const char *name;
	json_t *const *args;
	size_t nargs;
	struct err *e;
};

typedef int template_fn(const struct call *c, json_t **ret);

RL_PRINTF(2, 3) static int bad(const struct call *c, const char *fmt, ...)
{
	char why[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return err_set(c->e, EINVAL, "template: %s: %s", c->name, why);
}

static int give_text(const struct call *c, struct str *text, json_t **ret)
{
	if (text->len > TEMPLATE_OUT_MAX)
		return bad(c, "the result is too long");
	*ret = json_string_lossy(text->buf, text->len);
	return 0;
}

/* The text of an argument: strings as they are, everything else as it prints. */
static void arg_text(const struct call *c, size_t i, struct str *out)
{
	template_print_value(c->args[i], out);
}

bool template_is_true(const json_t *value)
{
	if (!value)
		return false;
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return json_object_size(value) > 0;
	case JSON_ARRAY:
		return json_array_size(value) > 0;
	case JSON_STRING:
		return json_string_length(value) > 0;
	case JSON_INTEGER:
		return json_integer_value(value) != 0;
	case JSON_REAL:
		return json_real_value(value) != 0;
	case JSON_TRUE:
		return true;
	case JSON_FALSE:
	case JSON_NULL:
		return false;
	}
	return false;
}

static int fn_json(const struct call *c, json_t **ret)
{
	autostr struct str text = STR_INIT;
	if (!c->args[0])
		str_adds(&text, "null");
	else if (json_dump_callback(c->args[0], template_add_json, &text, JSON_COMPACT | JSON_ENCODE_ANY) < 0)
		return bad(c, "the value cannot be written as JSON");
	return give_text(c, &text, ret);
}

static int fn_len(const struct call *c, json_t **ret)
{
	const json_t *v = c->args[0];
	if (json_is_string(v))
		*ret = json_integer((json_int_t)json_string_length(v));
	else if (json_is_array(v))
		*ret = json_integer((json_int_t)json_array_size(v));
	else if (json_is_object(v))
		*ret = json_integer((json_int_t)json_object_size(v));
	else if (!v || json_is_null(v))
		*ret = json_integer(0);
	else
		return bad(c, "this value has no length");
	return 0;
}

static int fn_index(const struct call *c, json_t **ret)
{
	json_t *v = c->args[0];
	for (size_t i = 1; i < c->nargs; i++) {
		const json_t *key = c->args[i];
		if (!v || json_is_null(v)) {
			v = NULL;
		} else if (json_is_object(v)) {
			if (!json_is_string(key))
				return bad(c, "a map is indexed with a string");
			v = json_object_get(v, json_string_value(key));
		} else if (json_is_array(v)) {
			if (!json_is_integer(key))
				return bad(c, "a list is indexed with a number");
			json_int_t at = json_integer_value(key);
			if (at < 0 || (size_t)at >= json_array_size(v))
				return bad(c, "%lld is outside of a list of %zu", (long long)at, json_array_size(v));
			v = json_array_get(v, (size_t)at);
		} else {
			return bad(c, "only lists and maps can be indexed");
		}
	}
	*ret = json_incref(v);
	return 0;
}

static int fn_slice(const struct call *c, json_t **ret)
{
	const json_t *v = c->args[0];
	if (!json_is_string(v) && !json_is_array(v))
		return bad(c, "only strings and lists can be cut");
	json_int_t size = (json_int_t)(json_is_string(v) ? json_string_length(v) : json_array_size(v));
	json_int_t bound[2] = {0, size};
	for (size_t i = 1; i < c->nargs; i++) {
		if (!json_is_integer(c->args[i]))
			return bad(c, "the bounds are numbers");
		bound[i - 1] = json_integer_value(c->args[i]);
	}
	if (bound[0] < 0 || bound[0] > bound[1] || bound[1] > size)
		return bad(c, "%lld to %lld is outside of 0 to %lld", (long long)bound[0], (long long)bound[1],
			   (long long)size);
	if (json_is_string(v)) {
		*ret = json_string_lossy(json_string_value(v) + bound[0], (size_t)(bound[1] - bound[0]));
		return 0;
	}
	*ret = json_array();
	for (json_int_t i = bound[0]; i < bound[1]; i++)
		json_array_append(*ret, json_array_get(v, (size_t)i));
	return 0;
}

enum letter_case { CASE_UPPER, CASE_LOWER, CASE_TITLE };

/* ASCII letters only: names and states have no others. */
static int change_case(const struct call *c, enum letter_case how, json_t **ret)
{
	autostr struct str text = STR_INIT;
	arg_text(c, 0, &text);
	bool start = true;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char ch = (unsigned char)text.buf[i];
		bool up = how == CASE_UPPER || (how == CASE_TITLE && start);
		if (up)
			text.buf[i] = (char)toupper(ch);
		else if (how == CASE_LOWER)
			text.buf[i] = (char)tolower(ch);
		start = isspace(ch);
	}
	return give_text(c, &text, ret);
}

static int fn_upper(const struct call *c, json_t **ret)
{
	return change_case(c, CASE_UPPER, ret);
}

static int fn_lower(const struct call *c, json_t **ret)
{
	return change_case(c, CASE_LOWER, ret);
}

static int fn_title(const struct call *c, json_t **ret)
{
	return change_case(c, CASE_TITLE, ret);
}

static int fn_join(const struct call *c, json_t **ret)
{
	autostr struct str text = STR_INIT;
	autostr struct str sep = STR_INIT;
	if (c->args[0] && !json_is_array(c->args[0]) && !json_is_null(c->args[0]))
		return bad(c, "the first argument is a list");
	arg_text(c, 1, &sep);
	for (size_t i = 0; i < json_array_size(c->args[0]); i++) {
		if (i)
			str_add(&text, sep.buf, sep.len);
		template_print_value(json_array_get(c->args[0], i), &text);
		if (text.len > TEMPLATE_OUT_MAX)
			break;
	}
	return give_text(c, &text, ret);
}

static int fn_split(const struct call *c, json_t **ret)
{
	autostr struct str text = STR_INIT;
	autostr struct str sep = STR_INIT;
	arg_text(c, 0, &text);
	arg_text(c, 1, &sep);
	if (!sep.len)
		return bad(c, "the separator is empty");
	*ret = json_array();
	const char *p = text.buf;
	for (;;) {
		const char *at = strstr(p, sep.buf);
		json_array_append_new(*ret, json_string_lossy(p, at ? (size_t)(at - p) : strlen(p)));
		if (!at)
			return 0;
		p = at + sep.len;
	}
}

static int fn_print(const struct call *c, json_t **ret)
{
	autostr struct str text = STR_INIT;
	for (size_t i = 0; i < c->nargs; i++) {
		/* Go puts a space between operands when neither is a string. */
		if (i && !json_is_string(c->args[i]) && !json_is_string(c->args[i - 1]))
			str_addc(&text, ' ');
		arg_text(c, i, &text);
	}
	return give_text(c, &text, ret);
}

static int fn_println(const struct call *c, json_t **ret)
{
	autostr struct str text = STR_INIT;
	for (size_t i = 0; i < c->nargs; i++) {
		if (i)
			str_addc(&text, ' ');
		arg_text(c, i, &text);
	}
	str_addc(&text, '\n');
	return give_text(c, &text, ret);
}

static int fn_printf(const struct call *c, json_t **ret)
{
	autostr struct str text = STR_INIT;
	int r = template_printf(c->args, c->nargs, &text, c->e);
	return r < 0 ? r : give_text(c, &text, ret);
}

/* -1, 0, 1, or 2 when the two cannot be compared. */
static int compare(const json_t *a, const json_t *b)
{
	bool no_a = !a || json_is_null(a);
	bool no_b = !b || json_is_null(b);
	if (no_a || no_b)
		return no_a && no_b ? 0 : 2;
	if (json_is_number(a) && json_is_number(b)) {
		if (json_is_integer(a) && json_is_integer(b)) {
			json_int_t x = json_integer_value(a);
			json_int_t y = json_integer_value(b);
			return (x > y) - (x < y);
		}
		double x = json_number_value(a);
		double y = json_number_value(b);
		return (x > y) - (x < y);
	}
	if (json_is_string(a) && json_is_string(b)) {
		int d = strcmp(json_string_value(a), json_string_value(b));
		return (d > 0) - (d < 0);
	}
	if (json_is_boolean(a) && json_is_boolean(b))
		return json_is_true(a) == json_is_true(b) ? 0 : 2;
	return 2;
}

static bool equal(const json_t *a, const json_t *b)
{
	return compare(a, b) == 0;
}

static int fn_eq(const struct call *c, json_t **ret)
{
	bool any = false;
	for (size_t i = 1; i < c->nargs && !any; i++)
		any = equal(c->args[0], c->args[i]);
	*ret = json_boolean(any);
	return 0;
}

static int fn_ne(const struct call *c, json_t **ret)
{
	*ret = json_boolean(!equal(c->args[0], c->args[1]));
	return 0;
}

static int order(const struct call *c, bool less, bool same, json_t **ret)
{
	int d = compare(c->args[0], c->args[1]);
	if (d == 2)
		return bad(c, "the two values cannot be compared");
	*ret = json_boolean(d == 0 ? same : (d < 0) == less);
	return 0;
}

static int fn_lt(const struct call *c, json_t **ret)
{
	return order(c, true, false, ret);
}

static int fn_le(const struct call *c, json_t **ret)
{
	return order(c, true, true, ret);
}

static int fn_gt(const struct call *c, json_t **ret)
{
	return order(c, false, false, ret);
}

static int fn_ge(const struct call *c, json_t **ret)
{
	return order(c, false, true, ret);
}

static int first_that_is(const struct call *c, bool want, json_t **ret)
{
	size_t i = 0;
	while (i + 1 < c->nargs && template_is_true(c->args[i]) != want)
		i++;
	*ret = json_incref(c->args[i]);
	return 0;
}

static int fn_and(const struct call *c, json_t **ret)
{
	return first_that_is(c, false, ret);
}

static int fn_or(const struct call *c, json_t **ret)
{
	return first_that_is(c, true, ret);
}

static int fn_not(const struct call *c, json_t **ret)
{
	*ret = json_boolean(!template_is_true(c->args[0]));
	return 0;
}

static int fn_truncate(const struct call *c, json_t **ret)
{
	autostr struct str text = STR_INIT;
	arg_text(c, 0, &text);
	if (!json_is_integer(c->args[1]) || json_integer_value(c->args[1]) < 0)
		return bad(c, "the length is a number");
	template_cut(&text, (size_t)json_integer_value(c->args[1]));
	return give_text(c, &text, ret);
}

enum { PAD_MAX = 1000 };

/* pad TEXT LEFT RIGHT: that many spaces on each side, none around an empty text. */
static int fn_pad(const struct call *c, json_t **ret)
{
	autostr struct str text = STR_INIT;
	autostr struct str padded = STR_INIT;
	arg_text(c, 0, &text);
	for (size_t i = 1; i <= 2; i++) {
		json_int_t n = json_integer_value(c->args[i]);
		if (!json_is_integer(c->args[i]) || n < 0 || n > PAD_MAX)
			return bad(c, "the widths are numbers up to %d", PAD_MAX);
		if (i == 2)
			str_add(&padded, text.buf, text.len);
		for (; n > 0 && text.len; n--)
			str_addc(&padded, ' ');
	}
	return give_text(c, &padded, ret);
}

static int fn_trim(const struct call *c, json_t **ret)
{
	autostr struct str text = STR_INIT;
	arg_text(c, 0, &text);
	size_t from = strspn(text.buf, " \t\r\n");
	while (text.len > from && isspace((unsigned char)text.buf[text.len - 1]))
		str_cut(&text, text.len - 1);
	*ret = json_string_lossy(text.buf + from, text.len - from);
	return 0;
}

/* replace TEXT OLD NEW */
static int fn_replace(const struct call *c, json_t **ret)
{
	autostr struct str text = STR_INIT;
	autostr struct str old = STR_INIT;
	autostr struct str new = STR_INIT;
	autostr struct str out = STR_INIT;
	arg_text(c, 0, &text);
	arg_text(c, 1, &old);
	arg_text(c, 2, &new);
	const char *p = text.buf;
	for (;;) {
		const char *at = old.len ? strstr(p, old.buf) : NULL;
		str_add(&out, p, at ? (size_t)(at - p) : strlen(p));
		if (!at || out.len > TEMPLATE_OUT_MAX)
			break;
		str_add(&out, new.buf, new.len);
		p = at + old.len;
	}
	return give_text(c, &out, ret);
}

enum { ANY_ARGS = 1000 };

static const struct {
	const char *name;
	template_fn *fn;
	size_t min_args, max_args;
} functions[] = {
	{"and", fn_and, 1, ANY_ARGS},
	{"eq", fn_eq, 2, ANY_ARGS},
	{"ge", fn_ge, 2, 2},
	{"gt", fn_gt, 2, 2},
	{"index", fn_index, 1, ANY_ARGS},
	{"join", fn_join, 2, 2},
	{"json", fn_json, 1, 1},
	{"le", fn_le, 2, 2},
	{"len", fn_len, 1, 1},
	{"lower", fn_lower, 1, 1},
	{"lt", fn_lt, 2, 2},
	{"ne", fn_ne, 2, 2},
	{"not", fn_not, 1, 1},
	{"or", fn_or, 1, ANY_ARGS},
	{"pad", fn_pad, 3, 3},
	{"print", fn_print, 0, ANY_ARGS},
	{"printf", fn_printf, 1, ANY_ARGS},
	{"println", fn_println, 0, ANY_ARGS},
	{"replace", fn_replace, 3, 3},
	{"slice", fn_slice, 1, 3},
	{"split", fn_split, 2, 2},
	{"title", fn_title, 1, 1},
	{"trim", fn_trim, 1, 1},
	{"truncate", fn_truncate, 2, 2},
	{"upper", fn_upper, 1, 1},
};

bool template_has_function(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		if (str_eq(functions[i].name, name))
			return true;
	return false;
}

const char *template_nearest_function(const char *name)
{
	const char *names[ARRAY_SIZE(functions) + 1];
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		names[i] = functions[i].name;
	names[ARRAY_SIZE(functions)] = NULL;
	return str_nearest(name, names);
}

int template_call(const char *name, json_t *const *args, size_t nargs, json_t **ret_value, struct err *e)
{
	struct call c = {.name = name, .args = args, .nargs = nargs, .e = e};
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		if (!str_eq(functions[i].name, name))
			continue;
		if (nargs < functions[i].min_args || nargs > functions[i].max_args)
			return bad(&c, "wrong number of arguments (%zu)", nargs);
		return functions[i].fn(&c, ret_value);
	}
	return bad(&c, "there is no such function");
}
