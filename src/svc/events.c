/*
 * events.c - the log of events: appended, bounded, read back and followed; see events.h.
 *
 * Writers: open, one write, and, past the limit, the rename of the log under the directory's lock, which only who still
 * has the current file by inode does. A writer that had opened the file before the rename ends up in log.1, where readers
 * look first. Readers: log.1 and log from their beginnings, then what is appended; when the name `log` leads to another
 * file, the old one is read to its end and the new one is next.
 */
#include "rl/svc/events.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "rl/base/fmt.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

static const char dir_name[] = "events";
static const char log_name[] = "log";
static const char old_name[] = "log.1";

enum { LINE_MAX_BYTES = 64 * 1024, READ_SIZE = 64 * 1024 };

#define SECOND INT64_C(1000000000)

static int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

/* ---- writing ---- */

static void rotate(const struct store *s, int fd)
{
	struct stat ours;
	struct stat named;
	autofd int dir = store_dir(s, dir_name, NULL);
	if (dir < 0 || io_lock(dir, true, NULL) < 0)
		return;
	if (fstat(fd, &ours) == 0 && fstatat(dir, log_name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    ours.st_ino == named.st_ino && renameat(dir, log_name, dir, old_name) < 0)
		log_debug(LOG_STORE, "events: %s", strerrorname_np(errno));
	/* The lock goes with the descriptor. */
}

/* Each run does this four times: the directory is opened only to be made. */
static int open_log(const struct store *s, struct err *e)
{
	enum { FLAGS = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW };
	int fd = openat(s->rootfd, "events/log", FLAGS | O_CLOEXEC, 0600);
	if (fd < 0 && errno == ENOENT) {
		autofd int dir = store_dir(s, dir_name, e);
		if (dir < 0)
			return dir;
		fd = openat(dir, log_name, FLAGS | O_CLOEXEC, 0600);
	}
	return fd < 0 ? err_sys(e, errno, "open the log") : fd;
}

static void append(const struct store *s, json_t *line)
{
	autostr struct str text = STR_INIT;
	struct err why = ERR_INIT;
	struct stat st;
	json_print(line, false, &text);
	str_addc(&text, '\n');
	if (text.len > LINE_MAX_BYTES)
		return;
	autofd int fd = open_log(s, &why);
	if (fd < 0) {
		log_debug(LOG_STORE, "events: %s", why.text);
		return;
	}
	ssize_t n = write(fd, text.buf, text.len);
	if (n != (ssize_t)text.len) {
		log_debug(LOG_STORE, "an event could not be written");
		/* What is there of it must not spoil the next one. */
		(void)!write(fd, "\n", 1);
	}
	if (fstat(fd, &st) == 0 && st.st_size > EVENTS_LOG_MAX)
		rotate(s, fd);
}

static json_t *begin(const char *type, const char *action, const char *id)
{
	json_t *line = json_object();
	json_put_int(line, "time", now_ns());
	json_put_str(line, "type", type);
	json_put_str(line, "action", action);
	json_put_str(line, "id", id);
	return line;
}

void events_note(const struct store *s, const char *type, const char *action, const char *id, const char *name)
{
	autojson json_t *line = begin(type, action, id);
	json_t *attributes = json_object();
	json_put_str(attributes, "name", name);
	json_put(line, "attributes", attributes);
	append(s, line);
}

void events_container(const struct container_rec *rec, const char *action, ...)
{
	autojson json_t *line = begin("container", action, rec->config.id);
	json_t *attributes = json_object();
	va_list ap;
	const char *key;
	for (size_t i = 0; i < rec->config.labels.count; i++) {
		autofree char *label = xstrdup(rec->config.labels.items[i]);
		char *eq = strchr(label, '=');
		if (eq)
			*eq = '\0';
		json_put_str(attributes, label, eq ? eq + 1 : "");
	}
	json_put_str(attributes, "image", rec->config.image ? rec->config.image : "");
	json_put_str(attributes, "name", rec->config.name ? rec->config.name : "");
	va_start(ap, action);
	while ((key = va_arg(ap, const char *)))
		json_put_str(attributes, key, va_arg(ap, const char *));
	va_end(ap);
	json_put(line, "attributes", attributes);
	append(rec->store, line);
}

void events_ended(const struct container_rec *rec, int status)
{
	char text[16];
	snprintf(text, sizeof(text), "%d", status);
	events_container(rec, "die", "exitCode", text, NULL);
}

/* ---- filters ---- */

static const char *const filter_names[] = {"type", "event", "container", "image", "label", NULL};

/* Other people's words for our actions. */
static const struct {
	const char *theirs, *ours;
} synonyms[] = {
	{"died", "die"},	{"destroy", "remove"},	   {"rm", "remove"},	    {"delete", "remove"},
	{"exec_start", "exec"}, {"exec_died", "exec_die"}, {"exec_create", "exec"}, {"loadfromarchive", "load"},
};

static int check_filters(const struct strv *filters, struct err *e)
{
	for (size_t i = 0; filters && i < filters->count; i++) {
		const char *text = filters->items[i];
		const char *eq = strchr(text, '=');
		bool known = false;
		if (!eq || eq == text)
			return err_set(e, EINVAL, "--filter '%s': NAME=VALUE is expected", text);
		autofree char *name = xstrndup(text, (size_t)(eq - text));
		for (size_t k = 0; filter_names[k]; k++)
			known |= str_eq(name, filter_names[k]);
		if (!known)
			return err_hint((err_set(e, EINVAL, "--filter '%s': there is no filter '%s'", text, name), e),
					"known: type, event, container, image, label");
	}
	return 0;
}

/* "busybox" for docker.io/library/busybox:latest */
static bool is_image(const char *image, const char *want)
{
	const char *at = image ? strstr(image, want) : NULL;
	size_t n = strlen(want);
	return at && *want && (at == image || at[-1] == '/') && (at[n] == '\0' || at[n] == ':');
}

static bool passes_one(const json_t *line, const char *name, const char *value)
{
	const json_t *attributes = json_object_get(line, "attributes");
	const char *type = json_str_or_null(line, "type");
	const char *id = json_str_or_null(line, "id");
	const char *own_name = json_str_or_null(attributes, "name");
	bool container = type && str_eq(type, "container");
	if (str_eq(name, "type"))
		return type && str_eq(type, value);
	if (str_eq(name, "event")) {
		const char *action = json_str_or_null(line, "action");
		for (size_t i = 0; i < ARRAY_SIZE(synonyms); i++)
			if (str_eq(value, synonyms[i].theirs))
				value = synonyms[i].ours;
		return action && str_eq(action, value);
	}
	if (str_eq(name, "container"))
		return container && ((own_name && str_eq(own_name, value)) || (id && *value && str_after(id, value)));
	if (str_eq(name, "image"))
		return is_image(container ? json_str_or_null(attributes, "image") : own_name, value) ||
		       (!container && id && str_eq(id, value));
	autofree char *key = xstrdup(value);
	char *eq = strchr(key, '=');
	if (eq)
		*eq = '\0';
	const char *label = json_str_or_null(attributes, key);
	return container && label && (!eq || str_eq(label, eq + 1));
}

/* One name: any of its values; different names: all. */
static bool passes(const json_t *line, const struct strv *filters)
{
	for (size_t n = 0; filters && filter_names[n]; n++) {
		size_t given = 0;
		size_t held = 0;
		for (size_t i = 0; i < filters->count; i++) {
			const char *rest = str_after(filters->items[i], filter_names[n]);
			if (!rest || *rest != '=')
				continue;
			given++;
			held += passes_one(line, filter_names[n], rest + 1);
		}
		if (given && (str_eq(filter_names[n], "label") ? held < given : !held))
			return false;
	}
	return true;
}

/* ---- reading ---- */

struct reader {
	const struct events_opts *o;
	int64_t since;
	int (*fn)(void *arg, const json_t *event, struct err *e);
	void *arg;
	int dir, fd;
	struct str part; /* of a line that is not yet whole */
	bool ended;	 /* an event after `until` */
};

static json_t *present(const json_t *line)
{
	json_t *out = json_object();
	json_t *actor = json_object();
	json_t *attributes = json_object_get(line, "attributes");
	int64_t time = json_int_or(line, "time", 0);
	const char *id = json_str_or_null(line, "id");
	const char *action = json_str_or_null(line, "action");
	const char *image = json_str_or_null(attributes, "image");
	const char *exit_code = json_str_or_null(attributes, "exitCode");
	char text[FMT_SIZE];
	json_put_str(out, "Type", json_str_or_null(line, "type"));
	json_put_str(out, "Action", action);
	json_put_str(out, "Status", action);
	json_put_str(out, "ID", id);
	json_put_str(out, "Name", json_str_or_null(attributes, "name"));
	json_put_str(out, "Image", image ? image : "");
	json_put_str(out, "From", image ? image : "");
	if (exit_code)
		json_put_int(out, "ContainerExitCode", strtol(exit_code, NULL, 10));
	json_put_str(actor, "ID", id);
	json_put(actor, "Attributes", json_incref(attributes ? attributes : json_null()));
	json_put(out, "Actor", actor);
	json_put(out, "Attributes", json_incref(attributes ? attributes : json_null()));
	json_put_str(out, "scope", "local");
	json_put_int(out, "time", time / SECOND);
	json_put_int(out, "timeNano", time);
	fmt_time(time / SECOND, text);
	autofree char *whole = xasprintf("%.*s.%09lldZ", (int)strlen(text) - 1, text, (long long)(time % SECOND));
	json_put_str(out, "Time", whole);
	return out;
}

static int on_line(struct reader *r, const char *text, size_t len, struct err *e)
{
	json_t *doc = NULL;
	if (!len || json_parse(text, len, "event", &doc, NULL) < 0)
		return 0; /* torn by a crash */
	autojson json_t *line = doc;
	int64_t time = json_int_or(line, "time", 0);
	if (!json_is_object(line) || time < r->since || !passes(line, r->o->filters))
		return 0;
	if (r->o->until && time > r->o->until) {
		r->ended = true;
		return 0;
	}
	autojson json_t *event = present(line);
	return r->fn(r->arg, event, e);
}

/* What is there up to the end of the file now. */
static int drain(struct reader *r, struct err *e)
{
	char buf[READ_SIZE];
	ssize_t n;
	while (r->fd >= 0 && !r->ended && (n = read(r->fd, buf, sizeof(buf))) > 0) {
		str_add(&r->part, buf, (size_t)n);
		size_t used = 0;
		const char *end;
		while ((end = memchr(r->part.buf + used, '\n', r->part.len - used))) {
			int failed = on_line(r, r->part.buf + used, (size_t)(end - r->part.buf) - used, e);
			if (failed < 0)
				return failed;
			used = (size_t)(end - r->part.buf) + 1;
		}
		memmove(r->part.buf, r->part.buf + used, r->part.len - used);
		str_cut(&r->part, r->part.len - used);
		if (r->part.len > LINE_MAX_BYTES)
			str_cut(&r->part, 0); /* no line of ours */
	}
	return 0;
}

static int read_file(struct reader *r, const char *name, struct err *e)
{
	close_fd(&r->fd);
	str_cut(&r->part, 0);
	r->fd = openat(r->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (r->fd < 0 && errno != ENOENT)
		return err_sys(e, errno, "events");
	return drain(r, e);
}

/* The log, and every newer one that has taken its name meanwhile. */
static int catch_up(struct reader *r, struct err *e)
{
	struct stat ours = {.st_ino = 0};
	struct stat named;
	int failed = drain(r, e);
	while (failed == 0 && fstatat(r->dir, log_name, &named, AT_SYMLINK_NOFOLLOW) == 0) {
		if (r->fd >= 0 && fstat(r->fd, &ours) == 0 && ours.st_ino == named.st_ino)
			return 0;
		/* A writer may have put its line there after our look. */
		failed = drain(r, e);
		if (failed == 0)
			failed = read_file(r, log_name, e);
	}
	return failed;
}

static int follow(struct reader *r, int inotify, struct err *e)
{
	_Alignas(struct inotify_event) char buf[4096];
	for (;;) {
		int failed = catch_up(r, e);
		if (failed < 0 || r->ended)
			return failed;
		int64_t left = r->o->until ? (r->o->until - now_ns()) / 1000000 + 1 : -1;
		if (r->o->until && left <= 0)
			return 0;
		struct pollfd p = {.fd = inotify, .events = POLLIN};
		if (poll(&p, 1, left < 0 ? -1 : (int)RL_MIN(left, INT64_C(3600000))) < 0 && errno != EINTR)
			return err_sys(e, errno, "poll");
		while (read(inotify, buf, sizeof(buf)) > 0)
			;
	}
}

int events_read(const char *root, const struct events_opts *o, int (*fn)(void *arg, const json_t *event, struct err *e),
		void *arg, struct err *e)
{
	struct store s;
	int r = check_filters(o->filters, e);
	if (r < 0)
		return r;
	r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	struct reader reader = {.o = o, .fn = fn, .arg = arg, .fd = -1, .part = STR_INIT};
	reader.since = o->since || !o->follow ? o->since : now_ns();
	autofd int dir = store_dir(&s, dir_name, e);
	autofd int inotify = o->follow ? inotify_init1(IN_CLOEXEC | IN_NONBLOCK) : -1;
	autofree char *path = xasprintf("%s/%s", s.root, dir_name);
	reader.dir = dir;
	if (dir < 0)
		r = dir;
	else if (o->follow &&
		 (inotify < 0 || inotify_add_watch(inotify, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0))
		r = err_sys(e, errno, "follow the events");
	if (r == 0)
		r = read_file(&reader, old_name, e);
	if (r == 0 && !reader.ended)
		r = read_file(&reader, log_name, e);
	if (r == 0 && !reader.ended && o->follow)
		r = follow(&reader, inotify, e);
	close_fd(&reader.fd);
	str_free(&reader.part);
	store_close(&s);
	return r;
}
