/*
 * container_show.c - containers as rows of `ps`, and what these have in common with `inspect`.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_int.h"
#include "container_show.h"
#include "host_image.h"
#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/engine/join.h"
#include "rl/svc/container.h"
#include "rl/svc/container_ports.h"

void container_show_time(json_t *obj, const char *key, int64_t ns)
{
	char text[FMT_SIZE];
	char whole[FMT_SIZE + 16];
	if (ns == 0) {
		json_put_str(obj, key, "0001-01-01T00:00:00Z");
		return;
	}
	fmt_time(ns / 1000000000, text);
	size_t n = strlen(text);
	snprintf(whole, sizeof(whole), "%.*s.%09lldZ", (int)n - 1, text, (long long)(ns % 1000000000));
	json_put_str(obj, key, whole);
}

static void ago(int64_t ns, int64_t now, const char *after, struct str *out)
{
	char text[FMT_SIZE];
	fmt_duration((now - ns) / 1000000000, text);
	str_addf(out, "%s%s", text, after);
}

static void status_text(const struct container_rec *c, int64_t now, struct str *out)
{
	const struct record_state *s = &c->state;
	switch (c->status) {
	case RECORD_CREATED:
		str_adds(out, "Created");
		return;
	case RECORD_RUNNING:
	case RECORD_PAUSED:
	case RECORD_STOPPING:
		str_adds(out, "Up ");
		ago(s->started, now, "", out);
		if (c->status == RECORD_PAUSED)
			str_adds(out, " (Paused)");
		else if (c->status == RECORD_STOPPING)
			str_adds(out, " (stopping)");
		else if (s->health.status)
			str_addf(out, " (%s%s)", str_eq(s->health.status, "starting") ? "health: " : "",
				 s->health.status);
		return;
	case RECORD_RESTARTING:
		str_addf(out, "Restarting (%d) ", s->exit_code);
		ago(s->finished, now, " ago", out);
		return;
	case RECORD_EXITED:
		if (s->exit_code == RECORD_EXIT_UNKNOWN) {
			str_adds(out, "Exited (unknown)");
			return;
		}
		str_addf(out, "Exited (%d) ", s->exit_code);
		ago(s->finished, now, " ago", out);
		return;
	case RECORD_DEAD:
		str_adds(out, "Dead");
		return;
	}
}

static void join_words(const struct strv *v, struct str *out)
{
	for (size_t i = 0; i < v->count; i++)
		str_addf(out, "%s%s", i ? " " : "", v->items[i]);
}

/* Cut to `max` characters of UTF-8 at most, with "…" at the end as docker shows it. */
static void shorten(struct str *s, size_t max)
{
	size_t n = 0;
	size_t keep = 0;
	for (size_t i = 0; i < s->len; n++) {
		size_t len = str_utf8_len(s->buf + i, s->len - i);
		if (n + 1 == max)
			keep = i;
		i += len ? len : 1;
	}
	if (n <= max)
		return;
	str_cut(s, keep);
	str_adds(s, "\xe2\x80\xa6");
}

json_t *container_show_labels(const struct strv *labels)
{
	json_t *out = json_object();
	for (size_t i = 0; i < labels->count; i++) {
		autofree char *key = xstrdup(labels->items[i]);
		char *eq = strchr(key, '=');
		if (eq)
			*eq = '\0';
		json_put_str(out, key, eq ? eq + 1 : "");
	}
	return out;
}

/* The caller's to free. */
char *container_show_network(const struct run_opts *o)
{
	static const char *const names[] = {
		[NETWORK_SLIRP] = "slirp",	   [NETWORK_NONE] = "none", [NETWORK_HOST] = "host",
		[NETWORK_CONTAINER] = "container", [NETWORK_NS] = "ns",	    [NETWORK_NAMED] = "named"};
	if (o->network.kind == NETWORK_NAMED && o->networks.count)
		return xstrndup(o->networks.items[0], strcspn(o->networks.items[0], ":"));
	return xstrdup(names[o->network.kind]);
}

static void put_networks_text(json_t *row, const struct run_opts *o)
{
	autostr struct str out = STR_INIT;
	autofree char *first = container_show_network(o);
	if (o->network.kind != NETWORK_NAMED)
		str_adds(&out, first);
	for (size_t i = 0; i < o->networks.count; i++)
		str_addf(&out, "%s%.*s", out.len ? "," : "", (int)strcspn(o->networks.items[i], ":"),
			 o->networks.items[i]);
	json_put_str(row, "Networks", out.buf ? out.buf : "");
}

static void put_mounts_text(json_t *row, const struct run_opts *o)
{
	autostr struct str out = STR_INIT;
	for (size_t i = 0; i < o->nmounts; i++)
		str_addf(&out, "%s%s", out.len ? "," : "",
			 o->mounts[i].source ? o->mounts[i].source : o->mounts[i].target);
	json_put_str(row, "Mounts", out.buf);
}

/* Reference without what docker leaves out. */
static const char *familiar_image(const char *image)
{
	const char *rest = str_after(image, "docker.io/library/");
	return rest ? rest : image;
}

/* As it was typed, as docker shows it; the name that matched is in the record for filters. */
const char *container_show_image(const struct record_config *rc)
{
	return rc->o.image && *rc->o.image ? rc->o.image : familiar_image(rc->image);
}

static void put_row_times(json_t *row, const struct container_rec *c, int64_t now)
{
	autostr struct str since = STR_INIT;
	autostr struct str status = STR_INIT;
	ago(c->config.created, now, " ago", &since);
	status_text(c, now, &status);
	json_put_str(row, "CreatedSince", since.buf);
	json_put_str(row, "Status", status.buf);
}

static void put_more_times(json_t *row, const struct container_rec *c)
{
	char text[FMT_SIZE];
	fmt_time_long(c->config.created / 1000000000, text);
	json_put_str(row, "RunningFor", json_str_or_null(row, "CreatedSince"));
	json_put_str(row, "CreatedAt", text);
	json_put_int(row, "Created", c->config.created / 1000000000);
	json_put_int(row, "StartedAt", c->state.started / 1000000000);
	json_put_int(row, "ExitedAt", c->state.finished / 1000000000);
}

/* Of PID 1, or of its command where that is our reaper, of which the kernel shows nothing. */
static pid_t shown_process(const struct container_rec *c)
{
	pid_t pid = c->state.init.pid;
	if (c->state.join.init && container_rec_is_running(c) && runtime_find_member(pid, &pid, NULL) < 0)
		pid = c->state.init.pid;
	return pid;
}

void container_show_namespaces(json_t *row, const struct container_rec *c)
{
	static const char *const names[] = {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"};
	json_t *spaces = json_object();
	pid_t pid = shown_process(c);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[64];
		char target[64] = "";
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, names[i]);
		if (container_rec_is_running(c) && readlink(path, target, sizeof(target) - 1) > 0)
			json_put_str(spaces, names[i], target);
	}
	json_put(row, "Namespaces", spaces);
}

/* What only a template or JSON shows. */
static void put_more(json_t *row, const struct container_rec *c, bool no_trunc)
{
	const struct record_config *rc = &c->config;
	autostr struct str labels = STR_INIT;
	for (size_t i = 0; i < rc->labels.count; i++)
		str_addf(&labels, "%s%s", i ? "," : "", rc->labels.items[i]);
	json_put_str(row, "ImageID", rc->image_id ? rc->image_id : "");
	json_put_str(row, "State", record_status_name(c->status));
	autofree char *pod = xstrndup(rc->o.pod ? rc->o.pod : "", no_trunc ? RECORD_ID_SIZE : 12);
	json_put_str(row, "Pod", pod);
	json_put_str(row, "Labels", labels.buf);
	put_mounts_text(row, &rc->o);
	put_networks_text(row, &rc->o);
	json_put_str(row, "LocalVolumes", "0");
	json_put_int(row, "Pid", container_rec_is_running(c) ? c->state.init.pid : 0);
	json_put_int(row, "ExitCode", c->state.exit_code);
	json_put_int(row, "Restarts", c->state.restarts);
	json_put_bool(row, "Exited", c->status == RECORD_EXITED);
	put_more_times(row, c);
	if (container_rec_is_running(c))
		container_show_namespaces(row, c);
}

static json_t *make_row(const struct container_rec *c, bool no_trunc, int64_t now)
{
	const struct record_config *rc = &c->config;
	json_t *row = json_object();
	autofree char *id = no_trunc ? xstrdup(rc->id) : xstrndup(rc->id, 12);
	json_put_str(row, "ID", id);
	if (c->broken) {
		json_put_str(row, "Names", "<broken>");
		json_put_str(row, "Image", "");
		json_put_str(row, "Command", "");
		pid_t pid = container_leftover_find(c);
		autofree char *status = pid ? xasprintf("Dead (the record cannot be read; process %d runs)", (int)pid)
					    : xstrdup("Dead (the record cannot be read)");
		json_put_str(row, "Status", status);
		json_put_str(row, "State", "dead");
		json_put_str(row, "CreatedSince", "");
		json_put_str(row, "Ports", "");
		return row;
	}
	autostr struct str command = STR_INIT;
	join_words(&rc->args, &command);
	if (!no_trunc)
		shorten(&command, 18);
	char *quoted = xasprintf("\"%s\"", command.buf);
	json_put_str(row, "Image", container_show_image(rc));
	json_put_str(row, "Command", quoted);
	free(quoted);
	put_row_times(row, c, now);
	autostr struct str ports = STR_INIT;
	container_ports_text(c, &ports);
	json_put_str(row, "Ports", ports.buf);
	json_put_str(row, "Names", rc->name);
	return row;
}

/* Bytes below a directory, not counting what cannot be read. */
static uint64_t tree_size(int dirfd, const char *path, int depth);

void container_show_size(json_t *row, const struct container_rec *c)
{
	char text[FMT_SIZE];
	autofd int dir = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t bytes = tree_size(dir, host_image_is(&c->config.o) ? "host" : "upper", 0);
	fmt_size(bytes, text);
	json_put_str(row, "Size", text);
	json_put_int(row, "SizeRw", (int64_t)bytes);
}

int container_rows(const char *root, const struct container_selection *sel, const struct container_rows_opts *o,
		   json_t **ret_rows, struct err *e)
{
	struct store s;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	struct container_list l = {.items = NULL};
	r = container_select_list(&s, sel, &l, e);
	json_t *rows = json_array();
	int64_t now = container_now();
	for (size_t i = 0; r == 0 && i < l.count; i++) {
		json_t *row = make_row(&l.items[i], o->no_trunc, now);
		if (o->sizes)
			container_show_size(row, &l.items[i]);
		if (o->all && !l.items[i].broken)
			put_more(row, &l.items[i], o->no_trunc);
		json_array_append_new(rows, row);
	}
	container_list_free(&l);
	store_close(&s);
	if (r < 0) {
		json_decref(rows);
		return r;
	}
	*ret_rows = rows;
	return 0;
}

static uint64_t tree_size(int dirfd, const char *path, int depth)
{
	enum { DEPTH_MAX = 256 };
	struct dirent *entry;
	struct stat st;
	uint64_t sum = 0;
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	autodir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	while (d && (entry = readdir(d))) {
		if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
			continue;
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			sum += tree_size(fd, entry->d_name, depth + 1);
		else if (S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_size;
	}
	return sum;
}
