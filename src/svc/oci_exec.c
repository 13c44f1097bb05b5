/*
 * oci_exec.c - one more process in a container that runs.
 *
 * What is not said on the command line or in process.json is taken from the container's own config.json, as it was at
 * create: environment, working directory, user, capabilities, no_new_privs, labels; the seccomp filter always.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "oci_int.h"
#include "oci_meet.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/engine/join.h"
#include "rl/kern/caps.h"
#include "rl/kern/cgroup_tree.h"
#include "rl/kern/procfs.h"

enum { END_WAIT_MS = 200 };

struct exec {
	const struct oci_exec_opts *o;
	struct oci_container c;
	struct oci_config config;
	struct oci_process process; /* of --process */
	struct oci_plan plan;
	struct strv cgroups;
	struct oci_meeting meeting; /* with seccomp's listener alone */
	struct runtime_container run;
};

static int parse_user(const char *text, struct oci_user *u, struct err *e)
{
	autofree char *uid = xstrdup(text);
	char *gid = strchr(uid, ':');
	uint64_t value;
	if (gid)
		*gid++ = '\0';
	int r = str_to_u64(uid, UINT32_MAX - 1, "--user", &value, e);
	if (r < 0)
		return r;
	u->uid = (struct oci_num){true, (int64_t)value};
	u->gid = (struct oci_num){true, 0};
	if (gid && (r = str_to_u64(gid, UINT32_MAX - 1, "--user", &value, e)) < 0)
		return r;
	if (gid)
		u->gid.value = (int64_t)value;
	return 0;
}

static void set_text(char **at, const char *text)
{
	if (!text)
		return;
	free(*at);
	*at = xstrdup(text);
}

static int add_caps(const struct strv *names, struct oci_caps *caps, struct err *e)
{
	struct strv *const sets[] = {&caps->bounding, &caps->permitted, &caps->effective};
	for (size_t i = 0; names && i < names->count; i++) {
		int cap = caps_from_name(names->items[i], e);
		if (cap < 0)
			return err_ctx(e, "--cap");
		for (size_t k = 0; k < ARRAY_SIZE(sets); k++)
			if (!strv_has(sets[k], names->items[i]))
				strv_add(sets[k], names->items[i]);
	}
	return 0;
}

static int add_groups(const struct strv *groups, struct oci_user *u, struct err *e)
{
	if (!groups || !groups->count)
		return 0;
	struct oci_num *all = xcalloc(groups->count, sizeof(*all));
	free(u->additional_gids.items);
	u->additional_gids = (struct oci_list){all, groups->count};
	for (size_t i = 0; i < groups->count; i++) {
		uint64_t gid;
		int r = str_to_u64(groups->items[i], UINT32_MAX - 1, "--additional-gids", &gid, e);
		if (r < 0)
			return r;
		all[i] = (struct oci_num){true, (int64_t)gid};
	}
	return 0;
}

/* The command line over the container's own process. */
static int change_process(const struct oci_exec_opts *o, struct oci_process *p, struct err *e)
{
	strv_free(&p->args);
	strv_add_all(&p->args, o->args);
	for (size_t i = 0; o->env && i < o->env->count; i++) {
		autofree char *key = xstrdup(o->env->items[i]);
		char *value = strchr(key, '=');
		if (!value)
			return err_set(e, EINVAL, "--env '%s' is not KEY=value", key);
		*value = '\0';
		strv_env_set(&p->env, key, value + 1);
	}
	p->terminal = (struct oci_num){true, o->tty};
	p->no_new_privileges.value |= o->no_new_privs;
	set_text(&p->cwd, o->cwd);
	set_text(&p->apparmor_profile, o->apparmor);
	set_text(&p->selinux_label, o->process_label);
	int r = o->user ? parse_user(o->user, &p->user, e) : 0;
	if (r == 0)
		r = add_caps(o->caps, &p->caps, e);
	return r < 0 ? r : add_groups(o->groups, &p->user, e);
}

static int choose_process(struct exec *x, const struct oci_process **ret, struct err *e)
{
	autostr struct str text = STR_INIT;
	if (!x->o->process_file) {
		*ret = &x->config.process;
		return change_process(x->o, &x->config.process, e);
	}
	int r = io_read_file(AT_FDCWD, x->o->process_file, OCI_CONFIG_MAX, &text, e);
	if (r == 0)
		r = oci_process_parse(text.buf, text.len, &x->process, e);
	if (r == 0 && x->o->tty)
		x->process.terminal = (struct oci_num){true, true};
	*ret = &x->process;
	return r;
}

/* The ids that the container's map has, to say so when one has not. */
static int read_map(struct exec *x, struct err *e)
{
	struct idmap *m = &x->plan.map;
	if (!x->config.uid_mappings.count || !x->config.gid_mappings.count)
		return 0;
	int r = oci_extents(&x->config.uid_mappings, "linux.uidMappings", m->uid, &m->nuid, e);
	if (r == 0)
		r = oci_extents(&x->config.gid_mappings, "linux.gidMappings", m->gid, &m->ngid, e);
	uint64_t caps = 0;
	bool single = m->nuid == 1 && m->uid[0].count == 1 && caps_effective(&caps, NULL) == 0 && !(caps & (1ULL << 6));
	m->form = single ? IDMAP_SINGLE : IDMAP_IDENTITY;
	x->plan.has_map = true;
	return r;
}

static int choose_cgroups(struct exec *x, struct err *e)
{
	const struct strv *own = &x->c.rec.cgroups;
	const char *below = x->o->cgroup;
	if (below && path_has_dotdot(below))
		return err_set(e, EINVAL, "--cgroup %s has a ..", below);
	for (size_t i = 0; i < own->count; i++) {
		if (below)
			strv_addf(&x->cgroups, "%s/%s", own->items[i], below);
		else
			strv_add(&x->cgroups, own->items[i]);
	}
	return 0;
}

/* Before the namespaces are entered, while the host's paths can be reached. */
static int prepare_listener(struct exec *x, struct err *e)
{
	struct oci_meeting *m = &x->meeting;
	m->rec = &x->c.rec;
	m->seccomp = x->plan.has_seccomp ? &x->plan.seccomp : NULL;
	int r = oci_meeting_connect_listener(m, e);
	if (r < 0 || m->notifyfd < 0)
		return r;
	m->procfd = procfs_outer(e);
	return RL_MIN(m->procfd, 0);
}

/* The namespaces of a process that is about to end cannot be entered any more: ENOMEM, EPERM, ESRCH. Then it ends. */
static bool ends_now(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	return poll(&p, 1, END_WAIT_MS) == 1;
}

static int join(struct exec *x, const struct oci_process *process, struct err *e)
{
	struct oci_plan *p = &x->plan;
	int r = oci_plan_process(process, x->o->listen_fds, p, e);
	if (r == 0)
		r = oci_plan_seccomp(&x->config, p, e);
	if (r == 0)
		r = read_map(x, e);
	if (r == 0)
		r = choose_cgroups(x, e);
	if (r == 0)
		r = prepare_listener(x, e);
	if (r < 0)
		return r;
	p->spec.make_cwd = false;
	for (int i = 0; i < RT_NS_COUNT; i++)
		p->spec.ns[i].mode = x->c.rec.namespaces & (1U << i) ? RT_NS_JOIN : RT_NS_HOST;
	autofd int pidfd = oci_container_pidfd(&x->c, e);
	if (pidfd < 0)
		return pidfd;
	const struct runtime_join j = {
		.pidfd = pidfd,
		.namespaces = x->c.rec.namespaces,
		.spec = &p->spec,
		.map = p->has_map ? &p->map : NULL,
		.filter = p->has_seccomp ? &p->seccomp.filter : NULL,
		.stdio = {-1, -1, -1},
		.preserve_fds = x->o->preserve_fds,
		.cgroups = x->cgroups.count ? &x->cgroups : NULL,
		.take_listener = oci_meet_listener,
		.listener_arg = &x->meeting,
	};
	r = runtime_join(&j, &x->run, e);
	if (r == 0)
		r = runtime_wait_exec(&x->run, e);
	if (r < 0 && !e->exit_status && ends_now(pidfd))
		return err_ctx(e, "cannot exec in a stopped container");
	/* The words engines look for. */
	if (r == -ENOENT && e->exit_status == EXIT_NOT_FOUND && !strchr(p->spec.args.items[0], '/'))
		(void)!err_ctx(e, "exec: \"%s\": executable file not found in $PATH", p->spec.args.items[0]);
	return r;
}

static int hand_out(struct exec *x, struct err *e)
{
	const struct oci_exec_opts *o = x->o;
	int r = 0;
	if (x->run.pty >= 0 && o->console_socket && *o->console_socket) {
		r = oci_send_fd(o->console_socket, "/dev/ptmx", strlen("/dev/ptmx"), x->run.pty, e);
		close_fd(&x->run.pty);
	}
	return r < 0 ? err_ctx(e, "console socket") : oci_write_pid_file(o->pid_file, x->run.pid, e);
}

static int exec_open(struct exec *x, const struct oci_runtime *rt, struct err *e)
{
	int r = oci_container_open(rt, x->o->id, false, &x->c, e);
	if (r < 0)
		return r;
	if (x->c.status == OCI_STOPPED || x->c.status == OCI_CREATING)
		return err_set(e, EINVAL, "cannot exec in a stopped container");
	/* It would be frozen before it has executed anything, and we would wait for it. */
	if (x->c.status == OCI_PAUSED && !x->o->ignore_paused)
		return err_set(e, EINVAL, "cannot exec in a paused container (use --ignore-paused to override)");
	return oci_container_config(&x->c, &x->config, e);
}

static int run(struct exec *x, const struct oci_runtime *rt, struct err *e)
{
	const struct oci_process *process = NULL;
	int r = exec_open(x, rt, e);
	if (r == 0)
		r = choose_process(x, &process, e);
	if (r == 0)
		r = oci_check_console(process->terminal.value, x->o->detach, x->o->console_socket, e);
	if (r == 0)
		r = join(x, process, e);
	for (size_t i = 0; i < x->plan.warnings.count; i++)
		log_warn("%s", x->plan.warnings.items[i]);
	if (r == 0)
		r = hand_out(x, e);
	if (r < 0)
		return r;
	if (!x->o->detach)
		return oci_foreground(&x->run, e);
	close_fd(&x->run.pidfd);
	x->run.pid = -1;
	return 0;
}

int oci_exec(const struct oci_runtime *rt, const struct oci_exec_opts *o, struct err *e)
{
	struct exec x = {
		.o = o,
		.c = OCI_CONTAINER_NONE,
		.config = OCI_CONFIG_INIT,
		.meeting = OCI_MEETING_NONE,
		.run = RUNTIME_CONTAINER_NONE,
	};
	oci_plan_init(&x.plan);
	int r = run(&x, rt, e);
	if (r < 0)
		runtime_container_close(&x.run);
	close_fd(&x.meeting.notifyfd);
	close_fd(&x.meeting.procfd);
	strv_free(&x.cgroups);
	oci_plan_free(&x.plan);
	oci_process_free(&x.process);
	oci_config_free(&x.config);
	oci_container_close(&x.c);
	return r;
}
