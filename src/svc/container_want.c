/*
 * container_want.c - what others want of a container's monitor: the file `want` in its directory (monitor_int.h).
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "monitor_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"

static const char *const want_words[] = {[WANT_POLICY] = "", [WANT_STOP] = "stop", [WANT_RESTART] = "restart"};

/* A symlink that leads nowhere: it needs no block of a disk that the container may have filled. */
enum container_want container_want_get(int dirfd)
{
	char text[16];
	ssize_t n = readlinkat(dirfd, "want", text, sizeof(text) - 1);
	if (n <= 0)
		return WANT_POLICY;
	text[n] = '\0';
	return str_eq(text, want_words[WANT_RESTART]) ? WANT_RESTART : WANT_STOP;
}

int container_want_set(int dirfd, enum container_want w, struct err *e)
{
	static const char what[] = "what is wanted of the container";
	char suffix[17];
	if (w == WANT_POLICY) {
		if (unlinkat(dirfd, "want", 0) < 0 && errno != ENOENT)
			return err_sys(e, errno, "%s", what);
		return 0;
	}
	io_random_hex(8, suffix);
	autofree char *temporary = xasprintf("want.%s.tmp", suffix);
	if (symlinkat(want_words[w], dirfd, temporary) < 0)
		return err_sys(e, errno, "%s", what);
	if (renameat(dirfd, temporary, dirfd, "want") == 0)
		return 0;
	int errnum = errno;
	unlinkat(dirfd, temporary, 0);
	return err_sys(e, errnum, "%s", what);
}
