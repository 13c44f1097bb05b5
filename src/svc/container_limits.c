/*
 * container_limits.c - the limits of a container: cgroups where there are any, else what comes near, said in one line.
 *
 * rung                  enforced                                   not enforced
 * cgroup (cgroup.h)     every option whose controller is there     the others
 * no cgroup             --pids-limit by RLIMIT_NPROC, where one    everything else
 *                       user id is all there is in the container;
 *                       --memory by a watch that samples
 *
 * The watch: a timer, sooner the nearer the container is to its limit. A sample adds up what each process has for
 * itself, which counts shared pages several times; only when that is above the limit the exact sum (PSS) is taken, and
 * only that one kills. Once a second the exact walk is done anyway, because it also finds processes that are not
 * children of PID 1.
 *
 * A limit that is not enforced is never silent: one line names it, and --require-limits makes it an error.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/fmt.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

#define MS UINT64_C(1000000)

enum { TICK_MIN_MS = 5, TICK_MAX_MS = 100, FULL_EVERY_MS = 1000 };

/* No program fills memory much faster: how long it needs for what is left is how long we may look away. */
#define FILL_BYTES_PER_MS (UINT64_C(4) << 20)

void container_limits_init(struct container_limits *l)
{
	*l = (struct container_limits){.job = CGROUP_JOB_NONE, .made = CGROUP_MADE_NONE, .timer = -1};
}

static int find_device(const struct io_limit *in, struct cgroup_io *out, struct err *e)
{
	struct stat st;
	if (stat(in->device, &st) < 0)
		return err_sys(e, errno, "limit of device %s", in->device);
	if (!S_ISBLK(st.st_mode))
		return err_set(e, ENOTBLK, "limit of device %s: it is no block device", in->device);
	*out = (struct cgroup_io){
		.kind = (enum cgroup_io_kind)in->kind,
		.major = major(st.st_rdev),
		.minor = minor(st.st_rdev),
		.value = in->value,
	};
	return 0;
}

int container_limits_translate(const struct limit_opts *o, struct cgroup_limits *ret_limits, struct cgroup_io **ret_io,
			       struct err *e)
{
	_Static_assert((int)IO_LIMIT_WEIGHT == (int)CGROUP_IO_WEIGHT, "the two enums are one");
	struct cgroup_limits l = {
		.memory = o->memory,
		.memory_swap = o->memory_swap,
		.memory_reservation = o->memory_reservation,
		.pids = o->pids,
		.cpu_quota = o->cpu_quota,
		.cpu_period = o->cpu_period,
		.cpu_shares = o->cpu_shares,
		.cpuset_cpus = o->cpuset_cpus,
		.cpuset_mems = o->cpuset_mems,
		.blkio_weight = o->blkio_weight,
		.nio = o->nio,
		.conf = &o->conf,
	};
	if (o->nano_cpus == LIMIT_NONE)
		l.cpu_quota = CGROUP_UNLIMITED;
	else if (o->nano_cpus)
		l.cpu_quota = o->nano_cpus / 10000; /* of the usual period of 100000 us */
	autofree struct cgroup_io *io = xcalloc(o->nio + 1, sizeof(*io));
	for (size_t i = 0; i < o->nio; i++) {
		int r = find_device(&o->io[i], &io[i], e);
		if (r < 0)
			return r;
	}
	l.io = io;
	*ret_io = take_ptr(&io);
	*ret_limits = l;
	return 0;
}

static bool wants_cgroup(const struct limit_opts *o)
{
	return o->mode != CGROUPS_DISABLED &&
	       (o->mode == CGROUPS_ENABLED || o->mode == CGROUPS_SPLIT || o->parent || limit_opts_any(o));
}

void container_limits_request(struct container *c)
{
	const struct limit_opts *o = &c->o->limits;
	const struct cgroup_limits none = {.memory = 0};
	if (!wants_cgroup(o) || c->o->explain)
		return;
	const struct cgroup_ask ask = {
		.id = c->id, .parent = o->parent, .limits = &none, .split = o->mode == CGROUPS_SPLIT};
	cgroup_request(&ask, &c->limits.job);
}

/* ---- without cgroups ---- */

/* RLIMIT_NPROC counts per user id in the container's own user namespace: the same thing where there is one id. */
static bool limit_processes(struct container *c, int64_t pids)
{
	if (pids <= 0 || !c->has_map || c->map.form != IDMAP_SINGLE || geteuid() == 0)
		return false;
	struct rlimit own;
	uint64_t n = (uint64_t)pids;
	if (getrlimit(RLIMIT_NPROC, &own) == 0 && own.rlim_max != RLIM_INFINITY && n > own.rlim_max)
		n = own.rlim_max;
	c->limits.processes = n;
	return true;
}

void container_limits_add_to_spec(struct container *c)
{
	uint64_t n = c->limits.processes;
	if (n)
		rtspec_add_rlimit(&c->spec, RLIMIT_NPROC, n, n, false);
}

static void remove_option(struct strv *v, const char *option)
{
	for (size_t i = 0; i < v->count; i++)
		if (str_eq(v->items[i], option)) {
			strv_remove(v, i);
			return;
		}
}

static void join_texts(const struct strv *v, struct str *out)
{
	for (size_t i = 0; i < v->count; i++)
		str_addf(out, "%s%s", i ? ", " : "", v->items[i]);
}

static const char remedy[] =
	"'rl doctor' says what is missing; with systemd it is usually enough to run in a login session, else: sudo "
	"systemctl set-property user-$UID.slice Delegate='cpu cpuset io memory pids'";

/* What is left over after every rung: refused with --require-limits, else done as well as it can be and said. */
static int settle(struct container *c, struct strv *missing, struct err *e)
{
	const struct limit_opts *o = &c->o->limits;
	autostr struct str names = STR_INIT;
	const char *why = c->limits.made.why.len ? c->limits.made.why.buf : "the controllers are not there";
	if (!missing->count)
		return 0;
	join_texts(missing, &names);
	if (o->required) {
		err_set(e, EOPNOTSUPP, "%s cannot be enforced here, and --require-limits was given: %s", names.buf,
			why);
		return err_hint(e, "%s", remedy);
	}
	bool sampled = strv_has(missing, "--memory") && o->memory > 0;
	if (sampled) {
		c->limits.watch_memory = (uint64_t)o->memory;
		remove_option(missing, "--memory");
	}
	bool by_rlimit = strv_has(missing, "--pids-limit") && limit_processes(c, o->pids);
	if (by_rlimit)
		remove_option(missing, "--pids-limit");
	autostrv struct strv parts = STRV_INIT;
	autostr struct str line = STR_INIT;
	str_cut(&names, 0);
	join_texts(missing, &names);
	if (names.len)
		strv_addf(&parts, "not enforced: %s", names.buf);
	if (sampled)
		strv_add(&parts, "--memory is watched by sampling only");
	if (by_rlimit)
		strv_add(&parts, "--pids-limit is enforced by RLIMIT_NPROC");
	join_texts(&parts, &line);
	if (!c->o->quiet)
		log_warn("%s (%s)", line.buf, why);
	return 0;
}

/* ---- start ---- */

static void all_missing(const struct cgroup_limits *l, struct strv *missing, struct err *e)
{
	const struct strv none = STRV_INIT;
	/* No directory has any file: every option asked for is named. */
	(void)!cgroup_set_limits(&none, l, missing, e);
}

static int make(struct container *c, const struct cgroup_limits *l, struct strv *missing, struct err *e)
{
	const struct limit_opts *o = &c->o->limits;
	struct container_limits *own = &c->limits;
	const struct cgroup_ask ask = {
		.id = c->id, .parent = o->parent, .limits = l, .split = o->mode == CGROUPS_SPLIT};
	if (o->mode == CGROUPS_DISABLED) {
		str_adds(&own->made.why, "--cgroups=disabled");
		all_missing(l, missing, e);
		return 0;
	}
	int r = cgroup_make(&ask, &own->job, &own->made, e);
	if (r < 0)
		return r;
	if (r == 0) {
		all_missing(l, missing, e);
		if (o->mode == CGROUPS_ENABLED && !missing->count)
			log_warn("the container gets no cgroup of its own: %s", own->made.why.buf);
		return 0;
	}
	log_debug(LOG_RUN, "limits by %s", cgroup_rung_name(own->made.rung));
	return cgroup_set_limits(&own->made.dirs, l, missing, e);
}

int container_limits_make(struct container *c, struct err *e)
{
	autofree struct cgroup_io *io = NULL;
	autostrv struct strv missing = STRV_INIT;
	struct cgroup_limits l;
	if (c->limits.is_ready || (!wants_cgroup(&c->o->limits) && !limit_opts_any(&c->o->limits)))
		return 0;
	int r = container_limits_translate(&c->o->limits, &l, &io, e);
	if (r == 0)
		r = make(c, &l, &missing, e);
	if (r == 0)
		r = settle(c, &missing, e);
	c->limits.is_ready = r == 0;
	return r;
}

/* ---- the watch ---- */

static void arm(struct container_limits *l, uint64_t ms)
{
	const struct itimerspec when = {
		.it_value = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000 * MS)},
	};
	timerfd_settime(l->timer, 0, &when, NULL);
}

void container_limits_started(struct container *c)
{
	struct container_limits *l = &c->limits;
	l->oom = false;
	l->oom_before = cgroup_oom_kills(&l->made.dirs);
	if (!l->watch_memory)
		return;
	if (l->timer < 0)
		l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	arm(l, TICK_MIN_MS);
}

/* Bytes in use, exactly if that decides something. */
static uint64_t sample(const struct container *c, bool exact)
{
	struct cgroup_stats s = {.memory = 0};
	uint64_t used = 0;
	if (!exact && cgroup_memory_of_tree(c->run.pid, &used, NULL) < 0)
		return 0;
	if (!exact && used <= c->limits.watch_memory)
		return used;
	return cgroup_stats_of_tree(c->run.pid, &s, NULL) < 0 ? 0 : s.memory + s.swap;
}

void container_limits_changed(struct container *c)
{
	struct container_limits *l = &c->limits;
	struct cgroup_stats now = {.has_memory = false};
	int64_t memory = c->o->limits.memory;
	if (c->run.pidfd < 0 || (l->made.dirs.count && cgroup_stats(&l->made.dirs, &now, NULL) == 0 && now.has_memory))
		return;
	l->watch_memory = memory > 0 ? (uint64_t)memory : 0;
	if (l->timer < 0 && l->watch_memory)
		l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->timer >= 0)
		arm(l, l->watch_memory ? TICK_MIN_MS : 0);
}

bool container_limits_on_timer(struct container *c)
{
	struct container_limits *l = &c->limits;
	uint64_t expired;
	(void)!read(l->timer, &expired, sizeof(expired));
	if (c->run.pidfd < 0)
		return false;
	uint64_t used = sample(c, ++l->ticks % (FULL_EVERY_MS / TICK_MAX_MS) == 0);
	if (used > l->watch_memory) {
		log_debug(LOG_RUN, "memory: %llu of %llu bytes", (unsigned long long)used,
			  (unsigned long long)l->watch_memory);
		l->oom = true;
		(void)!proc_pidfd_signal(c->run.pidfd, SIGKILL, NULL);
		return true;
	}
	uint64_t ms = (l->watch_memory - used) / FILL_BYTES_PER_MS;
	arm(l, RL_MAX(RL_MIN(ms, (uint64_t)TICK_MAX_MS), (uint64_t)TICK_MIN_MS));
	return false;
}

/* ---- end ---- */

void container_limits_ended(struct container *c, int status, struct str *ret_text)
{
	struct container_limits *l = &c->limits;
	struct err why = ERR_INIT;
	char size[FMT_SIZE];
	if (l->timer >= 0)
		arm(l, 0);
	/* PID 1 took its pid namespace with it; with --pid=host, or if somebody joined from outside, others are left. */
	if (l->made.dirs.count && cgroup_kill(&l->made.dirs, &why) < 0)
		log_debug(LOG_RUN, "%s", why.text);
	if (cgroup_oom_kills(&l->made.dirs) > l->oom_before)
		l->oom = true;
	if (!l->oom || status != EXIT_SIGNAL_BASE + SIGKILL)
		return;
	int64_t limit = c->o->limits.memory;
	fmt_size_binary(limit > 0 ? (uint64_t)limit : 0, size);
	if (limit > 0)
		str_addf(ret_text, "the container was killed: it used more than its %s of memory (--memory)", size);
	else
		str_adds(ret_text, "the container was killed: the kernel was out of memory");
}

void container_limits_close(struct container *c)
{
	struct container_limits *l = &c->limits;
	struct err why = ERR_INIT;
	cgroup_cancel(&l->job);
	if (l->made.dirs.count && cgroup_remove(&l->made.dirs, &why) < 0)
		log_debug(LOG_RUN, "%s", why.text);
	cgroup_made_free(&l->made);
	if (l->timer >= 0)
		close(l->timer);
	container_limits_init(l);
}
