/*
 * template_print.c - Go templates: how values print, and printf.
 *
 * Values print as Go's %v does: lists as [a b], maps as map[k:v] with sorted keys. printf knows the conversions that
 * scripts use; widths and precisions are bounded, and a wrong number of values is an error and not Go's "%!s(MISSING)".
 */
#include <errno.h>

#include "rl/base/mem.h"
#include "template_int.h"

RL_PRINTF(2, 3) static int bad(struct err *e, const char *fmt, ...)
{
	char why[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return err_set(e, EINVAL, "template: printf: %s", why);
}

int template_add_json(const char *buf, size_t len, void *out)
{
	str_add(out, buf, len);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void print_object(const json_t *object, struct str *out)
{
	size_t n = 0;
	const char **names = xcalloc(json_object_size(object) + 1, sizeof(*names));
	autofree const char **owned = names;
	const char *key;
	json_t *member;
	json_object_foreach ((json_t *)(uintptr_t)object, key, member) {
		names[n++] = key;
	}
	qsort(names, n, sizeof(*names), by_name);
	str_adds(out, "map[");
	for (size_t i = 0; i < n; i++) {
		str_addf(out, "%s%s:", i ? " " : "", names[i]);
		template_print_value(json_object_get(object, names[i]), out);
	}
	str_addc(out, ']');
}

/* As Go prints a float64 with %v: the shortest text that reads back as the same number. */
static void print_real(double d, struct str *out)
{
	char text[48];
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, d);
		if (strtod(text, NULL) == d)
			break;
	}
	str_adds(out, text);
}

void template_print_value(const json_t *value, struct str *out)
{
	if (!value) {
		str_adds(out, "<no value>");
		return;
	}
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		print_object(value, out);
		break;
	case JSON_ARRAY:
		str_addc(out, '[');
		for (size_t i = 0; i < json_array_size(value); i++) {
			if (i)
				str_addc(out, ' ');
			template_print_value(json_array_get(value, i), out);
		}
		str_addc(out, ']');
		break;
	case JSON_STRING:
		str_add(out, json_string_value(value), json_string_length(value));
		break;
	case JSON_INTEGER:
		str_addf(out, "%lld", (long long)json_integer_value(value));
		break;
	case JSON_REAL:
		print_real(json_real_value(value), out);
		break;
	case JSON_TRUE:
		str_adds(out, "true");
		break;
	case JSON_FALSE:
		str_adds(out, "false");
		break;
	case JSON_NULL:
		str_adds(out, "<no value>");
		break;
	}
}

/* One conversion of printf: "%-10.3f". */
struct conversion {
	bool left, zero, plus;
	size_t width;
	int precision; /* -1: none */
	char verb;
};

enum { CONVERSION_MAX = 1000 };

static int read_count(struct err *e, const char **p, size_t *ret)
{
	size_t n = 0;
	for (; **p >= '0' && **p <= '9'; (*p)++) {
		n = n * 10 + (size_t)(**p - '0');
		if (n > CONVERSION_MAX)
			return bad(e, "a width above %d", CONVERSION_MAX);
	}
	*ret = n;
	return 0;
}

static int read_conversion(struct err *e, const char **p, struct conversion *ret)
{
	struct conversion v = {.precision = -1};
	for (; **p && strchr("-0+ #", **p); (*p)++) {
		v.left = v.left || **p == '-';
		v.zero = v.zero || **p == '0';
		v.plus = v.plus || **p == '+';
	}
	int r = read_count(e, p, &v.width);
	if (r < 0)
		return r;
	if (**p == '.') {
		size_t n = 0;
		(*p)++;
		r = read_count(e, p, &n);
		if (r < 0)
			return r;
		v.precision = (int)n;
	}
	v.verb = **p;
	if (!v.verb)
		return bad(e, "the format ends in the middle of a conversion");
	(*p)++;
	*ret = v;
	return 0;
}

static void format_number(const struct conversion *v, const json_t *value, struct str *out)
{
	double d = json_is_number(value) ? json_number_value(value) : 0;
	int precision = v->precision < 0 ? 6 : RL_MIN(v->precision, 40);
	char text[400];
	switch (v->verb) {
	case 'e':
		snprintf(text, sizeof(text), v->plus ? "%+.*e" : "%.*e", precision, d);
		break;
	case 'g':
		if (v->precision < 0) {
			print_real(d, out);
			return;
		}
		snprintf(text, sizeof(text), "%.*g", precision, d);
		break;
	default:
		snprintf(text, sizeof(text), v->plus ? "%+.*f" : "%.*f", precision, d);
		break;
	}
	str_adds(out, text);
}

static void format_hex(const struct conversion *v, const json_t *value, struct str *out)
{
	if (json_is_integer(value)) {
		long long n = (long long)json_integer_value(value);
		unsigned long long m = n < 0 ? 0ULL - (unsigned long long)n : (unsigned long long)n;
		str_addf(out, v->verb == 'x' ? "%s%llx" : v->verb == 'X' ? "%s%llX" : "%s%llo", n < 0 ? "-" : "", m);
		return;
	}
	const char *text = json_is_string(value) ? json_string_value(value) : "";
	for (; *text; text++)
		str_addf(out, v->verb == 'X' ? "%02X" : "%02x", (unsigned char)*text);
}

static size_t count_characters(const char *text)
{
	size_t n = 0;
	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

void template_cut(struct str *s, size_t characters)
{
	size_t i = 0;
	for (; i < s->len; i++)
		if (((unsigned char)s->buf[i] & 0xc0) != 0x80 && characters-- == 0)
			break;
	str_cut(s, i);
}

static int format_value(const struct conversion *v, json_t *value, struct str *out, struct err *e)
{
	autostr struct str text = STR_INIT;
	switch (v->verb) {
	case 's':
	case 'v':
		template_print_value(value, &text);
		if (v->precision >= 0)
			template_cut(&text, (size_t)v->precision);
		break;
	case 'd':
		if (!json_is_integer(value))
			return bad(e, "%%d needs a whole number");
		str_addf(&text, v->plus ? "%+lld" : "%lld", (long long)json_integer_value(value));
		break;
	case 't':
		if (!json_is_boolean(value))
			return bad(e, "%%t needs true or false");
		template_print_value(value, &text);
		break;
	case 'q': {
		autostr struct str plain = STR_INIT;
		template_print_value(value, &plain);
		autojson json_t *string = json_string_lossy(plain.buf, plain.len);
		if (json_dump_callback(string, template_add_json, &text, JSON_ENCODE_ANY) < 0)
			return bad(e, "%%q cannot quote the value");
		break;
	}
	case 'f':
	case 'g':
	case 'e':
		if (!json_is_number(value))
			return bad(e, "%%%c needs a number", v->verb);
		format_number(v, value, &text);
		break;
	case 'x':
	case 'X':
	case 'o':
		format_hex(v, value, &text);
		break;
	case 'c':
		if (json_integer_value(value) < 1 || json_integer_value(value) > 126)
			return bad(e, "%%c needs an ASCII character");
		str_addc(&text, (char)json_integer_value(value));
		break;
	default:
		return bad(e, "%%%c is not supported", v->verb);
	}
	size_t length = count_characters(text.buf);
	bool zero = v->zero && !v->left && strchr("dfgexXo", v->verb);
	size_t sign = zero && text.len && strchr("+-", text.buf[0]) ? 1 : 0;
	str_add(out, text.buf, v->left ? text.len : sign);
	for (size_t i = length; i < v->width; i++)
		str_addc(out, zero ? '0' : ' ');
	if (!v->left)
		str_add(out, text.buf + sign, text.len - sign);
	return 0;
}

int template_printf(json_t *const *args, size_t nargs, struct str *out, struct err *e)
{
	size_t next = 1;
	if (!json_is_string(args[0]))
		return bad(e, "the format is a string");
	for (const char *p = json_string_value(args[0]); *p;) {
		if (*p != '%') {
			str_addc(out, *p++);
			continue;
		}
		struct conversion v = {.precision = -1};
		p++;
		int r = read_conversion(e, &p, &v);
		if (r < 0)
			return r;
		if (v.verb == '%') {
			str_addc(out, '%');
			continue;
		}
		if (next >= nargs)
			return bad(e, "more conversions than values");
		r = format_value(&v, args[next++], out, e);
		if (r < 0)
			return r;
		if (out->len > TEMPLATE_OUT_MAX)
			break;
	}
	if (next < nargs)
		return bad(e, "more values than conversions");
	return 0;
}
