/*
 * container_store.c - containers found, listed, and what is true about them.
 *
 * The true status: state.json says "running" with the names of two processes, PID 1 and the monitor. If it was written
 * in this boot and PID 1 lives, the container runs. If PID 1 is gone and the monitor lives, the monitor is about to say
 * how it ended. If both are gone, somebody killed the monitor: the container has ended, and nobody knows how. A process
 * lives if /proc/PID/stat has the recorded start time and is no zombie.
 */
#include "rl/svc/container_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "network_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/base/proc.h"

static const char config_name[] = "config.json";
static const char state_name[] = "state.json";
static const char paused_name[] = "paused";
static const char op_name[] = "op";

/* Start time of a process that is alive, 0 if it is gone or a zombie. */
static uint64_t live_start_time(pid_t pid)
{
	char path[40];
	char text[1024];
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	/* The name may contain anything: fields are counted from the last parenthesis. */
	const char *p = strrchr(text, ')');
	if (!p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
		return 0;
	p += 2;
	for (int field = 3; field < 22 && p; field++) {
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	return p ? strtoull(p, NULL, 10) : 0;
}

static bool lives(const struct container_rec *c, const struct record_process *p)
{
	char boot[37];
	if (p->pid <= 0 || !p->start || proc_boot_id(boot, NULL) < 0 || !str_eq(boot, c->state.boot_id))
		return false;
	return live_start_time(p->pid) == p->start;
}

bool container_rec_init_lives(const struct container_rec *c)
{
	return lives(c, &c->state.init);
}

bool container_rec_monitor_lives(const struct container_rec *c)
{
	return lives(c, &c->state.monitor);
}

static bool is_paused(const struct container_rec *c)
{
	char want[32];
	char text[32] = "";
	autofd int dir = c->dirfd >= 0 ? -1 : open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	autofd int fd = openat(c->dirfd >= 0 ? c->dirfd : dir, paused_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return false;
	snprintf(want, sizeof(want), "%llu\n", (unsigned long long)c->state.init.start);
	return str_eq(text, want);
}

static enum record_status true_status(struct container_rec *c)
{
	struct record_state *s = &c->state;
	if (s->status == RECORD_CREATED && s->monitor.pid == 0)
		return RECORD_CREATED;
	if (s->status == RECORD_RESTARTING && container_rec_monitor_lives(c))
		return RECORD_RESTARTING;
	if (s->status != RECORD_RUNNING)
		return s->status == RECORD_RESTARTING ? RECORD_EXITED : s->status;
	if (container_rec_init_lives(c))
		return is_paused(c) ? RECORD_PAUSED : RECORD_RUNNING;
	if (container_rec_monitor_lives(c))
		return RECORD_STOPPING;
	s->exit_code = RECORD_EXIT_UNKNOWN;
	s->finished = 0;
	return RECORD_EXITED;
}

/* Which documents: those in c->dirfd whole, or what lists look at of those in containers/ID, whose directory nobody
 * opens then. */
struct source {
	int parent; /* -1: whole */
	const char *id;
};

static const struct source own_dir = {.parent = -1};

static int read_document(const struct container_rec *c, const struct source *from, const char *name,
			 const struct json_part *listed, json_t **ret_doc, struct err *e)
{
	char path[RECORD_ID_SIZE + 16];
	autostr struct str text = STR_INIT;
	if (from->parent < 0)
		return json_parse_file(c->dirfd, name, RECORD_FILE_MAX, ret_doc, e);
	snprintf(path, sizeof(path), "%s/%s", from->id, name);
	int r = io_read_file(from->parent, path, RECORD_FILE_MAX, &text, e);
	return r < 0 ? r : json_parse_parts(text.buf, text.len, name, listed, ret_doc, e);
}

enum { NO_STATE = 1, STATE_ATTEMPTS = 20 };

static bool has_file(const struct container_rec *c, const struct source *from, const char *name)
{
	char path[RECORD_ID_SIZE + 16];
	snprintf(path, sizeof(path), "%s%s%s", from->parent < 0 ? "" : from->id, from->parent < 0 ? "" : "/", name);
	return faccessat(from->parent < 0 ? c->dirfd : from->parent, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Never started, then. But a monitor leaves blocks for a later state beside the first one: alone they say that somebody
 * took the state away, unless all of it is being removed. */
static int load_no_state(const struct container_rec *c, const struct source *from, struct err *e)
{
	if (!has_file(c, from, CONTAINER_RESERVE_FILE))
		return NO_STATE;
	if (!has_file(c, from, config_name))
		return -ENOENT;
	return err_set(e, EBADMSG, "it is gone");
}

/* Whether it is gone is looked at again: the first one may come between the two looks, and on FUSE a name that is being
 * renamed over is missing for a moment. */
static int read_state(const struct container_rec *c, const struct source *from, json_t **ret_doc, struct err *e)
{
	int r = -EBADMSG;
	for (int i = 0; r == -EBADMSG && i < STATE_ATTEMPTS; i++) {
		r = read_document(c, from, state_name, record_state_listed, ret_doc, e);
		if (r != -ENOENT)
			return r;
		r = load_no_state(c, from, e);
	}
	return r;
}

static int take_state(struct container_rec *c, const struct source *from, struct err *e)
{
	json_t *doc = NULL;
	int r = read_state(c, from, &doc, e);
	autojson json_t *owned = doc;
	record_state_free(&c->state);
	if (r == 0)
		r = record_state_from_json(owned, &c->state, e);
	c->status = r == 0 ? true_status(c) : RECORD_CREATED;
	return r;
}

/* The state: what is stored, then what is true. A missing state.json is a container that was never started. */
static int load_state(struct container_rec *c, const struct source *from, struct err *e)
{
	struct err why = ERR_INIT;
	int r = take_state(c, from, &why);
	/* The monitor may have written the end, and gone, after we had read: what it left is final. */
	if (r == 0 && c->status == RECORD_EXITED && c->state.status != RECORD_EXITED)
		r = take_state(c, from, &why);
	if (r == NO_STATE)
		return 0;
	if (r == 0) {
		container_network_reread(c);
		return 0;
	}
	/* Removed between two reads, or damaged. */
	if (e)
		*e = why;
	return err_ctx(e, "%s of container %.12s", state_name, c->config.id);
}

static int load_config(struct container_rec *c, const char *id, const struct source *from, struct err *e)
{
	json_t *doc = NULL;
	int r = read_document(c, from, config_name, record_config_listed, &doc, e);
	autojson json_t *owned = doc;
	if (r == 0)
		r = record_config_from_json(owned, &c->config, e);
	if (r == 0 && !str_eq(c->config.id, id)) {
		record_config_free(&c->config);
		r = err_set(e, EBADMSG, "the record is another container's");
	}
	return r < 0 ? err_ctx(e, "%s of container %.12s", config_name, id), r : 0;
}

/* 0, -ENOENT: no container there (being made, being removed), or -errno with c->config.id and `broken` set. */
static int load(const struct store *s, int parent, const char *id, bool listed, struct container_rec *c, struct err *e)
{
	const struct source here = {.parent = parent, .id = id};
	*c = (struct container_rec)CONTAINER_REC_INIT;
	c->store = s;
	record_config_init(&c->config);
	record_state_init(&c->state);
	c->dirfd = listed ? -1 : openat(parent, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (!listed && c->dirfd < 0)
		return err_sys(e, errno, "container %.12s", id);
	c->dir = xasprintf("%s/containers/%s", s->root, id);
	int r = load_config(c, id, listed ? &here : &own_dir, e);
	if (r == 0)
		r = load_state(c, listed ? &here : &own_dir, e);
	if (r == 0 || r == -ENOENT) {
		if (r < 0)
			container_rec_free(c);
		return r;
	}
	/* Who runs is known as long as the state can be read. */
	if (!c->config.id[0])
		(void)!load_state(c, listed ? &here : &own_dir, NULL);
	snprintf(c->config.id, sizeof(c->config.id), "%s", id);
	c->broken = true;
	return r;
}

int container_rec_reload(struct container_rec *c, struct err *e)
{
	char id[RECORD_ID_SIZE];
	memcpy(id, c->config.id, sizeof(id));
	struct stat st;
	record_config_free(&c->config);
	/* The link count of a removed directory is 0, though its descriptor still works. */
	if (fstat(c->dirfd, &st) < 0 || st.st_nlink == 0)
		return err_set(e, ENOENT, "container %.12s was removed", id);
	int r = load_config(c, id, &own_dir, e);
	if (r == 0)
		return load_state(c, &own_dir, e);
	memcpy(c->config.id, id, sizeof(id));
	return r;
}

void container_rec_free(struct container_rec *c)
{
	record_config_free(&c->config);
	record_state_free(&c->state);
	close_fd(&c->dirfd);
	free(c->dir);
	c->dir = NULL;
}

static bool is_id(const char *name)
{
	return strlen(name) == RECORD_ID_SIZE - 1 && strspn(name, "0123456789abcdef") == RECORD_ID_SIZE - 1;
}

/* Ids of all directories that may be containers. */
static int list_ids(int parent, struct strv *out, struct err *e)
{
	autostrv struct strv all = STRV_INIT;
	int r = io_list_dir(parent, &all, e);
	if (r < 0)
		return err_ctx(e, "list the containers");
	for (size_t i = 0; i < all.count; i++)
		if (is_id(all.items[i]))
			strv_add(out, all.items[i]);
	return 0;
}

static int not_found(const struct store *s, const char *name, struct err *e)
{
	autofd int names = store_dir(s, "names", NULL);
	autostrv struct strv known = STRV_INIT;
	if (names >= 0)
		(void)!io_list_dir(names, &known, NULL); /* only a suggestion comes of it */
	err_set(e, ENOENT, "there is no container '%s'", name);
	const char *near = str_nearest(name, (const char *const *)strv_argv(&known));
	return near ? err_hint(e, "did you mean '%s'?", near) : -ENOENT;
}

static int by_prefix(int parent, const char *prefix, char ret_id[RECORD_ID_SIZE], struct err *e)
{
	size_t n = strlen(prefix);
	if (!n || n >= RECORD_ID_SIZE || strspn(prefix, "0123456789abcdef") != n)
		return -ENOENT;
	autostrv struct strv ids = STRV_INIT;
	int r = list_ids(parent, &ids, e);
	if (r < 0)
		return r;
	const char *found = NULL;
	for (size_t i = 0; i < ids.count; i++) {
		if (!str_after(ids.items[i], prefix))
			continue;
		if (found)
			return err_set(e, EEXIST, "'%s' begins more than one container id", prefix);
		found = ids.items[i];
	}
	if (!found)
		return -ENOENT;
	memcpy(ret_id, found, RECORD_ID_SIZE);
	return 0;
}

int container_store_id_of(const struct store *s, const char *name, char ret_id[RECORD_ID_SIZE])
{
	autofd int names = store_dir(s, "names", NULL);
	return names < 0 ? -ENOENT : container_name_read(names, name, ret_id);
}

int container_store_find(const struct store *s, const char *name, struct container_rec *ret_rec, struct err *e)
{
	autofd int parent = store_dir(s, "containers", e);
	if (parent < 0)
		return parent;
	char id[RECORD_ID_SIZE];
	autorec struct container_rec c = CONTAINER_REC_INIT;
	struct err why = ERR_INIT;
	int r = -ENOENT;
	if (path_is_plain_name(name) && container_store_id_of(s, name, id) == 0) {
		r = load(s, parent, id, false, &c, &why);
		/* A left-over of a rename that was interrupted leads to a container of another name. */
		if (r == 0 && !str_eq(c.config.name, name)) {
			container_rec_free(&c);
			r = -ENOENT;
		}
	}
	if (r == -ENOENT) {
		err_clear(&why);
		r = by_prefix(parent, name, id, &why);
		if (r == 0)
			r = load(s, parent, id, false, &c, &why);
	}
	if (r == 0) {
		*ret_rec = c;
		c = (struct container_rec)CONTAINER_REC_INIT;
		return 0;
	}
	if (r == -ENOENT)
		return not_found(s, name, e);
	if (e)
		*e = why;
	return r == -EEXIST ? r : err_hint(e, "'rl rm -f %s' removes it", name);
}

static int by_age(const void *a, const void *b)
{
	const struct container_rec *x = a;
	const struct container_rec *y = b;
	if (x->config.created != y->config.created)
		return x->config.created < y->config.created ? 1 : -1;
	return strcmp(x->config.id, y->config.id);
}

static int list_containers(const struct store *s, bool listed, struct container_list *ret_list, struct err *e)
{
	autofd int parent = store_dir(s, "containers", e);
	if (parent < 0)
		return parent;
	autostrv struct strv ids = STRV_INIT;
	int r = list_ids(parent, &ids, e);
	if (r < 0)
		return r;
	struct container_list l = {.items = xcalloc(ids.count + 1, sizeof(struct container_rec))};
	for (size_t i = 0; i < ids.count; i++) {
		struct err why = ERR_INIT;
		r = load(s, parent, ids.items[i], listed, &l.items[l.count], &why);
		if (r == -ENOENT)
			continue;
		if (r < 0)
			log_debug(LOG_STORE, "%s", why.text);
		close_fd(&l.items[l.count].dirfd); /* lists may be long, descriptors are few */
		l.count++;
	}
	qsort(l.items, l.count, sizeof(*l.items), by_age);
	*ret_list = l;
	return 0;
}

int container_store_list(const struct store *s, struct container_list *ret_list, struct err *e)
{
	return list_containers(s, false, ret_list, e);
}

int container_store_list_brief(const struct store *s, struct container_list *ret_list, struct err *e)
{
	return list_containers(s, true, ret_list, e);
}

void container_list_free(struct container_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		container_rec_free(&l->items[i]);
	free(l->items);
	*l = (struct container_list){.items = NULL};
}

int container_store_latest(const struct store *s, struct container_rec *ret_rec, struct err *e)
{
	struct container_list l;
	int r = container_store_list(s, &l, e);
	if (r < 0)
		return r;
	r = -ENOENT;
	for (size_t i = 0; i < l.count && r < 0; i++)
		if (!l.items[i].broken)
			r = container_store_find(s, l.items[i].config.id, ret_rec, NULL);
	container_list_free(&l);
	return r < 0 ? err_set(e, ENOENT, "there is no container") : 0;
}

bool container_rec_is_alive(const struct container_rec *c)
{
	return c->status == RECORD_RUNNING || c->status == RECORD_PAUSED || c->status == RECORD_RESTARTING ||
	       c->status == RECORD_STOPPING;
}

bool container_rec_is_running(const struct container_rec *c)
{
	return c->status == RECORD_RUNNING || c->status == RECORD_PAUSED;
}

static int open_process(const struct container_rec *c, const struct record_process *p, struct err *e)
{
	autofd int pidfd = p->pid > 0 ? proc_pidfd_open(p->pid, NULL) : -1;
	/* Checked after the pidfd is held: from here on the number cannot become somebody else's. */
	if (pidfd < 0 || !lives(c, p))
		return err_set(e, ESRCH, "container %s is not running", c->config.name);
	return take_fd(&pidfd);
}

int container_rec_open_init(const struct container_rec *c, struct err *e)
{
	return open_process(c, &c->state.init, e);
}

int container_rec_open_monitor(const struct container_rec *c, struct err *e)
{
	return open_process(c, &c->state.monitor, e);
}

int container_rec_lock(struct container_rec *c, struct err *e)
{
	autofd int fd = openat(c->dirfd, op_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, errno, "lock container %.12s", c->config.id);
	int r = io_lock(fd, true, e);
	if (r == 0)
		r = container_rec_reload(c, e);
	return r < 0 ? r : take_fd(&fd);
}

int container_rec_try_own(const struct container_rec *c, int *ret_fd, struct err *e)
{
	autofd int fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(e, errno, "open %s", c->dir);
	int r = io_try_lock(fd, true, e);
	if (r == 1)
		*ret_fd = take_fd(&fd);
	return r;
}

int container_rec_mark_paused(const struct container_rec *c, bool paused, struct err *e)
{
	char text[32];
	if (!paused) {
		if (unlinkat(c->dirfd, paused_name, 0) < 0 && errno != ENOENT)
			return err_sys(e, errno, "mark container %.12s as running", c->config.id);
		return 0;
	}
	int n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)c->state.init.start);
	return io_replace_file(c->dirfd, paused_name, text, (size_t)n, 0600, false, e);
}

static void copy_in(const struct idmap_extent *from, size_t n, struct record_extent *to, size_t *ret_n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (struct record_extent){from[i].inside, from[i].outside, from[i].count};
	*ret_n = n;
}

static void copy_out(const struct record_extent *from, size_t n, struct idmap_extent *to, size_t *ret_n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (struct idmap_extent){from[i].inside, from[i].outside, from[i].count};
	*ret_n = n;
}

void container_map_to_record(const struct idmap *map, struct record_map *ret_map)
{
	_Static_assert((int)RECORD_EXTENTS_MAX == (int)IDMAP_EXTENTS_MAX, "a map fits into its record");
	*ret_map = (struct record_map){.present = true, .form = (int)map->form};
	snprintf(ret_map->key, sizeof(ret_map->key), "%s", map->key);
	copy_in(map->uid, map->nuid, ret_map->uid, &ret_map->nuid);
	copy_in(map->gid, map->ngid, ret_map->gid, &ret_map->ngid);
}

bool container_rec_map(const struct container_rec *c, struct idmap *ret_map)
{
	const struct record_map *m = &c->config.map;
	if (!m->present)
		return false;
	*ret_map = (struct idmap){.form = (enum idmap_form)m->form};
	snprintf(ret_map->key, sizeof(ret_map->key), "%s", m->key);
	copy_out(m->uid, m->nuid, ret_map->uid, &ret_map->nuid);
	copy_out(m->gid, m->ngid, ret_map->gid, &ret_map->ngid);
	return true;
}
