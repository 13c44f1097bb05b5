/*
 * archive_role_test.h - for tests that are their own confined program: first thing in main,
 *     if (role_test_main(argc, argv)) return 125;
 * and "/proc/self/exe" as the program in requests.
 */
#ifndef TESTS_ARCHIVE_ROLE_TEST_H
#define TESTS_ARCHIVE_ROLE_TEST_H

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

#endif
