/*
 * limit_rows.h - the options of limits as rows of an option table: the same in `run`, `create` and `update`.
 *
 * LIMIT_ROWS(type, member, heading) are the rows for a target struct `type` whose `member` is a struct limit_opts.
 */
#ifndef RL_CMD_LIMIT_ROWS_H
#define RL_CMD_LIMIT_ROWS_H

#include "rl/cmd/opt.h"
#include "rl/model/limit_opts.h"

/* One setter per grammar of rl/model/limit_opts.h; `offset` is that of the struct limit_opts. */
#define LIMIT_SETTERS(X)                                                                                               \
	X(memory)                                                                                                      \
	X(memory_swap)                                                                                                 \
	X(memory_reservation)                                                                                          \
	X(pids_limit)                                                                                                  \
	X(cpus)                                                                                                        \
	X(cpu_quota)                                                                                                   \
	X(cpu_period)                                                                                                  \
	X(cpu_shares)                                                                                                  \
	X(cpuset_cpus)                                                                                                 \
	X(cpuset_mems)                                                                                                 \
	X(blkio_weight)                                                                                                \
	X(blkio_weight_device)                                                                                         \
	X(device_read_bps)                                                                                             \
	X(device_write_bps)                                                                                            \
	X(device_read_iops)                                                                                            \
	X(device_write_iops)                                                                                           \
	X(cgroup_conf)                                                                                                 \
	X(cgroup_parent)                                                                                               \
	X(cgroups)

#define X(name)                                                                                                        \
	int set_limit_##name(const struct opt_def *def, void *target, const char *value, struct err *e) RL_CHECK;
LIMIT_SETTERS(X)
#undef X

#define LIMIT_ROW(type, member, heading, long_name, short_letter, meta, setter, text, ...)                             \
	{                                                                                                              \
		.name = long_name, .letter = short_letter, .metavar = meta, .set = set_limit_##setter,                 \
		.offset = offsetof(type, member), .group = heading, .help = text, __VA_ARGS__                          \
	}

#define LIMIT_ROWS(T, M, H)                                                                                            \
	LIMIT_ROW(T, M, H, "memory", 'm', "SIZE", memory, "memory the container may use: 512m, 2g", .complete = 0),    \
		LIMIT_ROW(T, M, H, "memory-swap", 0, "SIZE", memory_swap, "memory and swap together; -1 for no limit", \
			  .complete = 0),                                                                              \
		LIMIT_ROW(T, M, H, "memory-reservation", 0, "SIZE", memory_reservation,                                \
			  "memory that is left to it longest", .complete = 0),                                         \
		LIMIT_ROW(T, M, H, "cpus", 0, "N", cpus, "processors it may use: 2, 0.5", .complete = 0),              \
		LIMIT_ROW(T, M, H, "cpu-shares", 'c', "N", cpu_shares, "weight against others (1024 is usual)",        \
			  .complete = 0),                                                                              \
		LIMIT_ROW(T, M, H, "cpu-quota", 0, "US", cpu_quota, "processor time in each period", .complete = 0),   \
		LIMIT_ROW(T, M, H, "cpu-period", 0, "US", cpu_period, "length of that period (default 100000)",        \
			  .complete = 0),                                                                              \
		LIMIT_ROW(T, M, H, "cpuset-cpus", 0, "LIST", cpuset_cpus, "processors by number: 0-2,7",               \
			  .complete = 0),                                                                              \
		LIMIT_ROW(T, M, H, "cpuset-mems", 0, "LIST", cpuset_mems, "memory nodes by number", .complete = 0),    \
		LIMIT_ROW(T, M, H, "pids-limit", 0, "N", pids_limit, "processes and threads; -1 for no limit",         \
			  .complete = 0),                                                                              \
		LIMIT_ROW(T, M, H, "blkio-weight", 0, "N", blkio_weight, "weight at disks, 10 to 1000",                \
			  .complete = 0),                                                                              \
		LIMIT_ROW(T, M, H, "blkio-weight-device", 0, "DEV:N", blkio_weight_device, "the same for one disk",    \
			  .flags = OPT_REPEAT),                                                                        \
		LIMIT_ROW(T, M, H, "device-read-bps", 0, "DEV:RATE", device_read_bps,                                  \
			  "bytes a second read from a disk", .flags = OPT_REPEAT),                                     \
		LIMIT_ROW(T, M, H, "device-write-bps", 0, "DEV:RATE", device_write_bps,                                \
			  "bytes a second written to a disk", .flags = OPT_REPEAT),                                    \
		LIMIT_ROW(T, M, H, "device-read-iops", 0, "DEV:N", device_read_iops, "reads a second from a disk",     \
			  .flags = OPT_REPEAT),                                                                        \
		LIMIT_ROW(T, M, H, "device-write-iops", 0, "DEV:N", device_write_iops, "writes a second to a disk",    \
			  .flags = OPT_REPEAT),                                                                        \
		LIMIT_ROW(T, M, H, "cgroup-conf", 0, "FILE=VALUE", cgroup_conf,                                        \
			  "setting of cgroup v2: memory.high=1g", .flags = OPT_REPEAT)

/* Where the cgroup is; `run` and `create` only. */
#define LIMIT_PLACE_ROWS(T, M, H)                                                                                      \
	LIMIT_ROW(T, M, H, "cgroup-parent", 0, "PATH", cgroup_parent, "slice or directory to make the cgroup in",      \
		  .complete = 0),                                                                                      \
		LIMIT_ROW(T, M, H, "cgroups", 0, "MODE", cgroups, "enabled: one even without a limit; disabled: none", \
			  .complete = COMPLETE_CHOICES, .choices = "enabled disabled no-conmon split"),                \
	{                                                                                                              \
		.name = "require-limits", OPT_GENERIC(opt_set_bool, T, M.required), .group = H,                        \
		.help = "refuse to start if a limit cannot be enforced"                                                \
	}

#endif
