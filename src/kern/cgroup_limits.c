/*
 * cgroup_limits.c - limits as docker's options name them, as files of cgroup v2 and v1.
 *
 * option               v2                        v1
 * --memory             memory.max                memory.limit_in_bytes
 * --memory-swap        memory.swap.max (less the memory)  memory.memsw.limit_in_bytes
 * --memory-reservation memory.low                memory.soft_limit_in_bytes
 * --cpus, --cpu-quota  cpu.max                   cpu.cfs_quota_us, cpu.cfs_period_us
 * --cpu-shares         cpu.weight                cpu.shares
 * --cpuset-cpus/-mems  cpuset.cpus, cpuset.mems  the same
 * --pids-limit         pids.max                  pids.max
 * --blkio-weight       io.bfq.weight, io.weight  blkio.bfq.weight, blkio.weight
 * --device-*           io.max                    blkio.throttle.*
 * --cgroup-conf        as given                  none
 *
 * A file that is not there means that its controller is not ours: the option goes to `missing`. A swap limit on a
 * kernel without swap accounting is left out silently when it only follows from --memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "cgroup_int.h"
#include "rl/base/mem.h"

struct target {
	const char *v2; /* directory or NULL */
	const struct strv *dirs;
	struct strv *missing;
	struct err *e;
};

bool cgroup_limits_any(const struct cgroup_limits *l)
{
	return l->memory || l->memory_swap || l->memory_reservation || l->pids || l->cpu_quota || l->cpu_period ||
	       l->cpu_shares || l->cpuset_cpus || l->cpuset_mems || l->blkio_weight || l->nio ||
	       (l->conf && l->conf->count);
}

unsigned cgroup_wanted(const struct cgroup_limits *l)
{
	unsigned set = 0;
	if (l->memory || l->memory_swap || l->memory_reservation)
		set |= 1u << CGROUP_MEMORY;
	if (l->pids)
		set |= 1u << CGROUP_PIDS;
	if (l->cpu_quota || l->cpu_period || l->cpu_shares)
		set |= 1u << CGROUP_CPU;
	if (l->cpuset_cpus || l->cpuset_mems)
		set |= 1u << CGROUP_CPUSET;
	if (l->blkio_weight || l->nio)
		set |= 1u << CGROUP_IO;
	for (size_t i = 0; l->conf && i < l->conf->count; i++)
		for (unsigned c = 0; c < CGROUP_CONTROLLERS; c++) {
			const char *rest = str_after(l->conf->items[i], cgroup_v2_names[c]);
			if (rest && *rest == '.')
				set |= 1u << c;
		}
	return set;
}

static void miss(const struct target *t, const char *option)
{
	if (!strv_has(t->missing, option))
		strv_add(t->missing, option);
}

/* 1 written, 0 not there, -errno refused. */
static int put(const struct target *t, const char *dir, const char *file, const char *value, const char *option)
{
	if (!dir || !cgroup_has_file(dir, file))
		return 0;
	int r = cgroup_write(dir, file, value);
	if (r < 0)
		return err_sys(t->e, -r, "%s: the kernel refuses '%s' for %s", option, value, file);
	return 1;
}

static int put_u64(const struct target *t, const char *dir, const char *file, uint64_t value, const char *option)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, value);
	return put(t, dir, file, text, option);
}

/* v2 file, else v1 file; `value2` and `value1` are texts. */
static int put_either(const struct target *t, const char *file2, const char *value2, const char *v1, const char *file1,
		      const char *value1, const char *option)
{
	int r = put(t, t->v2, file2, value2, option);
	if (r == 0)
		r = put(t, cgroup_dir_of(t->dirs, v1), file1, value1, option);
	if (r == 0)
		miss(t, option);
	return r < 0 ? r : 0;
}

static void bytes_text(int64_t bytes, const char *unlimited, char ret[24])
{
	if (bytes == CGROUP_UNLIMITED)
		snprintf(ret, 24, "%s", unlimited);
	else
		snprintf(ret, 24, "%" PRId64, bytes);
}

/* v1 wants memory <= memory+swap at every moment: raise the outer one first, lower it last. */
static int set_memory_v1(const struct target *t, const char *dir, const struct cgroup_limits *l)
{
	char memory[24];
	char swap[24];
	bytes_text(l->memory, "-1", memory);
	bytes_text(l->memory_swap ? l->memory_swap : l->memory, "-1", swap);
	static const char limit[] = "memory.limit_in_bytes";
	static const char memsw[] = "memory.memsw.limit_in_bytes";
	if (cgroup_has_file(dir, memsw) && cgroup_write(dir, memsw, swap) < 0) {
		/* Below the present memory limit: that one first. */
		int r = l->memory ? put(t, dir, limit, memory, "--memory") : 0;
		return r < 0 ? r : put(t, dir, memsw, swap, "--memory-swap");
	}
	return l->memory ? put(t, dir, limit, memory, "--memory") : 1;
}

static int set_swap_v2(const struct target *t, const struct cgroup_limits *l)
{
	char text[24] = "max";
	int64_t memory = l->memory;
	if (!memory) {
		uint64_t now = cgroup_read_u64(t->v2, "memory.max", UINT64_MAX);
		memory = now >= INT64_MAX ? 0 : (int64_t)now;
	}
	/* docker's default: as much swap as memory */
	int64_t both = l->memory_swap ? l->memory_swap : 2 * l->memory;
	if (both != CGROUP_UNLIMITED && l->memory != CGROUP_UNLIMITED)
		snprintf(text, sizeof(text), "%" PRId64, both > memory ? both - memory : 0);
	int r = put(t, t->v2, "memory.swap.max", text, "--memory-swap");
	if (r == 0 && l->memory_swap)
		miss(t, "--memory-swap");
	return r < 0 ? r : 0;
}

static int set_memory(const struct target *t, const struct cgroup_limits *l)
{
	char text[24];
	int r = 0;
	if (!l->memory && !l->memory_swap)
		return 0;
	if (t->v2 && cgroup_has_file(t->v2, "memory.max")) {
		bytes_text(l->memory, "max", text);
		r = l->memory ? put(t, t->v2, "memory.max", text, "--memory") : 0;
		return r < 0 ? r : set_swap_v2(t, l);
	}
	const char *v1 = cgroup_dir_of(t->dirs, "memory");
	r = v1 ? set_memory_v1(t, v1, l) : 0;
	if (r == 0)
		miss(t, l->memory ? "--memory" : "--memory-swap");
	return r < 0 ? r : 0;
}

static int set_reservation(const struct target *t, const struct cgroup_limits *l)
{
	char v2[24];
	char v1[24];
	if (!l->memory_reservation)
		return 0;
	bytes_text(l->memory_reservation, "max", v2);
	bytes_text(l->memory_reservation, "-1", v1);
	return put_either(t, "memory.low", v2, "memory", "memory.soft_limit_in_bytes", v1, "--memory-reservation");
}

static int set_pids(const struct target *t, const struct cgroup_limits *l)
{
	char text[24];
	if (!l->pids)
		return 0;
	bytes_text(l->pids, "max", text);
	return put_either(t, "pids.max", text, "pids", "pids.max", text, "--pids-limit");
}

static int set_quota(const struct target *t, const struct cgroup_limits *l)
{
	if (!l->cpu_quota && !l->cpu_period)
		return 0;
	char both[64];
	char quota[24];
	char period[24];
	snprintf(period, sizeof(period), "%" PRIu64, l->cpu_period ? l->cpu_period : 100000);
	bytes_text(l->cpu_quota ? l->cpu_quota : CGROUP_UNLIMITED, "max", quota);
	snprintf(both, sizeof(both), "%s %s", quota, period);
	int r = put(t, t->v2, "cpu.max", both, "--cpus");
	const char *v1 = cgroup_dir_of(t->dirs, "cpu");
	if (r == 0) {
		r = put(t, v1, "cpu.cfs_period_us", period, "--cpu-period");
		bytes_text(l->cpu_quota ? l->cpu_quota : CGROUP_UNLIMITED, "-1", quota);
		if (r > 0)
			r = put(t, v1, "cpu.cfs_quota_us", quota, "--cpus");
	}
	if (r == 0)
		miss(t, "--cpus");
	return r < 0 ? r : 0;
}

/* The v1 scale 2..262144 onto the v2 scale 1..10000, as systemd and the runtimes do. */
static uint64_t shares_to_weight(uint64_t shares)
{
	shares = RL_MAX(RL_MIN(shares, UINT64_C(262144)), UINT64_C(2));
	return 1 + (shares - 2) * 9999 / 262142;
}

static int set_shares(const struct target *t, const struct cgroup_limits *l)
{
	if (!l->cpu_shares)
		return 0;
	int r = put_u64(t, t->v2, "cpu.weight", shares_to_weight(l->cpu_shares), "--cpu-shares");
	if (r == 0)
		r = put_u64(t, cgroup_dir_of(t->dirs, "cpu"), "cpu.shares", l->cpu_shares, "--cpu-shares");
	if (r == 0)
		miss(t, "--cpu-shares");
	return r < 0 ? r : 0;
}

static int set_cpuset(const struct target *t, const struct cgroup_limits *l)
{
	int r = 0;
	if (l->cpuset_cpus)
		r = put_either(t, "cpuset.cpus", l->cpuset_cpus, "cpuset", "cpuset.cpus", l->cpuset_cpus,
			       "--cpuset-cpus");
	if (r == 0 && l->cpuset_mems)
		r = put_either(t, "cpuset.mems", l->cpuset_mems, "cpuset", "cpuset.mems", l->cpuset_mems,
			       "--cpuset-mems");
	return r;
}

/* io.bfq.weight and both v1 files have docker's scale, io.weight the one of v2. */
static int set_weight(const struct target *t, const char *prefix, unsigned weight, const char *option)
{
	const char *v1 = cgroup_dir_of(t->dirs, "blkio");
	char text[64];
	snprintf(text, sizeof(text), "%s%u", prefix, weight);
	int r = put(t, t->v2, "io.bfq.weight", text, option);
	if (r == 0)
		r = put(t, v1, *prefix ? "blkio.bfq.weight_device" : "blkio.bfq.weight", text, option);
	if (r == 0)
		r = put(t, v1, *prefix ? "blkio.weight_device" : "blkio.weight", text, option);
	if (r == 0) {
		snprintf(text, sizeof(text), "%s%u", *prefix ? prefix : "default ", 1 + (weight - 10) * 9999 / 990);
		r = put(t, t->v2, "io.weight", text, option);
	}
	if (r == 0)
		miss(t, option);
	return r < 0 ? r : 0;
}

static int set_io(const struct target *t, const struct cgroup_io *io)
{
	static const struct {
		const char *option, *v2, *v1;
	} kinds[] = {
		[CGROUP_IO_RBPS] = {"--device-read-bps", "rbps", "blkio.throttle.read_bps_device"},
		[CGROUP_IO_WBPS] = {"--device-write-bps", "wbps", "blkio.throttle.write_bps_device"},
		[CGROUP_IO_RIOPS] = {"--device-read-iops", "riops", "blkio.throttle.read_iops_device"},
		[CGROUP_IO_WIOPS] = {"--device-write-iops", "wiops", "blkio.throttle.write_iops_device"},
	};
	char prefix[32];
	char v2[64];
	char v1[64];
	snprintf(prefix, sizeof(prefix), "%u:%u ", io->major, io->minor);
	if (io->kind == CGROUP_IO_WEIGHT)
		return set_weight(t, prefix, (unsigned)io->value, "--blkio-weight-device");
	snprintf(v2, sizeof(v2), "%s%s=%" PRIu64, prefix, kinds[io->kind].v2, io->value);
	snprintf(v1, sizeof(v1), "%s%" PRIu64, prefix, io->value);
	return put_either(t, "io.max", v2, "blkio", kinds[io->kind].v1, v1, kinds[io->kind].option);
}

static int set_conf(const struct target *t, const char *entry)
{
	const char *eq = strchr(entry, '=');
	autofree char *file = xstrndup(entry, eq ? (size_t)(eq - entry) : strlen(entry));
	int r = put(t, t->v2, file, eq ? eq + 1 : "", "--cgroup-conf");
	if (r == 0)
		miss(t, "--cgroup-conf");
	return r < 0 ? r : 0;
}

int cgroup_set_limits(const struct strv *dirs, const struct cgroup_limits *l, struct strv *missing, struct err *e)
{
	struct target t = {.v2 = cgroup_v2_dir(dirs), .dirs = dirs, .missing = missing, .e = e};
	int r = set_memory(&t, l);
	if (r == 0)
		r = set_reservation(&t, l);
	if (r == 0)
		r = set_pids(&t, l);
	if (r == 0)
		r = set_quota(&t, l);
	if (r == 0)
		r = set_shares(&t, l);
	if (r == 0)
		r = set_cpuset(&t, l);
	if (r == 0 && l->blkio_weight)
		r = set_weight(&t, "", l->blkio_weight, "--blkio-weight");
	for (size_t i = 0; r == 0 && i < l->nio; i++)
		r = set_io(&t, &l->io[i]);
	for (size_t i = 0; r == 0 && l->conf && i < l->conf->count; i++)
		r = set_conf(&t, l->conf->items[i]);
	return r;
}
