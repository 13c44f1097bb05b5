/* place.c - a path in its place: in a container's root, or on this machine; see copy.h. */
#include <errno.h>
#include <fcntl.h>

#include "copy_int.h"
#include "rl/kern/safepath.h"

int copy_open(const struct copy_place *p, const char *path, int flags, struct err *e)
{
	if (p->host) {
		int fd = open(path, flags | O_CLOEXEC);
		return fd < 0 ? err_sys(e, errno, "%s", path) : fd;
	}
	struct err why = ERR_INIT;
	int fd = safepath_open(p->rootfd, path, flags, 0, &why);
	if (fd >= 0)
		return fd;
	return err_sys(e, -fd, "%s in the container", path);
}
