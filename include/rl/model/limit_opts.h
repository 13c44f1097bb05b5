/*
 * limit_opts.h - the limits a person asked for (--memory, --cpus, ...), of `run`, `create` and `update`.
 *
 * Model: a member is 0 or NULL when the option was not given; -1 is "no limit" where docker has that. Values are those
 * typed; devices are paths that have not been looked up. One setter per option, named after it; on failure nothing has
 * been stored. limit_opts_check says what the values mean together, limit_opts_merge is `rl update`.
 * Ownership: the struct owns its memory; limit_opts_free releases it.
 */
#ifndef RL_MODEL_LIMIT_OPTS_H
#define RL_MODEL_LIMIT_OPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

enum { LIMIT_NONE = -1 };

/* Same order as enum cgroup_io_kind of rl/kern/cgroup.h. */
enum io_limit_kind { IO_LIMIT_RBPS, IO_LIMIT_WBPS, IO_LIMIT_RIOPS, IO_LIMIT_WIOPS, IO_LIMIT_WEIGHT };

struct io_limit {
	char *device; /* "/dev/sda" */
	enum io_limit_kind kind;
	uint64_t value;
};

enum cgroups_mode { CGROUPS_AS_NEEDED, CGROUPS_ENABLED, CGROUPS_DISABLED, CGROUPS_SPLIT };

struct limit_opts {
	int64_t memory, memory_swap, memory_reservation; /* bytes */
	int64_t pids;
	int64_t nano_cpus; /* --cpus, in units of 1e-9 processors */
	int64_t cpu_quota; /* us */
	uint64_t cpu_period, cpu_shares;
	char *cpuset_cpus, *cpuset_mems;
	unsigned blkio_weight;
	struct io_limit *io;
	size_t nio;
	struct strv conf; /* "FILE=VALUE" */
	char *parent;	  /* --cgroup-parent */
	enum cgroups_mode mode;
	bool required; /* --require-limits */
};

void limit_opts_free(struct limit_opts *l);

int limit_opts_memory(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_memory_swap(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_memory_reservation(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_pids_limit(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_cpus(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_cpu_quota(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_cpu_period(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_cpu_shares(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_cpuset_cpus(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_cpuset_mems(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_blkio_weight(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_blkio_weight_device(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_device_read_bps(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_device_write_bps(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_device_read_iops(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_device_write_iops(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_cgroup_conf(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_cgroup_parent(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;
int limit_opts_cgroups(struct limit_opts *l, const char *value, struct err *e) RL_CHECK;

/* True if any limit is set (parent and mode are none). */
bool limit_opts_any(const struct limit_opts *l);
int limit_opts_check(const struct limit_opts *l, struct err *e) RL_CHECK;
/* What is set in `changes` replaces what `l` has. */
void limit_opts_merge(struct limit_opts *l, const struct limit_opts *changes);

#endif
