/*
 * oci_create.c - create, start and run.
 *
 * step            who       what
 * directory       create    made and locked, config.json copied, record without a pid written
 * control groups  create    their paths are in the record before they are made: whoever cleans up knows them
 * clone           create    the first process, moved and limited before its ids are mapped
 * MEET_PIVOT      child     everything is mounted; answered with its pid after the hooks of the host side
 * MEET_READY      child     the command is found, everything but privileges is as it will be
 *                 create    pid file, terminal, record with the pid; answers MEET_GO and exits
 * gate            child     waits in accept(2); the file `gate` is locked by it until it executes
 * start           start     connects, says MEET_GO, reads to the end of the connection: end of file is success, since the
 *                           socket is closed by the exec; a failure comes as a struct err
 *
 * Where nobody waits and no hook has to be told a pid there is no meeting: run records the pid while the child mounts.
 *
 * If create dies at any step the child finds its end of the meeting closed and exits; the record has no pid then, or that
 * of a dead process.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "oci_int.h"
#include "oci_meet.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/kern/cgroup.h"
#include "rl/kern/cgroup_tree.h"

struct create {
	const struct oci_runtime *rt;
	const struct oci_create_opts *o;
	bool waits; /* for start */
	struct oci_config config;
	struct oci_container c;
	struct oci_plan plan;
	struct oci_meeting meeting;
	int sock; /* our end of the meeting */
	struct runtime_container run;
	bool has_container; /* the directory is ours */
	bool meets;
};

/* What exec has to enter. */
static void note_namespaces(struct create *x)
{
	for (int i = 0; i < RT_NS_COUNT; i++)
		if (x->plan.spec.ns[i].mode != RT_NS_HOST)
			x->c.rec.namespaces |= 1U << i;
	if (x->plan.spec.time.fresh || x->plan.spec.time.fd >= 0)
		x->c.rec.namespaces |= RT_NS_TIME_BIT;
}

/* ---- the meeting ---- */

static int make_socket(struct create *x, struct err *e)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", x->c.dirfd, OCI_START_FILE);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	x->meeting.listenfd = fd;
	if (unlinkat(x->c.dirfd, OCI_START_FILE, 0) < 0 && errno != ENOENT)
		return err_sys(e, errno, "remove an old %s", OCI_START_FILE);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 4) < 0)
		return err_sys(e, errno, "make the socket for start");
	return 0;
}

static int prepare_meeting(struct create *x, struct err *e)
{
	struct oci_meeting *m = &x->meeting;
	int pair[2];
	int r = sync_pair(pair, e);
	if (r < 0)
		return r;
	x->sock = pair[0];
	m->sock = pair[1];
	m->other_end = pair[0];
	m->lockfd = x->c.dirfd;
	m->config = &x->config;
	m->rec = &x->c.rec;
	m->spec = &x->plan.spec;
	m->seccomp = x->plan.has_seccomp ? &x->plan.seccomp : NULL;
	if (x->waits) {
		m->gatefd = openat(x->c.dirfd, OCI_GATE_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (m->gatefd < 0 || flock(m->gatefd, LOCK_EX | LOCK_NB) < 0)
			return err_sys(e, errno, "lock %s/%s", x->c.path, OCI_GATE_FILE);
		r = make_socket(x, e);
	}
	if (r == 0)
		r = oci_meeting_connect_listener(m, e);
	x->meets = oci_meeting_happens(m);
	return r;
}

static int place(void *arg, pid_t pid, struct err *e)
{
	struct create *x = arg;
	int r = x->rt->systemd_cgroup ? oci_cgroup_put_in_scope(&x->config, pid, &x->c.rec, e) : 0;
	return r < 0 ? r : cgroup_join(&x->c.rec.cgroups, pid, e);
}

static int limit(void *arg, struct err *e)
{
	struct create *x = arg;
	const struct strv *dirs = &x->c.rec.cgroups;
	bool lenient = x->c.rec.rootless;
	int r = oci_cgroup_limit(dirs, &x->config.resources, lenient, &x->plan.warnings, e);
	return r < 0 ? r : oci_cgroup_devices(dirs, &x->config, lenient, e);
}

/* The process is known by its start time from here on. */
static int record_process(struct create *x, struct err *e)
{
	return proc_start_time(x->c.rec.pid, &x->c.rec.start, e);
}

/* Before the payload is executed, and while the child is mounting. */
static int record_run(void *arg, struct err *e)
{
	struct create *x = arg;
	int r = record_process(x, e);
	x->c.rec.ready = true;
	if (r == 0)
		r = oci_container_save(&x->c, e);
	return r < 0 ? r : oci_write_pid_file(x->o->pid_file, x->c.rec.pid, e);
}

static int start_child(struct create *x, struct err *e)
{
	struct plan *plan = NULL;
	const struct oci_plan *p = &x->plan;
	int r = runtime_plan(&p->spec, p->has_map ? &p->map : NULL, p->has_seccomp ? &p->seccomp.filter : NULL, &plan,
			     e);
	if (r < 0)
		return r;
	const char *v2 = cgroup_tree_dir(&x->c.rec.cgroups, NULL);
	autofd int v2fd = v2 && x->c.rec.cgroups.count == 1 ? open(v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	struct runtime_start s = {
		.plan = plan,
		.prepare = limit,
		.record = x->meets ? NULL : record_run,
		.prepare_arg = x,
		.pid = &x->c.rec.pid,
		.place = x->c.rec.cgroups.count || x->rt->systemd_cgroup ? place : NULL,
		.place_arg = x,
		.cgroup_fd = v2fd >= 0 ? &v2fd : NULL,
		.meet = oci_meet,
		.meet_failed = oci_meet_failed,
		.meet_listener = oci_meet_listener,
		.meet_arg = &x->meeting,
		.meet_fds = {x->meeting.sock, x->meeting.gatefd, x->meeting.listenfd, x->meeting.notifyfd},
	};
	r = runtime_start(&s, &x->run, e);
	close_fd(&x->meeting.sock);
	close_fd(&x->meeting.listenfd);
	close_fd(&x->meeting.gatefd);
	close_fd(&x->meeting.notifyfd);
	runtime_plan_free(plan);
	return r;
}

/* What the child has said on the other socket: notes, its terminal, or why it ended. */
static int drain(struct create *x, struct err *e)
{
	struct pollfd p = {.fd = x->run.sync, .events = POLLIN};
	int r = 1;
	while (r == 1 && x->run.sync >= 0 && poll(&p, 1, 0) == 1)
		r = runtime_on_message(&x->run, e);
	return r < 0 ? r : 0;
}

static int child_is_gone(struct create *x, struct err *e)
{
	int r = x->run.sync >= 0 ? runtime_wait_exec(&x->run, e) : 0;
	return r < 0 ? r : err_set(e, ESRCH, "the container's first process was killed before it was ready");
}

static int let_child_go(struct create *x, pid_t pid, struct err *e)
{
	struct err why = ERR_INIT;
	int r = sync_send(x->sock, MEET_GO, &pid, sizeof(pid), NULL, 0, &why);
	if (r == -EPIPE || r == -ECONNRESET)
		return err_set(e, ESRCH, "the container's first process was killed before it was ready");
	if (r < 0)
		*e = why;
	return r;
}

static int host_hooks(struct create *x, struct err *e)
{
	const struct oci_record *rec = &x->c.rec;
	int r = oci_hooks_run(&x->config, OCI_HOOK_PRESTART, rec, OCI_CREATING, e);
	if (r == 0)
		r = oci_hooks_run(&x->config, OCI_HOOK_CREATE_RUNTIME, rec, OCI_CREATING, e);
	return r < 0 ? r : let_child_go(x, rec->pid, e);
}

static int meet_child(struct create *x, struct err *e)
{
	autofree struct sync_msg *m = xmalloc(sizeof(*m));
	for (;;) {
		int r = sync_next(x->sock, "the container's first process", m, e);
		if (r == 0)
			return child_is_gone(x, e);
		if (r < 0)
			return r;
		sync_close_fds(m);
		if (m->step == MEET_READY)
			return drain(x, e);
		if (m->step != MEET_PIVOT)
			return err_set(e, EPROTO, "the container's first process sent step %u", m->step);
		r = host_hooks(x, e);
		if (r < 0)
			return r;
	}
}

static int hand_out(struct create *x, struct err *e)
{
	const struct oci_create_opts *o = x->o;
	int r = 0;
	if (x->run.pty >= 0 && o->console_socket && *o->console_socket)
		r = oci_send_fd(o->console_socket, "/dev/ptmx", strlen("/dev/ptmx"), x->run.pty, e);
	if (r < 0)
		return err_ctx(e, "console socket");
	if (o->console_socket)
		close_fd(&x->run.pty);
	if (!x->meets)
		return 0;
	x->c.rec.ready = true;
	r = oci_container_save(&x->c, e);
	if (r == 0)
		r = oci_write_pid_file(o->pid_file, x->run.pid, e);
	if (r == 0)
		r = let_child_go(x, x->run.pid, e);
	return r;
}

static void warn(const struct strv *warnings)
{
	for (size_t i = 0; i < warnings->count; i++)
		log_warn("%s", warnings->items[i]);
}

/* ---- create ---- */

static int make_directory(struct create *x, const struct str *text, struct err *e)
{
	struct oci_container fresh;
	int r = oci_container_new(x->rt, x->o->id, &fresh, e);
	if (r < 0)
		return r;
	x->c.path = fresh.path;
	x->c.dirfd = fresh.dirfd;
	x->has_container = true;
	return io_write_file(x->c.dirfd, OCI_CONFIG_FILE, text->buf, text->len, 0600, e);
}

/* The record names them before they are there. */
static int make_cgroups(struct create *x, struct err *e)
{
	oci_record_begin(&x->c.rec, x->rt, x->o->id, &x->config);
	int r = oci_cgroup_plan(x->rt, &x->config, &x->c.rec, e);
	if (r == 0 && x->c.rec.cgroups.count)
		r = oci_container_save(&x->c, e);
	return r < 0 ? r : oci_cgroup_make(&x->c.rec, e);
}

static int create(struct create *x, struct err *e)
{
	autostr struct str text = STR_INIT;
	int r = oci_check_id(x->o->id, e);
	if (r == 0)
		r = oci_bundle_read(x->o->bundle, &text, &x->config, &x->c.rec, e);
	const struct oci_context ctx = {
		.config = &x->config,
		.bundle = x->c.rec.bundle,
		.rootfs = x->c.rec.rootfs,
		.rootless = oci_is_rootless(x->rt),
		.cgroups = &x->c.rec.cgroups,
		.opts = x->o,
	};
	if (r == 0)
		r = oci_check_console(x->config.process.terminal.value, x->waits || x->o->detach, x->o->console_socket,
				      e);
	if (r == 0)
		r = make_directory(x, &text, e);
	if (r == 0)
		r = make_cgroups(x, e);
	if (r == 0)
		r = oci_plan_make(&ctx, &x->plan, e);
	if (r < 0)
		return r;
	note_namespaces(x);
	r = oci_container_save(&x->c, e);
	if (r == 0)
		r = prepare_meeting(x, e);
	if (r == 0)
		r = start_child(x, e);
	if (r < 0)
		return r;
	warn(&x->plan.warnings);
	if (x->meets) {
		r = record_process(x, e);
		if (r == 0)
			r = meet_child(x, e);
	} else {
		r = runtime_wait_exec(&x->run, e);
	}
	if (r == 0 && x->run.mount_ns[0]) {
		x->c.rec.mount_ns = xstrdup(x->run.mount_ns);
		r = oci_container_save(&x->c, e);
	}
	return r < 0 ? r : hand_out(x, e);
}

static void create_init(struct create *x, const struct oci_runtime *rt, const struct oci_create_opts *o, bool waits)
{
	*x = (struct create){
		.rt = rt,
		.o = o,
		.waits = waits,
		.config = OCI_CONFIG_INIT,
		.c = OCI_CONTAINER_NONE,
		.meeting = OCI_MEETING_NONE,
		.sock = -1,
		.run = RUNTIME_CONTAINER_NONE,
	};
	oci_plan_init(&x->plan);
}

/* A create that failed leaves nothing: not even what a hook or the container has put into the control groups. */
static void undo(struct create *x)
{
	struct err why = ERR_INIT;
	if (x->run.pid > 0)
		runtime_container_close(&x->run);
	if (x->has_container && oci_destroy(&x->c, &why) < 0)
		log_warn("%s", why.text);
}

/* Leave the process to itself: it is nobody's to reap any more. */
static void let_go(struct create *x)
{
	close_fd(&x->run.pidfd);
	close_fd(&x->run.sync);
	close_fd(&x->run.pty);
	x->run.pid = -1;
}

static void create_free(struct create *x)
{
	close_fd(&x->sock);
	close_fd(&x->meeting.sock);
	close_fd(&x->meeting.listenfd);
	close_fd(&x->meeting.gatefd);
	close_fd(&x->meeting.notifyfd);
	oci_plan_free(&x->plan);
	oci_container_close(&x->c);
	oci_config_free(&x->config);
}

int oci_create(const struct oci_runtime *rt, const struct oci_create_opts *o, struct err *e)
{
	struct create x;
	create_init(&x, rt, o, true);
	int r = create(&x, e);
	if (r < 0)
		undo(&x);
	else
		let_go(&x);
	create_free(&x);
	return r;
}

/* ---- run ---- */

static int finish_run(struct create *x, struct err *e)
{
	/* The command is executed; its own failure to be so comes first. */
	int r = x->run.sync >= 0 ? runtime_wait_exec(&x->run, e) : 0;
	if (r < 0)
		return r;
	oci_hooks_run_all(&x->config, OCI_HOOK_POSTSTART, &x->c.rec, OCI_RUNNING);
	if (x->o->detach) {
		let_go(x);
		return 0;
	}
	/* Others may look at it, stop it and delete it from now on. */
	(void)!flock(x->c.dirfd, LOCK_UN);
	return oci_foreground(&x->run, e);
}

int oci_run(const struct oci_runtime *rt, const struct oci_create_opts *o, struct err *e)
{
	struct create x;
	create_init(&x, rt, o, false);
	int r = create(&x, e);
	if (r == 0)
		r = finish_run(&x, e);
	if (r < 0) {
		undo(&x);
	} else if (!o->detach && !o->keep && faccessat(x.c.dirfd, OCI_STATE_FILE, F_OK, 0) == 0) {
		struct err why = ERR_INIT;
		oci_container_refresh(&x.c);
		if (oci_destroy(&x.c, &why) < 0)
			log_warn("%s", why.text);
	}
	create_free(&x);
	return r;
}

/* ---- start ---- */

static int connect_start(const struct oci_container *c, struct err *e)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", c->dirfd, OCI_START_FILE);
	autofd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(e, errno, "reach the container's first process");
	return take_fd(&fd);
}

static int tell_start(const struct oci_container *c, struct err *e)
{
	autofd int fd = connect_start(c, e);
	if (fd < 0)
		return fd;
	int r = sync_send(fd, MEET_GO, NULL, 0, NULL, 0, e);
	/* Killed meanwhile. */
	if (r == -EPIPE || r == -ECONNRESET)
		return err_ctx(e, "cannot start a container that has stopped");
	autofree struct sync_msg *m = xmalloc(sizeof(*m));
	if (r == 0)
		r = sync_next(fd, "the container's first process", m, e);
	if (r == 1)
		sync_close_fds(m);
	return r < 0 ? r : 0;
}

int oci_start(const struct oci_runtime *rt, const char *id, struct err *e)
{
	autocontainer struct oci_container c = OCI_CONTAINER_NONE;
	autoconfig struct oci_config config = OCI_CONFIG_INIT;
	int r = oci_container_open(rt, id, true, &c, e);
	if (r < 0)
		return r;
	if (c.status == OCI_STOPPED)
		return err_set(e, EINVAL, "cannot start a container that has stopped");
	if (c.status != OCI_CREATED)
		return err_set(e, EINVAL, "cannot start a container in the %s state", oci_status_name(c.status));
	r = oci_container_config(&c, &config, e);
	if (r == 0)
		r = tell_start(&c, e);
	if (r < 0)
		return r;
	oci_hooks_run_all(&config, OCI_HOOK_POSTSTART, &c.rec, OCI_RUNNING);
	return 0;
}
