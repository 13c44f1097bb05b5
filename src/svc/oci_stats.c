/*
 * oci_stats.c - update, and the numbers of events.
 *
 * The members of `data` are runc's (types/events.go), as far as the kernel has them.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "oci_int.h"
#include "rl/base/event.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/kern/cgroup.h"

int oci_update(const struct oci_runtime *rt, const char *id, const char *text, size_t len, struct err *e)
{
	autocontainer struct oci_container c = OCI_CONTAINER_NONE;
	struct oci_resources res = {.given = false};
	autostrv struct strv warnings = STRV_INIT;
	int r = oci_container_open(rt, id, true, &c, e);
	if (r == 0 && c.status == OCI_STOPPED)
		r = err_set(e, EINVAL, "container not running");
	if (r == 0)
		r = oci_resources_parse(text, len, &res, e);
	if (r == 0 && !c.rec.cgroups.count)
		r = err_set(e, EOPNOTSUPP, "container %s has no control group: its resources cannot be changed", id);
	if (r == 0)
		r = oci_cgroup_limit(&c.rec.cgroups, &res, false, &warnings, e);
	oci_resources_free(&res);
	return r;
}

static int read_stats(const struct oci_container *c, struct cgroup_stats *s, struct err *e)
{
	return c->rec.cgroups.count ? cgroup_stats(&c->rec.cgroups, s, e) : cgroup_stats_of_tree(c->rec.pid, s, e);
}

static json_t *usage_of(uint64_t usage, uint64_t max, uint64_t limit)
{
	json_t *doc = json_object();
	json_put_int(doc, "usage", (int64_t)usage);
	if (max)
		json_put_int(doc, "max", (int64_t)max);
	if (limit != UINT64_MAX)
		json_put_int(doc, "limit", (int64_t)limit);
	return doc;
}

static json_t *stats_doc(const char *id, const struct cgroup_stats *s)
{
	json_t *doc = json_object();
	json_t *data = json_object();
	json_t *usage = json_object();
	json_t *cpu = json_object();
	json_t *throttling = json_object();
	json_t *memory = json_object();
	json_t *pids = json_object();
	json_put_int(usage, "total", (int64_t)s->cpu_us * 1000);
	json_put_int(usage, "kernel", (int64_t)s->cpu_system_us * 1000);
	json_put_int(usage, "user", (int64_t)s->cpu_user_us * 1000);
	json_put(cpu, "usage", usage);
	json_put_int(throttling, "throttledTime", (int64_t)s->cpu_throttled_us * 1000);
	json_put(cpu, "throttling", throttling);
	json_put(memory, "usage", usage_of(s->memory, s->memory_peak, s->memory_limit));
	json_put(memory, "swap", usage_of(s->swap, 0, UINT64_MAX));
	json_put_int(pids, "current", (int64_t)s->pids);
	if (s->pids_limit != UINT64_MAX)
		json_put_int(pids, "limit", (int64_t)s->pids_limit);
	json_put(data, "cpu", cpu);
	json_put(data, "memory", memory);
	json_put(data, "pids", pids);
	json_put(data, "blkio",
		 json_pack("{s:[{s:s,s:I},{s:s,s:I}]}", "ioServiceBytesRecursive", "op", "Read", "value",
			   (json_int_t)s->io_read, "op", "Write", "value", (json_int_t)s->io_written));
	json_put_str(doc, "type", "stats");
	json_put_str(doc, "id", id);
	json_put(doc, "data", data);
	return doc;
}

int oci_stats(const struct oci_runtime *rt, const char *id, json_t **ret_doc, struct err *e)
{
	autocontainer struct oci_container c = OCI_CONTAINER_NONE;
	struct cgroup_stats s = {0};
	int r = oci_container_open(rt, id, false, &c, e);
	if (r == 0 && c.status == OCI_STOPPED)
		r = err_set(e, EINVAL, "container with id %s is not running", id);
	if (r == 0)
		r = read_stats(&c, &s, e);
	if (r == 0)
		*ret_doc = stats_doc(id, &s);
	return r;
}

static int tell_oom(const char *id, oci_event_fn *fn, void *arg, struct err *e)
{
	autojson json_t *doc = json_object();
	json_put_str(doc, "type", "oom");
	json_put_str(doc, "id", id);
	return fn(arg, doc, e);
}

int oci_events(const struct oci_runtime *rt, const char *id, unsigned interval, oci_event_fn *fn, void *arg,
	       struct err *e)
{
	autocontainer struct oci_container c = OCI_CONTAINER_NONE;
	int r = oci_container_open(rt, id, false, &c, e);
	if (r < 0)
		return r;
	autofd int pidfd = oci_container_pidfd(&c, e);
	if (pidfd < 0)
		return pidfd;
	uint64_t ooms = cgroup_oom_kills(&c.rec.cgroups);
	for (;;) {
		struct cgroup_stats s = {0};
		struct pollfd p = {.fd = pidfd, .events = POLLIN};
		bool over = poll(&p, 1, (int)interval * 1000) == 1;
		uint64_t now = cgroup_oom_kills(&c.rec.cgroups);
		if (now > ooms) {
			r = tell_oom(id, fn, arg, e);
			ooms = now;
		}
		if (r != 0 || over)
			return r < 0 ? r : 0;
		/* Gone between the two is the same end. */
		if (read_stats(&c, &s, NULL) < 0)
			continue;
		autojson json_t *doc = stats_doc(id, &s);
		r = fn(arg, doc, e);
		if (r != 0)
			return r < 0 ? r : 0;
	}
}
