/*
 * container_top.c - the processes of one container as a table.
 *
 * Numbers and names are the container's: pid and ppid as it sees them, users by its own passwd file. What a
 * process says of itself (command line, name) is hostile text: control characters are shown as '?'.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/fmt.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/engine/procs.h"
#include "rl/kern/caps.h"
#include "rl/kern/safepath.h"
#include "rl/model/user_spec.h"
#include "rl/svc/container.h"

enum { TTY_PTS_MAJOR = 136, ARGS_MAX = 4096 };

struct top {
	const struct procs_list *list;
	struct str passwd;
	struct idmap map;
	bool has_map;
	int depth;
	double uptime; /* seconds */
	double ticks;  /* per second */
};

struct top_row {
	const struct top *t;
	const struct procs_entry *p;
	struct procs_status s;
};

static double age(const struct top_row *r)
{
	double s = r->t->uptime - (double)r->p->start_ticks / r->t->ticks;
	return s > 0 ? s : 0;
}

static void add_clean(struct str *out, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		str_addc(out, (unsigned char)text[i] < ' ' || text[i] == 127 ? '?' : text[i]);
}

static void add_uid(const struct top_row *r, uint32_t host_id, struct str *out)
{
	uint32_t id = r->t->has_map ? idmap_uid_from_host(&r->t->map, host_id) : host_id;
	struct user_ids ids = {.name = NULL};
	const struct user_spec spec = {.user = {.kind = USER_PART_ID, .id = id}};
	const struct str *passwd = &r->t->passwd;
	if (id == IDMAP_UNMAPPED)
		str_adds(out, "?");
	else if (user_spec_resolve(&spec, passwd->buf, passwd->len, "", 0, &ids, NULL) == 0 && ids.name)
		add_clean(out, ids.name, strlen(ids.name));
	else
		str_addf(out, "%u", id);
	user_ids_free(&ids);
}

static void col_user(const struct top_row *r, struct str *out)
{
	add_uid(r, r->s.euid, out);
}

static void col_ruser(const struct top_row *r, struct str *out)
{
	add_uid(r, r->s.ruid, out);
}

static void col_group(const struct top_row *r, struct str *out)
{
	const struct idmap *map = &r->t->map;
	uint32_t id = r->s.egid;
	for (size_t i = 0; r->t->has_map && i < map->ngid; i++)
		if (r->s.egid - map->gid[i].outside < map->gid[i].count)
			id = r->s.egid - map->gid[i].outside + map->gid[i].inside;
	str_addf(out, "%u", id);
}

static void col_huser(const struct top_row *r, struct str *out)
{
	str_addf(out, "%u", r->s.euid);
}

static void col_hgroup(const struct top_row *r, struct str *out)
{
	str_addf(out, "%u", r->s.egid);
}

static pid_t inside(const struct top *t, pid_t pid)
{
	struct procs_status s;
	for (size_t i = 0; i < t->list->count; i++)
		if (t->list->items[i].pid == pid)
			return procs_status(pid, t->depth, &s, NULL) < 0 ? 0 : s.inside;
	return 0; /* outside of the container */
}

static void col_pid(const struct top_row *r, struct str *out)
{
	str_addf(out, "%d", (int)r->s.inside);
}

static void col_ppid(const struct top_row *r, struct str *out)
{
	str_addf(out, "%d", (int)inside(r->t, r->p->ppid));
}

static void col_pgid(const struct top_row *r, struct str *out)
{
	str_addf(out, "%d", (int)inside(r->t, r->p->pgid));
}

static void col_sid(const struct top_row *r, struct str *out)
{
	str_addf(out, "%d", (int)inside(r->t, r->p->sid));
}

static void col_hpid(const struct top_row *r, struct str *out)
{
	str_addf(out, "%d", (int)r->p->pid);
}

static void col_pcpu(const struct top_row *r, struct str *out)
{
	double used = (double)(r->p->user_ticks + r->p->system_ticks) / r->t->ticks;
	double a = age(r);
	str_addf(out, "%.1f", a > 0 ? 100 * used / a : 0.0);
}

static void col_pmem(const struct top_row *r, struct str *out)
{
	double all = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
	str_addf(out, "%.1f", all > 0 ? 100 * (double)r->p->rss / all : 0.0);
}

static void add_clock(double seconds, bool hours, struct str *out)
{
	unsigned long s = (unsigned long)seconds;
	if (s >= 86400)
		str_addf(out, "%lu-", s / 86400);
	if (hours || s >= 3600)
		str_addf(out, "%02lu:", s / 3600 % 24);
	str_addf(out, "%02lu:%02lu", s / 60 % 60, s % 60);
}

static void col_etime(const struct top_row *r, struct str *out)
{
	add_clock(age(r), false, out);
}

static void col_time(const struct top_row *r, struct str *out)
{
	add_clock((double)(r->p->user_ticks + r->p->system_ticks) / r->t->ticks, true, out);
}

static void col_stime(const struct top_row *r, struct str *out)
{
	time_t started = time(NULL) - (time_t)age(r);
	struct tm tm;
	char text[16] = "";
	localtime_r(&started, &tm);
	strftime(text, sizeof(text), age(r) < 86400 ? "%H:%M" : "%b%d", &tm);
	str_adds(out, text);
}

static void col_tty(const struct top_row *r, struct str *out)
{
	unsigned dev_major = major((dev_t)(unsigned)r->p->tty);
	if (!r->p->tty)
		str_adds(out, "?");
	else if (dev_major == TTY_PTS_MAJOR)
		str_addf(out, "pts/%u", minor((dev_t)(unsigned)r->p->tty));
	else
		str_addf(out, "%u:%u", dev_major, minor((dev_t)(unsigned)r->p->tty));
}

static void col_state(const struct top_row *r, struct str *out)
{
	str_addc(out, r->p->state);
}

static void col_nice(const struct top_row *r, struct str *out)
{
	str_addf(out, "%d", r->p->nice);
}

static void col_rss(const struct top_row *r, struct str *out)
{
	str_addf(out, "%llu", (unsigned long long)(r->p->rss / 1024));
}

static void col_vsz(const struct top_row *r, struct str *out)
{
	str_addf(out, "%llu", (unsigned long long)(r->p->vsize / 1024));
}

static void col_comm(const struct top_row *r, struct str *out)
{
	add_clean(out, r->p->comm, strlen(r->p->comm));
}

static void col_args(const struct top_row *r, struct str *out)
{
	char path[64];
	char text[ARGS_MAX];
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)r->p->pid);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : io_read_full(fd, text, sizeof(text), NULL);
	while (n > 0 && !text[n - 1])
		n--;
	if (n <= 0) {
		str_addc(out, '[');
		col_comm(r, out);
		str_addc(out, ']');
		return;
	}
	for (ssize_t i = 0; i < n; i++)
		text[i] = text[i] ? text[i] : ' ';
	add_clean(out, text, (size_t)n);
}

static void col_seccomp(const struct top_row *r, struct str *out)
{
	static const char *const modes[] = {"disabled", "strict", "filter"};
	str_adds(out, r->s.seccomp >= 0 && r->s.seccomp < (int)ARRAY_SIZE(modes) ? modes[r->s.seccomp] : "?");
}

static void col_capeff(const struct top_row *r, struct str *out)
{
	if (r->s.cap_effective)
		caps_describe(r->s.cap_effective, out);
	else
		str_adds(out, "none");
}

static const struct top_column {
	const char *name, *alias, *heading;
	void (*print)(const struct top_row *r, struct str *out);
} columns[] = {
	{"user", "uid", "USER", col_user},
	{"ruser", "ruid", "RUSER", col_ruser},
	{"group", "egroup", "GROUP", col_group},
	{"huser", NULL, "HUSER", col_huser},
	{"hgroup", NULL, "HGROUP", col_hgroup},
	{"pid", NULL, "PID", col_pid},
	{"ppid", NULL, "PPID", col_ppid},
	{"pgid", "pgrp", "PGID", col_pgid},
	{"sid", "sess", "SID", col_sid},
	{"hpid", NULL, "HPID", col_hpid},
	{"pcpu", "%cpu", "%CPU", col_pcpu},
	{"pmem", "%mem", "%MEM", col_pmem},
	{"etime", "elapsed", "ELAPSED", col_etime},
	{"time", "cputime", "TIME", col_time},
	{"stime", "start", "STIME", col_stime},
	{"tty", "tname", "TTY", col_tty},
	{"state", "stat", "STATE", col_state},
	{"nice", "ni", "NI", col_nice},
	{"rss", NULL, "RSS", col_rss},
	{"vsz", NULL, "VSZ", col_vsz},
	{"comm", "ucmd", "COMMAND", col_comm},
	{"args", "cmd", "COMMAND", col_args},
	{"args", "command", "COMMAND", col_args},
	{"seccomp", NULL, "SECCOMP", col_seccomp},
	{"capeff", NULL, "EFFECTIVE CAPS", col_capeff},
};

static const struct top_column *find_column(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (str_eq(name, columns[i].name) || (columns[i].alias && str_eq(name, columns[i].alias)))
			return &columns[i];
	return NULL;
}

/* The ways of ps(1) that people type by habit, as column names. */
static const struct {
	const char *words, *names;
} habits[] = {
	{"-ef", "user,pid,ppid,pcpu,stime,tty,time,args"},
	{"-f", "user,pid,ppid,pcpu,stime,tty,time,args"},
	{"aux", "user,pid,pcpu,pmem,vsz,rss,tty,state,stime,time,args"},
	{"-aux", "user,pid,pcpu,pmem,vsz,rss,tty,state,stime,time,args"},
	{"-e", "pid,tty,time,comm"},
};

/* Column names from operands: names, "a,b", "-o a,b", "-eo a,b", or one of the habits. */
static int parse_columns(const struct strv *words, struct strv *names, struct err *e)
{
	static const char standard[] = "user,pid,ppid,pcpu,etime,tty,time,args";
	if (!words->count)
		strv_split(names, standard, ',');
	for (size_t i = 0; i < words->count; i++) {
		const char *word = words->items[i];
		bool known = false;
		for (size_t k = 0; k < ARRAY_SIZE(habits); k++)
			if (str_eq(word, habits[k].words)) {
				strv_split(names, habits[k].names, ',');
				known = true;
			}
		if (!known && !str_eq(word, "-o") && !str_eq(word, "-eo") && !str_eq(word, "o"))
			strv_split(names, word, ',');
	}
	const char *all[ARRAY_SIZE(columns) + 1] = {NULL};
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		all[i] = columns[i].name;
	for (size_t i = 0; i < names->count; i++) {
		/* ps: "name=heading"; podman's headings are fixed, and so are ours */
		names->items[i][strcspn(names->items[i], "=")] = '\0';
		if (find_column(names->items[i]))
			continue;
		const char *near = str_nearest(names->items[i], all);
		err_set(e, EINVAL, "top: there is no column '%s'", names->items[i]);
		return near ? err_hint(e, "did you mean '%s'?", near) : err_hint(e, "'man rl-top' lists them");
	}
	return 0;
}

static void read_databases(struct top *t)
{
	char path[64];
	struct err why = ERR_INIT;
	/* The first one whose root can be seen: PID 1, or its command where it is our reaper. */
	for (size_t i = 0; i < t->list->count; i++) {
		snprintf(path, sizeof(path), "/proc/%d/root", (int)t->list->items[i].pid);
		autofd int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root < 0)
			continue;
		if (safepath_read_file(root, "/etc/passwd", USER_SPEC_FILE_MAX, &t->passwd, &why) < 0)
			str_cut(&t->passwd, 0);
		return;
	}
}

static double read_uptime(void)
{
	autostr struct str text = STR_INIT;
	return io_read_file(AT_FDCWD, "/proc/uptime", 256, &text, NULL) < 0 ? 0 : strtod(text.buf, NULL);
}

static int by_start(const void *a, const void *b)
{
	const struct procs_entry *x = a;
	const struct procs_entry *y = b;
	if (x->start_ticks != y->start_ticks)
		return x->start_ticks < y->start_ticks ? -1 : 1;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

static void print_table(struct top *t, const struct strv *names, struct str *out)
{
	autotable struct fmt_table table = FMT_TABLE_INIT;
	struct strv head = STRV_INIT;
	for (size_t i = 0; i < names->count; i++)
		strv_add(&head, find_column(names->items[i])->heading);
	fmt_table_row_strv(&table, &head);
	for (size_t i = 0; i < t->list->count; i++) {
		struct top_row row = {.t = t, .p = &t->list->items[i]};
		struct strv cells = STRV_INIT;
		if (procs_status(row.p->pid, t->depth, &row.s, NULL) < 0)
			continue; /* gone meanwhile */
		for (size_t k = 0; k < names->count; k++) {
			struct str cell = STR_INIT;
			find_column(names->items[k])->print(&row, &cell);
			strv_add(&cells, cell.buf);
			str_free(&cell);
		}
		fmt_table_row_strv(&table, &cells);
	}
	fmt_table_print(&table, out);
}

static int top_of(const struct container_rec *rec, const struct strv *names, struct str *ret_text, struct err *e)
{
	struct procs_list list;
	if (!container_rec_is_running(rec))
		return err_set(e, EINVAL, "container %s is not running", rec->config.name);
	int r = procs_of(rec->state.init.pid, &list, e);
	if (r < 0)
		return r;
	struct top t = {
		.list = &list,
		.passwd = STR_INIT,
		.depth = procs_depth(rec->state.init.pid),
		.uptime = read_uptime(),
		.ticks = (double)sysconf(_SC_CLK_TCK),
	};
	t.has_map = container_rec_map(rec, &t.map);
	qsort(list.items, list.count, sizeof(*list.items), by_start);
	read_databases(&t);
	print_table(&t, names, ret_text);
	str_free(&t.passwd);
	procs_free(&list);
	return 0;
}

int container_top(const char *root, const char *name, const struct strv *format, struct str *ret_text, struct err *e)
{
	struct store s;
	autostrv struct strv names = STRV_INIT;
	int r = parse_columns(format, &names, e);
	if (r == 0)
		r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	r = container_store_find(&s, name, &rec, e);
	if (r == 0)
		r = top_of(&rec, &names, ret_text, e);
	store_close(&s);
	return r;
}
