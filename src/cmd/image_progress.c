/*
 * image_progress.c - see image_progress.h.
 *
 * Theory: rl-image says what it is doing in messages about named things (struct image_progress). The terminal has two
 * parts: finished lines, which scroll away like any other output, and below them the live ones, `drawn` of them, which a
 * drawing goes back over. At most as many live lines as the terminal has rows less one are drawn, or going back would
 * not reach the first.
 */
#include "image_progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "rl/base/fmt.h"
#include "rl/base/mem.h"

enum { DRAW_MS = 100, ROWS_DEFAULT = 24, COLUMNS_DEFAULT = 80, ITEMS_MAX = 4096 };

struct image_progress_item {
	struct image_progress p;
	int64_t since_ms; /* in this state */
	uint64_t from;	  /* bytes at that moment */
	bool finished, shown;
};

static const char *const words[] = {
	[IMAGE_WAITING] = "waiting",	     [IMAGE_CHECKING] = "checking",
	[IMAGE_DOWNLOADING] = "downloading", [IMAGE_RETRYING] = "trying again",
	[IMAGE_UNPACKING] = "unpacking",     [IMAGE_COMPRESSING] = "compressing",
	[IMAGE_UPLOADING] = "uploading",     [IMAGE_COPYING] = "copying",
	[IMAGE_PRESENT] = "already there",   [IMAGE_DONE] = "done",
	[IMAGE_FAILED] = "failed",
};
_Static_assert(ARRAY_SIZE(words) == IMAGE_PROGRESS_N, "a word for every state");

static int64_t clock_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool is_end(uint32_t state)
{
	return state == IMAGE_DONE || state == IMAGE_PRESENT || state == IMAGE_FAILED;
}

static void describe(const struct image_progress_item *item, int64_t now, size_t columns, struct str *out)
{
	const struct image_progress *p = &item->p;
	char done[FMT_SIZE];
	char total[FMT_SIZE];
	size_t start = out->len;
	fmt_size(p->done, done);
	fmt_size(p->total, total);
	str_addf(out, "%-28s  %-13s", p->what, words[p->state]);
	if (item->finished)
		str_addf(out, "  %s", total);
	else if (p->total)
		str_addf(out, "  %s of %s", done, total);
	else
		str_addf(out, "  %s", done);
	int64_t ms = now - item->since_ms;
	if (!item->finished && ms >= DRAW_MS && p->done > item->from) {
		fmt_size((p->done - item->from) * 1000 / (uint64_t)ms, done);
		str_addf(out, "  %s/s", done);
	}
	if (columns && out->len - start > columns)
		str_cut(out, start + columns);
	/* Names come from archives. */
	for (char *c = out->buf + start; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
}

static void write_out(const struct str *s)
{
	for (size_t at = 0; at < s->len;) {
		ssize_t n = write(STDERR_FILENO, s->buf + at, s->len - at);
		if (n <= 0)
			return;
		at += (size_t)n;
	}
}

static void draw(struct image_progress_line *line, int64_t now, bool last)
{
	struct winsize ws = {.ws_row = 0};
	autostr struct str out = STR_INIT;
	if (line->terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) < 0)
		ws.ws_row = 0;
	size_t rows = ws.ws_row > 1 ? ws.ws_row : ROWS_DEFAULT;
	size_t columns = ws.ws_col > 1 ? ws.ws_col - 1U : COLUMNS_DEFAULT - 1;
	if (line->drawn)
		str_addf(&out, "\033[%zuA\r\033[J", line->drawn);
	line->drawn = 0;
	for (size_t i = 0; i < line->count; i++) {
		struct image_progress_item *item = &line->items[i];
		if (!item->finished || item->shown)
			continue;
		item->shown = true;
		describe(item, now, line->terminal ? columns : 0, &out);
		str_addc(&out, '\n');
	}
	for (size_t i = 0; i < line->count && line->terminal && !last && line->drawn + 1 < rows; i++) {
		if (line->items[i].finished)
			continue;
		describe(&line->items[i], now, columns, &out);
		str_addc(&out, '\n');
		line->drawn++;
	}
	line->last_ms = now;
	write_out(&out);
}

static struct image_progress_item *find_item(struct image_progress_line *line, const struct image_progress *p)
{
	for (size_t i = 0; i < line->count; i++)
		if (str_eq(line->items[i].p.what, p->what))
			return &line->items[i];
	if (line->count == ITEMS_MAX)
		return NULL;
	line->items = xreallocarray(line->items, line->count + 1, sizeof(*line->items));
	struct image_progress_item *item = &line->items[line->count++];
	*item = (struct image_progress_item){.p = *p};
	item->p.state = IMAGE_PROGRESS_N;
	return item;
}

static void show(const struct image_progress *p, void *arg)
{
	struct image_progress_line *line = arg;
	struct image_progress_item *item = find_item(line, p);
	int64_t now = clock_ms();
	if (!item || item->finished || p->state >= IMAGE_PROGRESS_N)
		return;
	if (!line->begun_ms)
		line->begun_ms = now;
	bool changed = item->p.state != p->state;
	if (changed) {
		item->since_ms = now;
		item->from = p->done;
	}
	item->p = *p;
	if (is_end(p->state)) {
		item->finished = true;
		line->done++;
		line->kept += p->state == IMAGE_PRESENT;
		line->bytes += p->state == IMAGE_DONE ? p->total : 0;
	}
	if (item->finished || (line->terminal && now - line->last_ms >= DRAW_MS))
		draw(line, now, false);
}

void image_progress_begin(struct image_progress_line *line, bool quiet, struct image_ui *ret_ui)
{
	*line = (struct image_progress_line){.on = !quiet, .terminal = !quiet && isatty(STDERR_FILENO)};
	*ret_ui = (struct image_ui){.progress = line->on ? show : NULL, .arg = line};
}

static void summary(const struct image_progress_line *line, int64_t now, struct str *out)
{
	char size[FMT_SIZE];
	char rate[FMT_SIZE];
	int64_t ms = RL_MAX(now - line->begun_ms, (int64_t)1);
	fmt_size(line->bytes, size);
	fmt_size(line->bytes * 1000 / (uint64_t)ms, rate);
	str_addf(out, "%s in %lld.%lld s (%s/s)", size, (long long)(ms / 1000), (long long)(ms % 1000 / 100), rate);
	if (line->kept)
		str_addf(out, ", %zu of %zu already there", line->kept, line->done);
	str_addc(out, '\n');
}

void image_progress_end(struct image_progress_line *line)
{
	if (line->on && line->begun_ms) {
		autostr struct str out = STR_INIT;
		int64_t now = clock_ms();
		draw(line, now, true);
		if (line->done)
			summary(line, now, &out);
		write_out(&out);
	}
	free(line->items);
	*line = (struct image_progress_line){.on = false};
}
