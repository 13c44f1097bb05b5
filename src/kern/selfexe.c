#include "rl/kern/selfexe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/proc.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

enum { SEAL_TRIES = 50 }; /* each waits for about 0.1 s in the kernel (mm/memfd.c, memfd_wait_for_pins) */
enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

/* May an id that is mapped into our containers write this inode? Mapped are the caller and its subordinate ids; a file
 * of a subordinate id has group or other bits or belongs to nobody who runs rl, so the caller and the bits decide. */
static bool is_writable_inside(int fd, const struct stat *st)
{
	struct statvfs fs;
	if (fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_RDONLY))
		return false;
	uid_t caller = geteuid();
	return caller == 0 || st->st_uid == caller || (st->st_mode & (S_IWGRP | S_IWOTH));
}

static int copy_sealed(int from, off_t size, struct err *e)
{
	autofd int fd = memfd_create("rl", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 every memfd is executable and the flag unknown */
		fd = memfd_create("rl", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_sys(e, errno, "memfd_create");
	off_t done = 0;
	while (done < size) {
		ssize_t n = sendfile(fd, from, &done, (size_t)(size - done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(e, n < 0 ? errno : EIO, "copy the rl binary");
	}
	if (fchmod(fd, 0500) < 0)
		return err_sys(e, errno, "chmod the copy");
	/* EBUSY: something in the kernel (page migration, say) held a page for longer than the call waits for that. */
	for (int tries = 0; fcntl(fd, F_ADD_SEALS, SEALS) < 0; tries++)
		if (errno != EBUSY || tries >= SEAL_TRIES)
			return err_sys(e, errno, "seal the copy");
	return take_fd(&fd);
}

int selfexe_protect(char **argv, struct err *e)
{
	autofd int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (self < 0) {
		log_debug(LOG_SECURITY, "no /proc/self/exe: it cannot be reached from a container either");
		return 0;
	}
	/* Only a memfd has seals, and only ours are sealed so: this is how the copy knows itself, not by a variable that
	 * anybody can set. */
	int seals = fcntl(self, F_GET_SEALS);
	if (seals >= 0 && (seals & SEALS) == SEALS)
		return 0;
	struct stat st;
	if (fstat(self, &st) < 0)
		return err_sys(e, errno, "stat the rl binary");
	if (!is_writable_inside(self, &st))
		return 0;
	setenv("RL_LIBEXEC", proc_libexec_dir(), 1);
	setenv("RL_SHARE", proc_share_dir(), 1);
	log_export();
	autofd int copy = copy_sealed(self, st.st_size, e);
	if (copy < 0)
		return err_ctx(e, "protect the rl binary from the container");
	log_debug(LOG_SECURITY, "going on in a sealed copy: the binary is writable by a user of the container");
	fexecve(copy, argv, environ);
	return err_sys(e, errno, "execute the sealed copy of rl");
}
