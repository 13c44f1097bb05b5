/*
 * oci_cgroup.c - a container's control groups: where they are, and config.json's resources as files of v1 and v2.
 *
 * member                v1                                     v2
 * memory.limit          memory.limit_in_bytes                  memory.max
 * memory.swap           memory.memsw.limit_in_bytes            memory.swap.max, less the limit
 * memory.reservation    memory.soft_limit_in_bytes             memory.low
 * memory.kernel(TCP)    memory.kmem.(tcp.)limit_in_bytes       none: counted in memory.max
 * memory.swappiness     memory.swappiness                      none
 * cpu.shares            cpu.shares                             cpu.weight
 * cpu.quota, period     cpu.cfs_quota_us, cpu.cfs_period_us    cpu.max
 * cpu.burst             cpu.cfs_burst_us                       cpu.max.burst
 * cpu.idle              cpu.idle                               cpu.idle
 * cpu.cpus, mems        cpuset.cpus, cpuset.mems               the same
 * pids.limit            pids.max                               pids.max
 * blockIO.weight        blkio.bfq.weight, blkio.weight         io.bfq.weight, io.weight
 * blockIO.throttle*     blkio.throttle.*_device                io.max
 * hugepageLimits        hugetlb.SIZE.limit_in_bytes            hugetlb.SIZE.max
 * network               net_cls.classid, net_prio.ifpriomap    none
 * rdma                  rdma.max                               rdma.max
 * unified               none                                   as it is
 *
 * A value without a file is an error that names the member, or, for an ordinary user, a warning.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "oci_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/kern/cgroup.h"
#include "rl/kern/cgroup_device.h"
#include "rl/kern/cgroup_tree.h"

/* ---- where ---- */

static bool is_refusal(int r)
{
	return r == -EACCES || r == -EPERM || r == -EROFS || r == -ENOENT;
}

/* slice:prefix:name, each part but the name possibly empty. */
static int split_path(const char *path, struct strv *parts, struct err *e)
{
	strv_split(parts, path ? path : "", ':');
	if (!path || parts->count != 3 || !*parts->items[2] || strchr(path, '/'))
		return err_set(e, EINVAL,
			       "linux.cgroupsPath '%s' is not slice:prefix:name, as --systemd-cgroup wants it",
			       path ? path : "");
	return 0;
}

/* Before anything is made. */
static int check_systemd(const char *path, struct err *e)
{
	struct stat st;
	autostrv struct strv parts = STRV_INIT;
	if (stat("/run/systemd/system", &st) < 0)
		return err_set(e, EOPNOTSUPP, "systemd not running on this host, cannot use systemd cgroups manager");
	return split_path(path, &parts, e);
}

/* Where the process is in the hierarchy of systemd: v2's, or v1's named one. */
static int path_of_process(pid_t pid, char **ret_path, struct err *e)
{
	autostr struct str text = STR_INIT;
	autofree char *file = xasprintf("/proc/%d/cgroup", (int)pid);
	int r = io_read_file(AT_FDCWD, file, 1 << 20, &text, e);
	if (r < 0)
		return r;
	const char *named = strstr(text.buf, ":name=systemd:");
	const char *unified = strstr(text.buf, "0::");
	const char *path = named ? named + strlen(":name=systemd:") : unified ? unified + strlen("0::") : NULL;
	if (!path)
		return err_set(e, ENOENT, "%s names no hierarchy of systemd", file);
	*ret_path = xstrndup(path, strcspn(path, "\n"));
	return 0;
}

int oci_cgroup_put_in_scope(const struct oci_config *c, pid_t pid, struct oci_record *rec, struct err *e)
{
	autostrv struct strv parts = STRV_INIT;
	autostrv struct strv mounts = STRV_INIT;
	autofree char *path = NULL;
	int r = split_path(c->cgroups_path, &parts, e);
	if (r < 0)
		return r;
	const char *prefix = parts.items[1];
	rec->scope = xasprintf("%s%s%s.scope", prefix, *prefix ? "-" : "", parts.items[2]);
	r = cgroup_scope_put(rec->scope, *parts.items[0] ? parts.items[0] : NULL, pid, e);
	if (r == 0)
		r = path_of_process(pid, &path, e);
	if (r == 0)
		r = cgroup_tree_read(&mounts, e);
	/* Where it exists already it is taken as it is; v1's other hierarchies are not systemd's to make. */
	if (r == 0)
		r = cgroup_tree_plan(&mounts, path, &rec->cgroups, e);
	return r < 0 ? r : cgroup_tree_make(&rec->cgroups, e);
}

int oci_cgroup_plan(const struct oci_runtime *rt, const struct oci_config *c, struct oci_record *rec, struct err *e)
{
	autostrv struct strv mounts = STRV_INIT;
	const char *path = c->cgroups_path && *c->cgroups_path ? c->cgroups_path : NULL;
	if (rt->no_cgroup)
		return 0;
	if (rt->systemd_cgroup)
		return check_systemd(path, e);
	if (path && strchr(path, ':') && path[0] != '/')
		return err_set(e, EINVAL,
			       "linux.cgroupsPath '%s' is a systemd path, and --systemd-cgroup was not given", path);
	int r = cgroup_tree_read(&mounts, e);
	/* Without one it is a directory of its own, not one below another of ours that would have to be removed, too. */
	autofree char *below = path ? path_join("/", path) : xasprintf("/rl-oci-%s", rec->id);
	return r < 0 ? r : cgroup_tree_plan(&mounts, below, &rec->cgroups, e);
}

int oci_cgroup_make(struct oci_record *rec, struct err *e)
{
	struct err why = ERR_INIT;
	int r = cgroup_tree_make(&rec->cgroups, &why);
	if (r == 0)
		return 0;
	if (!rec->rootless || !is_refusal(r)) {
		*e = why;
		return r;
	}
	log_debug(LOG_CGROUP, "no cgroup: %s", why.text);
	strv_free(&rec->cgroups);
	return 0;
}

/* ---- limits ---- */

struct writer {
	const struct strv *dirs;
	const char *v2;
	bool lenient;
	struct strv *warnings;
	struct err *e;
};

static int missing(const struct writer *w, const char *member, const char *why)
{
	if (!w->lenient)
		return err_set(w->e, EOPNOTSUPP, "linux.resources.%s: %s", member, why);
	strv_addf(w->warnings, "linux.resources.%s is not enforced: %s", member, why);
	return 0;
}

/* 1 written, 0 no such file. */
static int try_put(const struct writer *w, const char *dir, const char *file, const char *value, const char *member)
{
	struct err why = ERR_INIT;
	int r = dir ? cgroup_tree_put(dir, file, value, &why) : 0;
	if (r >= 0)
		return r;
	if (w->lenient && is_refusal(r))
		return 0;
	*w->e = why;
	return err_ctx(w->e, "linux.resources.%s", member);
}

/* The v2 file, else v1's. Either may be NULL: there is none. */
static int put(const struct writer *w, const char *member, const char *file2, const char *value2,
	       const char *controller, const char *file1, const char *value1)
{
	const char *v1 = cgroup_tree_dir(w->dirs, controller);
	int r = v1 && file1 ? try_put(w, v1, file1, value1, member) : 0;
	if (r == 0 && file2)
		r = try_put(w, w->v2, file2, value2, member);
	if (r == 0)
		r = missing(w, member,
			    v1 || w->v2 ? "this kernel or cgroup has no such setting" : "there is no cgroup");
	return r < 0 ? r : 0;
}

static void number(int64_t value, const char *unlimited, char ret[24])
{
	if (value == -1 && unlimited)
		snprintf(ret, 24, "%s", unlimited);
	else
		snprintf(ret, 24, "%" PRId64, value);
}

/* Engines write 0 for what they leave as it is. */
static bool is_set(const struct oci_num *n)
{
	return n->given && n->value != 0;
}

static int put_zero_too(const struct writer *w, const char *member, const struct oci_num *n, const char *file2,
			const char *controller, const char *file1)
{
	char text1[24];
	char text2[24];
	if (!n->given)
		return 0;
	number(n->value, "-1", text1);
	number(n->value, "max", text2);
	return put(w, member, file2, text2, controller, file1, text1);
}

static int put_number(const struct writer *w, const char *member, const struct oci_num *n, const char *file2,
		      const char *controller, const char *file1)
{
	return is_set(n) ? put_zero_too(w, member, n, file2, controller, file1) : 0;
}

/* v1 keeps memory below memory and swap at every moment: what has to give way first depends on the direction. */
static int put_memory_v1(const struct writer *w, const char *dir, const struct oci_resources *r)
{
	char limit[24];
	char swap[24];
	const struct oci_num *l = &r->memory.limit;
	const struct oci_num *s = &r->memory.swap;
	number(l->value, NULL, limit);
	number(s->value, NULL, swap);
	int q = 1;
	bool swap_first = is_set(l) && is_set(s) &&
			  cgroup_tree_put(dir, "memory.memsw.limit_in_bytes", swap, NULL) == 1;
	if (is_set(l))
		q = try_put(w, dir, "memory.limit_in_bytes", limit, "memory.limit");
	if (q >= 0 && is_set(s) && !swap_first)
		q = try_put(w, dir, "memory.memsw.limit_in_bytes", swap, "memory.swap");
	if (q == 0)
		q = missing(w, is_set(l) ? "memory.limit" : "memory.swap", "this kernel has no such setting");
	return q < 0 ? q : 0;
}

static int put_memory_v2(const struct writer *w, const struct oci_resources *r)
{
	const struct oci_num *l = &r->memory.limit;
	struct oci_num swap = r->memory.swap;
	int q = put_number(w, "memory.limit", l, "memory.max", "memory", NULL);
	if (q < 0 || !is_set(&swap))
		return q;
	if (swap.value > 0 && !is_set(l))
		return err_set(w->e, EINVAL, "linux.resources.memory.swap needs memory.limit");
	if (swap.value > 0 && l->value > 0) {
		if (swap.value < l->value)
			return err_set(
				w->e, EINVAL,
				"linux.resources.memory.swap is memory and swap together, and below memory.limit");
		swap.value -= l->value;
	}
	return put_number(w, "memory.swap", &swap, "memory.swap.max", "memory", NULL);
}

static int check_before_update(const struct writer *w, const struct oci_resources *r)
{
	const char *v1 = cgroup_tree_dir(w->dirs, "memory");
	autostr struct str text = STR_INIT;
	if (!r->memory.check_before_update.value || r->memory.limit.value <= 0)
		return 0;
	int q = v1	? cgroup_tree_get(v1, "memory.usage_in_bytes", &text)
		: w->v2 ? cgroup_tree_get(w->v2, "memory.current", &text)
			: -ENOENT;
	if (q == 0 && strtoll(text.buf, NULL, 10) > r->memory.limit.value)
		return err_set(w->e, EBUSY, "linux.resources.memory.limit %" PRId64 " is below the present usage %.*s",
			       r->memory.limit.value, (int)strcspn(text.buf, "\n"), text.buf);
	return 0;
}

static int put_memory(const struct writer *w, const struct oci_resources *r)
{
	const char *v1 = cgroup_tree_dir(w->dirs, "memory");
	int q = check_before_update(w, r);
	if (q == 0 && (is_set(&r->memory.limit) || is_set(&r->memory.swap)))
		q = v1 ? put_memory_v1(w, v1, r) : put_memory_v2(w, r);
	if (q == 0)
		q = put_number(w, "memory.reservation", &r->memory.reservation, "memory.low", "memory",
			       "memory.soft_limit_in_bytes");
	/* Kernel memory is in the limit itself since Linux 5.4, on v2 always: nothing is lost where the file is gone. */
	char text[24];
	number(r->memory.kernel.value, NULL, text);
	if (q == 0 && is_set(&r->memory.kernel) && v1)
		(void)!cgroup_tree_put(v1, "memory.kmem.limit_in_bytes", text, NULL);
	if (q == 0 && v1)
		q = put_number(w, "memory.kernelTCP", &r->memory.kernel_tcp, NULL, "memory",
			       "memory.kmem.tcp.limit_in_bytes");
	if (q == 0)
		q = put_zero_too(w, "memory.swappiness", &r->memory.swappiness, NULL, "memory", "memory.swappiness");
	if (q == 0 && r->memory.disable_oom_killer.value)
		q = put(w, "memory.disableOOMKiller", NULL, NULL, "memory", "memory.oom_control", "1");
	return q;
}

static int put_cpu(const struct writer *w, const struct oci_resources *r)
{
	const char *v1 = cgroup_tree_dir(w->dirs, "cpu");
	int q = 0;
	if (is_set(&r->cpu.shares)) {
		char shares[24];
		char weight[24];
		int64_t s = RL_MAX(RL_MIN(r->cpu.shares.value, (int64_t)262144), (int64_t)2);
		number(s, NULL, shares);
		number(1 + (s - 2) * 9999 / 262142, NULL, weight);
		q = put(w, "cpu.shares", "cpu.weight", weight, "cpu", "cpu.shares", shares);
	}
	if (q == 0 && v1)
		q = put_number(w, "cpu.period", &r->cpu.period, NULL, "cpu", "cpu.cfs_period_us");
	if (q == 0 && v1)
		q = put_number(w, "cpu.quota", &r->cpu.quota, NULL, "cpu", "cpu.cfs_quota_us");
	if (q == 0 && !v1 && (is_set(&r->cpu.quota) || is_set(&r->cpu.period))) {
		char max[64];
		char quota[24];
		number(is_set(&r->cpu.quota) ? r->cpu.quota.value : -1, "max", quota);
		snprintf(max, sizeof(max), "%s %" PRId64, quota, r->cpu.period.value ? r->cpu.period.value : 100000);
		q = put(w, "cpu.quota", "cpu.max", max, "cpu", NULL, NULL);
	}
	if (q == 0)
		q = put_number(w, "cpu.burst", &r->cpu.burst, "cpu.max.burst", "cpu", "cpu.cfs_burst_us");
	if (q == 0)
		q = put_zero_too(w, "cpu.idle", &r->cpu.idle, "cpu.idle", "cpu", "cpu.idle");
	if (q == 0)
		q = put_number(w, "cpu.realtimePeriod", &r->cpu.rt_period, NULL, "cpu", "cpu.rt_period_us");
	if (q == 0)
		q = put_number(w, "cpu.realtimeRuntime", &r->cpu.rt_runtime, NULL, "cpu", "cpu.rt_runtime_us");
	if (q == 0 && r->cpu.cpus && *r->cpu.cpus)
		q = put(w, "cpu.cpus", "cpuset.cpus", r->cpu.cpus, "cpuset", "cpuset.cpus", r->cpu.cpus);
	if (q == 0 && r->cpu.mems && *r->cpu.mems)
		q = put(w, "cpu.mems", "cpuset.mems", r->cpu.mems, "cpuset", "cpuset.mems", r->cpu.mems);
	return q;
}

/* A weight: of the whole, or of a device ("8:0 100"). BFQ's file takes 1 to 1000, the other of v2 1 to 10000. */
static int put_weight(const struct writer *w, const char *member, const char *device, int64_t weight)
{
	const char *v1 = cgroup_tree_dir(w->dirs, "blkio");
	char plain[64];
	char scaled[64];
	snprintf(plain, sizeof(plain), "%s%" PRId64, device, weight);
	snprintf(scaled, sizeof(scaled), "%s%" PRId64, *device ? device : "default ", 1 + (weight - 10) * 9999 / 990);
	int r = try_put(w, v1, *device ? "blkio.bfq.weight_device" : "blkio.bfq.weight", plain, member);
	if (r == 0)
		r = try_put(w, v1, *device ? "blkio.weight_device" : "blkio.weight", plain, member);
	if (r == 0)
		r = try_put(w, w->v2, "io.bfq.weight", plain, member);
	if (r == 0)
		r = try_put(w, w->v2, "io.weight", scaled, member);
	return r == 0 ? missing(w, member, "no scheduler of this kernel has weights") : RL_MIN(r, 0);
}

static int put_throttles(const struct writer *w, const struct oci_list *list, const char *member, const char *key2,
			 const char *file1)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct oci_throttle *t = oci_item(*list, struct oci_throttle, i);
		char text1[80];
		char text2[80];
		snprintf(text1, sizeof(text1), "%" PRId64 ":%" PRId64 " %" PRIu64, t->major.value, t->minor.value,
			 (uint64_t)t->rate.value);
		snprintf(text2, sizeof(text2), "%" PRId64 ":%" PRId64 " %s=%" PRIu64, t->major.value, t->minor.value,
			 key2, (uint64_t)t->rate.value);
		int r = put(w, member, "io.max", text2, "blkio", file1, text1);
		if (r < 0)
			return r;
	}
	return 0;
}

static int put_block_io(const struct writer *w, const struct oci_resources *r)
{
	int q = is_set(&r->block_io.weight) ? put_weight(w, "blockIO.weight", "", r->block_io.weight.value) : 0;
	if (q == 0 && r->block_io.leaf_weight.value)
		q = put_number(w, "blockIO.leafWeight", &r->block_io.leaf_weight, NULL, "blkio", "blkio.leaf_weight");
	for (size_t i = 0; i < r->block_io.weight_device.count && q == 0; i++) {
		const struct oci_block_weight *b = oci_item(r->block_io.weight_device, struct oci_block_weight, i);
		char device[48];
		char text[72];
		snprintf(device, sizeof(device), "%" PRId64 ":%" PRId64 " ", b->major.value, b->minor.value);
		if (is_set(&b->weight))
			q = put_weight(w, "blockIO.weightDevice", device, b->weight.value);
		snprintf(text, sizeof(text), "%s%" PRId64, device, b->leaf_weight.value);
		if (q == 0 && b->leaf_weight.value)
			q = put(w, "blockIO.weightDevice.leafWeight", NULL, NULL, "blkio", "blkio.leaf_weight_device",
				text);
	}
	if (q == 0)
		q = put_throttles(w, &r->block_io.read_bps, "blockIO.throttleReadBpsDevice", "rbps",
				  "blkio.throttle.read_bps_device");
	if (q == 0)
		q = put_throttles(w, &r->block_io.write_bps, "blockIO.throttleWriteBpsDevice", "wbps",
				  "blkio.throttle.write_bps_device");
	if (q == 0)
		q = put_throttles(w, &r->block_io.read_iops, "blockIO.throttleReadIOPSDevice", "riops",
				  "blkio.throttle.read_iops_device");
	if (q == 0)
		q = put_throttles(w, &r->block_io.write_iops, "blockIO.throttleWriteIOPSDevice", "wiops",
				  "blkio.throttle.write_iops_device");
	return q;
}

static int put_others(const struct writer *w, const struct oci_resources *r)
{
	int q = r->pids.given && r->pids.value != 0
			? put_number(w, "pids.limit", &r->pids, "pids.max", "pids", "pids.max")
			: 0;
	for (size_t i = 0; i < r->hugepages.count && q == 0; i++) {
		const struct oci_hugepage *h = oci_item(r->hugepages, struct oci_hugepage, i);
		if (strchr(h->page_size, '/'))
			return err_set(w->e, EINVAL, "linux.resources.hugepageLimits[%zu].pageSize is no size", i);
		autofree char *file1 = xasprintf("hugetlb.%s.limit_in_bytes", h->page_size);
		autofree char *file2 = xasprintf("hugetlb.%s.max", h->page_size);
		q = put_zero_too(w, "hugepageLimits", &h->limit, file2, "hugetlb", file1);
	}
	if (q == 0 && r->class_id.value)
		q = put_number(w, "network.classID", &r->class_id, NULL, "net_cls", "net_cls.classid");
	for (size_t i = 0; i < r->net_priorities.count && q == 0; i++) {
		const struct oci_net_priority *n = oci_item(r->net_priorities, struct oci_net_priority, i);
		autofree char *text = xasprintf("%s %" PRId64, n->name, n->priority.value);
		q = put(w, "network.priorities", NULL, NULL, "net_prio", "net_prio.ifpriomap", text);
	}
	return q;
}

static int put_maps(const struct writer *w, const struct oci_resources *r)
{
	const char *name;
	json_t *v;
	int q = 0;
	json_object_foreach (r->rdma, name, v) {
		autostr struct str text = STR_INIT;
		int64_t handles = json_int_or(v, "hcaHandles", -1);
		int64_t objects = json_int_or(v, "hcaObjects", -1);
		str_adds(&text, name);
		if (handles >= 0)
			str_addf(&text, " hca_handle=%" PRId64, handles);
		if (objects >= 0)
			str_addf(&text, " hca_object=%" PRId64, objects);
		q = put(w, "rdma", "rdma.max", text.buf, "rdma", "rdma.max", text.buf);
		if (q < 0)
			return q;
	}
	json_object_foreach (r->unified, name, v) {
		autofree char *member = xasprintf("unified.%s", name);
		if (strchr(name, '/') || !strchr(name, '.'))
			return err_set(w->e, EINVAL, "linux.resources.%s is no file of a cgroup", member);
		q = try_put(w, w->v2, name, json_string_value(v), member);
		if (q == 0)
			q = missing(w, member, "there is no such file");
		if (q < 0)
			return q;
	}
	return 0;
}

int oci_cgroup_limit(const struct strv *dirs, const struct oci_resources *r, bool lenient, struct strv *warnings,
		     struct err *e)
{
	const struct writer w = {
		.dirs = dirs,
		.v2 = cgroup_tree_dir(dirs, NULL),
		.lenient = lenient,
		.warnings = warnings,
		.e = e,
	};
	if (!r->given)
		return 0;
	int q = put_memory(&w, r);
	if (q == 0)
		q = put_cpu(&w, r);
	if (q == 0)
		q = put_block_io(&w, r);
	if (q == 0)
		q = put_others(&w, r);
	return q == 0 ? put_maps(&w, r) : q;
}

/* ---- devices ---- */

static int to_rule(const struct oci_device_rule *from, struct cgroup_device_rule *ret, struct err *e)
{
	const char *access = from->access && *from->access ? from->access : "rwm";
	*ret = (struct cgroup_device_rule){
		.allow = from->allow.value,
		.type = from->type && *from->type ? from->type[0] : 'a',
		.major = from->major.given ? from->major.value : -1,
		.minor = from->minor.given ? from->minor.value : -1,
	};
	for (const char *p = access; *p; p++) {
		unsigned bit = *p == 'r'   ? CGROUP_DEVICE_READ
			       : *p == 'w' ? CGROUP_DEVICE_WRITE
			       : *p == 'm' ? CGROUP_DEVICE_MKNOD
					   : 0u;
		if (!bit)
			return err_set(e, EINVAL, "linux.resources.devices: access '%s' is not of r, w, m", access);
		ret->access |= bit;
	}
	if (!strchr("abc", ret->type) || (from->type && strlen(from->type) > 1))
		return err_set(e, EINVAL, "linux.resources.devices: type '%s' is none of a, b, c", from->type);
	return 0;
}

/* What every container has in /dev, whatever the rules say. */
static const struct cgroup_device_rule standard[] = {
	{true, 'c', -1, -1, CGROUP_DEVICE_MKNOD}, {true, 'b', -1, -1, CGROUP_DEVICE_MKNOD},
	{true, 'c', 1, 3, CGROUP_DEVICE_ALL},	  {true, 'c', 1, 5, CGROUP_DEVICE_ALL},
	{true, 'c', 1, 7, CGROUP_DEVICE_ALL},	  {true, 'c', 1, 8, CGROUP_DEVICE_ALL},
	{true, 'c', 1, 9, CGROUP_DEVICE_ALL},	  {true, 'c', 5, 0, CGROUP_DEVICE_ALL},
	{true, 'c', 5, 1, CGROUP_DEVICE_ALL},	  {true, 'c', 5, 2, CGROUP_DEVICE_ALL},
	{true, 'c', 136, -1, CGROUP_DEVICE_ALL},
};

static int put_rule_v1(const char *dir, const struct cgroup_device_rule *r, struct err *e)
{
	char major[24] = "*";
	char minor[24] = "*";
	char text[80];
	if (r->major >= 0)
		number(r->major, NULL, major);
	if (r->minor >= 0)
		number(r->minor, NULL, minor);
	if (r->type == 'a')
		snprintf(text, sizeof(text), "a");
	else
		snprintf(text, sizeof(text), "%c %s:%s %s%s%s", r->type, major, minor,
			 r->access & CGROUP_DEVICE_READ ? "r" : "", r->access & CGROUP_DEVICE_WRITE ? "w" : "",
			 r->access & CGROUP_DEVICE_MKNOD ? "m" : "");
	int q = cgroup_tree_put(dir, r->allow ? "devices.allow" : "devices.deny", text, e);
	return q < 0 ? q : 0;
}

int oci_cgroup_devices(const struct strv *dirs, const struct oci_config *c, bool lenient, struct err *e)
{
	const struct oci_list *list = &c->resources.devices;
	size_t n = list->count + ARRAY_SIZE(standard);
	const char *v1 = cgroup_tree_dir(dirs, "devices");
	const char *v2 = cgroup_tree_dir(dirs, NULL);
	struct err why = ERR_INIT;
	autofree struct cgroup_device_rule *rules = xcalloc(n, sizeof(*rules));
	if (!list->count)
		return 0;
	for (size_t i = 0; i < list->count; i++) {
		int q = to_rule(oci_item(*list, struct oci_device_rule, i), &rules[i], e);
		if (q < 0)
			return q;
	}
	memcpy(&rules[list->count], standard, sizeof(standard));
	int r = 0;
	for (size_t i = 0; v1 && i < n && r == 0; i++)
		r = put_rule_v1(v1, &rules[i], &why);
	if (!v1 && v2)
		r = cgroup_device_attach(v2, rules, n, &why);
	if (r < 0 && lenient) {
		/* In a user namespace no node can be made and only what is bound can be opened: the rules have no work. */
		log_debug(LOG_CGROUP, "device rules: %s", why.text);
		return 0;
	}
	if (r < 0) {
		*e = why;
		return err_ctx(e, "linux.resources.devices");
	}
	return 0;
}
