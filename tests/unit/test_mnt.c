/* Mounts and overlays by descriptor, in a user namespace of our own. */
#include "rl/kern/mnt.h"

#include <sys/statvfs.h>

#include "tests/platform/platform.h"

static int dir_fd(const char *path)
{
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* A tmpfs of this mount namespace to work in; its files vanish with it. */
static int enter_tmpfs(void)
{
	struct err e = ERR_INIT;
	autofd int root = dir_fd("/");
	autofd int target = dir_fd("/tmp");
	if (mnt_propagation(root, true, MS_PRIVATE, &e) < 0)
		return 101;
	autofd int fd = mnt_new("tmpfs", "mode=700,size=16m", MNT_NOSUID, target, &e);
	if (fd < 0)
		return 102;
	return chdir("/tmp") < 0 ? 103 : 0;
}

static int new_fs(void *arg)
{
	(void)arg;
	struct statvfs fs;
	struct stat st;
	int r = enter_tmpfs();
	if (r)
		return r;
	if (statvfs("/tmp", &fs) < 0 || !(fs.f_flag & ST_NOSUID))
		return 1;
	if (stat("/tmp", &st) < 0 || (st.st_mode & 07777) != 0700)
		return 2;
	return fs.f_blocks * fs.f_frsize == 16 << 20 ? 0 : 3;
}

static int bad_option(void *arg)
{
	(void)arg;
	struct err e = ERR_INIT;
	autofd int target = dir_fd("/tmp");
	autofd int fd = mnt_new("tmpfs", "no_such_option=1", 0, target, &e);
	return fd < 0 && e.text[0] ? 0 : 1;
}

static int bind_read_only(void *arg)
{
	(void)arg;
	struct err e = ERR_INIT;
	int r = enter_tmpfs();
	if (r)
		return r;
	if (mkdir("a", 0700) < 0 || mkdir("b", 0700) < 0 || mkdir("a/inside", 0700) < 0)
		return 1;
	autofd int a = dir_fd("a");
	autofd int b = dir_fd("b");
	autofd int bound = mnt_bind(a, "", false, MNT_RDONLY, 0, b, &e);
	if (bound < 0)
		return 2;
	if (access("b/inside", F_OK) < 0)
		return 3;
	if (mkdir("b/new", 0700) == 0 || errno != EROFS)
		return 4;
	if (mkdir("a/new", 0700) < 0) /* the clone is frozen, not the source */
		return 5;
	if (mnt_setattr(bound, false, 0, MNT_RDONLY, &e) < 0)
		return 6;
	return mkdir("b/later", 0700) < 0 ? 7 : 0;
}

static int pivot(void *arg)
{
	(void)arg;
	struct err e = ERR_INIT;
	int r = enter_tmpfs();
	if (r)
		return r;
	if (mkdir("/tmp/only", 0700) < 0)
		return 1;
	autofd int root = dir_fd("/tmp");
	if (mnt_pivot(root, &e) < 0)
		return 2;
	char cwd[64];
	if (!getcwd(cwd, sizeof(cwd)) || strcmp(cwd, "/") != 0)
		return 3;
	if (access("/only", F_OK) < 0)
		return 4;
	return access("/proc", F_OK) == 0 || access("/etc", F_OK) == 0 ? 5 : 0;
}

static int make(const char *path, const char *text)
{
	autofd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

static bool says(const char *path, const char *text)
{
	char buf[64] = "";
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, buf, sizeof(buf) - 1) >= 0 && strcmp(buf, text) == 0;
}

/* 3 layers, or as many as *arg says: the number decides how the option string is made. */
static int overlay(void *arg)
{
	const int n = *(const int *)arg;
	struct err e = ERR_INIT;
	int lower[OVL_LOWER_MAX];
	char path[64];
	int r = enter_tmpfs();
	if (r)
		return r;
	if (mkdir("up", 0700) < 0 || mkdir("work", 0700) < 0 || mkdir("on", 0700) < 0)
		return 1;
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "l%d", i);
		if (mkdir(path, 0700) < 0)
			return 2;
		lower[i] = dir_fd(path);
		snprintf(path, sizeof(path), "l%d/same", i);
		if (lower[i] < 0 || make(path, i == 0 ? "top" : "below") < 0)
			return 3;
	}
	snprintf(path, sizeof(path), "l%d/bottom", n - 1);
	if (make(path, "deep") < 0)
		return 4;
	autofd int upper = dir_fd("up");
	autofd int work = dir_fd("work");
	autofd int on = dir_fd("on");
	const struct mnt_overlay o = {lower, (size_t)n, upper, work, true};
	autofd int fd = mnt_overlay(&o, MNT_NODEV, on, &e);
	if (fd < 0)
		return 5;
	if (!says("on/same", "top") || !says("on/bottom", "deep"))
		return 6;
	if (make("on/new", "x") < 0 || !says("up/new", "x"))
		return 7;
	for (int i = 0; i < n; i++)
		close(lower[i]);
	return 0;
}

static int overlay_read_only(void *arg)
{
	(void)arg;
	struct err e = ERR_INIT;
	int r = enter_tmpfs();
	if (r)
		return r;
	if (mkdir("a", 0700) < 0 || mkdir("b", 0700) < 0 || mkdir("on", 0700) < 0 || make("a/file", "a") < 0)
		return 1;
	int lower[] = {dir_fd("a"), dir_fd("b")};
	autofd int on = dir_fd("on");
	const struct mnt_overlay o = {lower, 2, -1, -1, false};
	autofd int fd = mnt_overlay(&o, 0, on, &e);
	if (fd < 0)
		return 2;
	if (!says("on/file", "a"))
		return 3;
	return mkdir("on/new", 0700) < 0 ? 0 : 4;
}

int main(void)
{
	int few = 3;
	int many = 150;
	int most = OVL_LOWER_MAX;
	tap_plan_later();
	single(CLONE_NEWNS, new_fs, NULL, "a new file system gets its options and its attributes");
	single(CLONE_NEWNS, bad_option, NULL, "an option the file system does not know is an error with a text");
	single(CLONE_NEWNS, bind_read_only, NULL, "a bind may be read-only while its source stays writable");
	single(CLONE_NEWNS, pivot, NULL, "after the pivot nothing of the host is left");
	single(CLONE_NEWNS, overlay, &few, "an overlay shows the top layer first and writes to the upper directory");
	single(CLONE_NEWNS, overlay, &many, "so does one of 150 layers, whose names do not fit a page");
	single(CLONE_NEWNS, overlay, &most, "so does one of 500");
	single(CLONE_NEWNS, overlay_read_only, NULL, "two layers without an upper directory are a read-only overlay");
	return tap_done();
}
