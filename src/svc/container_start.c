/*
 * container_start.c - from a container that is ready to one that runs with a monitor: fork, report, attach.
 *
 * The starting rl and the monitor share one connection, made before the fork, over which the start is reported (so that
 * `rl run -d` prints the error and has the right status) and over which an attached rl is served.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monitor_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/notify.h"
#include "rl/kern/pty.h"
#include "rl/svc/container.h"

/* Only this process's copies: the monitor has the container now. */
static void forget(struct container *c)
{
	c->rec.dirfd = -1;
	c->rec.dir = NULL;
	container_share_close(c);
	cgroup_made_free(&c->limits.made);
	image_run_free(&c->image);
	container_volumes_release(c);
	container_rec_free(&c->rec);
	seccomp_plan_free(&c->seccomp);
	rtspec_free(&c->spec);
	close_fd(&c->dirfd);
	close_fd(&c->parentfd);
	free(c->dir);
	store_close(&c->store);
}

/* Signals that arrive before they can be passed on must not end this process: it would look like a killed owner. */
static void hold_signals(sigset_t *old)
{
	sigset_t set;
	sigemptyset(&set);
	const int held[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGTSTP, SIGPIPE, SIGWINCH};
	for (size_t i = 0; i < ARRAY_SIZE(held); i++)
		sigaddset(&set, held[i]);
	sigprocmask(SIG_BLOCK, &set, old);
}

/* To systemd: ready; or, where that is said later and by the monitor, who the monitor is, because it believes the main
 * process only. Attached, the main process is this one, and what the monitor has to say comes over the connection. */
static void announce(enum sdnotify who, pid_t monitor)
{
	char text[32];
	if (who == SDNOTIFY_SERVICE) {
		notify_ready(monitor);
	} else if (who != SDNOTIFY_IGNORE && monitor) {
		snprintf(text, sizeof(text), "MAINPID=%d", (int)monitor);
		notify_send(text);
	}
}

/* Returns our end of the connection; the container belongs to the monitor, which has reported the start. */
static int start_monitored(struct container *c, unsigned flags, bool is_new, struct err *e)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, errno, "socketpair");
	sigset_t old;
	enum sdnotify sdnotify = c->o->sdnotify;
	hold_signals(&old);
	pid_t pid = fork();
	if (pid == 0) {
		close(pair[0]);
		monitor_main(c, pair[1], flags, is_new);
	}
	int errnum = errno;
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return err_sys(e, errnum, "fork");
	}
	pid_t init = 0;
	int r = container_attach_started(pair[0], &init, e);
	if (r < 0)
		close(pair[0]);
	else
		announce(sdnotify, flags & ATTACH_WANTS_OUTPUT ? 0 : pid);
	if (!(flags & ATTACH_WANTS_OUTPUT))
		sigprocmask(SIG_SETMASK, &old, NULL);
	return r < 0 ? r : pair[0];
}

static unsigned attach_flags_for(bool output, bool input)
{
	return (output ? (unsigned)ATTACH_WANTS_OUTPUT : 0u) |
	       (input ? (unsigned)(ATTACH_GIVES_INPUT | ATTACH_INPUT_ONCE) : 0u);
}

int container_run_monitored(struct container *c, struct str *ret_id, int *ret_status, struct err *e)
{
	bool attached = !c->o->detach;
	struct attach_opts o = {
		.input = attached && c->o->interactive,
		.output = attached,
		.sig_proxy = c->o->sig_proxy,
		.tty = c->o->tty,
		.hidden = c->o->hidden,
	};
	autofree char *keys = c->o->detach_keys ? xstrdup(c->o->detach_keys) : NULL;
	autofree char *id = xstrdup(c->id);
	o.detach_keys = keys;
	int r = container_build_spec(c, e);
	if (r == 0)
		r = container_limits_make(c, e);
	if (r == 0 && c->o->tty)
		(void)!pty_get_size(isatty(STDIN_FILENO) ? STDIN_FILENO : STDOUT_FILENO, &c->spec.rows,
				    &c->spec.columns, NULL);
	if (r < 0) {
		container_close(c, false);
		return r;
	}
	unsigned flags = attach_flags_for(o.output, o.input) | (attached ? (unsigned)ATTACH_OWNER : 0u);
	autofd int conn = start_monitored(c, flags, true, e);
	forget(c);
	if (conn < 0)
		return conn;
	*ret_status = 0;
	if (!attached) {
		str_adds(ret_id, id);
		return 0;
	}
	bool detached = false;
	r = container_attach_serve(conn, &o, &detached, e);
	if (r < 0)
		return r;
	*ret_status = r;
	if (detached)
		str_adds(ret_id, id);
	return 0;
}

static int serve_attached(int conn, const struct container_attach_opts *o, bool tty, const char *own_keys,
			  int *ret_status, struct err *e)
{
	const struct attach_opts a = {
		.input = o->interactive,
		.output = true,
		.sig_proxy = o->sig_proxy,
		.tty = tty,
		.detach_keys = o->detach_keys ? o->detach_keys : own_keys,
	};
	bool detached = false;
	int r = container_attach_serve(conn, &a, &detached, e);
	if (r >= 0)
		*ret_status = r;
	return r < 0 ? r : 0;
}

static int attach_to(struct container_rec *rec, const struct container_attach_opts *o, int *ret_status, struct err *e)
{
	if (!container_rec_is_alive(rec)) {
		err_set(e, EINVAL, "container %s is not running", rec->config.name);
		return err_hint(e, "'rl start -a %s' starts it and attaches", rec->config.name);
	}
	struct container_attach_opts own = *o;
	own.interactive = o->interactive && rec->config.o.interactive;
	autofd int conn = container_attach_connect(rec, attach_flags_for(true, own.interactive), e);
	return conn < 0 ? conn
			: serve_attached(conn, &own, rec->config.o.tty, rec->config.o.detach_keys, ret_status, e);
}

int container_attach(const char *root, const char *name, const struct container_attach_opts *o, int *ret_status,
		     struct err *e)
{
	struct store s;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	r = container_store_find(&s, name, &rec, e);
	if (r == 0)
		r = attach_to(&rec, o, ret_status, e);
	store_close(&s);
	return r;
}

/* With the operation's lock held (op_fd, which stays the caller's): fork the monitor. Returns the connection. */
static int start_old(const char *root, struct container_rec *rec, int own_fd, int op_fd,
		     const struct container_attach_opts *o, struct err *e)
{
	struct container c;
	container_init(&c);
	int r = container_prepare_old(&c, root, rec, own_fd, e);
	if (r == 0)
		r = container_build_spec(&c, e);
	if (r == 0)
		r = container_limits_make(&c, e);
	if (r == 0)
		r = container_dir_mark(&c, true, e);
	if (r == 0 && c.o->tty && o->attach)
		(void)!pty_get_size(isatty(STDIN_FILENO) ? STDIN_FILENO : STDOUT_FILENO, &c.spec.rows, &c.spec.columns,
				    NULL);
	if (r < 0) {
		container_close(&c, true);
		return r;
	}
	/* The lock of the operation must not live on in the monitor. */
	c.op_fd = op_fd;
	int conn = start_monitored(&c, attach_flags_for(o->attach, o->interactive), false, e);
	forget(&c);
	return conn;
}

static int start_rec(const char *root, struct container_rec *rec, const struct container_attach_opts *o,
		     int *ret_status, struct err *e)
{
	int required = container_rec_is_alive(rec) ? 0 : container_start_required(root, &rec->config.o, e);
	autofd int op = required < 0 ? required : container_rec_lock(rec, e);
	if (op < 0)
		return op;
	if (container_rec_is_alive(rec)) {
		close_fd(&op);
		return o->attach ? attach_to(rec, o, ret_status, e) : 0;
	}
	int own = -1;
	int r = container_rec_try_own(rec, &own, e);
	if (r == 0) {
		/* A monitor on its way out: PID 1 is gone, the record is written, the process not yet. */
		r = container_rec_wait_free(rec, &own, e);
	}
	if (r < 0)
		return r;
	bool tty = rec->config.o.tty;
	autofree char *keys = rec->config.o.detach_keys ? xstrdup(rec->config.o.detach_keys) : NULL;
	autofd int conn = start_old(root, rec, own, op, o, e);
	close_fd(&op);
	if (conn < 0)
		return conn;
	return o->attach ? serve_attached(conn, o, tty, keys, ret_status, e) : 0;
}

static int start_first(const char *root, const char *name, const char *option, struct err *e)
{
	int status;
	int r = container_start(root, name, &(struct container_attach_opts){.attach = false}, &status, e);
	return r < 0 ? err_ctx(e, "%s", option) : 0;
}

int container_start_required(const char *root, const struct run_opts *o, struct err *e)
{
	int r = o->pod ? start_first(root, o->pod, "--pod", e) : 0;
	for (size_t i = 0; i < o->requires.count && r == 0; i++)
		r = start_first(root, o->requires.items[i], "--requires", e);
	return r;
}

int container_start(const char *root, const char *name, const struct container_attach_opts *o, int *ret_status,
		    struct err *e)
{
	struct store s;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	r = container_store_find(&s, name, &rec, e);
	*ret_status = 0;
	if (r == 0)
		r = start_rec(root, &rec, o, ret_status, e);
	store_close(&s);
	return r;
}

int container_init_only(const char *root, const char *name, struct err *e)
{
	struct store s;
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	r = container_store_find(&s, name, &rec, e);
	autofd int op = r == 0 ? container_rec_lock(&rec, e) : -1;
	if (r == 0 && op < 0)
		r = op;
	int own = -1;
	if (r == 0 && !container_rec_is_alive(&rec) && container_rec_try_own(&rec, &own, e) == 1) {
		struct container c;
		container_init(&c);
		r = container_prepare_old(&c, root, &rec, own, e);
		if (r == 0)
			r = container_build_spec(&c, e);
		if (r == 0)
			r = container_dir_fill(&c, e);
		container_close(&c, true);
	}
	store_close(&s);
	return r;
}
