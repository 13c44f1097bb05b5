/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
/*
 * What the confined program holds while it works: looked at from outside, in /proc, while it waits for a pipe.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive_role_test.h"
#include "archive_tar.h"

/* One "Name:\tvalue" line of /proc/PID/status. */
static char *status_field(pid_t pid, const char *name)
{
	autofree char *path = xasprintf("/proc/%d/status", (int)pid);
	autostr struct str text = STR_INIT;
	struct err e = ERR_INIT;
	if (io_read_file(AT_FDCWD, path, 1 << 16, &text, &e) < 0)
		return xstrdup("");
	autofree char *key = xasprintf("\n%s:", name);
	const char *p = strstr(text.buf, key);
	if (!p)
		return xstrdup("");
	p += strlen(key);
	p += strspn(p, " \t");
	return xstrndup(p, strcspn(p, "\n"));
}

/* The link text, or "?" where it may not be read: the role is not dumpable, and only its owner's root sees it then. */
static char *proc_link(pid_t pid, const char *name)
{
	autofree char *path = xasprintf("/proc/%d/%s", (int)pid, name);
	char text[4096];
	ssize_t n = readlink(path, text, sizeof(text) - 1);
	return n < 0 ? xstrdup("?") : xstrndup(text, (size_t)n);
}

static void wait_for_filter(pid_t pid)
{
	/* The handshake ends before the filter is loaded; the state is polled because nothing announces it. */
	for (int i = 0; i < 2000; i++) {
		autofree char *mode = status_field(pid, "Seccomp");
		if (str_eq(mode, "2"))
			return;
		usleep(1000);
	}
}

static void look(pid_t pid, bool is_root)
{
	wait_for_filter(pid);
	autofree char *seccomp = status_field(pid, "Seccomp");
	autofree char *nnp = status_field(pid, "NoNewPrivs");
	autofree char *eff = status_field(pid, "CapEff");
	autofree char *prm = status_field(pid, "CapPrm");
	autofree char *bnd = status_field(pid, "CapBnd");
	autofree char *inh = status_field(pid, "CapInh");
	tap_is_str(seccomp, "2", "a seccomp filter is on");
	tap_is_str(nnp, "1", "no_new_privs is on");
	/* CHOWN DAC_OVERRIDE FOWNER FSETID MKNOD SETFCAP */
	tap_is_str(eff, "000000008800001b", "six capabilities are effective");
	tap_is_str(prm, eff, "and no more are permitted");
	tap_is_str(bnd, "0000000000000000", "the bounding set is empty");
	tap_is_str(inh, "0000000000000000", "nothing is inheritable");
	static const char *const kinds[] = {"user", "mnt", "net", "ipc", "uts"};
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		autofree char *name = xasprintf("ns/%s", kinds[i]);
		autofree char *theirs = proc_link(pid, name);
		autofree char *ours = proc_link(getpid(), name);
		if (str_eq(theirs, "?"))
			tap_skip("only root may look", "own namespace");
		else
			tap_ok(!str_eq(theirs, ours), "its %s namespace is its own", kinds[i]);
	}
	if (!is_root) {
		tap_skip("only root may look", "its root directory and mounts");
		return;
	}
	autofree char *root = xasprintf("/proc/%d/root", (int)pid);
	autofd int rootfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat here;
	struct stat up;
	tap_ok(rootfd >= 0 && fstat(rootfd, &here) == 0 && fstatat(rootfd, "..", &up, 0) == 0,
	       "its root can be looked at");
	tap_ok(fstatat(rootfd, "proc", &up, 0) < 0 && fstatat(rootfd, "etc", &up, 0) < 0,
	       "and has nothing of the host");
	autofree char *mounts = xasprintf("/proc/%d/mountinfo", (int)pid);
	autostr struct str text = STR_INIT;
	struct err e = ERR_INIT;
	tap_ok(io_read_file(AT_FDCWD, mounts, 1 << 20, &text, &e) == 0 &&
	               strchr(text.buf, '\n') == text.buf + text.len - 1,
	       "it is the only mount");
	tap_ok(strstr(text.buf, "nosuid") && strstr(text.buf, "nodev") && strstr(text.buf, "noexec"),
	       "from which nothing can be executed");
	bool only = true;
	for (int fd = 0; fd < 64; fd++) {
		autofree char *name = xasprintf("fd/%d", fd);
		autofree char *target = proc_link(pid, name);
		only &= str_eq(target, "?") || fd < 3 || str_after(target, "socket:") || str_after(target, "pipe:") ||
		        str_eq(target, "/") || strstr(target, "rl-unit.");
	}
	tap_ok(only, "its descriptors are the socket, the blob and the root");
}

int main(int argc, char **argv)
{
	if (role_test_main(argc, argv))
		return 125;
	tap_plan_later();
	struct err e = ERR_INIT;
	tap_is_int(archive_role_main(ARCHIVE_ROLE_UNPACK, &e), -EINVAL, "started by hand it does nothing");
	autofree char *top = tap_tmpdir();
	struct idmap map;
	if (idmap_detect(true, &map, &e) < 0)
		return 1;
	autostr struct str tar = STR_INIT;
	tar_add(&tar, &(struct tar_item){.name = "./", .type = '5', .mode = 0755});
	tar_end(&tar);
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0 || write(fds[1], tar.buf, 512) != 512)
		return 1;
	autofd int target = role_test_dir(top, "target");
	struct archive_job job = ARCHIVE_JOB_NONE;
	int r = archive_unpack_start(
	        &(struct archive_unpack){.program = ROLE_PROGRAM, .map = &map, .blobfd = fds[0], .targetfd = target},
	        &job, &e);
	if (!tap_is_int(r, 0, "a role is at work"))
		err_print(&e);
	else
		look(job.child.pid, geteuid() == 0);
	close(fds[0]);
	bool wrote = write(fds[1], tar.buf + 512, tar.len - 512) > 0;
	close(fds[1]);
	struct archive_unpacked u;
	tap_ok(wrote && archive_unpack_finish(&job, &u, &e) == 0, "and comes to its end");
	tap_is_int(io_remove_tree(AT_FDCWD, top, &e), 0, "cleaned up");
	return tap_done();
}
