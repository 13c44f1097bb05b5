/* limit_opts.c - the grammars of limits. */
#include "rl/model/limit_opts.h"

#include <errno.h>
#include <stdlib.h>

#include "rl/base/fmt.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "run_opts_int.h"

enum { MEMORY_MIN = 512 * 1024 };

void limit_opts_free(struct limit_opts *l)
{
	free(l->cpuset_cpus);
	free(l->cpuset_mems);
	free(l->parent);
	for (size_t i = 0; i < l->nio; i++)
		free(l->io[i].device);
	free(l->io);
	strv_free(&l->conf);
	*l = (struct limit_opts){.memory = 0};
}

/* A size; "-1" (and docker's and podman's "0" with `zero_is_none`) is no limit. */
static int read_bytes(const char *option, const char *value, bool may_be_none, int64_t *ret, struct err *e)
{
	uint64_t bytes = 0;
	if (may_be_none && (str_eq(value, "-1") || str_eq(value, "0"))) {
		*ret = LIMIT_NONE;
		return 0;
	}
	int r = fmt_parse_size(value, option, &bytes, e);
	if (r < 0)
		return r;
	if (bytes > INT64_MAX)
		return err_set(e, ERANGE, "%s: '%s' is too large", option, value);
	if (bytes < MEMORY_MIN) {
		err_set(e, EINVAL, "%s '%s': no program can run in so little memory", option, value);
		return err_hint(e, "the value is in bytes unless it has a unit: 64m, 1.5g");
	}
	*ret = (int64_t)bytes;
	return 0;
}

int limit_opts_memory(struct limit_opts *l, const char *value, struct err *e)
{
	return read_bytes("--memory", value, true, &l->memory, e);
}

int limit_opts_memory_swap(struct limit_opts *l, const char *value, struct err *e)
{
	return read_bytes("--memory-swap", value, true, &l->memory_swap, e);
}

int limit_opts_memory_reservation(struct limit_opts *l, const char *value, struct err *e)
{
	return read_bytes("--memory-reservation", value, true, &l->memory_reservation, e);
}

int limit_opts_pids_limit(struct limit_opts *l, const char *value, struct err *e)
{
	uint64_t n = 0;
	if (str_eq(value, "-1") || str_eq(value, "0") || str_eq(value, "max")) {
		l->pids = LIMIT_NONE;
		return 0;
	}
	int r = str_to_u64(value, INT32_MAX, "--pids-limit", &n, e);
	if (r == 0)
		l->pids = (int64_t)n;
	return r;
}

/* "1.5": digits, at most nine of them after the point. */
static bool read_decimal(const char *text, int64_t *ret_nano)
{
	int64_t sum = 0;
	int64_t unit = 100000000;
	const char *p = text;
	bool any = false;
	for (; *p >= '0' && *p <= '9' && sum <= 1000000; p++, any = true)
		sum = sum * 10 + (*p - '0');
	if (sum > 1000000)
		return false;
	sum *= 1000000000;
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9' && unit; p++, unit /= 10, any = true)
			sum += (*p - '0') * unit;
	*ret_nano = sum;
	return any && !*p;
}

int limit_opts_cpus(struct limit_opts *l, const char *value, struct err *e)
{
	int64_t nano = 0;
	if (!read_decimal(value, &nano))
		return err_set(e, EINVAL, "--cpus '%s': a number of processors is expected (examples: 2, 0.5)", value);
	if (nano && nano < 10000000)
		return err_set(e, EINVAL, "--cpus '%s': 0.01 is the least", value);
	l->nano_cpus = nano ? nano : LIMIT_NONE;
	return 0;
}

int limit_opts_cpu_quota(struct limit_opts *l, const char *value, struct err *e)
{
	uint64_t us = 0;
	if (str_eq(value, "-1") || str_eq(value, "0")) {
		l->cpu_quota = LIMIT_NONE;
		return 0;
	}
	int r = str_to_u64(value, INT64_MAX, "--cpu-quota", &us, e);
	if (r < 0)
		return r;
	if (us < 1000)
		return err_set(e, EINVAL, "--cpu-quota '%s': 1000 microseconds are the least", value);
	l->cpu_quota = (int64_t)us;
	return 0;
}

int limit_opts_cpu_period(struct limit_opts *l, const char *value, struct err *e)
{
	uint64_t us = 0;
	int r = str_to_u64(value, 1000000, "--cpu-period", &us, e);
	if (r < 0)
		return r;
	if (us < 1000)
		return err_set(e, EINVAL, "--cpu-period '%s': 1000 to 1000000 microseconds are expected", value);
	l->cpu_period = us;
	return 0;
}

int limit_opts_cpu_shares(struct limit_opts *l, const char *value, struct err *e)
{
	uint64_t n = 0;
	int r = str_to_u64(value, 262144, "--cpu-shares", &n, e);
	if (r < 0)
		return r;
	if (n == 1)
		return err_set(e, EINVAL, "--cpu-shares '%s': 2 to 262144 are expected", value);
	l->cpu_shares = n;
	return 0;
}

/* "0-3,7": numbers and ascending ranges. */
static int set_list(const char *option, const char *value, char **slot, struct err *e)
{
	const char *p = value;
	for (bool more = true; more;) {
		char *end = NULL;
		bool digit = *p >= '0' && *p <= '9';
		unsigned long first = digit ? strtoul(p, &end, 10) : 0;
		unsigned long last = first;
		if (digit && *end == '-' && end[1] >= '0' && end[1] <= '9')
			last = strtoul(end + 1, &end, 10);
		if (!digit || last < first || last > 65535 || (*end && *end != ','))
			return err_set(e, EINVAL, "%s '%s': a list like 0-3,7 is expected", option, value);
		more = *end == ',';
		p = end + 1;
	}
	run_opts_set_str(slot, value);
	return 0;
}

int limit_opts_cpuset_cpus(struct limit_opts *l, const char *value, struct err *e)
{
	return set_list("--cpuset-cpus", value, &l->cpuset_cpus, e);
}

int limit_opts_cpuset_mems(struct limit_opts *l, const char *value, struct err *e)
{
	return set_list("--cpuset-mems", value, &l->cpuset_mems, e);
}

static int read_weight(const char *option, const char *value, unsigned *ret, struct err *e)
{
	uint64_t n = 0;
	int r = str_to_u64(value, 1000, option, &n, e);
	if (r < 0)
		return r;
	if (n && n < 10)
		return err_set(e, EINVAL, "%s '%s': 10 to 1000 are expected", option, value);
	*ret = (unsigned)n;
	return 0;
}

int limit_opts_blkio_weight(struct limit_opts *l, const char *value, struct err *e)
{
	return read_weight("--blkio-weight", value, &l->blkio_weight, e);
}

/* "/dev/sda:VALUE" */
static int add_io(struct limit_opts *l, enum io_limit_kind kind, const char *option, const char *value, struct err *e)
{
	const char *colon = strrchr(value, ':');
	uint64_t n = 0;
	unsigned weight = 0;
	int r;
	if (!colon || value[0] != '/') {
		return err_set(e, EINVAL, "%s '%s': DEVICE:%s is expected (example: /dev/sda:%s)", option, value,
			       kind == IO_LIMIT_WEIGHT ? "WEIGHT" : "RATE", kind == IO_LIMIT_WEIGHT ? "200" : "10m");
	}
	if (kind == IO_LIMIT_WEIGHT)
		r = read_weight(option, colon + 1, &weight, e);
	else if (kind == IO_LIMIT_RBPS || kind == IO_LIMIT_WBPS)
		r = fmt_parse_size(colon + 1, option, &n, e);
	else
		r = str_to_u64(colon + 1, INT64_MAX, option, &n, e);
	if (r < 0)
		return r;
	if (!n && !weight)
		return err_set(e, EINVAL, "%s '%s': the value must be more than 0", option, value);
	l->io = xreallocarray(l->io, l->nio + 1, sizeof(*l->io));
	l->io[l->nio++] = (struct io_limit){
		.device = xstrndup(value, (size_t)(colon - value)),
		.kind = kind,
		.value = n ? n : weight,
	};
	return 0;
}

int limit_opts_blkio_weight_device(struct limit_opts *l, const char *value, struct err *e)
{
	return add_io(l, IO_LIMIT_WEIGHT, "--blkio-weight-device", value, e);
}

int limit_opts_device_read_bps(struct limit_opts *l, const char *value, struct err *e)
{
	return add_io(l, IO_LIMIT_RBPS, "--device-read-bps", value, e);
}

int limit_opts_device_write_bps(struct limit_opts *l, const char *value, struct err *e)
{
	return add_io(l, IO_LIMIT_WBPS, "--device-write-bps", value, e);
}

int limit_opts_device_read_iops(struct limit_opts *l, const char *value, struct err *e)
{
	return add_io(l, IO_LIMIT_RIOPS, "--device-read-iops", value, e);
}

int limit_opts_device_write_iops(struct limit_opts *l, const char *value, struct err *e)
{
	return add_io(l, IO_LIMIT_WIOPS, "--device-write-iops", value, e);
}

/* A file of the container's own cgroup: a plain name with a point in it, never a path. */
int limit_opts_cgroup_conf(struct limit_opts *l, const char *value, struct err *e)
{
	const char *eq = strchr(value, '=');
	size_t n = eq ? (size_t)(eq - value) : 0;
	if (!n || strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789._") != n || !memchr(value, '.', n) ||
	    value[0] == '.')
		return err_set(e, EINVAL,
			       "--cgroup-conf '%s': FILE=VALUE is expected (example: memory.high=1073741824)", value);
	if (str_after(value, "cgroup."))
		return err_set(e, EINVAL, "--cgroup-conf '%s': the files cgroup.* are rl's own", value);
	strv_add(&l->conf, value);
	return 0;
}

int limit_opts_cgroup_parent(struct limit_opts *l, const char *value, struct err *e)
{
	if (!*value || path_has_dotdot(value) || strlen(value) > 1024)
		return err_set(e, EINVAL,
			       "--cgroup-parent '%s': a slice (user-x.slice) or a path below the root of the "
			       "hierarchy is expected",
			       value);
	run_opts_set_str(&l->parent, value);
	return 0;
}

int limit_opts_cgroups(struct limit_opts *l, const char *value, struct err *e)
{
	/* podman's no-conmon: the monitor of rl has a cgroup only where systemd's scope needs one */
	if (str_eq(value, "enabled") || str_eq(value, "no-conmon"))
		l->mode = CGROUPS_ENABLED;
	else if (str_eq(value, "disabled"))
		l->mode = CGROUPS_DISABLED;
	else if (str_eq(value, "split"))
		l->mode = CGROUPS_SPLIT;
	else
		return err_set(e, EINVAL, "--cgroups '%s': enabled, disabled, no-conmon or split is expected", value);
	return 0;
}

bool limit_opts_any(const struct limit_opts *l)
{
	return l->memory || l->memory_swap || l->memory_reservation || l->pids || l->nano_cpus || l->cpu_quota ||
	       l->cpu_period || l->cpu_shares || l->cpuset_cpus || l->cpuset_mems || l->blkio_weight || l->nio ||
	       l->conf.count;
}

int limit_opts_check(const struct limit_opts *l, struct err *e)
{
	if (l->memory_swap > 0 && l->memory <= 0)
		return err_set(e, EINVAL, "--memory-swap: it is memory and swap together, so --memory is needed too");
	if (l->memory_swap > 0 && l->memory_swap < l->memory)
		return err_set(e, EINVAL, "--memory-swap is memory and swap together: it cannot be less than --memory");
	if (l->memory_reservation > 0 && l->memory > 0 && l->memory_reservation > l->memory)
		return err_set(e, EINVAL, "--memory-reservation is above --memory");
	if (l->nano_cpus && (l->cpu_quota || l->cpu_period))
		return err_set(e, EINVAL,
			       "--cpus and --cpu-quota or --cpu-period set the same limit: give one of them");
	if (l->mode == CGROUPS_SPLIT && l->parent)
		return err_set(e, EINVAL, "--cgroups=split divides the cgroup rl is in: --cgroup-parent names another");
	if (l->mode == CGROUPS_DISABLED && l->required)
		return err_set(e, EINVAL, "--require-limits and --cgroups=disabled exclude each other");
	return 0;
}

static void merge_i64(int64_t *slot, int64_t value)
{
	if (value)
		*slot = value;
}

static void merge_u64(uint64_t *slot, uint64_t value)
{
	if (value)
		*slot = value;
}

void limit_opts_merge(struct limit_opts *l, const struct limit_opts *changes)
{
	merge_i64(&l->memory, changes->memory);
	merge_i64(&l->memory_swap, changes->memory_swap);
	merge_i64(&l->memory_reservation, changes->memory_reservation);
	merge_i64(&l->pids, changes->pids);
	merge_i64(&l->nano_cpus, changes->nano_cpus);
	merge_i64(&l->cpu_quota, changes->cpu_quota);
	merge_u64(&l->cpu_period, changes->cpu_period);
	merge_u64(&l->cpu_shares, changes->cpu_shares);
	/* The two ways to say it: the later one counts. */
	if (changes->nano_cpus) {
		l->cpu_quota = 0;
		l->cpu_period = 0;
	} else if (changes->cpu_quota || changes->cpu_period) {
		l->nano_cpus = 0;
	}
	if (changes->blkio_weight)
		l->blkio_weight = changes->blkio_weight;
	if (changes->cpuset_cpus)
		run_opts_set_str(&l->cpuset_cpus, changes->cpuset_cpus);
	if (changes->cpuset_mems)
		run_opts_set_str(&l->cpuset_mems, changes->cpuset_mems);
	for (size_t i = 0; i < changes->nio; i++) {
		l->io = xreallocarray(l->io, l->nio + 1, sizeof(*l->io));
		l->io[l->nio] = changes->io[i];
		l->io[l->nio++].device = xstrdup(changes->io[i].device);
	}
	strv_add_all(&l->conf, &changes->conf);
}
