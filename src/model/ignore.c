/*
 * ignore.c - patterns of ignore files; see ignore.h.
 *
 * A pattern is compiled to a list of tokens, each matching one character, a run inside a component or a run of whole
 * directories. Matching keeps the set of token positions that are possible after each character of the path (a bit
 * per token), so the time is bounded by tokens times characters whatever the pattern says.
 */
#include "rl/model/ignore.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/base/str.h"

enum token_kind {
	TOKEN_CHAR,
	TOKEN_ANY,  /* ?: one character but '/' */
	TOKEN_STAR, /* *: any number of them */
	TOKEN_DIRS, /* **: nothing, or anything that ends in a '/' */
	TOKEN_REST, /* ** at the end: anything */
	TOKEN_CLASS,
};

struct token {
	enum token_kind kind;
	unsigned char c;
	uint32_t set[8]; /* TOKEN_CLASS */
};

struct ignore_pattern {
	struct token *tokens;
	size_t count;
	bool exception;
};

static void set_bit(uint32_t set[8], unsigned c)
{
	set[c >> 5] |= 1U << (c & 31);
}

/* "[...]" at *p (behind the '['). Returns false if it is not closed. */
static bool compile_class(const char **p, struct token *t)
{
	const unsigned char *s = (const unsigned char *)*p;
	bool negated = *s == '^' || *s == '!';
	s += negated;
	bool first = true;
	for (; *s && (*s != ']' || first); first = false) {
		unsigned lo = *s == '\\' && s[1] ? *++s : *s;
		unsigned hi = lo;
		s++;
		if (*s == '-' && s[1] && s[1] != ']') {
			s++;
			hi = *s == '\\' && s[1] ? *++s : *s;
			s++;
		}
		for (unsigned c = lo; c <= hi; c++)
			set_bit(t->set, c);
	}
	if (*s != ']')
		return false;
	*p = (const char *)s + 1;
	if (negated)
		for (size_t i = 0; i < 8; i++)
			t->set[i] = ~t->set[i];
	t->set['/' >> 5] &= ~(1U << ('/' & 31));
	t->kind = TOKEN_CLASS;
	return true;
}

static int compile(const char *text, struct ignore_pattern *ret, struct err *e)
{
	size_t len = strlen(text);
	if (len > IGNORE_PATTERN_MAX)
		return err_set(e, E2BIG, "a pattern of %zu bytes", len);
	autofree struct token *tokens = xcalloc(len + 1, sizeof(*tokens));
	size_t n = 0;
	for (const char *p = text; *p;) {
		struct token *t = &tokens[n++];
		char c = *p++;
		t->kind = TOKEN_CHAR;
		t->c = (unsigned char)c;
		if (c == '?') {
			t->kind = TOKEN_ANY;
		} else if (c == '\\') {
			if (!*p)
				return err_set(e, EINVAL, "pattern \"%.80s\" ends in a backslash", text);
			t->c = (unsigned char)*p++;
		} else if (c == '[') {
			if (!compile_class(&p, t))
				return err_set(e, EINVAL, "pattern \"%.80s\": '[' is not closed", text);
		} else if (c == '*' && *p == '*') {
			p++;
			p += *p == '/';
			t->kind = *p ? TOKEN_DIRS : TOKEN_REST;
		} else if (c == '*') {
			t->kind = TOKEN_STAR;
		}
	}
	ret->tokens = take_ptr(&tokens);
	ret->count = n;
	return 0;
}

/* ---- matching ---- */

static bool takes(const struct token *t, unsigned char c)
{
	switch (t->kind) {
	case TOKEN_CHAR:
		return t->c == c;
	case TOKEN_ANY:
	case TOKEN_STAR:
		return c != '/';
	case TOKEN_DIRS:
	case TOKEN_REST:
		return true;
	case TOKEN_CLASS:
		return (t->set[c >> 5] >> (c & 31)) & 1;
	}
	return false;
}

static bool is_run(const struct token *t)
{
	return t->kind == TOKEN_STAR || t->kind == TOKEN_DIRS || t->kind == TOKEN_REST;
}

/* From `at` on, past tokens that may match nothing. A TOKEN_DIRS in the middle of a run may be left only behind a '/',
 * so being inside it (in_dirs) and standing before it are two states. */
static void reach(const struct ignore_pattern *p, bool *at, size_t from)
{
	for (size_t i = from; i <= p->count && !at[i]; i++) {
		at[i] = true;
		if (i == p->count || !is_run(&p->tokens[i]))
			return;
	}
}

/* Does it match the path, or with `parents` one of the directories above? */
static bool match_path(const struct ignore_pattern *p, const char *path, bool parents)
{
	size_t n = p->count + 1;
	autofree bool *states = xcalloc(n * 4, sizeof(*states));
	bool *at = states;	   /* at[i]: the next token is i */
	bool *inside = states + n; /* inside[i]: in the middle of TOKEN_DIRS i */
	bool *next = states + 2 * n;
	bool *next_inside = states + 3 * n;
	reach(p, at, 0);
	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;
		if (parents && c == '/' && at[p->count])
			return true;
		memset(next, 0, n * sizeof(*next));
		memset(next_inside, 0, n * sizeof(*next_inside));
		for (size_t i = 0; i < p->count; i++) {
			const struct token *t = &p->tokens[i];
			if (!(at[i] || inside[i]) || !takes(t, c))
				continue;
			if (t->kind == TOKEN_DIRS) {
				next_inside[i] = true;
				if (c == '/')
					reach(p, next, i + 1);
			} else {
				reach(p, next, is_run(t) ? i : i + 1);
			}
		}
		bool *swap = at;
		at = next;
		next = swap;
		swap = inside;
		inside = next_inside;
		next_inside = swap;
	}
	return at[p->count];
}

bool ignore_match(const struct ignore *g, const char *path)
{
	bool out = false;
	if (str_eq(path, ".") || !*path)
		return false;
	for (size_t i = 0; i < g->count; i++)
		if (g->items[i].exception == out && match_path(&g->items[i], path, true))
			out = !out;
	return out;
}

bool ignore_may_reenter(const struct ignore *g, const char *dir)
{
	if (!g->has_exceptions)
		return false;
	size_t len = strlen(dir);
	for (size_t i = 0; i < g->count; i++) {
		const struct ignore_pattern *p = &g->items[i];
		if (!p->exception)
			continue;
		/* As far as the pattern is plain text it must go along with the directory's name. */
		size_t k = 0;
		while (k < p->count && k < len && p->tokens[k].kind == TOKEN_CHAR &&
		       p->tokens[k].c == (unsigned char)dir[k])
			k++;
		if (k == len ? k == p->count || p->tokens[k].kind != TOKEN_CHAR || p->tokens[k].c == '/'
			     : k == p->count || p->tokens[k].kind != TOKEN_CHAR)
			return true;
	}
	return false;
}

bool ignore_glob(const char *pattern, const char *path)
{
	struct ignore_pattern p = {0};
	/* COPY knows no "**" (two stars are one). */
	autofree char *single = xstrdup(pattern);
	size_t n = 0;
	for (size_t i = 0; single[i]; i++) {
		bool doubled = n && single[i] == '*' && single[n - 1] == '*' && !(n > 1 && single[n - 2] == '\\');
		if (!doubled)
			single[n++] = single[i];
	}
	single[n] = '\0';
	if (compile(single, &p, NULL) < 0)
		return str_eq(pattern, path);
	bool matched = match_path(&p, path, false);
	free(p.tokens);
	return matched;
}

bool ignore_is_glob(const char *text)
{
	return strpbrk(text, "*?[\\") != NULL;
}

/* ---- files ---- */

int ignore_add(struct ignore *g, const char *pattern, struct err *e)
{
	while (isspace((unsigned char)*pattern))
		pattern++;
	bool exception = *pattern == '!';
	pattern += exception;
	while (isspace((unsigned char)*pattern))
		pattern++;
	autofree char *text = xstrdup(pattern);
	for (size_t n = strlen(text); n && isspace((unsigned char)text[n - 1]); n--)
		text[n - 1] = '\0';
	if (!*text)
		return exception ? err_set(e, EINVAL, "'!' without a pattern") : 0;
	/* A ".." at the top means nothing outside the context; it disappears, as with docker. */
	autofree char *rooted = path_join("/", text);
	autofree char *clean = path_clean(rooted);
	const char *relative = clean + 1;
	if (!*relative)
		return 0;
	if (g->count == IGNORE_PATTERNS_MAX)
		return err_set(e, E2BIG, "more than %d patterns", IGNORE_PATTERNS_MAX);
	struct ignore_pattern p = {.exception = exception};
	int r = compile(relative, &p, e);
	if (r < 0)
		return r;
	g->items = xreallocarray(g->items, g->count + 1, sizeof(*g->items));
	g->items[g->count++] = p;
	g->has_exceptions = g->has_exceptions || exception;
	return 0;
}

int ignore_parse(struct ignore *g, const char *text, size_t len, const char *what, struct err *e)
{
	static const char bom[] = "\xef\xbb\xbf";
	if (memchr(text, '\0', len))
		return err_set(e, EINVAL, "%s holds a NUL byte: it is no text", what);
	if (len >= 3 && memcmp(text, bom, 3) == 0) {
		text += 3;
		len -= 3;
	}
	unsigned line = 0;
	for (const char *end = text + len; text < end;) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t n = stop ? (size_t)(stop - text) : (size_t)(end - text);
		autofree char *one = xstrndup(text, n);
		line++;
		int r = *one == '#' ? 0 : ignore_add(g, one, e);
		if (r < 0)
			return err_ctx(e, "%s:%u", what, line);
		text += n + (stop != NULL);
	}
	return 0;
}

void ignore_free(struct ignore *g)
{
	for (size_t i = 0; i < g->count; i++)
		free(g->items[i].tokens);
	free(g->items);
	*g = (struct ignore)IGNORE_INIT;
}
