/*
 * image_text.c - how image verbs show names, ids, times and progress.
 */
#include "image_text.h"

#include <time.h>
#include <unistd.h>

#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/model/imgref.h"

static const char none[] = "<none>";

char *image_text_id(const char *digest, bool full)
{
	const char *hex = str_after(digest, "sha256:");
	if (full || !hex)
		return xstrdup(digest);
	return xstrndup(hex, 12);
}

void image_text_name(const char *canonical, enum cmd_flavour flavour, struct image_text_name *ret)
{
	const char *shown = flavour == CMD_PODMAN ? canonical : imgref_familiar(canonical);
	const char *at = strchr(shown, '@');
	size_t end = at ? (size_t)(at - shown) : strlen(shown);
	const char *slash = memrchr(shown, '/', end);
	const char *name = slash ? slash + 1 : shown;
	const char *colon = memchr(name, ':', end - (size_t)(name - shown));
	size_t repository_end = colon ? (size_t)(colon - shown) : end;
	ret->repository = repository_end ? xstrndup(shown, repository_end) : xstrdup(none);
	ret->tag = colon ? xstrndup(colon + 1, end - repository_end - 1) : xstrdup(none);
	ret->digest = xstrdup(at ? at + 1 : none);
}

void image_text_name_free(struct image_text_name *n)
{
	free(n->repository);
	free(n->tag);
	free(n->digest);
}

char *image_text_ago(const char *rfc3339, int64_t now)
{
	int64_t created;
	char text[FMT_SIZE];
	if (fmt_parse_time(rfc3339, "created", &created, NULL) < 0)
		return xstrdup("N/A");
	/* Reproducible builds have no time worth showing. */
	if (created <= 0)
		return xstrdup("N/A");
	fmt_duration(now > created ? now - created : 0, text);
	return xasprintf("%s ago", text);
}

enum { PROGRESS_EVERY_US = 100000, LINE_WIDTH = 78 };

static long now_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000L + ts.tv_nsec / 1000;
}

static void show(const struct image_progress *p, void *arg)
{
	struct image_progress_line *line = arg;
	long now = now_us();
	bool finished = p->total && p->done >= p->total;
	if (now - line->last_us < PROGRESS_EVERY_US && !finished && str_eq(line->what, p->what))
		return;
	line->last_us = now;
	snprintf(line->what, sizeof(line->what), "%s", p->what);
	char done[FMT_SIZE];
	char total[FMT_SIZE];
	autostr struct str text = STR_INIT;
	fmt_size(p->done, done);
	fmt_size(p->total, total);
	str_addf(&text, "%.40s  %s", p->what, done);
	if (p->total)
		str_addf(&text, " of %s", total);
	str_cut(&text, LINE_WIDTH);
	/* Names come from archives. */
	for (char *c = text.buf; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	dprintf(STDERR_FILENO, "\r\033[K%s", text.buf);
}

void image_progress_begin(struct image_progress_line *line, bool quiet, struct image_ui *ret_ui)
{
	*line = (struct image_progress_line){.on = !quiet && isatty(STDERR_FILENO)};
	*ret_ui = (struct image_ui){.progress = line->on ? show : NULL, .arg = line};
}

void image_progress_end(struct image_progress_line *line)
{
	if (line->on && line->last_us)
		dprintf(STDERR_FILENO, "\r\033[K");
	line->on = false;
}
