/*
 * container_logs.c - `rl logs`: entries of one or several containers to our standard output and error.
 *
 * Several containers are shown one after the other, or with --follow as their entries come, each from a reader of its
 * own. Following ends when the container has ended and its log has been read to the end after that.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/engine/log_file.h"
#include "rl/svc/container.h"

enum { FLUSH_AT = 128 * 1024 };

struct source {
	struct container_rec rec;
	int log_dir; /* with --log-opt path=: its directory; else -1 */
	struct log_reader reader;
	struct str details;
	bool line_begun[2]; /* stdout, stderr: the last entry did not end its line */
	bool finished;
};

struct logs {
	const struct container_logs_opts *o;
	struct source *sources;
	size_t count;
	size_t name_width;
	struct str out;
	enum log_stream stream; /* of what is in `out` */
};

const char *container_log_path(const struct run_opts *o)
{
	const char *path = NULL;
	for (size_t i = 0; i < o->log_opts.count; i++) {
		const char *value = str_after(o->log_opts.items[i], "path=");
		path = value && *value == '/' ? value : path; /* made so at creation; a record may be damaged */
	}
	return path;
}

int container_log_place(const struct run_opts *o, int dirfd, int *ret_dir, struct log_place *ret_place, struct err *e)
{
	const char *path = container_log_path(o);
	*ret_place = (struct log_place){.dirfd = dirfd, .name = LOG_FILE_NAME};
	*ret_dir = -1;
	if (!path)
		return 0;
	const char *slash = strrchr(path, '/');
	autofree char *dir = xstrndup(path, (size_t)(slash - path) + 1);
	*ret_dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret_dir < 0)
		return err_sys(e, errno, "--log-opt path=%s", path);
	*ret_place = (struct log_place){.dirfd = *ret_dir, .name = slash + 1};
	return 0;
}

static int flush(struct logs *l, struct err *e)
{
	int r = 0;
	if (l->out.len)
		r = io_write_all(l->stream == LOG_STDERR ? STDERR_FILENO : STDOUT_FILENO, l->out.buf, l->out.len, e);
	str_cut(&l->out, 0);
	return r;
}

static void add_prefix(struct logs *l, const struct source *s, const struct log_entry *entry)
{
	/* The six colors that are readable on black and on white. */
	if (l->o->color)
		str_addf(&l->out, "\033[3%dm%-*s |\033[0m ", 1 + (int)((s - l->sources) % 6), (int)l->name_width,
			 s->rec.config.name);
	else if (l->o->names)
		str_addf(&l->out, "%-*s | ", (int)l->name_width, s->rec.config.name);
	if (l->o->timestamps) {
		time_t seconds = (time_t)(entry->time / 1000000000);
		struct tm tm;
		gmtime_r(&seconds, &tm);
		str_addf(&l->out, "%04d-%02d-%02dT%02d:%02d:%02d.%09lldZ ", tm.tm_year + 1900, tm.tm_mon + 1,
			 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (long long)(entry->time % 1000000000));
	}
	if (l->o->details && s->details.len)
		str_addf(&l->out, "%s ", s->details.buf);
}

static void add_detail(struct str *out, const char *key, const char *value)
{
	str_addf(out, "%s%s=%s", out->len ? "," : "", key, value);
}

/* Of the labels or variables in `from`, "NAME=VALUE" each, those that the list in `names` asks for. */
static void add_details_of(struct str *out, const char *names, const struct strv *from)
{
	autostrv struct strv wanted = STRV_INIT;
	strv_split(&wanted, names, ',');
	for (size_t i = 0; i < wanted.count; i++) {
		const char *value = strv_env_get(from, wanted.items[i]);
		if (value)
			add_detail(out, wanted.items[i], value);
	}
}

/* What --log-opt attached to every entry, as docker shows it. */
static void collect_details(struct source *s)
{
	const struct record_config *rc = &s->rec.config;
	for (size_t i = 0; i < rc->o.log_opts.count; i++) {
		const char *opt = rc->o.log_opts.items[i];
		const char *value;
		if ((value = str_after(opt, "tag=")))
			add_detail(&s->details, "tag", value);
		else if ((value = str_after(opt, "labels=")))
			add_details_of(&s->details, value, &rc->labels);
		else if ((value = str_after(opt, "env=")))
			add_details_of(&s->details, value, &rc->env);
	}
}

static int show(struct logs *l, struct source *s, const struct log_entry *entry, struct err *e)
{
	int r = 0;
	if (entry->stream != l->stream)
		r = flush(l, e);
	l->stream = entry->stream;
	if (!s->line_begun[entry->stream])
		add_prefix(l, s, entry);
	str_add(&l->out, entry->data, entry->len);
	s->line_begun[entry->stream] = entry->len == 0 || entry->data[entry->len - 1] != '\n';
	if (r == 0 && l->out.len >= FLUSH_AT)
		r = flush(l, e);
	return r;
}

/* Everything there is now. Times of entries may go back where somebody set the clock: an entry that is too late is passed
 * over, it is not the end. */
static int read_on(struct logs *l, struct source *s, struct err *e)
{
	struct log_entry entry;
	int r;
	while ((r = log_reader_next(&s->reader, &entry, e)) == 1) {
		if ((l->o->since && entry.time < l->o->since) || (l->o->until && entry.time > l->o->until))
			continue;
		r = show(l, s, &entry, e);
		if (r < 0)
			return r;
	}
	return r == 0 ? flush(l, e) : r;
}

/* Milliseconds to --until, by the clock that it is a time of; -1: no end. Read again after a minute at the latest, in
 * case that clock is set. */
static int time_left(const struct logs *l)
{
	enum { LOOK_AGAIN_MS = 60000 };
	if (!l->o->until)
		return -1;
	int64_t left = (l->o->until - container_now()) / 1000000 + 1;
	return (int)RL_MAX(RL_MIN(left, (int64_t)LOOK_AGAIN_MS), (int64_t)0);
}

static bool is_over(struct source *s)
{
	return container_rec_reload(&s->rec, NULL) < 0 || !container_rec_is_alive(&s->rec);
}

static int follow_one_round(struct logs *l, struct source *s, struct err *e)
{
	/* In this order: what was written before the end is read after the end was seen. */
	bool over = (is_over(s) && !container_rec_monitor_lives(&s->rec)) || time_left(l) == 0;
	int r = read_on(l, s, e);
	s->finished = r == 0 && over;
	return r;
}

/* A log that is not in the container's directory. */
static void watch_log(const struct source *s, const struct container_watch *w)
{
	const char *path = s->log_dir < 0 ? NULL : container_log_path(&s->rec.config.o);
	if (!path || w->inotify < 0)
		return;
	autofree char *dir = xstrndup(path, (size_t)(strrchr(path, '/') - path) + 1);
	(void)!inotify_add_watch(w->inotify, dir, IN_CREATE | IN_MOVED_TO | IN_MODIFY);
}

/* Until something happens. Whoever read our output may have gone while there is none: that is the end as the next write
 * would have found it. */
static int wait_for_more(const struct logs *l, struct pollfd *p, size_t n, struct err *e)
{
	p[n] = (struct pollfd){.fd = STDOUT_FILENO};
	if (poll(p, n + 1, time_left(l)) < 0)
		return errno == EINTR ? 0 : err_sys(e, errno, "poll");
	if (!(p[n].revents & (POLLERR | POLLHUP)))
		return 0;
	(void)!raise(SIGPIPE);
	return err_set(e, EPIPE, "nobody reads the log any more");
}

static int follow(struct logs *l, struct err *e)
{
	autofree struct container_watch *w = xcalloc(l->count, sizeof(*w));
	for (;;) {
		size_t left = 0;
		int r = 0;
		size_t opened = 0;
		/* Watches first, then the reading: nothing happens unseen in between. */
		autofree struct pollfd *p = xcalloc(3 * l->count + 1, sizeof(*p));
		for (; opened < l->count && r == 0; opened++) {
			w[opened] = (struct container_watch){.inotify = -1, .pids = {-1, -1}};
			if (!l->sources[opened].finished &&
			    container_watch_open(&l->sources[opened].rec, &w[opened], NULL) < 0)
				w[opened] = (struct container_watch){.inotify = -1, .pids = {-1, -1}};
			watch_log(&l->sources[opened], &w[opened]);
			p[3 * opened] = (struct pollfd){.fd = w[opened].inotify, .events = POLLIN};
			p[3 * opened + 1] = (struct pollfd){.fd = w[opened].pids[0], .events = POLLIN};
			p[3 * opened + 2] = (struct pollfd){.fd = w[opened].pids[1], .events = POLLIN};
		}
		for (size_t i = 0; i < l->count && r == 0; i++) {
			if (!l->sources[i].finished)
				r = follow_one_round(l, &l->sources[i], e);
			left += !l->sources[i].finished;
		}
		if (r == 0 && left)
			r = wait_for_more(l, p, 3 * l->count, e);
		for (size_t i = 0; i < opened; i++)
			container_watch_close(&w[i]);
		if (r < 0 || !left)
			return r;
	}
}

static int open_source(const struct store *store, const char *name, const struct container_logs_opts *o,
		       struct source *s, struct err *e)
{
	const struct str empty = STR_INIT;
	s->reader = (struct log_reader){.fd = -1, .buf = empty, .decoded = empty};
	s->details = empty;
	int r = container_store_find(store, name, &s->rec, e);
	if (r < 0)
		return r;
	if (o->details)
		collect_details(s);
	enum log_driver driver = s->rec.config.o.log_driver;
	if (driver == LOG_DRIVER_NONE || driver == LOG_DRIVER_PASSTHROUGH) {
		err_set(e, EINVAL, "container %s has no log", s->rec.config.name);
		return err_hint(e, "it was made with --log-driver %s", run_opts_log_driver_name(driver));
	}
	struct err why = ERR_INIT;
	struct log_place place;
	r = container_log_place(&s->rec.config.o, s->rec.dirfd, &s->log_dir, &place, e);
	if (r < 0)
		return r;
	r = log_reader_open(&s->reader, &place, driver, o->tail, &why);
	if (r < 0 && r != -ENOENT) {
		*e = why;
		return r;
	}
	if (r == -ENOENT && s->rec.state.foreground) {
		err_set(e, ENOENT, "container %s has no log", s->rec.config.name);
		return err_hint(e, "it was run in the foreground: its output went to that terminal; -d keeps a log");
	}
	return 0;
}

int container_logs(const char *root, const struct strv *names, const struct container_logs_opts *o, struct err *e)
{
	struct logs l = {.o = o, .out = STR_INIT};
	struct store store;
	int r = store_open(root, true, &store, e);
	if (r < 0)
		return r;
	l.sources = xcalloc(names->count + 1, sizeof(struct source));
	for (; l.count < names->count && r == 0; l.count++) {
		l.sources[l.count].rec = (struct container_rec)CONTAINER_REC_INIT;
		l.sources[l.count].log_dir = -1;
		r = open_source(&store, names->items[l.count], o, &l.sources[l.count], e);
		if (r == 0)
			l.name_width = RL_MAX(l.name_width, strlen(l.sources[l.count].rec.config.name));
	}
	for (size_t i = 0; i < l.count && r >= 0 && !o->follow; i++)
		r = read_on(&l, &l.sources[i], e);
	if (r >= 0 && o->follow)
		r = follow(&l, e);
	for (size_t i = 0; i < l.count; i++) {
		log_reader_close(&l.sources[i].reader);
		str_free(&l.sources[i].details);
		close_fd(&l.sources[i].log_dir);
		container_rec_free(&l.sources[i].rec);
	}
	free(l.sources);
	str_free(&l.out);
	store_close(&store);
	return r < 0 ? r : 0;
}
