/*
 * build_show.c - progress on standard error (or --logfile): one line per step and its output as it comes, or on a terminal
 * one line per step with its time, the running ones live at the bottom with the last line they wrote.
 *
 * Output of steps is hostile: control characters are shown as '?' on a terminal. What a step wrote is kept (the last
 * BUILD_TAIL_MAX KiB) for the case that it fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "build_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"

enum { REDRAW_NS = 200 * 1000 * 1000, WIDTH_DEFAULT = 80, LINES_OF_FAILURE = 20 };

struct build_show {
	int fd;
	enum build_progress how;
	struct event_timer timer;
	unsigned drawn; /* live lines on the screen */
	size_t nneeded;
};

int build_show_open(struct build *b, struct err *e)
{
	struct build_show *s = xcalloc(1, sizeof(*s));
	const char *how = b->o->progress ? b->o->progress : "auto";
	b->show = s;
	s->fd = STDERR_FILENO;
	if (b->o->logfile) {
		s->fd = open(b->o->logfile, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (s->fd < 0)
			return err_sys(e, errno, "--logfile %s", b->o->logfile);
	}
	const char *term = getenv("TERM");
	bool dumb = term && str_eq(term, "dumb");
	if (b->o->quiet)
		s->how = BUILD_PROGRESS_QUIET;
	else if (str_eq(how, "plain"))
		s->how = BUILD_PROGRESS_PLAIN;
	else if (str_eq(how, "tty"))
		s->how = BUILD_PROGRESS_TTY;
	else if (str_eq(how, "auto"))
		s->how = isatty(s->fd) && !dumb ? BUILD_PROGRESS_TTY : BUILD_PROGRESS_PLAIN;
	else
		return err_set(e, EINVAL, "--progress=%s: it is auto, plain or tty", how);
	return 0;
}

static void put(struct build_show *s, const struct str *text)
{
	/* Progress that nobody reads is no reason to fail. */
	(void)!io_write_all(s->fd, text->buf, text->len, NULL);
}

static void erase(struct build_show *s, struct str *out)
{
	for (; s->drawn; s->drawn--)
		str_adds(out, "\033[1A\033[2K");
	str_addc(out, '\r');
}

static unsigned width_of(const struct build_show *s)
{
	struct winsize w;
	return ioctl(s->fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 10 ? w.ws_col : WIDTH_DEFAULT;
}

/* One line, control characters replaced, cut to the screen. */
static void add_line(struct str *out, const char *text, size_t len, size_t width)
{
	for (size_t i = 0; i < len && i < width && text[i] != '\n'; i++)
		str_addc(out, (unsigned char)text[i] < 32 || text[i] == 127 ? (text[i] == '\t' ? ' ' : '?') : text[i]);
}

static void name_step(const struct build *b, const struct build_stage *s, const struct build_step *st, struct str *out)
{
	size_t n = (size_t)(st - s->steps) + 1;
	str_addc(out, '[');
	if (b->nstages > 1) {
		if (*s->name)
			str_addf(out, "%s ", s->name);
		else
			str_addf(out, "stage-%u ", s->index);
	}
	str_addf(out, "%zu/%zu] ", n, s->nsteps);
	size_t first = strcspn(st->text, "\n");
	add_line(out, st->text, RL_MIN(first, (size_t)300), 300);
}

static const char *last_line(const struct build_stage *s, size_t *ret_len)
{
	size_t end = s->tail.len;
	while (end && s->tail.buf[end - 1] == '\n')
		end--;
	size_t start = end;
	while (start && s->tail.buf[start - 1] != '\n')
		start--;
	*ret_len = end - start;
	return s->tail.buf + start;
}

static void draw(struct build *b, struct str *out)
{
	struct build_show *w = b->show;
	unsigned width = width_of(w);
	for (size_t k = 0; k < b->nstages; k++) {
		const struct build_stage *s = &b->stages[k];
		if (!s->child)
			continue;
		const struct build_step *st = &s->steps[s->next];
		autostr struct str line = STR_INIT;
		size_t len;
		const char *last = last_line(s, &len);
		str_addf(&line, "%6.1fs ", (double)((int64_t)event_now_ns() - st->started_ns) / 1e9);
		name_step(b, s, st, &line);
		if (len) {
			/* What it says now is worth more than the end of what it was told. */
			size_t room = width - RL_MIN(len + 4, (size_t)width / 2);
			if (line.len > room) {
				str_cut(&line, room > 3 ? room - 3 : 0);
				str_adds(&line, "...");
			}
			str_adds(&line, " > ");
			str_add(&line, last, len);
		}
		add_line(out, line.buf, line.len, width - 1);
		str_addc(out, '\n');
		w->drawn++;
	}
}

static int redraw(void *arg, struct err *e)
{
	struct build *b = arg;
	(void)e;
	autostr struct str out = STR_INIT;
	erase(b->show, &out);
	draw(b, &out);
	put(b->show, &out);
	event_timer_set(&b->loop, &b->show->timer, REDRAW_NS, redraw, b);
	return 0;
}

/* A line that stays. */
static void say(struct build *b, const char *text)
{
	struct build_show *w = b->show;
	autostr struct str out = STR_INIT;
	bool live = w->how == BUILD_PROGRESS_TTY;
	if (live)
		erase(w, &out);
	str_adds(&out, text);
	str_addc(&out, '\n');
	if (live) {
		draw(b, &out);
		event_timer_set(&b->loop, &w->timer, REDRAW_NS, redraw, b);
	}
	put(w, &out);
}

void build_show_line(struct build *b, const char *fmt, ...)
{
	if (b->show->how == BUILD_PROGRESS_QUIET)
		return;
	va_list ap;
	va_start(ap, fmt);
	autofree char *text = xvasprintf(fmt, ap);
	va_end(ap);
	say(b, text);
}

void build_show_start(struct build *b, const struct build_stage *s, const struct build_step *st)
{
	autostr struct str line = STR_INIT;
	/* From now on there is something to be drawn again and again. */
	if (b->show->how == BUILD_PROGRESS_TTY && s->child)
		(void)!redraw(b, NULL);
	if (b->show->how != BUILD_PROGRESS_PLAIN)
		return;
	name_step(b, s, st, &line);
	if (st->cached)
		str_adds(&line, "  (cached)");
	say(b, line.buf);
}

void build_show_output(struct build *b, const struct build_stage *s, const char *data, size_t len)
{
	struct build_stage *mine = &b->stages[s->index];
	size_t max = (size_t)BUILD_TAIL_MAX * 1024;
	str_add(&mine->tail, data, len);
	if (mine->tail.len > 2 * max) {
		memmove(mine->tail.buf, mine->tail.buf + mine->tail.len - max, max);
		str_cut(&mine->tail, max);
	}
	if (b->show->how != BUILD_PROGRESS_PLAIN)
		return;
	struct str out = {.buf = (char *)(uintptr_t)data, .len = len};
	put(b->show, &out);
}

void build_show_end(struct build *b, const struct build_stage *s, const struct build_step *st)
{
	if (b->show->how != BUILD_PROGRESS_TTY)
		return;
	autostr struct str line = STR_INIT;
	if (st->cached)
		str_adds(&line, " cached ");
	else
		str_addf(&line, "%6.1fs ", (double)st->took_ns / 1e9);
	name_step(b, s, st, &line);
	str_cut(&line, RL_MIN(line.len, (size_t)width_of(b->show) - 1));
	say(b, line.buf);
}

/* The last lines of what failed, where they were not shown as they came. */
void build_show_failed(struct build *b, const struct build_stage *s, const struct build_step *st)
{
	struct build_show *w = b->show;
	if (w->how == BUILD_PROGRESS_PLAIN)
		return;
	autostr struct str out = STR_INIT;
	if (w->how == BUILD_PROGRESS_TTY)
		erase(w, &out);
	name_step(b, s, st, &out);
	str_addc(&out, '\n');
	size_t start = s->tail.len;
	for (unsigned lines = 0; start; start--)
		if (s->tail.buf[start - 1] == '\n' && ++lines > LINES_OF_FAILURE)
			break;
	for (const char *p = s->tail.buf + start; *p;) {
		size_t n = strcspn(p, "\n");
		str_adds(&out, "  | ");
		add_line(&out, p, n, n);
		str_addc(&out, '\n');
		p += n + (p[n] == '\n');
	}
	put(w, &out);
}

void build_show_close(struct build *b)
{
	if (!b->show)
		return;
	event_timer_stop(&b->loop, &b->show->timer);
	if (b->show->how == BUILD_PROGRESS_TTY) {
		autostr struct str out = STR_INIT;
		erase(b->show, &out);
		put(b->show, &out);
	}
	if (b->show->fd != STDERR_FILENO)
		close(b->show->fd);
	free(b->show);
	b->show = NULL;
}
