#include "rl/kern/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "tap.h"

static struct idmap ranged_map(void)
{
	struct idmap m = {.form = IDMAP_RANGED, .nuid = 3, .ngid = 2, .key = "sub-x"};
	m.uid[0] = (struct idmap_extent){0, 1000, 1};
	m.uid[1] = (struct idmap_extent){1, 100000, 10};
	m.uid[2] = (struct idmap_extent){11, 500000, 5};
	m.gid[0] = (struct idmap_extent){0, 100, 1};
	m.gid[1] = (struct idmap_extent){1, 100000, 65536};
	return m;
}

static void test_parse(void)
{
	static const struct {
		const char *text;
		size_t n;
		uint32_t start;
		uint32_t count;
		const char *sentence;
	} cases[] = {
		{"amy:100000:65536\n", 1, 100000, 65536, "a line by name"},
		{"1000:200000:65536", 1, 200000, 65536, "a line by number, without newline at the end"},
		{"bob:1:2\namy:3:4\n", 1, 3, 4, "lines of others are skipped"},
		{"amyx:1:2\nxamy:1:2\n10001:1:2\n", 0, 0, 0, "a longer name or number is another owner"},
		{"amy:1:2:3\namy:1\namy\n:1:2\namy::2\namy:1:\n", 0, 0, 0,
		 "lines with a wrong number of fields or empty "
		 "ones are skipped"},
		{"amy:-1:5\namy:+1:5\namy: 1:5\namy:0x10:5\namy:1:5 \n", 0, 0, 0,
		 "signs, spaces and hexadecimal are not "
		 "numbers"},
		{"amy:99999999999:1\namy:1:99999999999\namy:4294967296:1\n", 0, 0, 0,
		 "numbers past 32 bits are skipped"},
		{"amy:4294967295:1\namy:4294967290:6\n", 0, 0, 0, "a range that contains 2^32-1 is skipped"},
		{"amy:4294967290:5\n", 1, 4294967290u, 5, "a range that ends at 2^32-2 is taken"},
		{"amy:5:0\n", 0, 0, 0, "an empty range is skipped"},
		{"\n\n:::\n\0amy:1:2\namy:7:8\n", 1, 7, 8, "NUL bytes and empty lines do not stop the search"},
		{"", 0, 0, 0, "an empty file has no ranges"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct idmap_extent r[4] = {{0, 0, 0}};
		size_t n = 0;
		size_t len = i == 10 ? 23 : strlen(cases[i].text);
		idmap_parse_subids(cases[i].text, len, "amy", 1000, r, 4, &n);
		tap_ok(n == cases[i].n && (n == 0 || (r[0].outside == cases[i].start && r[0].count == cases[i].count)),
		       "subid lines: %s", cases[i].sentence);
	}
	struct idmap_extent r[3];
	size_t n = 0;
	const char many[] = "amy:1:1\n1000:10:1\namy:20:1\namy:30:1\n";
	idmap_parse_subids(many, strlen(many), "amy", 1000, r, 3, &n);
	tap_ok(n == 3 && r[0].outside == 1 && r[1].outside == 10 && r[2].outside == 20,
	       "subid lines: several lines of one user, by name and by number, are taken in order up to the limit");
}

static void test_algebra(void)
{
	struct idmap m = ranged_map();
	tap_is_int(idmap_uid_to_host(&m, 0), 1000, "container 0 is the caller");
	tap_is_int(idmap_uid_to_host(&m, 15), 500004, "the last id is in the last range");
	tap_is_int(idmap_uid_to_host(&m, 16), IDMAP_UNMAPPED, "an id past the ranges is not mapped");
	tap_is_int(idmap_uid_from_host(&m, 100009), 10, "host ids are found back");
	tap_is_int(idmap_gid_from_host(&m, 99999), IDMAP_UNMAPPED, "a host id below the range is not mapped");

	struct idmap k;
	struct err e = ERR_INIT;
	tap_is_int(idmap_keepid(&m, 3, 1000, &k, &e), 0, "an id inside the range can be kept");
	tap_is_int(idmap_uid_to_host(&k, 3), 1000, "keep-id: the kept id is the caller");
	tap_ok(idmap_uid_to_host(&k, 0) == 100000 && idmap_uid_to_host(&k, 2) == 100002 &&
		       idmap_uid_to_host(&k, 4) == 100004 && idmap_uid_to_host(&k, 10) == 500000,
	       "keep-id: every other container id n is subordinate id n");
	tap_is_int(idmap_uid_from_host(&k, 100003), IDMAP_UNMAPPED,
		   "keep-id: the subordinate id under the kept one is left out");
	tap_is_int(k.form, IDMAP_KEEPID, "keep-id: the form says so");
	tap_is_str(k.key, "keep-x", "keep-id: the key depends on the ranges and not on the kept id");
	static const uint32_t edges[] = {0, 9, 10, 14, 15};
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++) {
		int r = idmap_keepid(&m, edges[i], 0, &k, &e);
		size_t total = 0;
		for (size_t j = 0; r == 0 && j < k.nuid; j++)
			total += k.uid[j].count;
		tap_ok(r == 0 && idmap_uid_to_host(&k, edges[i]) == 1000 && total == (edges[i] == 15 ? 16 : 15),
		       "keep-id: id %u at the edge of a range", edges[i]);
	}
	tap_is_int(idmap_keepid(&m, 16, 0, &k, &e), -EINVAL,
		   "keep-id: further out than one past the ranges is refused");
	tap_is_int(idmap_keepid(&m, 0, IDMAP_UNMAPPED, &k, &e), -EINVAL, "keep-id: 2^32-1 is refused");

	struct idmap s = {.form = IDMAP_SINGLE, .nuid = 1, .ngid = 1, .key = "single"};
	s.uid[0] = (struct idmap_extent){0, 1000, 1};
	s.gid[0] = (struct idmap_extent){0, 100, 1};
	tap_ok(idmap_keepid(&s, 1000, 100, &k, &e) == 0 && k.form == IDMAP_SINGLE && k.uid[0].inside == 1000 &&
		       k.gid[0].inside == 100 && str_eq(k.key, "single"),
	       "keep-id: a single map stays single with the inside ids changed");
	struct idmap root = {.form = IDMAP_IDENTITY, .nuid = 1, .ngid = 1, .key = "identity"};
	tap_is_int(idmap_keepid(&root, 1000, 1000, &k, &e), -EINVAL, "keep-id: root cannot be another id");
	tap_is_int(idmap_keepid(&root, 0, 0, &k, &e), 0, "keep-id: root stays root");

	tap_is_int(idmap_nomap(&m, &k, &e), 0, "a map without the caller");
	tap_ok(idmap_uid_to_host(&k, 0) == 100000 && idmap_uid_to_host(&k, 9) == 100009 &&
		       idmap_uid_to_host(&k, 10) == 500000 && idmap_uid_to_host(&k, 15) == IDMAP_UNMAPPED &&
		       idmap_gid_to_host(&k, 65535) == 165535,
	       "nomap: container id n is subordinate id n");
	tap_ok(idmap_uid_from_host(&k, 1000) == IDMAP_UNMAPPED && idmap_gid_from_host(&k, 100) == IDMAP_UNMAPPED,
	       "nomap: the caller does not exist inside");
	tap_is_str(k.key, "keep-x", "nomap: layers are those of keep-id");
	tap_is_int(idmap_nomap(&s, &k, &e), -EINVAL, "nomap: refused without subordinate ids");
}

static void test_detect(void)
{
	struct err e = ERR_INIT;
	struct idmap m;
	tap_is_int(idmap_detect(true, &m, &e), 0, "a single map can be forced");
	tap_ok(m.form == IDMAP_SINGLE && m.nuid == 1 && m.uid[0].outside == geteuid() && m.uid[0].count == 1 &&
		       str_eq(m.key, "single") && m.why_single[0] == '\0',
	       "a forced single map is the caller alone and gives no reason");
	setenv("RL_IDMAP", "single", 1);
	tap_ok(idmap_detect(false, &m, &e) == 0 && m.form == IDMAP_SINGLE, "RL_IDMAP=single forces it too");
	setenv("RL_IDMAP", "double", 1);
	tap_is_int(idmap_detect(false, &m, &e), -EINVAL, "another value of RL_IDMAP is an error");
	unsetenv("RL_IDMAP");
	tap_is_int(idmap_detect(false, &m, &e), 0, "a map is found for whoever we are");
	tap_diag("map %s, %zu uid and %zu gid extents, %s", m.key, m.nuid, m.ngid, m.why_single);
	tap_ok((m.form == IDMAP_SINGLE) == (m.why_single[0] != '\0'),
	       "a single map that nobody asked for has a reason");
	if (geteuid() == 0)
		tap_ok(m.form != IDMAP_RANGED, "root needs no subordinate ids");
}

/* Exit status: a bit for each property that does not hold. */
static int root_of_namespace(void *arg)
{
	const struct idmap *m = arg;
	int bad = 0;
	autostr struct str text = STR_INIT;
	struct err e = ERR_INIT;
	if (geteuid() != 0 || getuid() != 0 || getegid() != 0)
		bad |= 1;
	if (m->form != IDMAP_SINGLE && getgroups(0, NULL) != 0)
		bad |= 2;
	if (io_read_file(AT_FDCWD, "/proc/self/setgroups", 64, &text, &e) < 0 ||
	    str_eq(text.buf, "deny\n") != (m->form == IDMAP_SINGLE))
		bad |= 4;
	/* All capabilities: a mount namespace of our own and something mounted in it. */
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/tmp", "tmpfs", 0, NULL) < 0)
		bad |= 8;
	int fd = open("/tmp/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return bad | 16;
	bool has_one = idmap_uid_to_host(m, 1) != IDMAP_UNMAPPED && idmap_gid_to_host(m, 1) != IDMAP_UNMAPPED;
	if ((fchown(fd, 1, 1) == 0) != has_one)
		bad |= 32;
	text.len = 0;
	int pid_ns_is_ours = getpid() == 1;
	close(fd);
	return bad | (pid_ns_is_ours ? 64 : 0);
}

static void spawn_with(const struct idmap *m, const char *name)
{
	struct err e = ERR_INIT;
	struct proc_child c;
	int r = userns_spawn(m, 0, root_of_namespace, (void *)(uintptr_t)m, &c, &e);
	if (!tap_ok(r == 0, "a child is started in a user namespace with %s", name)) {
		tap_diag("%s (%s)", e.text, e.hint);
		return;
	}
	tap_is_int(proc_wait(&c, "child", &e), 0,
		   "it is root there, with capabilities, without groups, and the ids of the map");
}

static void test_spawn(void)
{
	struct err e = ERR_INIT;
	struct idmap m;
	if (idmap_detect(true, &m, &e) == 0)
		spawn_with(&m, "a single map");
	struct idmap own;
	if (idmap_detect(false, &own, &e) < 0)
		return;
	spawn_with(&own, own.key);
	if (own.form == IDMAP_RANGED) {
		struct idmap k;
		if (tap_ok(idmap_keepid(&own, 1000, 1000, &k, &e) == 0, "uid 1000 can be kept"))
			spawn_with(&k, "a keep-id map");
		if (tap_ok(idmap_nomap(&own, &k, &e) == 0, "the caller can be left out"))
			spawn_with(&k, "a map without the caller");
	} else {
		tap_skip("no subordinate ids here", "keep-id maps are written");
	}
	struct proc_child c;
	int r = userns_spawn(&m, CLONE_NEWPID, root_of_namespace, &m, &c, &e);
	tap_ok(r == 0 && proc_wait(&c, "child", &e) == 64, "further namespaces are made in the same clone");
}

static int sleep_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return 0;
}

static int spawn_and_die(void *arg)
{
	struct err e = ERR_INIT;
	struct idmap m;
	struct proc_child c;
	if (idmap_detect(true, &m, &e) < 0 || userns_spawn(&m, 0, sleep_for_ever, NULL, &c, &e) < 0)
		return 1;
	return write(*(int *)arg, &c.pid, sizeof(c.pid)) == sizeof(c.pid) ? 0 : 1;
}

static void test_parent_death(void)
{
	int fds[2];
	if (pipe(fds) < 0)
		return;
	/* The grandchild holds the write end too: end of file is its death. */
	pid_t pid = -1;
	int status = tap_child_status(spawn_and_die, &fds[1]);
	close(fds[1]);
	char byte;
	tap_ok(status == 0 && read(fds[0], &pid, sizeof(pid)) == sizeof(pid) && read(fds[0], &byte, 1) == 0,
	       "the child dies with the process that started it");
	close(fds[0]);
}

/* The helpers are looked for in PATH first: scripts of ours stand in for them. */
static void test_helper_failure(void)
{
	autofree char *dir = tap_tmpdir();
	struct err e = ERR_INIT;
	autofree char *u = xasprintf("%s/newuidmap", dir);
	autofree char *g = xasprintf("%s/newgidmap", dir);
	static const char script[] =
		"#!/bin/sh\necho \"newuidmap: uid range [1-11) -> [1-11) not allowed\" >&2\nexit 1\n";
	static const char quiet[] = "#!/bin/sh\nexit 3\n";
	static const char good[] = "#!/bin/sh\necho noise\nexit 0\n";
	autofree char *old_path = xstrdup(getenv("PATH"));
	setenv("PATH", dir, 1);
	struct idmap m = ranged_map();
	struct idmap_job job;

	(void)!io_write_file(AT_FDCWD, u, script, strlen(script), 0755, &e);
	(void)!io_write_file(AT_FDCWD, g, good, strlen(good), 0755, &e);
	int r = idmap_start(&m, getpid(), &job, &e);
	tap_ok(r == 0 && idmap_finish(&job, &e) == -EPERM, "a helper that fails is an error");
	tap_has(e.text, "newuidmap: uid range [1-11) -> [1-11) not allowed", "what it printed is in the error");
	tap_has(e.hint, "/etc/subuid", "and the hint names the file to look at");
	tap_ok(job.stderr_fd == -1 && job.newuidmap.pid == -1, "the job is empty afterwards");

	(void)!io_write_file(AT_FDCWD, u, good, strlen(good), 0755, &e);
	(void)!io_write_file(AT_FDCWD, g, quiet, strlen(quiet), 0755, &e);
	err_clear(&e);
	r = idmap_start(&m, getpid(), &job, &e);
	tap_ok(r == 0 && idmap_finish(&job, &e) == -EPERM, "the other helper's failure is an error too");
	(void)!io_write_file(AT_FDCWD, g, good, strlen(good), 0755, &e);
	err_clear(&e);
	r = idmap_start(&m, getpid(), &job, &e);
	tap_ok(r == 0 && idmap_finish(&job, &e) == 0, "noise of helpers that succeed is nothing");
	r = idmap_start(&m, getpid(), &job, &e);
	idmap_cancel(&job);
	idmap_cancel(&job);
	tap_ok(r == 0 && waitpid(-1, NULL, WNOHANG) == -1,
	       "a cancelled job leaves no child, and can be cancelled twice");

	unlink(g);
	mkdir(g, 0755);
	setenv("PATH", old_path, 1);
	(void)!io_remove_tree(AT_FDCWD, dir, &e);
}

/* In a user namespace of its own the limits may be changed: they count for it alone. */
static int forbid_and_clone(void *arg)
{
	struct err e = ERR_INIT;
	const char *name = arg;
	autofree char *path = xasprintf("/proc/sys/user/max_%s_namespaces", name);
	if (io_write_file(AT_FDCWD, path, "0", 1, 0, &e) < 0)
		return 77;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)
		return 1;
	int errnum = errno;
	autofree char *want = xasprintf("user.max_%s_namespaces", name);
	int r = idmap_explain_clone(errnum, &e);
	return r == -errnum && strstr(e.text, want) && strstr(e.hint, want) ? 0 : 2;
}

/* Sysctls that only other kernels have: a file system of ours over /proc/sys/kernel. */
static int patched_kernel(void *arg)
{
	struct err e = ERR_INIT;
	(void)arg;
	if (mount("none", "/proc/sys/kernel", "tmpfs", 0, NULL) < 0)
		return 77;
	if (idmap_hint_restricted(&e))
		return 1;
	err_set(&e, EPERM, "write the map");
	(void)!io_write_file(AT_FDCWD, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", 2, 0644, &e);
	if (!idmap_hint_restricted(&e) || !strstr(e.hint, "apparmor_parser") || !strstr(e.hint, "test_idmap"))
		return 2;
	if (strlen(e.hint) >= ERR_HINT_SIZE - 1 || !strstr(e.hint, "kernel.apparmor_restrict_unprivileged_userns=0"))
		return 3;
	err_clear(&e);
	(void)!io_write_file(AT_FDCWD, "/proc/sys/kernel/unprivileged_userns_clone", "0\n", 2, 0644, &e);
	if (idmap_explain_clone(EPERM, &e) != -EPERM || !strstr(e.hint, "sysctl -w kernel.unprivileged_userns_clone=1"))
		return 4;
	return 0;
}

static int in_chroot(void *arg)
{
	struct err e = ERR_INIT;
	(void)arg;
	if (mount("none", "/mnt", "tmpfs", 0, NULL) < 0 || mkdir("/mnt/proc", 0755) < 0 ||
	    mount("/proc", "/mnt/proc", NULL, MS_BIND | MS_REC, NULL) < 0)
		return 77;
	if (chroot("/mnt/proc/..") < 0 || chdir("/") < 0)
		return 1;
	/* A mount point would do as a root; a directory below one does not. */
	if (mkdir("/deeper", 0755) < 0 || mkdir("/deeper/proc", 0755) < 0 ||
	    mount("/proc", "/deeper/proc", NULL, MS_BIND | MS_REC, NULL) < 0 || chroot("/deeper") < 0 || chdir("/") < 0)
		return 2;
	if (unshare(CLONE_NEWUSER) == 0 || errno != EPERM)
		return 3;
	return idmap_explain_clone(EPERM, &e) == -EPERM && strstr(e.hint, "chroot") ? 0 : 4;
}

/* As docker's filter does it without CAP_SYS_ADMIN. */
static int filtered(void *arg)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = ARRAY_SIZE(code), .filter = code};
	struct err e = ERR_INIT;
	(void)arg;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		return 77;
	if (unshare(CLONE_NEWUSER) == 0)
		return 1;
	return idmap_explain_clone(errno, &e) == -EPERM && strstr(e.hint, "seccomp=unconfined") ? 0 : 2;
}

static int no_new_privs(void *arg)
{
	struct err e = ERR_INIT;
	struct idmap m;
	(void)arg;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (idmap_detect(false, &m, &e) < 0)
		return 1;
	return m.form == IDMAP_SINGLE && strstr(m.why_single, "no_new_privs") ? 0 : 2;
}

static int no_subids_exist(void *arg)
{
	(void)arg;
	struct idmap m;
	struct err e = ERR_INIT;
	if (idmap_detect(false, &m, &e) < 0)
		return 1;
	return m.form == IDMAP_SINGLE && strstr(m.why_single, "only one id exists") ? 0 : 2;
}

/* As root of a ranged namespace: what exists is mapped onto itself, and the kernel takes it. */
static int root_again(void *arg)
{
	struct err e = ERR_INIT;
	struct idmap m;
	struct proc_child c;
	const struct idmap *outer = arg;
	if (idmap_detect(false, &m, &e) < 0 || m.form != IDMAP_IDENTITY)
		return 1;
	for (uint32_t id = 0; id < 100; id++)
		if (idmap_uid_to_host(outer, id) != IDMAP_UNMAPPED && idmap_uid_to_host(&m, id) != id)
			return 2;
	if (userns_spawn(&m, CLONE_NEWNS, root_of_namespace, &m, &c, &e) < 0)
		return 3;
	return proc_wait(&c, "child", &e) == 0 ? 0 : 4;
}

static void test_nested(void)
{
	struct err e = ERR_INIT;
	struct idmap m;
	struct proc_child c;
	static const char *const kinds[] = {"user", "net"};
	if (idmap_detect(true, &m, &e) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int r = userns_spawn(&m, 0, forbid_and_clone, (void *)(uintptr_t)kinds[i], &c, &e);
		tap_ok(r == 0 && proc_wait(&c, "child", &e) == 0,
		       "a clone refused by user.max_%s_namespaces=0 is explained by its name and remedy", kinds[i]);
	}
	static const struct {
		int (*fn)(void *);
		const char *sentence;
	} refusals[] = {
		{patched_kernel, "Ubuntu's and Debian's sysctls against user namespaces are explained with the remedy"},
		{in_chroot, "a clone refused because of a chroot is explained"},
		{filtered, "a clone refused by an outer seccomp filter is explained"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		int s = userns_spawn(&m, CLONE_NEWNS, refusals[i].fn, NULL, &c, &e);
		s = s < 0 ? s : proc_wait(&c, "child", &e);
		if (s == 77)
			tap_skip("this kernel has no way to show it", refusals[i].sentence);
		else
			tap_is_int(s, 0, refusals[i].sentence);
	}
	int r = userns_spawn(&m, 0, no_subids_exist, NULL, &c, &e);
	tap_ok(r == 0 && proc_wait(&c, "child", &e) == 0, "where only one id exists, the map is single and says why");
	struct idmap own;
	if (idmap_detect(false, &own, &e) == 0 && own.form != IDMAP_SINGLE) {
		r = userns_spawn(&own, 0, root_again, &own, &c, &e);
		tap_is_int(r < 0 ? r : proc_wait(&c, "child", &e), 0,
			   "root of a user namespace maps all its ids again");
	} else {
		tap_skip("no subordinate ids here", "root of a user namespace maps all its ids again");
	}
	if (geteuid() != 0 && idmap_detect(false, &own, &e) == 0 && own.form == IDMAP_RANGED)
		tap_is_int(tap_child_status(no_new_privs, NULL), 0,
			   "under no_new_privs the map is single and says why");
	tap_is_int(idmap_explain_clone(EINVAL, &e), -EINVAL, "a kernel without user namespaces is explained");
	tap_has(e.hint, "CONFIG_USER_NS", "by the option that it lacks");
}

int main(void)
{
	tap_plan_later();
	test_parse();
	test_algebra();
	test_detect();
	test_spawn();
	test_parent_death();
	test_helper_failure();
	test_nested();
	return tap_done();
}
