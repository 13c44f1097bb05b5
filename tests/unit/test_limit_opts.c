/* Limits as typed: what is taken, what is refused, what update replaces. */
#include "rl/model/limit_opts.h"

#include <errno.h>

#include "tap.h"

typedef int setter(struct limit_opts *l, const char *value, struct err *e);

static void values(void)
{
	struct limit_opts l = {.memory = 0};
	struct err e = ERR_INIT;
	tap_ok(limit_opts_memory(&l, "100m", &e) == 0 && l.memory == 100 << 20, "--memory takes a size with a unit");
	tap_ok(limit_opts_memory_swap(&l, "-1", &e) == 0 && l.memory_swap == LIMIT_NONE,
	       "--memory-swap -1 is no limit");
	tap_ok(limit_opts_cpus(&l, "1.5", &e) == 0 && l.nano_cpus == 1500000000, "--cpus takes a fraction, exactly");
	tap_ok(limit_opts_cpus(&l, ".5", &e) == 0 && l.nano_cpus == 500000000, "also one without a digit in front");
	tap_ok(limit_opts_cpus(&l, "0", &e) == 0 && l.nano_cpus == LIMIT_NONE, "--cpus 0 is no limit");
	tap_ok(limit_opts_pids_limit(&l, "max", &e) == 0 && l.pids == LIMIT_NONE, "--pids-limit max is no limit");
	tap_ok(limit_opts_cpuset_cpus(&l, "0-2,7", &e) == 0, "--cpuset-cpus takes ranges and numbers");
	tap_is_str(l.cpuset_cpus, "0-2,7", "and keeps them as typed");
	tap_ok(limit_opts_device_write_bps(&l, "/dev/disk/by-id/a:b:1m", &e) == 0 &&
		       str_eq(l.io[0].device, "/dev/disk/by-id/a:b") && l.io[0].value == 1 << 20,
	       "the rate of a device follows the last colon");
	tap_ok(limit_opts_cgroup_conf(&l, "memory.high=1g", &e) == 0 && l.conf.count == 1,
	       "--cgroup-conf takes a file");
	tap_ok(limit_opts_any(&l), "something is set");
	limit_opts_free(&l);
	tap_ok(!limit_opts_any(&l), "after free nothing is");
}

static void refusals(void)
{
	static const struct {
		setter *set;
		const char *value;
	} bad[] = {
		{limit_opts_memory, ""},
		{limit_opts_memory, "x"},
		{limit_opts_memory, "-2"},
		{limit_opts_memory, "100"},
		{limit_opts_memory, "99999999999g"},
		{limit_opts_cpus, ""},
		{limit_opts_cpus, "."},
		{limit_opts_cpus, "1e3"},
		{limit_opts_cpus, "-1"},
		{limit_opts_cpus, "0.001"},
		{limit_opts_cpus, "99999999999999999999"},
		{limit_opts_cpu_quota, "999"},
		{limit_opts_cpu_period, "1000001"},
		{limit_opts_cpu_shares, "1"},
		{limit_opts_cpu_shares, "262145"},
		{limit_opts_cpuset_cpus, ""},
		{limit_opts_cpuset_cpus, "1-"},
		{limit_opts_cpuset_cpus, "1,,2"},
		{limit_opts_cpuset_cpus, "3-1"},
		{limit_opts_cpuset_cpus, "70000"},
		{limit_opts_pids_limit, "1.5"},
		{limit_opts_blkio_weight, "9"},
		{limit_opts_blkio_weight, "1001"},
		{limit_opts_device_read_bps, "sda:1m"},
		{limit_opts_device_read_bps, "/dev/sda"},
		{limit_opts_device_read_bps, "/dev/sda:0"},
		{limit_opts_cgroup_conf, "memory.high"},
		{limit_opts_cgroup_conf, "=1"},
		{limit_opts_cgroup_conf, "a/b.c=1"},
		{limit_opts_cgroup_conf, "..=1"},
		{limit_opts_cgroup_conf, "cgroup.procs=1"},
		{limit_opts_cgroup_parent, ""},
		{limit_opts_cgroup_parent, "a/../../b"},
		{limit_opts_cgroups, "parted"},
	};
	struct limit_opts l = {.memory = 0};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = ERR_INIT;
		int r = bad[i].set(&l, bad[i].value, &e);
		tap_ok(r < 0 && e.text[0] == '-', "value %zu, '%s', is refused by the option's name", i, bad[i].value);
	}
	tap_ok(!limit_opts_any(&l) && !l.parent, "and nothing was stored");
}

static void together(void)
{
	struct err e = ERR_INIT;
	struct limit_opts l = {.memory_swap = 1 << 20};
	tap_is_int(limit_opts_check(&l, &e), -EINVAL, "swap without memory is refused");
	l = (struct limit_opts){.nano_cpus = 1, .cpu_quota = 1};
	tap_is_int(limit_opts_check(&l, &e), -EINVAL, "two ways to say the same are refused");
	char place[] = "/x";
	l = (struct limit_opts){.parent = place};
	tap_ok(limit_opts_cgroups(&l, "split", &e) == 0 && l.mode == CGROUPS_SPLIT, "--cgroups=split is known");
	tap_is_int(limit_opts_check(&l, &e), -EINVAL, "and excludes another parent");
	l = (struct limit_opts){.nano_cpus = 5, .memory = 7};
	const struct limit_opts changes = {.cpu_quota = 9};
	limit_opts_merge(&l, &changes);
	tap_ok(l.nano_cpus == 0 && l.cpu_quota == 9 && l.memory == 7,
	       "update: the later of two ways counts, the rest stays");
}

int main(void)
{
	tap_plan_later();
	values();
	refusals();
	together();
	return tap_done();
}
