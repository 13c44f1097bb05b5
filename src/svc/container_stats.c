/*
 * container_stats.c - what running containers use: the sum over its processes in /proc, and what its control group says
 * where it has one. `measure` is the one place that knows where the figures come from.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/engine/procs.h"
#include "rl/kern/cgroup.h"
#include "rl/svc/container.h"

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Bytes of every interface but loopback, of the network namespace that `pid` is in. */
static void read_network(pid_t pid, uint64_t *ret_in, uint64_t *ret_out)
{
	char path[64];
	autostr struct str text = STR_INIT;
	snprintf(path, sizeof(path), "/proc/%d/net/dev", (int)pid);
	*ret_in = *ret_out = 0;
	if (io_read_file(AT_FDCWD, path, 1 << 20, &text, NULL) < 0)
		return;
	for (const char *line = text.buf; line; line = strchr(line, '\n')) {
		char name[32];
		unsigned long long in;
		unsigned long long out;
		line += *line == '\n';
		if (sscanf(line, " %31[^:]: %llu %*u %*u %*u %*u %*u %*u %*u %llu", name, &in, &out) != 3 ||
		    str_eq(name, "lo"))
			continue;
		*ret_in += in;
		*ret_out += out;
	}
}

/* What a control group of its own knows is better than the sum: processes that have ended, pages counted once. */
static void take_cgroup(const struct container_rec *rec, struct container_stats_row *row)
{
	struct cgroup_stats s;
	if (!rec->state.cgroups.count || cgroup_stats(&rec->state.cgroups, &s, NULL) < 0)
		return;
	if (s.has_cpu)
		row->cpu_ns = s.cpu_us * 1000;
	if (s.has_memory) {
		row->memory = s.memory;
		row->limit = RL_MIN(row->limit, s.memory_limit);
	}
	if (s.has_pids)
		row->pids = (unsigned)s.pids;
	if (s.has_io) {
		row->block_in = s.io_read;
		row->block_out = s.io_written;
	}
}

static void measure(const struct container_rec *rec, struct container_stats_row *row)
{
	struct procs_list l;
	uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
	row->at_ns = now_ns();
	row->limit = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	/* Where no control group holds it, sampling does. */
	if (rec->config.o.limits.memory > 0)
		row->limit = RL_MIN(row->limit, (uint64_t)rec->config.o.limits.memory);
	if (!container_rec_is_running(rec) || procs_of(rec->state.init.pid, &l, NULL) < 0)
		return;
	row->running = true;
	for (size_t i = 0; i < l.count; i++) {
		const struct procs_entry *p = &l.items[i];
		uint64_t in;
		uint64_t out;
		procs_io(p->pid, &in, &out);
		row->cpu_ns += (p->user_ticks + p->system_ticks) * tick_ns;
		row->memory += p->rss;
		row->block_in += in;
		row->block_out += out;
		row->pids += p->threads;
	}
	if (l.count && rec->state.join.namespaces & (1U << RT_NS_NET))
		read_network(rec->state.init.pid, &row->net_in, &row->net_out);
	procs_free(&l);
	take_cgroup(rec, row);
}

/* What lists have of a container is not enough to measure it. */
static int list_selected(const struct store *s, const struct container_selection *sel, struct container_list *ret_l,
			 struct err *e)
{
	struct container_list brief = {.items = NULL};
	int r = container_select_list(s, sel, &brief, e);
	ret_l->items = xcalloc(brief.count + 1, sizeof(*ret_l->items));
	for (size_t i = 0; i < brief.count; i++)
		if (!brief.items[i].broken &&
		    container_store_find(s, brief.items[i].config.id, &ret_l->items[ret_l->count], NULL) == 0)
			ret_l->count++;
	container_list_free(&brief);
	return r;
}

int container_stats(const char *root, const struct strv *names, bool all, struct container_stats *ret_stats,
		    struct err *e)
{
	struct store s;
	struct container_list l = {.items = NULL};
	const struct container_selection sel = {.all = true, .running_only = !all};
	struct container_stats st = {.rows = NULL};
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	if (names->count) {
		l.items = xcalloc(names->count, sizeof(*l.items));
		for (; r == 0 && l.count < names->count; l.count += r == 0)
			r = container_store_find(&s, names->items[l.count], &l.items[l.count], e);
	} else {
		r = list_selected(&s, &sel, &l, e);
	}
	st.rows = xcalloc(l.count + 1, sizeof(*st.rows));
	for (size_t i = 0; i < l.count && r == 0; i++) {
		struct container_stats_row *row = &st.rows[st.count];
		if (l.items[i].broken)
			continue;
		memcpy(row->id, l.items[i].config.id, sizeof(row->id));
		row->name = xstrdup(l.items[i].config.name);
		measure(&l.items[i], row);
		st.count++;
	}
	container_list_free(&l);
	store_close(&s);
	if (r < 0) {
		container_stats_free(&st);
		return r;
	}
	*ret_stats = st;
	return 0;
}

void container_stats_free(struct container_stats *st)
{
	for (size_t i = 0; i < st->count; i++)
		free(st->rows[i].name);
	free(st->rows);
	*st = (struct container_stats){.rows = NULL};
}
