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
#include <time.h>
#include <unistd.h>

#include "container_int.h"
#include "container_snapshot.h"
#include "host_image.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/kern/pty.h"
#include "rl/kern/selfexe.h"
#include "rl/svc/image_platform.h"
#include "rl/svc/pod.h"
#include "rl/svc/working.h"

void container_init(struct container *c)
{
	*c = (struct container){
		.rec = CONTAINER_REC_INIT,
		.store = {.rootfd = -1},
		.image = IMAGE_RUN_INIT,
		.dirfd = -1,
		.parentfd = -1,
		.op_fd = -1,
		.shm_fd = -1,
		.proc_fd = -1,
		.mqueue_fd = -1,
		.own_output = {-1, -1, -1},
		.slirp = NET_SLIRP_NONE,
		.portd = PROC_CHILD_NONE,
		.run = RUNTIME_CONTAINER_NONE,
	};
	container_limits_init(&c->limits);
	rtspec_init(&c->spec);
	record_config_init(&c->rec.config);
	record_state_init(&c->rec.state);
	c->o = &c->rec.config.o;
	io_random_hex(32, c->id);
}

void container_close(struct container *c, bool keep_dir)
{
	runtime_container_kill(&c->run);
	container_limits_close(c);
	container_ports_stop(c);
	container_network_release(c);
	net_slirp_stop(&c->slirp);
	struct err e = ERR_INIT;
	container_volumes_release(c);
	if (!keep_dir && c->dirfd >= 0)
		container_volumes_drop(&c->rec);
	if (!keep_dir && container_dir_remove(c, &e) < 0)
		log_warn("the container's directory is left for the next run to remove: %s", e.text);
	runtime_container_close(&c->run);
	container_share_close(c);
	seccomp_plan_free(&c->seccomp);
	rtspec_free(&c->spec);
	image_run_free(&c->image);
	c->rec.dirfd = -1; /* the same as ours */
	c->rec.dir = NULL;
	container_rec_free(&c->rec);
	close_fd(&c->dirfd);
	close_fd(&c->parentfd);
	free(c->dir);
	store_close(&c->store);
}

int64_t container_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
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

static void show_output(void *arg)
{
	struct container *c = arg;
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
		if (c->own_output[fd] >= 0 && dup2(c->own_output[fd], fd) >= 0)
			close_fd(&c->own_output[fd]);
}

/* Without -i the payload reads from /dev/null, as in docker; what --attach leaves out goes there. Our own messages do
 * not: after the clone we have our output again. */
static int detach_stdio(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	if (o->interactive && !o->hidden)
		return 0;
	autofd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return err_sys(e, errno, "open /dev/null");
	if (!o->interactive && dup2(null, STDIN_FILENO) < 0)
		return err_sys(e, errno, "dup");
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
		if (!(o->hidden & (1U << fd)))
			continue;
		c->own_output[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (c->own_output[fd] < 0 || dup2(null, fd) < 0)
			return err_sys(e, errno, "dup");
		c->after_clone = show_output;
		c->after_clone_arg = c;
	}
	return 0;
}

static int choose_map(struct container *c, struct err *e)
{
	const struct run_opts *o = c->o;
	if (o->userns == USERNS_HOST && geteuid() == 0)
		return 0;
	if (o->userns == USERNS_HOST)
		return err_hint(
			(err_set(e, EPERM, "--userns=host: an ordinary user has no privileges to give"), e),
			"leave the option out: a user namespace is what makes containers possible without root");
	int r = idmap_detect(o->single_map, &c->map, e);
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

/* The directory under its final name, and the name of the person or one of ours. */
static int make_dir(struct container *c, struct err *e)
{
	struct record_config *rc = &c->rec.config;
	int r = container_dir_make(c, e);
	if (r == 0 && c->o->userns == USERNS_NOMAP)
		r = container_dir_give_away(c, &c->ranged, e);
	if (r < 0)
		return r;
	c->rec.dirfd = c->dirfd;
	c->rec.dir = c->dir;
	if (c->o->name) {
		rc->name = xstrdup(c->o->name);
		r = container_name_claim(&c->store, rc->name, c->id, e);
	} else {
		r = container_name_generate(&c->store, c->id, &rc->name, e);
	}
	c->is_named = r == 0;
	return r;
}

static int replace_old(struct container *c, struct err *e)
{
	struct err why = ERR_INIT;
	autorec struct container_rec old = CONTAINER_REC_INIT;
	if (!c->o->replace || !c->o->name || c->o->explain)
		return 0;
	int r = container_store_find(&c->store, c->o->name, &old, &why);
	if (r == 0 && str_eq(old.config.name, c->o->name))
		return container_remove_rec(&old, true, false, e);
	return 0;
}

static int have_image(struct container *c, struct err *e)
{
	const struct idmap identity = CONTAINER_MAP_IDENTITY;
	struct run_opts *o = &c->rec.config.o;
	const struct image_ui ui = {.progress = o->progress, .arg = o->progress_arg};
	const struct idmap *map = c->has_map ? &c->map : &identity;
	/* The name of a working container (rl/svc/working.h) counts where the store has no image of that name. */
	if (o->pull == PULL_MISSING && !o->platform && working_exists(&c->store, o->image) &&
	    image_exists(c->store.root, o->image, NULL) != 1) {
		c->is_working = true;
		return err_set(e, EREMCHG, "%s is a working container", o->image);
	}
	const struct image_want want = {
		.ref = o->image, .policy = o->pull, .platform = o->platform, .registry = {.tls_verify = UNSET}};
	int r = image_ensure_wanted(&c->store, &want, map, &ui, &c->image, e);
	if (o->progress)
		o->progress(NULL, o->progress_arg);
	o->progress = NULL;
	c->has_image = r == 0;
	return r < 0 ? r : image_platform_check(c->image.image.config, o->image, IMAGE_BINFMT_DIR, e);
}

int container_prepare_new(struct container *c, struct run_opts *o, const char *store_root, struct err *e)
{
	c->rec.config.o = *o;
	run_opts_init(o);
	container_limits_request(c);
	int r = host_image_defaults(&c->rec.config.o, e);
	if (r == 0)
		r = store_open(store_root, true, &c->store, e);
	if (r == 0)
		r = container_share_resolve(c, e);
	if (r == 0)
		r = choose_map(c, e);
	if (r == 0 && container_shares(c))
		r = container_share_check_map(c, e);
	if (r == 0)
		r = replace_old(c, e);
	if (r == 0 && !c->o->rootfs && !c->o->holder && !host_image_is(c->o))
		r = have_image(c, e);
	if (r == 0)
		c->dir = xasprintf("%s/containers/%s", c->store.root, c->id);
	c->rec.store = &c->store;
	if (r == 0 && !c->o->explain && !c->dir_later)
		r = make_dir(c, e);
	return r < 0 ? r : container_resolve(c, e);
}

/* Nothing before the clone needs the directory or the name: all that is kept in it is what the child mounts, the log and
 * the records. */
static bool may_make_dir_later(const struct run_opts *o)
{
	return !o->tty && !o->explain && !o->holder && !o->pod && !o->nmounts && !o->seccomp && !o->networks.count &&
	       o->sdnotify != SDNOTIFY_CONTAINER && o->userns != USERNS_NOMAP && !host_image_is(o) &&
	       (o->network.kind == NETWORK_NONE || o->network.kind == NETWORK_SLIRP);
}

int container_prepare_old(struct container *c, const char *store_root, struct container_rec *rec, int lock_fd,
			  struct err *e)
{
	int r = store_open(store_root, true, &c->store, e);
	memcpy(c->id, rec->config.id, sizeof(c->id));
	c->dir = take_ptr(&rec->dir);
	close_fd(&rec->dirfd);
	c->dirfd = lock_fd;
	c->rec = *rec;
	record_config_init(&rec->config);
	record_state_init(&rec->state);
	c->rec.store = &c->store;
	c->rec.dir = c->dir;
	c->rec.dirfd = c->dirfd;
	c->is_named = true;
	c->is_recorded = true;
	if (r < 0)
		return r;
	r = container_restack_recover(&c->rec, e);
	if (r < 0)
		return r;
	container_limits_request(c);
	c->has_map = container_rec_map(&c->rec, &c->map);
	for (size_t i = 0; i < c->rec.config.layers.count; i++)
		if (access(c->rec.config.layers.items[i], F_OK) < 0) {
			err_sys(e, errno, "a layer of container %s is gone: %s", c->rec.config.name,
				c->rec.config.layers.items[i]);
			return err_hint(e, "without it the container cannot be started; make a new one");
		}
	return container_volumes_hold(c, false, e);
}

/* What the child is going to mount. */
static int prepare(void *arg, struct err *e)
{
	struct container *c = arg;
	/* The child has its own copies of what will be the payload's descriptors 0 to 2; nobody else may get them. */
	if (c->after_clone)
		c->after_clone(c->after_clone_arg);
	int r = c->dirfd < 0 ? make_dir(c, e) : 0;
	if (r == 0 && c->after_dir)
		r = c->after_dir(c->after_dir_arg, e);
	c->after_dir = NULL;
	return r < 0 ? r : container_dir_fill(c, e);
}

/* What has to be there when the payload runs. */
static int record(void *arg, struct err *e)
{
	struct container *c = arg;
	int r = c->uses_slirp ? net_slirp_start(&c->slirp_opts, &c->slirp, e) : 0;
	if (r == 0 && c->uses_slirp)
		r = container_rights_slirp(c, e);
	return r < 0 ? r : container_dir_record(c, e);
}

int container_write_id_files(struct container *c, bool with_cid, struct err *e)
{
	const struct run_opts *o = c->o;
	char pid[16];
	int n = snprintf(pid, sizeof(pid), "%d", (int)c->run.pid);
	int r = 0;
	if (o->cidfile && with_cid) {
		autofd int fd = open(o->cidfile, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0)
			return err_sys(e, errno, "--cidfile %s", o->cidfile);
		r = io_write_all(fd, c->id, strlen(c->id), e);
	}
	if (r == 0 && o->pidfile && c->run.pid > 0)
		r = io_write_file(AT_FDCWD, o->pidfile, pid, (size_t)n, 0644, e);
	return r;
}

static int place(void *arg, pid_t pid, struct err *e)
{
	const struct container *c = arg;
	return cgroup_join(&c->limits.made.dirs, pid, e);
}

int container_launch(struct container *c, struct err *e)
{
	struct plan *plan = NULL;
	const struct seccomp_filter *filter = c->has_seccomp ? &c->seccomp.filter : NULL;
	container_limits_add_to_spec(c);
	int r = container_network_lease(c, e);
	if (r == 0)
		r = container_ports_bind(c, e);
	if (r == 0)
		r = runtime_plan(&c->spec, c->has_map ? &c->map : NULL, filter, &plan, e);
	if (r < 0)
		return r;
	const struct runtime_start start = {
		.plan = plan,
		.net_setup = container_network_setup,
		.net_arg = c,
		.prepare = prepare,
		.record = record,
		.prepare_arg = c,
		.keep = !c->spec.outlives_parent,
		.cgroup_fd = c->limits.made.fd >= 0 ? &c->limits.made.fd : NULL,
		.place = c->limits.made.dirs.count ? place : NULL,
		.place_arg = c,
	};
	r = runtime_start(&start, &c->run, e);
	rtspec_drop_secrets(&c->spec);
	runtime_plan_free(plan);
	return r;
}

int container_hand_over_device(struct container *c, struct err *e)
{
	if (c->run.net_device < 0)
		return 0;
	struct net_device device = {.kind = (enum net_device_kind)c->run.net_kind, .fd = c->run.net_device};
	int r = net_slirp_attach(&c->slirp, &device, e);
	close_fd(&c->run.net_device);
	return r < 0 ? err_ctx(e, "network") : 0;
}

void container_note_started(struct container *c, bool foreground)
{
	struct record_state *s = &c->rec.state;
	struct record_join *j = &s->join;
	unsigned restarts = s->restarts;
	record_state_free(s);
	s->restarts = restarts;
	s->status = RECORD_RUNNING;
	s->foreground = foreground;
	s->started = container_now();
	s->init.pid = c->run.pid;
	s->monitor.pid = getpid();
	if (proc_boot_id(s->boot_id, NULL) < 0 || proc_start_time(s->init.pid, &s->init.start, NULL) < 0 ||
	    proc_start_time(s->monitor.pid, &s->monitor.start, NULL) < 0)
		log_debug(LOG_RUN, "the container's process cannot be named");
	for (int i = 0; i < RT_NS_COUNT; i++)
		if (c->spec.ns[i].mode != RT_NS_HOST)
			j->namespaces |= 1U << i;
	j->caps = c->spec.caps;
	j->no_new_privs = c->spec.no_new_privs;
	j->seccomp = xstrdup(c->o->seccomp ? c->o->seccomp : c->has_seccomp ? "default" : "unconfined");
	j->privileged = c->o->privileged;
	j->terminal = c->spec.terminal;
	j->init = c->spec.init;
	j->keep_groups = c->spec.keep_groups;
	j->umask = c->spec.umask;
	strv_add_all(&j->env, &c->spec.env);
	j->cwd = xstrdup(c->spec.cwd);
	j->user = xstrdup(c->spec.user_text ? c->spec.user_text : "");
	strv_add_all(&j->group_add, &c->spec.group_add);
	j->root_read_only = c->spec.root_read_only;
	strv_add_all(&s->cgroups, &c->limits.made.dirs);
	if (c->limits.is_ready)
		s->limits_rung = xstrdup(cgroup_rung_name(c->limits.made.rung));
	container_network_describe(c, &s->networks);
	if (c->rec.config.health.test.count)
		s->health.status = xstrdup("starting");
}

int container_deliver(struct container *c, int sig)
{
	bool ends = sig == SIGINT || sig == SIGTERM || sig == SIGHUP || sig == SIGQUIT || sig == SIGUSR1 ||
		    sig == SIGUSR2 || sig == SIGALRM;
	int killed_by = 0;
	if (ends && runtime_signal_is_lost(c->run.pid, sig)) {
		log_debug(LOG_RUN, "signal %d has its default action: the container is killed", sig);
		killed_by = sig;
		sig = SIGKILL;
	}
	struct err why = ERR_INIT;
	if (proc_pidfd_signal(c->run.pidfd, sig, &why) < 0)
		log_debug(LOG_RUN, "%s", why.text);
	return killed_by;
}

int container_start_and_relay(struct container *c, struct err *e)
{
	block_signals();
	int r = detach_stdio(c, e);
	if (r == 0)
		r = container_launch(c, e);
	show_output(c);
	if (r == 0)
		r = container_write_id_files(c, true, e);
	if (r == 0)
		r = container_foreground(c, e);
	return r;
}

/* What somebody has to look after while it runs: a terminal that can be left, a log, restarts, health checks. */
static bool needs_monitor(const struct container *c)
{
	return c->o->detach || c->o->tty || c->o->restart != RESTART_NO || c->rec.config.health.test.count ||
	       c->o->sdnotify == SDNOTIFY_CONTAINER || c->o->sdnotify == SDNOTIFY_HEALTHY;
}

int container_protect_binary(char **argv, struct err *e)
{
	return selfexe_protect(argv, e);
}

static int run_in_foreground(struct container *c, struct err *e)
{
	int r = container_build_spec(c, e);
	if (r == 0)
		r = container_limits_make(c, e);
	return r < 0 ? r : container_start_and_relay(c, e);
}

static int run_new(struct run_opts *o, const char *store_root, struct str *ret_id, int *ret_status, struct err *e)
{
	struct container c;
	container_init(&c);
	int r = o->pod ? pod_adopt(store_root, o, e) : 0;
	if (r == 0)
		r = container_start_required(store_root, o, e);
	c.dir_later = may_make_dir_later(o);
	if (r == 0)
		r = container_prepare_new(&c, o, store_root, e);
	/* A volume of the image's. */
	if (r == 0 && c.dirfd < 0 && c.nvolumes)
		r = make_dir(&c, e);
	if (r == 0 && needs_monitor(&c))
		return container_run_monitored(&c, ret_id, ret_status, e);
	if (r == 0)
		r = run_in_foreground(&c, e);
	bool ran = r >= 0;
	struct run_opts given = {0};
	bool is_working = c.is_working;
	if (is_working) {
		given = c.rec.config.o;
		run_opts_init(&c.rec.config.o);
	}
	container_close(&c, ran && !c.o->rm);
	if (is_working) {
		r = working_run(store_root, &given, ret_status, e);
		run_opts_free(&given);
		return r;
	}
	if (r < 0)
		return r;
	*ret_status = r;
	return 0;
}

/* --rmi: what something else uses stays, and that is no failure of the command. */
static void remove_image(const char *store_root, const char *image)
{
	autostrv struct strv refs = STRV_INIT;
	struct image_removed removed = {.bytes = 0};
	struct err why = ERR_INIT;
	strv_add(&refs, image);
	if (image_remove(store_root, &refs, false, &removed, &why) < 0)
		log_warn("--rmi: %s", why.text);
	image_removed_free(&removed);
}

int container_run(struct run_opts *o, const char *store_root, struct str *ret_id, int *ret_status, struct err *e)
{
	autofree char *unwanted = o->rmi && o->image ? xstrdup(o->image) : NULL;
	int r = run_new(o, store_root, ret_id, ret_status, e);
	if (r == 0 && unwanted)
		remove_image(store_root, unwanted);
	return r;
}

int container_create(struct run_opts *o, const char *store_root, struct str *ret_id, struct err *e)
{
	struct container c;
	container_init(&c);
	int r = o->pod ? pod_adopt(store_root, o, e) : 0;
	if (r == 0)
		r = container_prepare_new(&c, o, store_root, e);
	for (size_t i = 0; r == 0 && i < c.o->requires.count; i++) {
		autorec struct container_rec other = CONTAINER_REC_INIT;
		r = container_store_find(&c.store, c.o->requires.items[i], &other, e);
		if (r < 0)
			err_ctx(e, "--requires");
	}
	/* What is wrong with the options is said now, not at the first start. */
	if (r == 0 && !c.o->pod) /* what is to be shared may not be there yet */
		r = container_build_spec(&c, e);
	if (r == 0)
		r = container_dir_mark(&c, false, e);
	if (r == 0)
		r = container_dir_record(&c, e);
	if (r == 0)
		r = container_write_id_files(&c, true, e);
	if (r == 0)
		str_adds(ret_id, c.id);
	container_close(&c, r == 0);
	return r;
}

int container_explain(struct run_opts *o, const char *store_root, struct str *ret_text, struct err *e)
{
	struct container c;
	container_init(&c);
	int r = container_prepare_new(&c, o, store_root, e);
	if (r == 0)
		r = container_build_spec(&c, e);
	struct plan *plan = NULL;
	if (r == 0)
		r = runtime_plan(&c.spec, c.has_map ? &c.map : NULL, c.has_seccomp ? &c.seccomp.filter : NULL, &plan,
				 e);
	if (r == 0)
		runtime_plan_print(plan, ret_text);
	runtime_plan_free(plan);
	container_close(&c, true);
	return r;
}
