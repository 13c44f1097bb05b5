/*
 * oci_hooks.c - hooks: a program of the host with the container's state on its standard input, in a time.
 *
 * A hook that forks and leaves something behind is not waited for; one that hangs past its timeout is killed with its
 * process group. The state is written to a file in memory, so a hook that does not read cannot block us.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "oci_int.h"
#include "rl/base/event.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/proc.h"

static int state_file(const struct oci_record *rec, enum oci_status status, struct err *e)
{
	autojson json_t *doc = oci_record_state(rec, status);
	autostr struct str text = STR_INIT;
	json_print(doc, false, &text);
	autofd int fd = io_memory_file("state", e);
	if (fd < 0)
		return fd;
	int r = io_write_all(fd, text.buf, text.len, e);
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = err_sys(e, errno, "lseek");
	return r < 0 ? r : take_fd(&fd);
}

/* -1: no end. Returns false when the time is over. */
static bool wait_for(int pidfd, int64_t seconds)
{
	uint64_t end = event_now_ns() + (uint64_t)RL_MAX(seconds, (int64_t)0) * 1000000000U;
	for (;;) {
		uint64_t now = event_now_ns();
		struct pollfd p = {.fd = pidfd, .events = POLLIN};
		if (seconds >= 0 && now >= end)
			return poll(&p, 1, 0) == 1;
		uint64_t left = seconds < 0 ? 60000 : (end - now) / 1000000 + 1;
		if (poll(&p, 1, (int)RL_MIN(left, (uint64_t)60000)) == 1)
			return true;
	}
}

static int run_one(const struct oci_hook *h, int state, const char *kind, struct err *e)
{
	struct proc_child child = PROC_CHILD_NONE;
	static char *const no_words[] = {NULL};
	char *const alone[] = {h->path, NULL};
	const struct proc_spawn spawn = {
		.path = h->path,
		.argv = h->args.count ? h->args.items : alone,
		.envp = h->env.count ? h->env.items : no_words,
		.stdin_fd = state,
		.stdout_fd = STDERR_FILENO,
		.new_session = true,
	};
	if (h->path[0] != '/')
		return err_set(e, EINVAL, "hooks.%s: path %s is not absolute", kind, h->path);
	if (h->timeout.given && h->timeout.value <= 0)
		return err_set(e, EINVAL, "hooks.%s: timeout must be above zero", kind);
	int r = proc_spawn(&spawn, &child, e);
	if (r < 0)
		return err_ctx(e, "error running %s hook", kind);
	if (!wait_for(child.pidfd, h->timeout.given ? h->timeout.value : -1)) {
		(void)!kill(-child.pid, SIGKILL);
		proc_kill_wait(&child);
		return err_set(e, ETIMEDOUT, "error running %s hook: %s ran longer than %lld s and was killed", kind,
			       h->path, (long long)h->timeout.value);
	}
	int status = proc_wait(&child, h->path, e);
	if (status > 0)
		return err_set(e, ECHILD, "error running %s hook: %s: exit status %d", kind, h->path, status);
	return status;
}

static int run_at(const struct oci_config *c, enum oci_hook_kind kind, size_t i, const struct oci_record *rec,
		  enum oci_status status, struct err *e)
{
	autofd int state = state_file(rec, status, e);
	if (state < 0)
		return state;
	log_debug(LOG_RUN, "hook %s[%zu]", oci_hook_kind_name(kind), i);
	return run_one(oci_item(c->hooks[kind], struct oci_hook, i), state, oci_hook_kind_name(kind), e);
}

int oci_hooks_run(const struct oci_config *c, enum oci_hook_kind kind, const struct oci_record *rec,
		  enum oci_status status, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < c->hooks[kind].count && r == 0; i++)
		r = run_at(c, kind, i, rec, status, e);
	return r;
}

void oci_hooks_run_all(const struct oci_config *c, enum oci_hook_kind kind, const struct oci_record *rec,
		       enum oci_status status)
{
	for (size_t i = 0; i < c->hooks[kind].count; i++) {
		struct err why = ERR_INIT;
		if (run_at(c, kind, i, rec, status, &why) < 0)
			log_warn("%s", why.text);
	}
}
