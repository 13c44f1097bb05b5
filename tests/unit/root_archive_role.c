/* links: engine/archive kern base; libs: -lcap-ng -lseccomp -ljansson */
/*
 * The namespaces, mounts and descriptors of the confined program: only root may look, because it is not dumpable.
 */
#include <sys/stat.h>

#include "archive_role_test.h"
#include "archive_tar.h"

static char *proc_link(pid_t pid, const char *name)
{
	autofree char *path = xasprintf("/proc/%d/%s", (int)pid, name);
	char text[4096];
	ssize_t n = readlink(path, text, sizeof(text));
	return n < 0 ? xstrdup("?") : xstrndup(text, (size_t)n);
}

static void look(pid_t pid)
{
	static const char *const kinds[] = {"user", "mnt", "net", "ipc", "uts"};
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		autofree char *name = xasprintf("ns/%s", kinds[i]);
		autofree char *theirs = proc_link(pid, name);
		autofree char *ours = proc_link(getpid(), name);
		tap_ok(!str_eq(theirs, "?") && !str_eq(theirs, ours), "its %s namespace is its own", kinds[i]);
	}
	autofree char *root = xasprintf("/proc/%d/root", (int)pid);
	autofd int rootfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	tap_ok(rootfd >= 0 && fstatat(rootfd, "proc", &st, 0) < 0 && fstatat(rootfd, "../etc", &st, 0) < 0,
	       "its root directory has nothing of the host");
	autofree char *mounts = xasprintf("/proc/%d/mountinfo", (int)pid);
	autostr struct str text = STR_INIT;
	tap_ok(io_read_file(AT_FDCWD, mounts, 1 << 20, &text, NULL) == 0 && text.len &&
		       strchr(text.buf, '\n') == text.buf + text.len - 1,
	       "it is the only mount");
	tap_ok(strstr(text.buf, "nosuid") && strstr(text.buf, "nodev") && strstr(text.buf, "noexec"),
	       "from which nothing can be executed");
	bool only = true;
	for (int fd = 3; fd < 1024; fd++) {
		autofree char *name = xasprintf("fd/%d", fd);
		autofree char *target = proc_link(pid, name);
		only &= str_eq(target, "?") || str_after(target, "socket:") || str_after(target, "pipe:") ||
			str_eq(target, "/");
		if (!only)
			tap_diag("%d: %s", fd, target);
	}
	tap_ok(only, "its descriptors are the socket, the blob and its root");
}

int main(int argc, char **argv)
{
	if (role_test_main(argc, argv))
		return 125;
	tap_plan_later();
	struct err e = ERR_INIT;
	struct idmap map;
	if (idmap_detect(false, &map, &e) < 0)
		return 1;
	autostr struct str tar = STR_INIT;
	tar_add(&tar, &(struct tar_item){.name = "./", .type = '5', .mode = 0755});
	tar_end(&tar);
	autofree char *top = tap_tmpdir();
	struct archive_job job = ARCHIVE_JOB_NONE;
	int writer;
	role_test_stuck(&map, top, "target", &tar, 512, &job, &writer);
	role_test_wait_filter(job.child.pid);
	look(job.child.pid);
	bool wrote = write(writer, tar.buf + 512, tar.len - 512) > 0;
	close(writer);
	struct archive_unpacked u;
	tap_ok(wrote && archive_unpack_finish(&job, &u, &e) == 0, "and it comes to its end");
	tap_is_int(io_remove_tree(AT_FDCWD, top, &e), 0, "cleaned up");
	return tap_done();
}
