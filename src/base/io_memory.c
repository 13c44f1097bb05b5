/* io_memory.c - files without a name; see rl/base/io.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rl/base/io.h"

int io_memory_file(const char *what, struct err *e)
{
	const char *const dirs[] = {getenv("TMPDIR"), "/dev/shm", "/tmp"};
	int fd = memfd_create(what, MFD_CLOEXEC);
	int errnum = errno;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]) && fd < 0; i++)
		if (dirs[i] && *dirs[i])
			fd = open(dirs[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd < 0 ? err_sys(e, errnum, "memfd_create") : fd;
}
