/*
 * dockerfile.c - from bytes to instructions; see dockerfile.h. Expansion is in dockerfile_expand.c, the words of an
 * instruction in dockerfile_words.c.
 *
 * Two passes in one: physical lines are joined to a logical one (struct joined), which remembers for every piece where it
 * came from, so that an error in the middle of a long RUN points at the line the person sees. When the logical line is
 * complete its here-documents are read from the lines that follow.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "dockerfile_int.h"
#include "rl/base/mem.h"

static const char *const kind_names[] = {
	[DOCKERFILE_ADD] = "ADD",
	[DOCKERFILE_ARG] = "ARG",
	[DOCKERFILE_CMD] = "CMD",
	[DOCKERFILE_COPY] = "COPY",
	[DOCKERFILE_ENTRYPOINT] = "ENTRYPOINT",
	[DOCKERFILE_ENV] = "ENV",
	[DOCKERFILE_EXPOSE] = "EXPOSE",
	[DOCKERFILE_FROM] = "FROM",
	[DOCKERFILE_HEALTHCHECK] = "HEALTHCHECK",
	[DOCKERFILE_LABEL] = "LABEL",
	[DOCKERFILE_MAINTAINER] = "MAINTAINER",
	[DOCKERFILE_ONBUILD] = "ONBUILD",
	[DOCKERFILE_RUN] = "RUN",
	[DOCKERFILE_SHELL] = "SHELL",
	[DOCKERFILE_STOPSIGNAL] = "STOPSIGNAL",
	[DOCKERFILE_USER] = "USER",
	[DOCKERFILE_VOLUME] = "VOLUME",
	[DOCKERFILE_WORKDIR] = "WORKDIR",
	[DOCKERFILE_KIND_N] = NULL,
};

const char *dockerfile_kind_name(enum dockerfile_kind kind)
{
	return kind < DOCKERFILE_KIND_N ? kind_names[kind] : "?";
}

/* ---- places ---- */

void dockerfile_at(const struct dockerfile *d, unsigned line, unsigned column, unsigned width,
		   struct dockerfile_where *ret)
{
	*ret = (struct dockerfile_where){.line = line, .column = column, .width = width};
	if (line && line <= d->nlines)
		snprintf(ret->excerpt, sizeof(ret->excerpt), "%s", d->lines[line - 1]);
}

void dockerfile_excerpt(const struct dockerfile_where *w, struct str *out)
{
	if (!w->line)
		return;
	str_addf(out, "%4u | %s\n", w->line, w->excerpt);
	size_t len = strlen(w->excerpt);
	if (!w->column || w->column > len + 1)
		return;
	str_adds(out, "     | ");
	for (unsigned i = 1; i < w->column; i++)
		str_addc(out, w->excerpt[i - 1] == '\t' ? '\t' : ' ');
	for (unsigned i = 0; i < RL_MAX(w->width, 1U) && w->column + i <= RL_MAX(len, (size_t)w->column); i++)
		str_addc(out, '^');
	str_addc(out, '\n');
}

void joined_place(const struct joined *j, size_t at, unsigned *ret_line, unsigned *ret_column)
{
	if (!j->npieces) {
		*ret_line = 1;
		*ret_column = 1;
		return;
	}
	/* The last piece that does not begin behind `at`. Halving: one instruction may have as many lines as it has words. */
	size_t low = 0;
	for (size_t high = j->npieces; high - low > 1;) {
		size_t middle = low + (high - low) / 2;
		if (j->pieces[middle].at > at)
			high = middle;
		else
			low = middle;
	}
	const struct joined_piece *p = &j->pieces[low];
	*ret_line = p->line;
	*ret_column = p->column + (unsigned)(at - p->at);
}

int dockerfile_fail(const struct dockerfile_parser *p, size_t at, size_t width, struct err *e, const char *fmt, ...)
{
	unsigned line;
	unsigned column;
	va_list ap;
	va_start(ap, fmt);
	autofree char *text = xvasprintf(fmt, ap);
	va_end(ap);
	joined_place(&p->line, at, &line, &column);
	if (p->where)
		dockerfile_at(p->d, line, column, (unsigned)width, p->where);
	return err_set(e, EINVAL, "line %u: %s", line, text);
}

/* ---- lines ---- */

static int split_lines(struct dockerfile *d, const char *text, size_t len, struct err *e)
{
	static const char bom[] = "\xef\xbb\xbf";
	if (len > DOCKERFILE_MAX)
		return err_set(e, E2BIG, "a Dockerfile of %zu bytes; the limit is %d", len, (int)DOCKERFILE_MAX);
	if (memchr(text, '\0', len))
		return err_set(e, EINVAL, "it holds a NUL byte: it is no text");
	if (len >= 3 && memcmp(text, bom, 3) == 0) {
		text += 3;
		len -= 3;
	}
	size_t room = 0;
	for (const char *end = text + len; text < end;) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t n = stop ? (size_t)(stop - text) : (size_t)(end - text);
		size_t shown = n && text[n - 1] == '\r' ? n - 1 : n;
		if (d->nlines == room) {
			room = room ? room * 2 : 64;
			d->lines = xreallocarray(d->lines, room, sizeof(*d->lines));
		}
		d->lines[d->nlines++] = xstrndup(text, shown);
		text += n + (stop != NULL);
	}
	return 0;
}

static const char *skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t' || *p == '\f' || *p == '\v')
		p++;
	return p;
}

static bool is_comment(const char *line)
{
	return *skip_blanks(line) == '#';
}

static bool is_empty(const char *line)
{
	return *skip_blanks(line) == '\0';
}

/* ---- directives: "# key=value" lines before anything else ---- */

static int set_syntax(struct dockerfile_parser *p, const char *value, struct err *e)
{
	static const char *const images[] = {"docker/dockerfile", "docker.io/docker/dockerfile",
					     "docker/dockerfile-upstream", "docker.io/docker/dockerfile-upstream"};
	p->d->syntax = xstrdup(value);
	size_t n = strcspn(value, ":@");
	bool known = false;
	for (size_t i = 0; i < ARRAY_SIZE(images); i++)
		known = known || (strlen(images[i]) == n && memcmp(images[i], value, n) == 0);
	const char *tag = value[n] == ':' ? value + n + 1 : "";
	bool version = !*tag || *tag == '1' || str_after(tag, "latest") || str_after(tag, "labs") ||
		       str_after(tag, "master");
	if (known && version)
		return 0;
	err_set(e, EOPNOTSUPP, "# syntax=%.80s: this language is not known", value);
	return err_hint(e, "docker/dockerfile:1 is; images that bring a parser of their own are not run");
}

/* "skip=RULE,RULE;error=true": about the warnings of docker's checker. rl has none, so nothing follows from it; what is no
 * such list is refused all the same. */
static int check_check(const char *value, struct err *e)
{
	for (const char *p = value;; p++) {
		const char *list = str_after(p, "skip=");
		size_t n = list ? strspn(list, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ, ") : 0;
		if (n) {
			p = list + n;
		} else if (str_after(p, "error=true") || str_after(p, "error=false")) {
			p += str_after(p, "error=true") ? strlen("error=true") : strlen("error=false");
		} else {
			break;
		}
		if (!*p)
			return 0;
		if (*p != ';')
			break;
	}
	return err_set(e, EINVAL, "# check=%.60s: it is skip=RULE,... and error=true, with ';' between them", value);
}

static int set_directive(struct dockerfile_parser *p, const char *key, const char *value, struct err *e)
{
	if (strcasecmp(key, "escape") == 0) {
		if (!str_eq(value, "\\") && !str_eq(value, "`"))
			return err_set(e, EINVAL, "# escape=%.20s: it can be \\ or `", value);
		p->d->escape = *value;
		return 0;
	}
	return strcasecmp(key, "syntax") == 0 ? set_syntax(p, value, e) : check_check(value, e);
}

/* "# key = value"? */
static bool split_directive(const char *line, char **ret_key, char **ret_value)
{
	const char *s = skip_blanks(line);
	if (*s++ != '#')
		return false;
	s = skip_blanks(s);
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
	const char *equals = skip_blanks(s + n);
	if (n == 0 || *equals != '=')
		return false;
	const char *value = skip_blanks(equals + 1);
	size_t len = strlen(value);
	while (len && isspace((unsigned char)value[len - 1]))
		len--;
	*ret_key = xstrndup(s, n);
	*ret_value = xstrndup(value, len);
	return true;
}

static bool is_known_directive(const char *key)
{
	return strcasecmp(key, "syntax") == 0 || strcasecmp(key, "escape") == 0 || strcasecmp(key, "check") == 0;
}

static int read_directives(struct dockerfile_parser *p, struct err *e)
{
	unsigned seen = 0;
	for (; p->next < p->d->nlines; p->next++) {
		autofree char *key = NULL;
		autofree char *value = NULL;
		if (!split_directive(p->d->lines[p->next], &key, &value) || !is_known_directive(key))
			return 0;
		unsigned bit = 1U << (tolower((unsigned char)*key) - 'a');
		int r = seen & bit ? err_set(e, EINVAL, "# %s= stands here a second time", key)
				   : set_directive(p, key, value, e);
		seen |= bit;
		if (r < 0) {
			if (p->where)
				dockerfile_at(p->d, (unsigned)p->next + 1, 1, (unsigned)strlen(p->d->lines[p->next]),
					      p->where);
			return err_ctx(e, "line %zu", p->next + 1);
		}
	}
	return 0;
}

/* ---- logical lines ---- */

static void add_piece(struct joined *j, const char *text, size_t len, unsigned line, unsigned column)
{
	if (j->npieces == j->size) {
		j->size = j->size ? j->size * 2 : 8;
		j->pieces = xreallocarray(j->pieces, j->size, sizeof(*j->pieces));
	}
	j->pieces[j->npieces++] = (struct joined_piece){.at = j->text.len, .line = line, .column = column};
	str_add(&j->text, text, len);
}

/* Does the line end in an escape character that is not itself escaped? *ret_len is then what stands before it. */
static bool continues(const char *line, char escape, size_t *ret_len)
{
	size_t n = strlen(line);
	while (n && (line[n - 1] == ' ' || line[n - 1] == '\t'))
		n--;
	if (!n || line[n - 1] != escape || (n > 1 && line[n - 2] == escape))
		return false;
	*ret_len = n - 1;
	return true;
}

/* The next logical line; false at the end of the file. */
static bool read_logical(struct dockerfile_parser *p)
{
	const struct dockerfile *d = p->d;
	str_cut(&p->line.text, 0);
	p->line.npieces = 0;
	while (p->next < d->nlines && (is_comment(d->lines[p->next]) || is_empty(d->lines[p->next])))
		p->next++;
	if (p->next == d->nlines)
		return false;
	bool more = true;
	for (bool first = true; more && p->next < d->nlines; p->next++) {
		const char *line = d->lines[p->next];
		if (!first && (is_comment(line) || is_empty(line)))
			continue;
		const char *start = first ? skip_blanks(line) : line;
		size_t len = strlen(start);
		more = continues(start, d->escape, &len);
		add_piece(&p->line, start, len, (unsigned)p->next + 1, (unsigned)(start - line) + 1);
		first = false;
	}
	struct str *text = &p->line.text;
	size_t n = text->len;
	while (n && isspace((unsigned char)text->buf[n - 1]))
		n--;
	str_cut(text, n);
	return true;
}

/* ---- here-documents ---- */

/* `word` is "[N]<<[-]NAME" with NAME perhaps quoted: fills *h and *ret_strip. */
static bool heredoc_word(const char *word, struct dockerfile_heredoc *h, bool *ret_strip)
{
	const char *s = word + strspn(word, "0123456789");
	if (s[0] != '<' || s[1] != '<')
		return false;
	s += 2;
	*ret_strip = *s == '-';
	s += *ret_strip;
	size_t n = strlen(s);
	h->expand = true;
	if (n >= 2 && (*s == '"' || *s == '\'') && s[n - 1] == *s) {
		h->expand = false;
		s++;
		n -= 2;
	}
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("_-.", s[i]))
			return false;
	if (n == 0)
		return false;
	h->name = xstrndup(s, n);
	return true;
}

static int read_heredoc(struct dockerfile_parser *p, struct dockerfile_heredoc *h, bool strip, size_t at, struct err *e)
{
	struct str text = STR_INIT;
	while (p->next < p->d->nlines) {
		const char *line = p->d->lines[p->next++];
		if (strip)
			line += strspn(line, "\t");
		if (str_eq(line, h->name)) {
			h->text = str_take(&text);
			return 0;
		}
		str_adds(&text, line);
		str_addc(&text, '\n');
	}
	str_free(&text);
	return dockerfile_fail(p, at, 2, e, "the here-document ends with the file; no line is just \"%.60s\"", h->name);
}

int dockerfile_read_heredocs(struct dockerfile_parser *p, struct dockerfile_instr *i, size_t rest_at, struct err *e)
{
	for (size_t w = 0; w < i->nwords; w++) {
		struct dockerfile_heredoc h = {0};
		bool strip = false;
		if (!heredoc_word(i->words[w].text, &h, &strip))
			continue;
		i->heredocs = xreallocarray(i->heredocs, i->nheredocs + 1, sizeof(*i->heredocs));
		i->heredocs[i->nheredocs++] = h;
		int r = p->one ? dockerfile_fail(p, rest_at, 1, e, "a here-document is not possible in ONBUILD")
			       : read_heredoc(p, &i->heredocs[i->nheredocs - 1], strip, rest_at, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- instructions ---- */

static int unknown_keyword(const struct dockerfile_parser *p, const char *word, size_t len, struct err *e)
{
	autofree char *upper = xstrndup(word, len);
	for (char *c = upper; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	int r = dockerfile_fail(p, 0, len, e, "there is no instruction '%.40s'", upper);
	const char *near = str_nearest(upper, kind_names);
	if (near)
		err_hint(e, "did you mean %s?", near);
	return r;
}

static void add_instr(struct dockerfile_parser *p, const struct dockerfile_instr *i)
{
	struct dockerfile *d = p->d;
	if (d->count == p->size) {
		p->size = p->size ? p->size * 2 : 16;
		d->items = xreallocarray(d->items, p->size, sizeof(*d->items));
	}
	d->items[d->count++] = *i;
}

static void instr_free(struct dockerfile_instr *i)
{
	for (size_t k = 0; k < i->nflags; k++) {
		free(i->flags[k].name);
		free(i->flags[k].value);
	}
	for (size_t k = 0; k < i->nwords; k++)
		free(i->words[k].text);
	for (size_t k = 0; k < i->nheredocs; k++) {
		free(i->heredocs[k].name);
		free(i->heredocs[k].text);
	}
	free(i->flags);
	free(i->words);
	free(i->heredocs);
	free(i->text);
	free(i->rest);
}

static int read_instr(struct dockerfile_parser *p, struct err *e)
{
	const char *line = p->line.text.buf;
	size_t len = strcspn(line, " \t\f\v");
	struct dockerfile_instr i = {.kind = DOCKERFILE_KIND_N, .line = p->line.pieces[0].line};
	for (int k = 0; k < DOCKERFILE_KIND_N; k++)
		if (strlen(kind_names[k]) == len && strncasecmp(kind_names[k], line, len) == 0)
			i.kind = (enum dockerfile_kind)k;
	if (i.kind == DOCKERFILE_KIND_N)
		return unknown_keyword(p, line, len, e);
	int r = dockerfile_read_words(p, &i, len, e);
	if (r < 0)
		instr_free(&i);
	else
		add_instr(p, &i);
	return r;
}

static int parse_all(struct dockerfile_parser *p, struct err *e)
{
	int r = 0;
	while (r >= 0 && read_logical(p))
		r = read_instr(p, e);
	return r;
}

static int parse(const char *text, size_t len, char escape, bool one, struct dockerfile *ret_file,
		 struct dockerfile_where *ret_where, struct err *e)
{
	struct dockerfile d = {.escape = escape};
	struct dockerfile_parser p = {.d = &d, .where = ret_where, .one = one, .line = {.text = STR_INIT}};
	if (ret_where)
		*ret_where = (struct dockerfile_where){0};
	int r = split_lines(&d, text, len, e);
	if (r >= 0 && !one)
		r = read_directives(&p, e);
	if (r >= 0)
		r = parse_all(&p, e);
	str_free(&p.line.text);
	free(p.line.pieces);
	if (r < 0)
		dockerfile_free(&d);
	else
		*ret_file = d;
	return r < 0 ? r : 0;
}

int dockerfile_parse(const char *text, size_t len, struct dockerfile *ret_file, struct dockerfile_where *ret_where,
		     struct err *e)
{
	return parse(text, len, '\\', false, ret_file, ret_where, e);
}

int dockerfile_parse_one(const char *text, char escape, struct dockerfile *ret_file, struct err *e)
{
	return parse(text, strlen(text), escape, true, ret_file, NULL, e);
}

void dockerfile_free(struct dockerfile *d)
{
	for (size_t i = 0; i < d->count; i++)
		instr_free(&d->items[i]);
	for (size_t i = 0; i < d->nlines; i++)
		free(d->lines[i]);
	free(d->items);
	free(d->lines);
	free(d->syntax);
	*d = (struct dockerfile){0};
}

const struct dockerfile_flag *dockerfile_find_flag(const struct dockerfile_instr *i, const char *name)
{
	const struct dockerfile_flag *found = NULL;
	for (size_t k = 0; k < i->nflags; k++)
		if (str_eq(i->flags[k].name, name))
			found = &i->flags[k];
	return found;
}
