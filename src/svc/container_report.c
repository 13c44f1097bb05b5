/*
 * container_report.c - what a run has used, and why it ended (--report).
 *
 * Where a number comes from: time and the largest process from the kernel's account of PID 1 (waitid, before it is
 * reaped; what PID 1 never waited for is missing there), and in place of those from the container's cgroup if it has one
 * with the controller; network from rl-netd's counters, seen from the container; written files from its upper
 * directory. What cannot be told is null, never 0.
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "container_copied.h"
#include "container_int.h"
#include "host_image.h"
#include "rl/base/event.h"
#include "rl/base/fmt.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/kern/tree.h"

void container_report_started(struct container *c)
{
	c->usage = (struct container_usage){.started_ns = event_now_ns()};
}

void container_report_reaping(struct container *c)
{
	struct rusage r;
	siginfo_t info;
	if (!c->o->report || c->run.pid <= 0)
		return;
	/* glibc's waitid has no rusage. */
	if (syscall(SYS_waitid, P_PID, c->run.pid, &info, WEXITED | WNOWAIT, &r) < 0)
		return;
	c->usage.has_rusage = true;
	c->usage.user = (double)r.ru_utime.tv_sec + (double)r.ru_utime.tv_usec / 1e6;
	c->usage.system = (double)r.ru_stime.tv_sec + (double)r.ru_stime.tv_usec / 1e6;
	c->usage.peak = (uint64_t)r.ru_maxrss * 1024;
}

static void put_count(json_t *doc, const char *key, bool known, uint64_t n)
{
	json_put(doc, key, known ? json_integer((json_int_t)n) : json_null());
}

static void put_seconds(json_t *doc, const char *key, bool known, double s)
{
	json_put(doc, key, known ? json_real((double)(long long)(s * 1000) / 1000) : json_null());
}

static void put_time_and_memory(const struct container *c, json_t *doc)
{
	const struct container_usage *u = &c->usage;
	struct cgroup_stats s = {.has_cpu = false};
	if (!c->limits.made.dirs.count || cgroup_stats(&c->limits.made.dirs, &s, NULL) < 0)
		s = (struct cgroup_stats){.has_cpu = false};
	put_seconds(doc, "WallSeconds", true, (double)(event_now_ns() - u->started_ns) / 1e9);
	put_seconds(doc, "UserSeconds", s.has_cpu || u->has_rusage, s.has_cpu ? (double)s.cpu_user_us / 1e6 : u->user);
	put_seconds(doc, "SystemSeconds", s.has_cpu || u->has_rusage,
		    s.has_cpu ? (double)s.cpu_system_us / 1e6 : u->system);
	put_count(doc, "PeakMemory", s.memory_peak || u->has_rusage, s.memory_peak ? s.memory_peak : u->peak);
}

static void put_network(struct container *c, json_t *doc)
{
	struct net_slirp_stats s = {.bytes_in = 0};
	bool known = c->uses_slirp && net_slirp_stats(&c->slirp, &s, NULL) == 0;
	put_count(doc, "NetworkReceived", known, s.bytes_out);
	put_count(doc, "NetworkSent", known, s.bytes_in);
}

static void put_written(const struct container *c, json_t *doc)
{
	struct tree_stats s = {.bytes = 0};
	bool copied = container_is_copied(c->dirfd);
	int r = container_copied_settle(c->dirfd, &c->rec.config.layers, c->has_map ? &c->map : NULL, NULL);
	autofd int upper = openat(c->dirfd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool known = r >= 0 && upper >= 0 && !c->o->rootfs &&
		     (host_image_is(c->o) ? host_image_measure(c->dirfd, &s, NULL)
					  : tree_measure(upper, copied, &s, NULL)) == 0;
	put_count(doc, "WrittenBytes", known, s.bytes);
	put_count(doc, "WrittenFiles", known, s.entries);
}

static void put_end(int status, const char *why, json_t *doc)
{
	bool signalled = status > EXIT_SIGNAL_BASE && status <= EXIT_SIGNAL_BASE + 64;
	json_put_int(doc, "ExitCode", status);
	json_put_str(doc, "Ended", why ? why : signalled ? "signal" : "exit");
}

static void add_size(const json_t *doc, const char *key, const char *format, struct str *out)
{
	const json_t *v = json_object_get(doc, key);
	char size[FMT_SIZE];
	if (!json_is_integer(v))
		return;
	fmt_size_binary((uint64_t)json_integer_value(v), size);
	str_addf(out, format, size);
}

static void as_line(const json_t *doc, struct str *out)
{
	str_addf(out, "rl: report: %s %lld, %.3f s", json_string_value(json_object_get(doc, "Ended")),
		 (long long)json_integer_value(json_object_get(doc, "ExitCode")),
		 json_real_value(json_object_get(doc, "WallSeconds")));
	if (json_is_real(json_object_get(doc, "UserSeconds")))
		str_addf(out, ", processor %.3f s user %.3f s system",
			 json_real_value(json_object_get(doc, "UserSeconds")),
			 json_real_value(json_object_get(doc, "SystemSeconds")));
	add_size(doc, "PeakMemory", ", memory %s", out);
	add_size(doc, "NetworkReceived", ", network %s received", out);
	add_size(doc, "NetworkSent", " %s sent", out);
	add_size(doc, "WrittenBytes", ", %s written", out);
	str_addc(out, '\n');
}

void container_report(struct container *c, int status, const char *why, struct str *ret_text)
{
	const char *how = c->o->report;
	autojson json_t *doc = json_object();
	autostr struct str text = STR_INIT;
	struct err e = ERR_INIT;
	if (!how)
		return;
	json_put_str(doc, "Id", c->id);
	json_put_str(doc, "Name", c->rec.config.name ? c->rec.config.name : "");
	put_end(status, why, doc);
	put_time_and_memory(c, doc);
	put_network(c, doc);
	put_written(c, doc);
	if (str_eq(how, "line")) {
		as_line(doc, ret_text);
		return;
	}
	json_print(doc, false, &text);
	str_addc(&text, '\n');
	if (str_eq(how, "json"))
		str_add(ret_text, text.buf, text.len);
	else if (io_write_file(AT_FDCWD, how, text.buf, text.len, 0644, &e) < 0)
		log_warn("--report: %s", e.text);
}
