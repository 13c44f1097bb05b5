/*
 * platform.h - proving a property of the kernel from inside fresh namespaces.
 *
 * A property is a function that runs as the root of a user namespace (and the further namespaces asked for) and returns
 * 0 when it holds, LACKS when this kernel cannot show it, or else a number of its own that says where it failed
 * (shown). `single` properties run in a map of the caller's id alone, `ranged` ones with subordinate ids.
 */
#ifndef TESTS_PLATFORM_H
#define TESTS_PLATFORM_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/str.h"
#include "rl/kern/idmap.h"
#include "tap.h"

enum { LACKS = 77 };

static inline void prop_with(const struct idmap *map, int flags, int (*fn)(void *), void *arg, const char *sentence)
{
	struct err e = ERR_INIT;
	struct proc_child c;
	int r = userns_spawn(map, flags, fn, arg, &c, &e);
	int status = r < 0 ? r : proc_wait(&c, "child", &e);
	if (status == LACKS)
		tap_skip("this kernel has no way to show it", sentence);
	else if (!tap_ok(status == 0, "%s", sentence))
		tap_diag("failed at %d %s", status, e.text);
}

static inline void single(int flags, int (*fn)(void *), void *arg, const char *sentence)
{
	struct err e = ERR_INIT;
	struct idmap map;
	if (idmap_detect(true, &map, &e) < 0)
		tap_ok(false, "%s: %s", sentence, e.text);
	else
		prop_with(&map, flags, fn, arg, sentence);
}

RL_UNUSED static inline void ranged(int flags, int (*fn)(void *), void *arg, const char *sentence)
{
	struct err e = ERR_INIT;
	struct idmap map;
	if (idmap_detect(false, &map, &e) < 0)
		tap_ok(false, "%s: %s", sentence, e.text);
	else if (idmap_uid_to_host(&map, 1) == IDMAP_UNMAPPED)
		tap_skip("no subordinate ids here", sentence);
	else
		prop_with(&map, flags, fn, arg, sentence);
}

/* One write; 0 or -errno. */
RL_UNUSED static inline int put(const char *path, const char *text)
{
	autofd int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* The content without the newline at its end, or "" */
RL_UNUSED static inline char *get(const char *path)
{
	autostr struct str text = STR_INIT;
	if (io_read_file(AT_FDCWD, path, 1 << 20, &text, NULL) == 0 && text.len && text.buf[text.len - 1] == '\n')
		str_cut(&text, text.len - 1);
	return text.len ? str_take(&text) : xstrdup("");
}

#endif
