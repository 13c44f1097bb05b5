/*
 * container_nsenter.c - `rl nsenter`: a command of the host in namespaces of a container.
 *
 * A namespace is entered with the privileges of the user namespace that owns it, so that one is entered as well. Those
 * that the container shares with the caller are the caller's already. The command stays in the caller's session: what a
 * terminal sends reaches both, and only what others send is passed on.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "container_int.h"
#include "rl/base/mem.h"
#include "rl/engine/join.h"
#include "rl/svc/container.h"

static const struct {
	const char *name;
	enum rt_ns_kind kind;
} kinds[] = {
	{"cgroup", RT_NS_CGROUP}, {"ipc", RT_NS_IPC},	{"mnt", RT_NS_MOUNT}, {"net", RT_NS_NET},
	{"pid", RT_NS_PID},	  {"user", RT_NS_USER}, {"uts", RT_NS_UTS},
};

static int parse_kinds(const struct strv *names, unsigned *ret_set, struct err *e)
{
	unsigned set = 0;
	for (size_t i = 0; i < names->count; i++) {
		unsigned one = 0;
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
			if (str_eq(names->items[i], kinds[k].name))
				one = 1U << kinds[k].kind;
		if (!one)
			return err_set(e, EINVAL, "there is no namespace '%s'", names->items[i]);
		set |= one;
	}
	*ret_set = set;
	return 0;
}

static int wait_for(struct runtime_container *c, int signals, struct err *e)
{
	for (;;) {
		struct pollfd p[] = {{.fd = c->pidfd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
		struct signalfd_siginfo info;
		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return err_sys(e, errno, "poll");
		while (p[1].revents && read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
			if (info.ssi_code != SI_KERNEL)
				(void)!proc_pidfd_signal(c->pidfd, (int)info.ssi_signo, NULL);
		if (p[0].revents)
			return runtime_reap(c, e);
	}
}

static int enter_rec(const struct container_rec *rec, unsigned wanted, char *const *argv, struct err *e)
{
	struct runtime_container c = RUNTIME_CONTAINER_NONE;
	sigset_t set;
	if (!container_rec_is_running(rec))
		return err_set(e, EINVAL, "container %s is not running", rec->config.name);
	autofd int member = container_rec_open_member(rec, e);
	if (member < 0)
		return member;
	sigemptyset(&set);
	const int passed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
		sigaddset(&set, passed_on[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	autofd int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return err_sys(e, errno, "signalfd");
	const struct runtime_enter n = {
		.pidfd = member,
		.namespaces = (wanted | 1U << RT_NS_USER) & rec->state.join.namespaces,
		.argv = argv,
	};
	int r = runtime_enter(&n, &c, e);
	if (r == 0)
		r = wait_for(&c, signals, e);
	runtime_container_close(&c);
	return r;
}

int container_nsenter(const char *root, const char *name, const struct strv *namespaces, char *const *argv,
		      int *ret_status, struct err *e)
{
	struct store s;
	unsigned wanted = 0;
	int r = parse_kinds(namespaces, &wanted, e);
	if (r == 0)
		r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	r = container_store_find(&s, name, &rec, e);
	if (r == 0)
		r = enter_rec(&rec, wanted, argv, e);
	store_close(&s);
	if (r < 0)
		return r;
	*ret_status = r;
	return 0;
}
