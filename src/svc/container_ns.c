/*
 * container_ns.c - a namespace named by a file: --pid, --ipc, --uts and --network ns:PATH.
 *
 * Nothing says what else belongs to such a namespace, so nothing of it comes along: /dev/shm, hosts and resolv.conf are
 * the container's own, and so is its user namespace. From within that one the kernel allows no procfs of a process
 * namespace that belongs to another, and no mqueue file system; so they are made before, by a child of ours that enters
 * the namespace, and the container's child attaches them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "container_int.h"
#include "inside.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/kern/caps.h"
#include "rl/kern/mnt.h"

enum { STEP_MADE = 1, STEP_NAME };

static const struct {
	int type;
	const char *what, *file;
} kinds[RT_NS_COUNT] = {
	[RT_NS_PID] = {CLONE_NEWPID, "process", "/proc/self/ns/pid"},
	[RT_NS_IPC] = {CLONE_NEWIPC, "ipc", "/proc/self/ns/ipc"},
	[RT_NS_UTS] = {CLONE_NEWUTS, "uts", "/proc/self/ns/uts"},
	[RT_NS_NET] = {CLONE_NEWNET, "network", "/proc/self/ns/net"},
};

static bool is_own(int fd, enum rt_ns_kind kind)
{
	struct stat own;
	struct stat other;
	return stat(kinds[kind].file, &own) == 0 && fstat(fd, &other) == 0 && own.st_dev == other.st_dev &&
	       own.st_ino == other.st_ino;
}

/* Only the namespace that our processes are in and those made below it can be entered; of others even root is told
 * nothing but "invalid argument". */
static int check_below(int fd, struct err *e)
{
	autofd int parent = ioctl(fd, NS_GET_PARENT);
	if (parent >= 0 || is_own(fd, RT_NS_PID))
		return 0;
	return err_set(e, EPERM, "it is not below the process namespace that rl runs in");
}

/* Only who has privileges in its own user namespace may enter another one's, and only one that belongs to it or to one
 * below it. Found out here, where the reason can be said. */
int container_ns_open(const char *path, enum rt_ns_kind kind, struct err *e)
{
	uint64_t caps = 0;
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_sys(e, errno, "open it");
	if (ioctl(fd, NS_GET_NSTYPE) != kinds[kind].type)
		return err_set(e, EINVAL, "this is no %s namespace", kinds[kind].what);
	autofd int owner = ioctl(fd, NS_GET_USERNS);
	if (owner < 0 || caps_effective(&caps, NULL) < 0 || !(caps & 1ull << CAP_SYS_ADMIN)) {
		err_set(e, EPERM, "only root of the user namespace it belongs to may enter it");
		if (is_own(fd, kind))
			return err_hint(e, "the one rl runs in is shared with \"host\" in the place of ns:PATH");
		return err_hint(e,
				"that of a container is shared with container:NAME; another's with rl run from within "
				"its user namespace: nsenter -t PID -U --preserve-credentials rl run ...");
	}
	int r = kind == RT_NS_PID ? check_below(fd, e) : 0;
	return r < 0 ? r : take_fd(&fd);
}

struct visit {
	int ns;
	enum rt_ns_kind kind;
	int sock;
};

static int send_mount(const struct visit *v, const char *fstype, unsigned attrs, struct err *e)
{
	autofd int fd = mnt_new_detached(fstype, attrs | MNT_NOSUID | MNT_NODEV | MNT_NOEXEC, e);
	return fd < 0 ? fd : sync_send(v->sock, STEP_MADE, NULL, 0, &fd, 1, e);
}

/* A process namespace counts from the next child on. The instance is frozen, as decision 17 has it for one that belongs
 * to somebody else: who is the same user outside could write to its processes' files. */
static int send_proc(const struct visit *v, struct err *e)
{
	int status = 0;
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(e, errno, "fork");
	if (pid == 0) {
		struct err why = ERR_INIT;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(send_mount(v, "proc", MNT_RDONLY, &why) < 0);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, errno, "wait");
	return status ? err_set(e, EPERM, "no procfs can be made there") : 0;
}

static int send_name(const struct visit *v, struct err *e)
{
	char name[256] = "";
	if (gethostname(name, sizeof(name) - 1) < 0)
		return err_sys(e, errno, "read the host name");
	return sync_send(v->sock, STEP_NAME, name, strlen(name) + 1, NULL, 0, e);
}

static int visit(void *arg, struct err *e)
{
	const struct visit *v = arg;
	/* Entering takes a mount namespace of our own user namespace, which the caller's need not be. */
	if (unshare(CLONE_NEWNS) < 0)
		return err_sys(e, errno, "make a mount namespace");
	if (setns(v->ns, kinds[v->kind].type) < 0)
		return err_sys(e, errno, "enter it");
	if (v->kind == RT_NS_PID)
		return send_proc(v, e);
	return v->kind == RT_NS_IPC ? send_mount(v, "mqueue", 0, e) : send_name(v, e);
}

static const char looker[] = "the look at the namespace";

/* A child says what it finds there; what it has sent can be read from the socket then. */
static int look(int ns, enum rt_ns_kind kind, struct err *e)
{
	int pair[2];
	int r = sync_pair(pair, e);
	if (r < 0)
		return r;
	autofd int ours = pair[0];
	autofd int theirs = pair[1];
	struct visit v = {.ns = ns, .kind = kind, .sock = theirs};
	r = inside_run(&(struct inside){.fn = visit, .arg = &v, .what = looker}, e);
	return r < 0 ? r : take_fd(&ours);
}

int container_ns_mount(int ns, enum rt_ns_kind kind, struct err *e)
{
	autofd int sock = look(ns, kind, e);
	return sock < 0 ? sock : sync_expect_fd(sock, looker, STEP_MADE, e);
}

char *container_ns_hostname(const char *path)
{
	struct err why = ERR_INIT;
	autofree struct sync_msg *m = xmalloc(sizeof(*m));
	autofd int ns = container_ns_open(path, RT_NS_UTS, &why);
	autofd int sock = ns < 0 ? ns : look(ns, RT_NS_UTS, &why);
	if (sock < 0 || sync_expect(sock, looker, STEP_NAME, m, &why) < 0)
		return NULL; /* the start says why */
	return xstrndup((const char *)m->data, m->len);
}
