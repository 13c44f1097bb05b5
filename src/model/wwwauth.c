/*
 * wwwauth.c - see wwwauth.h.
 *
 * RFC 7235 lists are ambiguous up to the next token: a comma may lead to another parameter or to another challenge, and
 * "Scheme abc=" may be a parameter without value or credentials of the token68 form. Parameters are what is followed by
 * '='; token68 is only looked for behind schemes we do not know, since ours never use it.
 */
#include "rl/model/wwwauth.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "rl/base/mem.h"
#include "rl/base/str.h"

struct cursor {
	const char *p, *end;
};

/* RFC 7230 tchar. */
static bool is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* token68, the other form credentials may have: "Negotiate YII...==". */
static bool is_token68(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~+/", c));
}

static void skip(struct cursor *c, const char *set)
{
	while (c->p < c->end && *c->p && strchr(set, *c->p))
		c->p++;
}

static size_t take_token(struct cursor *c)
{
	const char *start = c->p;
	while (c->p < c->end && is_token(*c->p))
		c->p++;
	return (size_t)(c->p - start);
}

static int malformed(struct err *e, const char *why)
{
	return err_set(e, EBADMSG, "WWW-Authenticate header: %s", why);
}

static int take_quoted(struct cursor *c, struct str *out, struct err *e)
{
	c->p++;
	while (c->p < c->end && *c->p != '"') {
		if (*c->p == '\\' && ++c->p == c->end)
			break;
		/* Control characters would travel on into URLs and error texts. */
		if ((unsigned char)*c->p < 0x20 || *c->p == 0x7f)
			return malformed(e, "control character");
		str_addc(out, *c->p++);
	}
	if (c->p == c->end)
		return malformed(e, "quoted text without end");
	c->p++;
	return 0;
}

static char **member(struct wwwauth_challenge *ch, const char *name, size_t len)
{
	const struct {
		const char *name;
		char **value;
	} known[] = {{"realm", &ch->realm}, {"service", &ch->service}, {"scope", &ch->scope}, {"error", &ch->error}};
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strlen(known[i].name) == len && strncasecmp(known[i].name, name, len) == 0)
			return known[i].value;
	return NULL;
}

static void challenge_free(struct wwwauth_challenge *ch)
{
	free(ch->realm);
	free(ch->service);
	free(ch->scope);
	free(ch->error);
	memset(ch, 0, sizeof(*ch));
}

/* name = value with the cursor behind the '='. */
static int take_param(struct cursor *c, struct wwwauth_challenge *ch, const char *name, size_t name_len, struct err *e)
{
	autostr struct str value = STR_INIT;
	skip(c, " \t");
	if (c->p < c->end && *c->p == '"') {
		int r = take_quoted(c, &value, e);
		if (r < 0)
			return r;
	} else {
		const char *start = c->p;
		/* Some registries forget the quotes around URLs: take what cannot be a separator. */
		while (c->p<c->end && * c->p> ' ' && *c->p < 0x7f && *c->p != ',' && *c->p != '"')
			c->p++;
		if (c->p == start)
			return malformed(e, "parameter without value");
		str_add(&value, start, (size_t)(c->p - start));
	}
	char **to = member(ch, name, name_len);
	if (!to)
		return 0;
	if (*to)
		return malformed(e, "parameter given twice");
	*to = str_take(&value);
	return 0;
}

/*
 * The parameters up to the next challenge. A comma ends a parameter or the challenge: what follows is a parameter if it
 * is "token =", else the next scheme, and the cursor is put back before it.
 */
static int take_params(struct cursor *c, struct wwwauth_challenge *ch, struct err *e)
{
	for (;;) {
		const char *name = c->p;
		size_t n = take_token(c);
		if (!n)
			return c->p == c->end ? 0 : malformed(e, "unexpected character");
		skip(c, " \t");
		if (c->p == c->end || *c->p != '=') {
			c->p = name;
			return 0;
		}
		c->p++;
		int r = take_param(c, ch, name, n, e);
		if (r < 0)
			return r;
		skip(c, " \t");
		if (c->p < c->end && *c->p != ',')
			return malformed(e, "',' is missing between parameters");
		skip(c, " \t,");
	}
}

/* "Negotiate", or "Negotiate abc==": true if a token68 was taken (it is followed by a comma or the end). */
static bool take_token68(struct cursor *c)
{
	const char *p = c->p;
	while (p < c->end && is_token68(*p))
		p++;
	if (p == c->p)
		return false;
	while (p < c->end && *p == '=')
		p++;
	while (p < c->end && (*p == ' ' || *p == '\t'))
		p++;
	if (p < c->end && *p != ',')
		return false;
	c->p = p;
	return true;
}

static int take_challenge(struct cursor *c, struct wwwauth_challenge *ch, struct err *e)
{
	const char *name = c->p;
	size_t n = take_token(c);
	if (!n)
		return malformed(e, "a scheme is expected");
	if (n == 5 && strncasecmp(name, "basic", n) == 0)
		ch->scheme = WWWAUTH_BASIC;
	else if (n == 6 && strncasecmp(name, "bearer", n) == 0)
		ch->scheme = WWWAUTH_BEARER;
	if (c->p < c->end && !strchr(" \t,", *c->p))
		return malformed(e, "unexpected character after a scheme");
	skip(c, " \t");
	if (c->p < c->end && *c->p != ',' && (ch->scheme != WWWAUTH_OTHER || !take_token68(c))) {
		int r = take_params(c, ch, e);
		if (r < 0)
			return r;
	}
	skip(c, " \t,");
	return 0;
}

int wwwauth_add(struct wwwauth *w, const char *value, size_t len, struct err *e)
{
	struct cursor c = {.p = value, .end = value + len};
	size_t before = w->count;
	int r = 0;
	if (len > WWWAUTH_VALUE_MAX)
		return err_set(e, E2BIG, "WWW-Authenticate header of %zu bytes", len);
	skip(&c, " \t,");
	while (c.p < c.end && r == 0) {
		if (w->count == WWWAUTH_CHALLENGES_MAX) {
			r = err_set(e, E2BIG, "WWW-Authenticate header with more than %d challenges",
				    WWWAUTH_CHALLENGES_MAX);
			break;
		}
		struct wwwauth_challenge *ch = &w->items[w->count++];
		memset(ch, 0, sizeof(*ch));
		r = take_challenge(&c, ch, e);
	}
	while (r < 0 && w->count > before)
		challenge_free(&w->items[--w->count]);
	return r;
}

const struct wwwauth_challenge *wwwauth_choose(const struct wwwauth *w)
{
	const struct wwwauth_challenge *basic = NULL;
	for (size_t i = 0; i < w->count; i++) {
		if (w->items[i].scheme == WWWAUTH_BEARER && w->items[i].realm)
			return &w->items[i];
		if (w->items[i].scheme == WWWAUTH_BASIC && !basic)
			basic = &w->items[i];
	}
	return basic;
}

void wwwauth_free(struct wwwauth *w)
{
	while (w->count)
		challenge_free(&w->items[--w->count]);
}
