/*
 * container.c - `rl run` from options to exit status.
 *
 * Order: store, id map, image, spec, plan (all in this process, as the user); clone, and while the id map helpers run
 * the container's files are written and rl-netd is started; then only relaying. Whatever fails, container_close undoes
 * it: kills the child, ends the network, removes the directory.
 */
#include "rl/svc/container.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/kern/pty.h"
#include "rl/kern/selfexe.h"

static void container_init(struct container *c, const struct run_opts *o)
{
	*c = (struct container){
		.o = o,
		.store = {.rootfd = -1},
		.image = IMAGE_RUN_INIT,
		.dirfd = -1,
		.slirp = NET_SLIRP_NONE,
		.run = RUNTIME_CONTAINER_NONE,
	};
	rtspec_init(&c->spec);
	io_random_hex(32, c->id);
}

/* Undo everything. `keep_dir`: the container ended by itself and is to be kept. */
static void container_close(struct container *c, bool keep_dir)
{
	runtime_container_close(&c->run);
	net_slirp_stop(&c->slirp);
	struct err e = ERR_INIT;
	if (!keep_dir && container_dir_remove(c, &e) < 0)
		log_warn("the container's directory is left for the next run to remove: %s", e.text);
	seccomp_plan_free(&c->seccomp);
	rtspec_free(&c->spec);
	image_run_free(&c->image);
	close_fd(&c->dirfd);
	free(c->dir);
	store_close(&c->store);
}

/* Signals are taken from a descriptor later; blocked from before the clone, so that none is lost in between. The child
 * unblocks them for the payload. */
static void block_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	const int signals[] = {SIGHUP,	SIGINT,	 SIGQUIT, SIGUSR1, SIGUSR2,  SIGALRM, SIGTERM,
			       SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, SIGPIPE};
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Without -i the payload reads from /dev/null, as in docker. */
static int detach_stdin(const struct run_opts *o, struct err *e)
{
	if (o->interactive)
		return 0;
	autofd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return err_sys(e, errno, "open /dev/null");
	if (dup2(null, STDIN_FILENO) < 0)
		return err_sys(e, errno, "dup");
	return 0;
}

static int choose_map(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	if (o->userns == USERNS_HOST && geteuid() == 0)
		return 0;
	if (o->userns == USERNS_HOST)
		return err_hint((err_set(e, EPERM, "--userns=host: an ordinary user has no privileges to give"), e),
				"leave the option out: a user namespace is what makes containers possible without root");
	int r = idmap_detect(false, &c->map, e);
	if (r < 0)
		return r;
	c->has_map = true;
	if (c->map.form == IDMAP_SINGLE && c->map.why_single[0] && !o->quiet)
		log_warn("only one user id in the container: %s", c->map.why_single);
	if (o->userns == USERNS_KEEP_ID) {
		struct idmap ranged = c->map;
		uint32_t uid = o->keep_id_uid == RUN_OPTS_OWN_ID ? getuid() : o->keep_id_uid;
		uint32_t gid = o->keep_id_gid == RUN_OPTS_OWN_ID ? getgid() : o->keep_id_gid;
		return idmap_keepid(&ranged, uid, gid, &c->map, e);
	}
	if (o->userns == USERNS_NOMAP) {
		c->ranged = c->map;
		return idmap_nomap(&c->ranged, &c->map, e);
	}
	return 0;
}

static int prepare(struct container *c, const char *store_root, struct err *e)
{
	const struct run_opts *o = c->o;
	int r = store_open(store_root, true, &c->store, e);
	if (r == 0)
		r = choose_map(c, e);
	if (r == 0 && !o->rootfs) {
		struct idmap single = {.form = IDMAP_IDENTITY, .key = "identity"};
		r = image_ensure(&c->store, o->image, o->pull, c->has_map ? &c->map : &single, NULL, &c->image, e);
		c->has_image = r == 0;
	}
	if (r == 0)
		c->dir = xasprintf("%s/containers/%s", c->store.root, c->id);
	if (r == 0 && !o->explain)
		r = container_dir_make(c, e);
	if (r == 0 && o->userns == USERNS_NOMAP && !o->explain)
		r = container_dir_give_away(c, &c->ranged, e);
	if (r == 0)
		r = container_build_spec(c, e);
	if (r == 0 && o->tty)
		(void)!pty_get_size(isatty(STDIN_FILENO) ? STDIN_FILENO : STDOUT_FILENO, &c->spec.rows,
				    &c->spec.columns, NULL);
	return r;
}

/* In the time the id map helpers take. */
static int prepare_overlapped(void *arg, struct err *e)
{
	struct container *c = arg;
	int r = container_dir_fill(c, e);
	if (r == 0 && c->uses_slirp)
		r = net_slirp_start(&c->slirp_opts, &c->slirp, e);
	return r;
}

/* In the child, in the container's network namespace. */
static int setup_network(void *arg, int *ret_fd, int *ret_kind, struct err *e)
{
	const struct container *c = arg;
	if (!c->uses_slirp)
		return net_lo_up_child(e);
	struct net_device device = NET_DEVICE_NONE;
	int r = net_slirp_child(&c->slirp_opts, &device, e);
	if (r < 0)
		return r;
	*ret_fd = device.fd;
	*ret_kind = (int)device.kind;
	return 0;
}

static int write_id_files(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	char pid[16];
	int n = snprintf(pid, sizeof(pid), "%d", (int)c->run.pid);
	int r = 0;
	if (o->cidfile) {
		autofd int fd = open(o->cidfile, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0)
			return err_sys(e, errno, "--cidfile %s", o->cidfile);
		r = io_write_all(fd, c->id, strlen(c->id), e);
	}
	if (r == 0 && o->pidfile)
		r = io_write_file(AT_FDCWD, o->pidfile, pid, (size_t)n, 0644, e);
	return r;
}

static int start_and_relay(struct container *c, struct err *e)
{
	struct plan *plan = NULL;
	const struct seccomp_filter *filter = c->has_seccomp ? &c->seccomp.filter : NULL;
	int r = runtime_plan(&c->spec, c->has_map ? &c->map : NULL, filter, &plan, e);
	if (r < 0)
		return r;
	const struct runtime_start start = {
		.plan = plan,
		.net_setup = setup_network,
		.net_arg = c,
		.prepare = prepare_overlapped,
		.prepare_arg = c,
	};
	block_signals();
	r = detach_stdin(c->o, e);
	if (r == 0)
		r = runtime_start(&start, &c->run, e);
	runtime_plan_free(plan);
	if (r == 0)
		r = write_id_files(c, e);
	if (r == 0)
		r = container_foreground(c, e);
	return r;
}

int container_protect_binary(char **argv, struct err *e)
{
	return selfexe_protect(argv, e);
}

int container_run(const struct run_opts *o, const char *store_root, int *ret_status, struct err *e)
{
	struct container c;
	container_init(&c, o);
	int r = prepare(&c, store_root, e);
	if (r == 0)
		r = start_and_relay(&c, e);
	bool ran = r >= 0;
	container_close(&c, ran && !o->rm);
	if (r < 0)
		return r;
	*ret_status = r;
	return 0;
}

int container_explain(const struct run_opts *o, const char *store_root, struct str *ret_text, struct err *e)
{
	struct container c;
	container_init(&c, o);
	int r = prepare(&c, store_root, e);
	struct plan *plan = NULL;
	if (r == 0)
		r = runtime_plan(&c.spec, c.has_map ? &c.map : NULL, c.has_seccomp ? &c.seccomp.filter : NULL, &plan, e);
	if (r == 0)
		runtime_plan_print(plan, ret_text);
	runtime_plan_free(plan);
	container_close(&c, true);
	return r;
}
