/*
 * dockerfile_expand.c - variables in words; see dockerfile.h.
 *
 * A recursive descent over the word. The word behind ':-' and its like is expanded by the same code up to the closing
 * brace, at most DOCKERFILE_DEPTH_MAX levels deep; values are never expanded again. Every addition to the result is
 * counted, so that a few lines cannot ask for gigabytes.
 *
 * Splitting into words (EXPOSE, COPY's heirs of old) works on the same result: a mark per byte tells blanks that were
 * quoted from blanks that separate.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "rl/base/mem.h"
#include "rl/model/dockerfile.h"

struct expansion {
	const struct dockerfile_vars *v;
	const char *p;
	const char *whole; /* for messages */
	unsigned depth;
	bool quotes_are_text;
	struct str *out;
	struct str *marks; /* 'q' for bytes that do not separate words, ' ' for others; or NULL */
};

static int add(struct expansion *x, const char *text, size_t len, bool quoted, struct err *e)
{
	if (len > DOCKERFILE_VALUE_MAX - RL_MIN(x->out->len, (size_t)DOCKERFILE_VALUE_MAX))
		return err_set(e, E2BIG, "the value of \"%.60s\" is longer than %d bytes", x->whole,
			       (int)DOCKERFILE_VALUE_MAX);
	str_add(x->out, text, len);
	for (size_t i = 0; x->marks && i < len; i++)
		str_addc(x->marks, quoted ? 'q' : ' ');
	return 0;
}

/* ---- patterns: '*' any run, '?' any character, the escape character takes the next one literally ---- */

struct glob {
	unsigned char kind[DOCKERFILE_PATTERN_MAX]; /* 'c', '?', '*' */
	char c[DOCKERFILE_PATTERN_MAX];
	size_t count;
	bool wild;
};

static int glob_compile(const char *text, char escape, struct glob *g, struct err *e)
{
	g->count = 0;
	g->wild = false;
	for (; *text; text++) {
		if (g->count == DOCKERFILE_PATTERN_MAX)
			return err_set(e, E2BIG, "a pattern of more than %d characters", (int)DOCKERFILE_PATTERN_MAX);
		bool literal = *text == escape && text[1];
		text += literal;
		g->kind[g->count] = !literal && (*text == '*' || *text == '?') ? (unsigned char)*text : 'c';
		g->wild = g->wild || g->kind[g->count] != 'c';
		g->c[g->count++] = *text;
	}
	return 0;
}

/* Lengths at which the pattern matches the beginning of text (backwards: its end): the shortest or longest, -1 none. */
static long glob_match(const struct glob *g, const char *text, size_t len, bool backwards, bool longest)
{
	bool at[DOCKERFILE_PATTERN_MAX + 1] = {false};
	long found = -1;
	at[0] = true;
	for (size_t i = 0; i <= len; i++) {
		for (size_t k = 0; k < g->count; k++) {
			size_t t = backwards ? g->count - 1 - k : k;
			if (at[k] && g->kind[t] == '*')
				at[k + 1] = true;
		}
		if (at[g->count]) {
			found = (long)i;
			if (!longest)
				return found;
		}
		if (i == len)
			break;
		char c = backwards ? text[len - 1 - i] : text[i];
		bool any = false;
		for (size_t k = g->count + 1; k-- > 0;) {
			size_t before = k ? (backwards ? g->count - k : k - 1) : 0;
			size_t here = k < g->count ? (backwards ? g->count - 1 - k : k) : 0;
			bool moved = k && at[k - 1] &&
				     (g->kind[before] == '?' || (g->kind[before] == 'c' && g->c[before] == c));
			bool stays = k < g->count && at[k] && g->kind[here] == '*';
			at[k] = moved || stays;
			any = any || at[k];
		}
		if (!any)
			break;
	}
	return found;
}

static int trim(const char *value, const char *pattern, char escape, bool suffix, bool longest, struct str *out,
		struct err *e)
{
	autofree struct glob *g = xmalloc(sizeof(*g));
	size_t len = strlen(value);
	int r = glob_compile(pattern, escape, g, e);
	if (r >= 0 && len > 64 * (size_t)DOCKERFILE_PATTERN_MAX)
		r = err_set(e, E2BIG, "a value of %zu bytes is too long for # and %%", len);
	if (r < 0)
		return r;
	long n = glob_match(g, value, len, suffix, longest);
	size_t cut = n > 0 ? (size_t)n : 0;
	str_add(out, suffix ? value : value + cut, len - cut);
	return 0;
}

static int replace(const char *value, const char *pattern, const char *with, char escape, bool all, struct str *out,
		   struct err *e)
{
	autofree struct glob *g = xmalloc(sizeof(*g));
	size_t len = strlen(value);
	int r = glob_compile(pattern, escape, g, e);
	if (r >= 0 && (g->wild ? len > DOCKERFILE_PATTERN_MAX : len > 64 * (size_t)DOCKERFILE_PATTERN_MAX))
		r = err_set(e, E2BIG, "a value of %zu bytes is too long for replacing in it", len);
	if (r < 0)
		return r;
	for (size_t i = 0; i < len;) {
		long n = glob_match(g, value + i, len - i, false, true);
		if (n <= 0) {
			str_addc(out, value[i++]);
			continue;
		}
		str_adds(out, with);
		i += (size_t)n;
		if (out->len > DOCKERFILE_VALUE_MAX)
			return err_set(e, E2BIG, "the replacement is longer than %d bytes", (int)DOCKERFILE_VALUE_MAX);
		if (!all) {
			str_add(out, value + i, len - i);
			break;
		}
	}
	return 0;
}

/* ---- words ---- */

static int expand_until(struct expansion *x, const char *stops, bool quoted, struct err *e);

static char *take_name(struct expansion *x)
{
	size_t n = 0;
	if (isdigit((unsigned char)*x->p))
		n = strspn(x->p, "0123456789");
	else if (*x->p && strchr("@*#?-$!", *x->p))
		n = 1;
	else
		while (isalnum((unsigned char)x->p[n]) || x->p[n] == '_')
			n++;
	char *name = xstrndup(x->p, n);
	x->p += n;
	return name;
}

/* The word behind an operator, expanded, up to one of `stops`. */
static int operand(struct expansion *x, const char *stops, struct str *out, struct err *e)
{
	struct str *saved = x->out;
	struct str *marks = x->marks;
	x->out = out;
	x->marks = NULL;
	int r = expand_until(x, stops, false, e);
	x->out = saved;
	x->marks = marks;
	return r;
}

static int substitute(struct expansion *x, const char *name, const char *value, char operator, bool colon, bool quoted,
		      struct err *e)
{
	autostr struct str word = STR_INIT;
	int r = operand(x, "}", &word, e);
	if (r < 0)
		return r;
	bool set = value && (!colon || *value);
	if (operator== '?' && !set)
		return err_set(e, EINVAL, "%.60s: %.200s", name, word.len ? word.buf : "it must be set");
	if (operator== '+')
		return set ? add(x, word.buf, word.len, quoted, e) : 0;
	if (set)
		return add(x, value, strlen(value), quoted, e);
	return operator== '-' ? add(x, word.buf, word.len, quoted, e) : 0;
}

static int change(struct expansion *x, const char *value, char operator, bool quoted, struct err *e)
{
	autostr struct str pattern = STR_INIT;
	autostr struct str with = STR_INIT;
	autostr struct str result = STR_INIT;
	bool doubled = *x->p == operator;
	x->p += doubled;
	int r = operand(x, operator== '/' ? "/}" : "}", &pattern, e);
	if (r >= 0 && operator== '/' && * x->p == '/') {
		x->p++;
		r = operand(x, "}", &with, e);
	}
	if (r < 0 || !value)
		return r;
	if (operator== '/')
		r = replace(value, pattern.buf, with.buf, x->v->escape, doubled, &result, e);
	else
		r = trim(value, pattern.buf, x->v->escape, operator== '%', doubled, &result, e);
	return r < 0 ? r : add(x, result.buf, result.len, quoted, e);
}

/* Behind "${". */
static int braces(struct expansion *x, bool quoted, struct err *e)
{
	autofree char *name = take_name(x);
	if (!*name)
		return err_set(e, EINVAL, "\"%.80s\": a name is missing after ${", x->whole);
	const char *value = x->v->get(x->v->arg, name);
	char c = *x->p;
	if (c == '}') {
		x->p++;
		return value ? add(x, value, strlen(value), quoted, e) : 0;
	}
	if (!c)
		return err_set(e, EINVAL, "\"%.80s\": ${ is not closed", x->whole);
	x->p++;
	bool colon = c == ':';
	if (colon)
		c = *x->p ? *x->p++ : '\0';
	int r;
	if (c && strchr("-+?", c))
		r = substitute(x, name, value, c, colon, quoted, e);
	else if (c && !colon && strchr("#%/", c))
		r = change(x, value, c, quoted, e);
	else
		return err_set(e, EINVAL, "\"%.80s\": '%s%c' is no way to change a variable", x->whole,
			       colon ? ":" : "", isprint((unsigned char)c) ? c : '?');
	if (r < 0)
		return r; /* perhaps at the end of the text: not a step further */
	if (*x->p != '}')
		return err_set(e, EINVAL, "\"%.80s\": ${ is not closed", x->whole);
	x->p++;
	return 0;
}

/* At a '$'. */
static int dollar(struct expansion *x, bool quoted, struct err *e)
{
	x->p++;
	if (*x->p == '{') {
		if (++x->depth > DOCKERFILE_DEPTH_MAX)
			return err_set(e, E2BIG, "\"%.60s\": variables inside each other more than %d deep", x->whole,
				       (int)DOCKERFILE_DEPTH_MAX);
		x->p++;
		int r = braces(x, quoted, e);
		x->depth--;
		return r;
	}
	autofree char *name = take_name(x);
	if (!*name)
		return add(x, "$", 1, true, e);
	const char *value = x->v->get(x->v->arg, name);
	return value ? add(x, value, strlen(value), quoted, e) : 0;
}

static int single_quotes(struct expansion *x, struct err *e)
{
	const char *end = strchr(x->p + 1, '\'');
	if (!end)
		return err_set(e, EINVAL, "\"%.80s\": a ' is not closed", x->whole);
	int r = add(x, x->p + 1, (size_t)(end - x->p - 1), true, e);
	x->p = end + 1;
	return r;
}

static int double_quotes(struct expansion *x, struct err *e)
{
	int r = 0;
	for (x->p++; r >= 0 && *x->p && *x->p != '"';) {
		if (*x->p == '$') {
			r = dollar(x, true, e);
			continue;
		}
		/* Inside quotes the escape character means something only before these three. */
		if (*x->p == x->v->escape && x->p[1] && (x->p[1] == '"' || x->p[1] == '$' || x->p[1] == x->v->escape))
			x->p++;
		r = add(x, x->p++, 1, true, e);
	}
	if (r < 0)
		return r;
	if (*x->p != '"')
		return err_set(e, EINVAL, "\"%.80s\": a \" is not closed", x->whole);
	x->p++;
	return 0;
}

static int expand_until(struct expansion *x, const char *stops, bool quoted, struct err *e)
{
	int r = 0;
	while (r >= 0 && *x->p && !strchr(stops, *x->p)) {
		if (!x->quotes_are_text && *x->p == '\'') {
			r = single_quotes(x, e);
		} else if (!x->quotes_are_text && *x->p == '"') {
			r = double_quotes(x, e);
		} else if (*x->p == '$') {
			r = dollar(x, quoted, e);
		} else if (*x->p == x->v->escape && x->p[1] &&
			   (!x->quotes_are_text || x->p[1] == '$' || x->p[1] == x->v->escape)) {
			r = add(x, x->p + 1, 1, true, e);
			x->p += 2;
		} else {
			r = add(x, x->p++, 1, quoted, e);
		}
	}
	return r;
}

int dockerfile_expand(const char *text, const struct dockerfile_vars *v, struct str *out, struct err *e)
{
	struct expansion x = {.v = v, .p = text, .whole = text, .out = out};
	return expand_until(&x, "", false, e);
}

int dockerfile_expand_text(const char *text, const struct dockerfile_vars *v, struct str *out, struct err *e)
{
	struct expansion x = {.v = v, .p = text, .whole = "the here-document", .out = out, .quotes_are_text = true};
	return expand_until(&x, "", false, e);
}

int dockerfile_expand_words(const char *text, const struct dockerfile_vars *v, struct strv *out, struct err *e)
{
	autostr struct str all = STR_INIT;
	autostr struct str marks = STR_INIT;
	struct expansion x = {.v = v, .p = text, .whole = text, .out = &all, .marks = &marks};
	int r = expand_until(&x, "", false, e);
	for (size_t i = 0; r >= 0 && i < all.len;) {
		size_t n = i;
		while (n < all.len && (marks.buf[n] == 'q' || !isspace((unsigned char)all.buf[n])))
			n++;
		if (n > i) {
			autofree char *word = xstrndup(all.buf + i, n - i);
			strv_add(out, word);
		}
		i = n + 1;
	}
	return r;
}

bool dockerfile_split_pair(const char *word, char **ret_key, const char **ret_value)
{
	const char *equals = strchr(word, '=');
	if (!equals)
		return false;
	*ret_key = xstrndup(word, (size_t)(equals - word));
	*ret_value = equals + 1;
	return true;
}
