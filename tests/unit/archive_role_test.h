/*
 * archive_role_test.h - for tests that are their own confined program: first thing in main,
 *     if (role_test_main(argc, argv)) return 125;
 * and "/proc/self/exe" as the program in requests.
 */
#ifndef TESTS_ARCHIVE_ROLE_TEST_H
#define TESTS_ARCHIVE_ROLE_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/engine/archive.h"
#include "rl/engine/archive_role.h"
#include "tap.h"

#define ROLE_PROGRAM "/proc/self/exe"

static inline bool role_test_main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	if (argc != 2 || (!str_eq(argv[1], "unpack") && !str_eq(argv[1], "extract")))
		return false;
	(void)!archive_role_main(str_eq(argv[1], "unpack") ? ARCHIVE_ROLE_UNPACK : ARCHIVE_ROLE_EXTRACT, &e);
	return true;
}

static inline int role_test_blob(const struct str *blob)
{
	int fd = memfd_create("blob", MFD_CLOEXEC);
	if (fd < 0 || io_write_all(fd, blob->buf, blob->len, NULL) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		exit(1);
	return fd;
}

static inline unsigned role_test_fds(void)
{
	autodir DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;
	while (d && readdir(d))
		n++;
	return n;
}

/* A fresh directory `name` below top; returns its descriptor. */
static inline int role_test_dir(const char *top, const char *name)
{
	autofree char *path = xasprintf("%s/%s", top, name);
	return io_open_dir(AT_FDCWD, path, true, 0755, NULL);
}

/* A role in the middle of its work: it has seen the first `at` bytes of the tar and waits for more in *ret_writer. */
static inline void role_test_stuck(const struct idmap *map, const char *top, const char *name, const struct str *tar,
				   size_t at, struct archive_job *job, int *ret_writer)
{
	struct err e = ERR_INIT;
	int fds[2];
	autofd int target = role_test_dir(top, name);
	if (pipe2(fds, O_CLOEXEC) < 0 || write(fds[1], tar->buf, at) != (ssize_t)at)
		exit(1);
	int r = archive_unpack_start(
		&(struct archive_unpack){.program = ROLE_PROGRAM, .map = map, .blobfd = fds[0], .targetfd = target},
		job, &e);
	close(fds[0]);
	if (r < 0) {
		err_print(&e);
		exit(1);
	}
	*ret_writer = fds[1];
}

/* One "Name:\tvalue" line of /proc/PID/status. */
static inline char *role_test_status(pid_t pid, const char *name)
{
	autofree char *path = xasprintf("/proc/%d/status", (int)pid);
	autostr struct str text = STR_INIT;
	if (io_read_file(AT_FDCWD, path, 1 << 16, &text, NULL) < 0)
		return xstrdup("");
	autofree char *key = xasprintf("\n%s:", name);
	const char *p = strstr(text.buf, key);
	if (!p)
		return xstrdup("");
	p += strlen(key);
	p += strspn(p, " \t");
	return xstrndup(p, strcspn(p, "\n"));
}

/* The handshake ends before the filter is loaded; the state is polled because nothing announces it. */
static inline void role_test_wait_filter(pid_t pid)
{
	for (int i = 0; i < 2000; i++) {
		autofree char *mode = role_test_status(pid, "Seccomp");
		if (str_eq(mode, "2"))
			return;
		usleep(1000);
	}
}

#endif
