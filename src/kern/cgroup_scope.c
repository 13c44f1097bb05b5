/*
 * cgroup_scope.c - a transient scope from systemd, over D-Bus, with libsystemd opened only now.
 *
 * Call: org.freedesktop.systemd1.Manager.StartTransientUnit("rl-ID.scope", "fail", {Description, PIDs = us,
 * Delegate = true, CollectMode, Slice}, {}). Its answer is a job; the scope exists when the signal JobRemoved comes for
 * that job. The call is sent at once and nothing is awaited: cgroup_scope_wait does that just before clone.
 *
 * An ordinary user asks the user's own manager, root the system's. The address comes from the environment
 * (DBUS_SESSION_BUS_ADDRESS) or is /run/user/UID/bus, so that it works after su and from cron as well.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#include "cgroup_int.h"
#include "rl/base/event.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"

#define WAIT_NS (UINT64_C(25) * 1000000000)

static const char library_name[] = "libsystemd.so.0";
static const char manager[] = "org.freedesktop.systemd1";
static const char manager_path[] = "/org/freedesktop/systemd1";
static const char manager_interface[] = "org.freedesktop.systemd1.Manager";

/* The functions that are used, by their own types. */
#define SD_BUS_FUNCTIONS(X)                                                                                            \
	X(sd_bus_new)                                                                                                  \
	X(sd_bus_set_address)                                                                                          \
	X(sd_bus_set_bus_client)                                                                                       \
	X(sd_bus_start)                                                                                                \
	X(sd_bus_open_system)                                                                                          \
	X(sd_bus_flush_close_unref)                                                                                    \
	X(sd_bus_flush)                                                                                                \
	X(sd_bus_message_new_method_call)                                                                              \
	X(sd_bus_message_append)                                                                                       \
	X(sd_bus_message_read)                                                                                         \
	X(sd_bus_message_unref)                                                                                        \
	X(sd_bus_message_get_error)                                                                                    \
	X(sd_bus_call_async)                                                                                           \
	X(sd_bus_call_method)                                                                                          \
	X(sd_bus_match_signal_async)                                                                                   \
	X(sd_bus_process)                                                                                              \
	X(sd_bus_wait)

struct api {
	void *library;
#define X(name) __typeof__(name) *name;
	SD_BUS_FUNCTIONS(X)
#undef X
};

/* What a job is waiting for; job->bus points to it. */
struct request {
	struct api api;
	sd_bus *bus;
	char *unit;
	char *job_path; /* answered */
	char *removed;	/* the job that JobRemoved named for our unit, and its result */
	char *result;
	char *error;
};

static bool load(struct api *a)
{
	a->library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
	if (!a->library)
		return false;
#define X(name)                                                                                                        \
	*(void **)&a->name = dlsym(a->library, #name);                                                                 \
	if (!a->name)                                                                                                  \
		return false;
	SD_BUS_FUNCTIONS(X)
#undef X
	return true;
}

static void request_free(struct request *q)
{
	if (q->bus)
		q->api.sd_bus_flush_close_unref(q->bus);
	/* The library stays loaded: its threads' keys would point into nothing. */
	free(q->unit);
	free(q->job_path);
	free(q->removed);
	free(q->result);
	free(q->error);
	free(q);
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	struct request *q = userdata;
	const char *path = NULL;
	(void)ret_error;
	const sd_bus_error *error = q->api.sd_bus_message_get_error(m);
	if (error)
		q->error = xstrdup(error->message ? error->message : error->name);
	else if (q->api.sd_bus_message_read(m, "o", &path) > 0)
		q->job_path = xstrdup(path);
	else
		q->error = xstrdup("its answer cannot be read");
	return 1;
}

static int on_removed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	struct request *q = userdata;
	uint32_t id;
	const char *job;
	const char *unit;
	const char *result;
	(void)ret_error;
	if (q->api.sd_bus_message_read(m, "uoss", &id, &job, &unit, &result) > 0 && str_eq(unit, q->unit)) {
		free(q->removed);
		free(q->result);
		q->removed = xstrdup(job);
		q->result = xstrdup(result);
	}
	return 0;
}

static int connect_bus(struct request *q)
{
	if (geteuid() == 0)
		return q->api.sd_bus_open_system(&q->bus);
	const char *address = getenv("DBUS_SESSION_BUS_ADDRESS");
	autofree char *own = xasprintf("unix:path=/run/user/%u/bus", (unsigned)geteuid());
	int r = q->api.sd_bus_new(&q->bus);
	if (r >= 0)
		r = q->api.sd_bus_set_address(q->bus, address && *address ? address : own);
	if (r >= 0)
		r = q->api.sd_bus_set_bus_client(q->bus, 1);
	return r >= 0 ? q->api.sd_bus_start(q->bus) : r;
}

static int send_request(struct request *q, const struct cgroup_ask *a)
{
	const struct api *api = &q->api;
	sd_bus_message *m = NULL;
	int r = api->sd_bus_match_signal_async(q->bus, NULL, manager, manager_path, manager_interface, "JobRemoved",
					       on_removed, NULL, q);
	if (r >= 0)
		r = api->sd_bus_message_new_method_call(q->bus, &m, manager, manager_path, manager_interface,
							"StartTransientUnit");
	if (r >= 0)
		r = api->sd_bus_message_append(m, "ssa(sv)", q->unit, "fail", a->parent ? 5 : 4, "Description", "s",
					       "container of rl", "PIDs", "au", 1,
					       (uint32_t)(a->pid ? a->pid : getpid()), "Delegate", "b", 1,
					       "CollectMode", "s", "inactive-or-failed", "Slice", "s", a->parent);
	if (r >= 0)
		r = api->sd_bus_message_append(m, "a(sa(sv))", 0);
	if (r >= 0)
		r = api->sd_bus_call_async(q->bus, NULL, m, on_answer, q, WAIT_NS / 1000);
	if (m)
		api->sd_bus_message_unref(m);
	return r < 0 ? r : api->sd_bus_flush(q->bus);
}

/* Is there any systemd to ask? Cheaper than loading its library. */
static bool is_there(void)
{
	const char *address = getenv("DBUS_SESSION_BUS_ADDRESS");
	if (geteuid() == 0)
		return faccessat(AT_FDCWD, "/run/systemd/system", F_OK, AT_EACCESS) == 0;
	autofree char *own = xasprintf("/run/user/%u/bus", (unsigned)geteuid());
	return (address && *address) || faccessat(AT_FDCWD, own, F_OK, AT_EACCESS) == 0;
}

void cgroup_scope_request(const struct cgroup_ask *a, struct cgroup_job *job, struct str *why)
{
	if (!is_there()) {
		str_adds(why, "no systemd runs for this user");
		return;
	}
	struct request *q = xcalloc(1, sizeof(*q));
	q->unit = a->unit ? xstrdup(a->unit) : xasprintf("rl-%.16s.scope", a->id);
	if (!load(&q->api)) {
		str_addf(why, "%s cannot be loaded", library_name);
		request_free(q);
		return;
	}
	int r = connect_bus(q);
	if (r >= 0)
		r = send_request(q, a);
	if (r < 0) {
		str_addf(why, "systemd cannot be asked: %s", strerrordesc_np(-r));
		request_free(q);
		return;
	}
	job->bus = q;
}

/* Our own directory in the v2 hierarchy now: systemd has moved us. */
static char *where_we_are(void)
{
	struct cgroup_host now;
	if (cgroup_host_read(&now, NULL) < 0)
		return NULL;
	char *own = now.v2_own ? xstrdup(now.v2_own) : NULL;
	cgroup_host_free(&now);
	return own;
}

/* 1, or 0 with `why`. */
static int wait_for_job(struct request *q, struct str *why)
{
	const struct api *api = &q->api;
	uint64_t end = event_now_ns() + WAIT_NS;
	while (!q->error && !(q->job_path && q->removed && str_eq(q->job_path, q->removed))) {
		int r = api->sd_bus_process(q->bus, NULL);
		uint64_t now = event_now_ns();
		if (r == 0 && now < end)
			r = api->sd_bus_wait(q->bus, (end - now) / 1000);
		if (r < 0 || now >= end) {
			str_addf(why, "systemd does not answer%s%s", r < 0 ? ": " : "",
				 r < 0 ? strerrordesc_np(-r) : "");
			return 0;
		}
	}
	if (q->error || !str_eq(q->result, "done")) {
		str_addf(why, "systemd gives no scope: %s", q->error ? q->error : q->result);
		return 0;
	}
	return 1;
}

int cgroup_scope_wait(struct cgroup_job *job, const struct cgroup_host *h, char **ret_path, struct str *why)
{
	const struct request *q = job->bus;
	(void)h;
	if (!wait_for_job(job->bus, why))
		return 0;
	char *own = where_we_are();
	if (!own || !strstr(own, q->unit)) {
		free(own);
		str_adds(why, "systemd has not moved us into the scope");
		return 0;
	}
	*ret_path = own;
	return 1;
}

int cgroup_scope_put(const char *unit, const char *slice, pid_t pid, struct err *e)
{
	const struct cgroup_ask ask = {.unit = unit, .parent = slice, .pid = pid};
	struct cgroup_job job = CGROUP_JOB_NONE;
	autostr struct str why = STR_INIT;
	cgroup_scope_request(&ask, &job, &why);
	int made = job.bus ? wait_for_job(job.bus, &why) : 0;
	cgroup_cancel(&job);
	return made ? 0 : err_set(e, EIO, "scope %s: %s", unit, why.buf);
}

int cgroup_scope_attach(const char *dir, pid_t pid)
{
	const char *end = strstr(dir, ".scope");
	if (!end || (end[strlen(".scope")] && end[strlen(".scope")] != '/') || !is_there())
		return -EACCES;
	const char *unit = end;
	while (unit > dir && unit[-1] != '/')
		unit--;
	struct request *q = xcalloc(1, sizeof(*q));
	q->unit = xstrndup(unit, (size_t)(end - unit) + strlen(".scope"));
	int r = load(&q->api) ? connect_bus(q) : -ELIBACC;
	if (r >= 0)
		r = q->api.sd_bus_call_method(q->bus, manager, manager_path, manager_interface, "AttachProcessesToUnit",
					      NULL, NULL, "ssau", q->unit, end + strlen(".scope"), 1, (uint32_t)pid);
	log_debug(LOG_RUN, "systemd was asked to move process %d into %s: %d", (int)pid, q->unit, r);
	request_free(q);
	return r < 0 ? -EACCES : 0;
}

void cgroup_cancel(struct cgroup_job *job)
{
	if (job->bus)
		request_free(job->bus);
	job->bus = NULL;
}
