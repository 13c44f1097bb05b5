/*
 * dockerfile_words.c - what follows an instruction's keyword: flags, then words or a JSON array; and the rules that need
 * nothing but the instruction itself (which flags it has, how many words it takes).
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "dockerfile_int.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"

enum { JSON_FORM_MAX = 1 << 20 };

/* What may follow a keyword. */
static const struct shape {
	const char *flags; /* names in blanks, or NULL: "--" is no flag here */
	bool json;	   /* the array form exists */
	bool heredoc;
	bool pairs; /* words are key=value */
	size_t min;
	size_t max; /* 0: any */
	const char *usage;
} shapes[] = {
	[DOCKERFILE_ADD] = {" chown chmod link exclude checksum keep-git-dir unpack ", true, true, false, 2, 0,
			    "ADD [--chown=USER] [--chmod=MODE] SOURCE... DESTINATION"},
	[DOCKERFILE_ARG] = {NULL, false, false, true, 1, 0, "ARG NAME[=DEFAULT]..."},
	[DOCKERFILE_CMD] = {NULL, true, false, false, 0, 0, ""},
	[DOCKERFILE_COPY] = {" from chown chmod link parents exclude ", true, true, false, 2, 0,
			     "COPY [--from=STAGE] [--chown=USER] [--chmod=MODE] SOURCE... DESTINATION"},
	[DOCKERFILE_ENTRYPOINT] = {NULL, true, false, false, 0, 0, ""},
	[DOCKERFILE_ENV] = {NULL, false, false, true, 1, 0, "ENV KEY=VALUE..."},
	[DOCKERFILE_EXPOSE] = {NULL, false, false, false, 1, 0, "EXPOSE PORT[/PROTOCOL]..."},
	[DOCKERFILE_FROM] = {" platform ", false, false, false, 1, 3, "FROM [--platform=P] IMAGE [AS NAME]"},
	[DOCKERFILE_HEALTHCHECK] = {" interval timeout start-period start-interval retries ", false, false, false, 1, 0,
				    "HEALTHCHECK [--interval=T] CMD command, or HEALTHCHECK NONE"},
	[DOCKERFILE_LABEL] = {NULL, false, false, true, 1, 0, "LABEL KEY=VALUE..."},
	[DOCKERFILE_MAINTAINER] = {NULL, false, false, false, 1, 0, "MAINTAINER NAME"},
	[DOCKERFILE_ONBUILD] = {NULL, false, false, false, 2, 0, "ONBUILD INSTRUCTION ..."},
	[DOCKERFILE_RUN] = {" mount network security ", true, true, false, 1, 0, "RUN COMMAND"},
	[DOCKERFILE_SHELL] = {NULL, true, false, false, 1, 0, "SHELL [\"PROGRAM\", \"-c\"]"},
	[DOCKERFILE_STOPSIGNAL] = {NULL, false, false, false, 1, 1, "STOPSIGNAL SIGNAL"},
	[DOCKERFILE_USER] = {NULL, false, false, false, 1, 1, "USER NAME[:GROUP]"},
	[DOCKERFILE_VOLUME] = {NULL, true, false, false, 1, 0, "VOLUME PATH..."},
	[DOCKERFILE_WORKDIR] = {NULL, false, false, false, 1, 0, "WORKDIR PATH"},
};
_Static_assert(ARRAY_SIZE(shapes) == DOCKERFILE_KIND_N, "a shape for every instruction");

static size_t skip_blanks(const char *text, size_t at)
{
	while (isspace((unsigned char)text[at]))
		at++;
	return at;
}

/* End of the word that begins at `at`: a blank outside quotes. */
static size_t word_end(const char *text, size_t at, char escape)
{
	char quote = '\0';
	for (; text[at] && (quote || !isspace((unsigned char)text[at])); at++) {
		if (text[at] == escape && quote != '\'' && text[at + 1])
			at++;
		else if (quote ? text[at] == quote : text[at] == '"' || text[at] == '\'')
			quote = quote ? '\0' : text[at];
	}
	return at;
}

static void add_word(const struct dockerfile_parser *p, struct dockerfile_instr *i, size_t at, char *text)
{
	struct dockerfile_word w = {.text = text};
	joined_place(&p->line, at, &w.line, &w.column);
	/* doubled by hand: a line of a hundred thousand words must not be copied each time */
	if ((i->nwords & (i->nwords - 1)) == 0)
		i->words = xreallocarray(i->words, i->nwords ? i->nwords * 2 : 1, sizeof(*i->words));
	i->words[i->nwords++] = w;
}

static int read_flags(struct dockerfile_parser *p, struct dockerfile_instr *i, size_t *at, struct err *e)
{
	const struct shape *shape = &shapes[i->kind];
	const char *text = p->line.text.buf;
	while (shape->flags && text[*at] == '-' && text[*at + 1] == '-') {
		size_t start = *at;
		size_t end = word_end(text, start, p->d->escape);
		*at = skip_blanks(text, end);
		if (end == start + 2)
			return 0; /* "--" */
		autofree char *word = xstrndup(text + start + 2, end - start - 2);
		size_t n = strcspn(word, "=");
		autofree char *padded = xasprintf(" %.*s ", (int)RL_MIN(n, (size_t)64), word);
		if (!strstr(shape->flags, padded)) {
			int r = dockerfile_fail(p, start, n + 2, e, "%s has no flag --%.*s",
						dockerfile_kind_name(i->kind), (int)RL_MIN(n, (size_t)40), word);
			err_hint(e, "its flags are:%s", shape->flags);
			return r;
		}
		struct dockerfile_flag f = {.name = xstrndup(word, n), .has_value = word[n] == '='};
		f.value = xstrdup(f.has_value ? word + n + 1 : "");
		joined_place(&p->line, start, &f.line, &f.column);
		i->flags = xreallocarray(i->flags, i->nflags + 1, sizeof(*i->flags));
		i->flags[i->nflags++] = f;
	}
	return 0;
}

/* The array form; false if the text is none (then it is the shell form, as with docker). */
static bool read_json(const struct dockerfile_parser *p, struct dockerfile_instr *i, size_t at)
{
	const char *text = p->line.text.buf + at;
	size_t len = p->line.text.len - at;
	json_t *parsed = NULL;
	if (*text != '[' || len > JSON_FORM_MAX || json_parse(text, len, "array", &parsed, NULL) < 0)
		return false;
	autojson json_t *array = parsed;
	size_t k;
	json_t *item;
	if (!json_is_array(array))
		return false;
	json_array_foreach (array, k, item)
		if (!json_is_string(item))
			return false;
	json_array_foreach (array, k, item)
		add_word(p, i, at, xstrdup(json_string_value(item)));
	i->json = true;
	return true;
}

static int split(struct dockerfile_parser *p, struct dockerfile_instr *i, size_t at, struct err *e)
{
	const char *text = p->line.text.buf;
	(void)e;
	for (at = skip_blanks(text, at); text[at];) {
		size_t end = word_end(text, at, p->d->escape);
		add_word(p, i, at, xstrndup(text + at, end - at));
		at = skip_blanks(text, end);
	}
	return 0;
}

/* ENV and LABEL: "KEY the rest" is the old form of one pair; otherwise every word needs its '='. */
static int check_pairs(struct dockerfile_parser *p, struct dockerfile_instr *i, size_t rest_at, struct err *e)
{
	bool old_form = i->kind != DOCKERFILE_ARG && i->nwords > 1 && !strchr(i->words[0].text, '=');
	for (size_t k = 0; k < i->nwords && !old_form; k++) {
		const char *equals = strchr(i->words[k].text, '=');
		size_t len = strlen(i->words[k].text);
		if (equals == i->words[k].text)
			return dockerfile_fail(p, rest_at, len, e, "%s: a name is missing before '='",
					       dockerfile_kind_name(i->kind));
		if (!equals && i->kind != DOCKERFILE_ARG)
			return dockerfile_fail(p, rest_at, len, e, "%s %.60s: a '=' and a value are missing",
					       dockerfile_kind_name(i->kind), i->words[k].text);
	}
	return 0;
}

static int check_from(const struct dockerfile_parser *p, const struct dockerfile_instr *i, size_t rest_at,
		      struct err *e)
{
	if (i->nwords == 1 || (i->nwords == 3 && strcasecmp(i->words[1].text, "as") == 0))
		return 0;
	return dockerfile_fail(p, rest_at, p->line.text.len - rest_at, e, "it should be: %s", shapes[i->kind].usage);
}

static int check_onbuild(const struct dockerfile_parser *p, const struct dockerfile_instr *i, size_t rest_at,
			 struct err *e)
{
	static const char *const refused[] = {"FROM", "ONBUILD", "MAINTAINER"};
	struct dockerfile inner;
	int r = dockerfile_parse_one(i->rest, p->d->escape, &inner, e);
	if (r < 0) {
		if (p->where)
			dockerfile_at(p->d, i->line, 1, 7, p->where);
		return err_ctx(e, "line %u: ONBUILD", i->line);
	}
	for (size_t k = 0; k < ARRAY_SIZE(refused) && r >= 0; k++)
		if (inner.count && str_eq(dockerfile_kind_name(inner.items[0].kind), refused[k]))
			r = dockerfile_fail(p, rest_at, strlen(refused[k]), e, "ONBUILD %s is not possible",
					    refused[k]);
	dockerfile_free(&inner);
	return r;
}

static int check(struct dockerfile_parser *p, struct dockerfile_instr *i, size_t rest_at, struct err *e)
{
	const struct shape *shape = &shapes[i->kind];
	const char *name = dockerfile_kind_name(i->kind);
	size_t width = RL_MAX(p->line.text.len - rest_at, (size_t)1);
	bool enough = i->nwords >= shape->min || (i->nheredocs && i->nwords >= 1);
	if (!enough)
		return dockerfile_fail(p, 0, strlen(name), e, "%s needs more: %s", name, shape->usage);
	if (shape->max && i->nwords > shape->max)
		return dockerfile_fail(p, rest_at, width, e, "%s has too many words: %s", name, shape->usage);
	if (i->kind == DOCKERFILE_SHELL && !i->json) {
		int r = dockerfile_fail(p, rest_at, width, e, "SHELL takes an array in JSON form");
		err_hint(e, "for example SHELL [\"/bin/bash\", \"-c\"]");
		return r;
	}
	if (i->kind == DOCKERFILE_FROM)
		return check_from(p, i, rest_at, e);
	if (i->kind == DOCKERFILE_ONBUILD)
		return check_onbuild(p, i, rest_at, e);
	return shape->pairs ? check_pairs(p, i, rest_at, e) : 0;
}

int dockerfile_read_words(struct dockerfile_parser *p, struct dockerfile_instr *i, size_t len, struct err *e)
{
	const struct shape *shape = &shapes[i->kind];
	const char *text = p->line.text.buf;
	size_t at = skip_blanks(text, len);
	i->text = xasprintf("%s %s", dockerfile_kind_name(i->kind), text + at);
	int r = read_flags(p, i, &at, e);
	if (r < 0)
		return r;
	i->rest = xstrdup(text + at);
	if (!shape->json || !read_json(p, i, at))
		r = split(p, i, at, e);
	if (r >= 0 && shape->heredoc && !i->json)
		r = dockerfile_read_heredocs(p, i, at, e);
	return r < 0 ? r : check(p, i, at, e);
}
