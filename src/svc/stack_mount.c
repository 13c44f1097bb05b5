/* stack_mount.c - see stack_mount.h. */
#include "stack_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/kern/mnt.h"

enum { STACK_ATTRS = MNT_RDONLY | MNT_NODEV | MNT_NOSUID };

/* Overlay wants two directories at least. */
static int bind_one(int dirfd, int over, struct err *e)
{
	autofd int fd = mnt_copy(dirfd, STACK_ATTRS, e);
	int r = fd < 0 ? fd : mnt_attach(fd, over, e);
	return r < 0 ? r : take_fd(&fd);
}

int stack_mount(const struct strv *dirs, const char *at, struct err *e)
{
	autofree int *fds = xcalloc(dirs->count + 1, sizeof(int));
	size_t opened = 0;
	int r = 0;
	for (; r >= 0 && opened < dirs->count; opened++) {
		fds[opened] = open(dirs->items[opened], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fds[opened] < 0)
			r = err_sys(e, errno, "layer %s", dirs->items[opened]);
	}
	const struct mnt_overlay o = {.lower = fds, .nlower = dirs->count, .upper = -1, .work = -1};
	autofd int over = r < 0 ? -1 : open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r >= 0 && over < 0)
		r = err_sys(e, errno, "open %s", at);
	if (r >= 0)
		r = dirs->count == 1 ? bind_one(fds[0], over, e) : mnt_overlay(&o, STACK_ATTRS, over, e);
	for (size_t i = 0; i < opened; i++)
		close_fd(&fds[i]);
	return r;
}
