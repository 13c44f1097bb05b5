/*
 * role_confine.c - see role_confine_int.h.
 *
 * Theory: what a break-in in the tar parser must not reach, and what takes it away:
 *   the host's files        mount namespace whose only mount is the target (a bind mount, so that ".." ends there);
 *                           lower directories are detached read-only mounts of their own, so that ".." ends there too
 *   other processes         own user namespace; kill, ptrace and process_vm_* are not in the filter
 *   the network             own, empty network namespace; socket() is not in the filter
 *   the kernel              about seventy system calls, no exec, clone only for threads, ioctl not at all
 *   the machine             no core file, bounded address space and descriptors
 *
 * The current directory carries the target through unshare(CLONE_NEWNS): the kernel moves it into the copied mount
 * tree, while descriptors keep pointing into the old one, where nothing may be cloned from. Lower directories are found
 * again by their path and compared by device and inode.
 *
 * Without user namespaces (plain) Landlock stands for the mount namespace. What it does not cover: chmod by path is not in
 * the filter; chown by path needs a privilege that an ordinary caller has not, and a privileged one is also in a root
 * directory of its own.
 *
 * Capabilities kept (all only over ids of the map): CHOWN, DAC_OVERRIDE, FOWNER, FSETID write files as other users and
 * with any mode, MKNOD whiteouts on kernels that ask for it, SETFCAP file capabilities.
 */
#include "role_confine_int.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/kern/landlock.h"
#include "rl/kern/mnt.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef OPEN_TREE_CLOEXEC
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x00000004
#endif

enum { NOFILE_LIMIT = 1024, ADDRESS_SPACE_GIB = 2 };

int confine_unshare(int targetfd, struct err *e)
{
	if (fchdir(targetfd) < 0)
		return err_sys(e, errno, "enter the target directory");
	unsigned tries = 0;
	int r;
	do
		r = unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
	while (r < 0 && idmap_try_again(errno, &tries));
	return r < 0 ? idmap_explain_clone(errno, e) : 0;
}

static int open_tree_of(const char *path, unsigned long attrs, struct err *e)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd < 0 && errno == ENOSYS && *path == '/') {
		/* A lower directory: it is only read, the mount of its own is a second line. */
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? err_sys(e, errno, "open %s", path) : fd;
	}
	if (fd < 0)
		return err_sys(e, errno, "clone the mount of %s", path);
	struct mount_attr attr = {.attr_set = attrs};
	/* Linux before 5.12 lacks the call; what it adds is a second line only. */
	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 && errno != ENOSYS) {
		int errnum = errno;
		close(fd);
		return err_sys(e, errnum, "set mount attributes of %s", path);
	}
	return fd;
}

static int replace_lower(int *fd, struct err *e)
{
	char link[32];
	char path[PATH_MAX];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", *fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return err_sys(e, errno, "find a lower directory");
	path[n] = '\0';
	autofd int tree = open_tree_of(path, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, e);
	if (tree < 0)
		return tree;
	struct stat was;
	struct stat is;
	if (fstat(*fd, &was) < 0 || fstat(tree, &is) < 0)
		return err_sys(e, errno, "stat %s", path);
	if (was.st_dev != is.st_dev || was.st_ino != is.st_ino)
		return err_set(e, ESTALE, "lower directory %s was moved meanwhile", path);
	close(*fd);
	*fd = take_fd(&tree);
	return 0;
}

/* Become the map's root, where it has one (a keep-id map without subordinate ids has not). */
static int become_root(const struct idmap *map, struct err *e)
{
	if (map->form != IDMAP_SINGLE && setgroups(0, NULL) < 0)
		return err_sys(e, errno, "drop supplementary groups");
	if (idmap_gid_to_host(map, 0) != IDMAP_UNMAPPED && setresgid(0, 0, 0) < 0)
		return err_sys(e, errno, "setresgid");
	if (idmap_uid_to_host(map, 0) != IDMAP_UNMAPPED && setresuid(0, 0, 0) < 0)
		return err_sys(e, errno, "setresuid");
	return 0;
}

static int mount_cwd_by_mount(struct err *e)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/cwd", path, sizeof(path) - 1);
	if (n < 0 || mount(".", ".", NULL, MS_BIND, NULL) < 0)
		return err_sys(e, errno, "mount the target directory");
	path[n] = '\0';
	autofd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fchdir(fd) < 0)
		return err_sys(e, errno, "enter the target's mount");
	if (mount(NULL, ".", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_sys(e, errno, "set mount attributes of the target");
	return take_fd(&fd);
}

/* The target as a mount of its own, entered. */
static int mount_cwd(struct err *e)
{
	struct err why = ERR_INIT;
	autofd int tree = open_tree_of(".", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &why);
	if (tree < 0)
		return mount_cwd_by_mount(e);
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(e, errno, "mount the target directory");
	return take_fd(&tree);
}

/* The current directory becomes "/" and the only mount. */
static int pivot_into_cwd(struct err *e)
{
	int r = mnt_make_all_private(e);
	if (r < 0)
		return r;
	autofd int tree = mount_cwd(e);
	if (tree < 0)
		return tree;
	if (fchdir(tree) < 0)
		return err_sys(e, errno, "enter the target's mount");
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(e, errno, "pivot_root into the target");
	/* The old root is now stacked on the new one; without it nothing of the host has a name any more. */
	if (umount2(".", MNT_DETACH) < 0)
		return err_sys(e, errno, "detach the old root");
	if (chdir("/") < 0)
		return err_sys(e, errno, "enter the new root");
	return 0;
}

int confine_enter(const struct idmap *map, int *lowerfds, size_t nlower, int *ret_rootfd, struct err *e)
{
	for (size_t i = 0; i < nlower; i++) {
		int r = replace_lower(&lowerfds[i], e);
		if (r < 0)
			return r;
	}
	/* Before the change of ids: a caller's private parent directories are only his to pass. */
	int r = pivot_into_cwd(e);
	if (r < 0) {
		idmap_hint_restricted(e);
		return r;
	}
	r = become_root(map, e);
	if (r < 0)
		return r;
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open the target directory");
	*ret_rootfd = fd;
	return 0;
}

int confine_enter_plain(int targetfd, const int *lowerfds, size_t nlower, int *ret_rootfd, struct err *e)
{
	autofd int root = openat(targetfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(e, errno, "open the target directory");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "prctl");
	autofree struct landlock_place *places = xcalloc(nlower + 1, sizeof(*places));
	places[0] = (struct landlock_place){.fd = root, .writable = true};
	for (size_t i = 0; i < nlower; i++)
		places[i + 1] = (struct landlock_place){.fd = lowerfds[i]};
	int r = landlock_restrict_files(places, nlower + 1, e);
	if (r < 0)
		return r;
	bool rooted = fchdir(root) == 0 && chroot(".") == 0;
	if (r == 0 && (!rooted || nlower)) {
		err_set(e, EPERM,
			"an archive is not read here: there are neither user namespaces nor Landlock to confine "
			"its reader");
		return err_hint(e,
				"allow user namespaces (rl doctor says how), or Landlock (Linux 5.19, lsm=landlock)");
	}
	*ret_rootfd = take_fd(&root);
	return 0;
}

static void lower_limit(int which, rlim_t value)
{
	struct rlimit lim;
	if (getrlimit(which, &lim) < 0)
		return;
	lim.rlim_max = RL_MIN(lim.rlim_max, value);
	lim.rlim_cur = lim.rlim_max;
	(void)setrlimit(which, &lim);
}

static const int allowed_calls[] = {
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(lseek),
	SCMP_SYS(_llseek),
	SCMP_SYS(close),
	SCMP_SYS(openat),
	SCMP_SYS(openat2),
	SCMP_SYS(fcntl),
	SCMP_SYS(fcntl64),
	SCMP_SYS(dup),
	SCMP_SYS(fstat),
	SCMP_SYS(fstat64),
	SCMP_SYS(newfstatat),
	SCMP_SYS(fstatat64),
	SCMP_SYS(statx),
	SCMP_SYS(fstatfs),
	SCMP_SYS(fstatfs64),
	SCMP_SYS(getdents64),
	SCMP_SYS(readlinkat),
	SCMP_SYS(ftruncate),
	SCMP_SYS(ftruncate64),
	SCMP_SYS(fallocate),
	SCMP_SYS(copy_file_range),
	SCMP_SYS(mkdirat),
	SCMP_SYS(mknodat),
	SCMP_SYS(symlinkat),
	SCMP_SYS(linkat),
	SCMP_SYS(unlinkat),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(fchmod),
	SCMP_SYS(fchown),
	SCMP_SYS(fchown32),
	SCMP_SYS(fchownat),
	SCMP_SYS(utimensat),
	SCMP_SYS(utimensat_time64),
	SCMP_SYS(fsetxattr),
	SCMP_SYS(fgetxattr),
	SCMP_SYS(flistxattr),
	SCMP_SYS(fremovexattr),
	SCMP_SYS(syncfs),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(umask),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvmsg),
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(futex_time64),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getegid),
	SCMP_SYS(getuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getrandom),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_gettime64),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
};

static int add_rules(scmp_filter_ctx ctx)
{
	int r = 0;
	for (size_t i = 0; i < ARRAY_SIZE(allowed_calls) && r == 0; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed_calls[i], 0);
	/* Memory that can be written or read, never executed. */
	const int mappers[] = {SCMP_SYS(mmap), SCMP_SYS(mmap2), SCMP_SYS(mprotect)};
	for (size_t i = 0; i < ARRAY_SIZE(mappers) && r == 0; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, mappers[i], 1, SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* Threads, not processes. clone3 hides its flags behind a pointer: libc falls back on ENOSYS. */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				     SCMP_A0_32(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	/* abort() and the sanitizers name their own thread; other processes have no numbers in here that matter. */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				     SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)getpid()));
	return r;
}

static int load_filter(struct err *e)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!ctx)
		return err_sys(e, ENOMEM, "seccomp");
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = add_rules(ctx);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r < 0 ? err_sys(e, -r, "load the unpacker's seccomp filter") : 0;
}

/* Only what there is can be kept. As plain root of the machine or of a container, no devices either. */
static void keep_capabilities(bool plain)
{
	static const unsigned wanted[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP};
	bool have[ARRAY_SIZE(wanted)];
	capng_get_caps_process();
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		have[i] = capng_have_capability(CAPNG_PERMITTED, wanted[i]) && !(plain && wanted[i] == CAP_MKNOD);
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (have[i])
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, wanted[i]);
}

int confine_drop(bool plain, struct err *e)
{
	lower_limit(RLIMIT_CORE, 0);
	lower_limit(RLIMIT_NOFILE, NOFILE_LIMIT);
#ifndef __SANITIZE_ADDRESS__
	/* A sanitizer reserves terabytes of address space; everywhere else this bounds what a header can make us do. */
	lower_limit(RLIMIT_AS, (rlim_t)ADDRESS_SPACE_GIB << 30);
#endif
	keep_capabilities(plain);
	/* Leaving the bounding set takes CAP_SETPCAP, which an ordinary caller has not; no_new_privs makes it idle. */
	if (capng_apply(plain ? CAPNG_SELECT_CAPS : CAPNG_SELECT_BOTH) != 0)
		return err_sys(e, errno, "drop capabilities");
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "prctl");
	/* Killed with whoever asked for this; a change of ids has cleared what proc_spawn set. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_sys(e, errno, "prctl");
	signal(SIGPIPE, SIG_IGN);
	return load_filter(e);
}
