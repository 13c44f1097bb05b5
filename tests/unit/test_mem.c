#include "rl/base/mem.h"

#include <fcntl.h>
#include <stdint.h>

#include "tap.h"

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int leave_scope_with_fd(void)
{
	autofd int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	errno = EXDEV;
	return fd;
}

static int take_out_of_scope(void)
{
	autofd int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return take_fd(&fd);
}

static char *take_pointer(void)
{
	autofree char *p = xstrdup("kept");
	return take_ptr(&p);
}

static int overflow(void *arg)
{
	(void)arg;
	close(STDERR_FILENO);
	free(xreallocarray(NULL, SIZE_MAX / 4, 8));
	return 0;
}

int main(void)
{
	tap_plan_later();
	char *p = xmalloc(0);
	tap_ok(p != NULL, "an allocation of nothing is a pointer that can be freed");
	p = xrealloc(p, 100);
	p = xrealloc(p, 0);
	tap_ok(p != NULL, "shrinking to nothing keeps a pointer");
	free(p);
	p = xcalloc(3, 5);
	bool zero = true;
	for (int i = 0; i < 15; i++)
		zero = zero && p[i] == 0;
	tap_ok(zero, "xcalloc gives zeroes");
	free(p);
	p = xstrndup("abcdef", 3);
	tap_is_str(p, "abc", "xstrndup cuts and terminates");
	free(p);
	p = xstrndup("ab", 100);
	tap_is_str(p, "ab", "xstrndup stops at the end of the string");
	free(p);
	p = xmemdup("a\0b", 4);
	tap_ok(memcmp(p, "a\0b", 4) == 0, "xmemdup copies bytes, NULs included");
	free(p);
	p = xmemdup(NULL, 0);
	tap_ok(p != NULL, "xmemdup of nothing is a pointer");
	free(p);
	p = xasprintf("%d-%s", 7, "x");
	tap_is_str(p, "7-x", "xasprintf formats");
	free(p);

	int fd = leave_scope_with_fd();
	tap_is_int(errno, EXDEV, "cleanups keep errno");
	tap_ok(!is_open(fd), "an autofd is closed when its scope ends");
	fd = take_out_of_scope();
	tap_ok(is_open(fd), "a taken descriptor stays open");
	close_fd(&fd);
	tap_is_int(fd, -1, "close_fd leaves -1 behind");
	close_fd(&fd);
	tap_ok(true, "close_fd on -1 is harmless");
	p = take_pointer();
	tap_is_str(p, "kept", "a taken pointer survives its scope");
	free(p);
	tap_is_int(tap_child_status(overflow, NULL), 125, "a product that overflows ends the process with 125");
	return tap_done();
}
