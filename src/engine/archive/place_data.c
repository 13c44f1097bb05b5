/*
 * place_data.c - the content of regular files, and the space it takes; part of place_int.h.
 */
#include <errno.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "place_int.h"

enum {
	SPACE_CHECK_EVERY = 32 << 20,
	SPACE_RESERVE = 16 << 20, /* left for the store's own records; less on small file systems */
};

int place_no_space(struct place *p, struct err *e)
{
	struct statvfs fs;
	unsigned long long free_mib = 0;
	bool inodes = false;
	if (fstatvfs(p->rootfd, &fs) == 0) {
		free_mib = (unsigned long long)fs.f_bavail * fs.f_frsize >> 20;
		inodes = fs.f_files && !fs.f_favail;
	}
	err_set(e, ENOSPC, "no space left in the store after %llu MiB of this layer (%llu MiB free%s)",
		(unsigned long long)p->result.unpacked_size >> 20, free_mib, inodes ? ", no inodes" : "");
	return err_hint(e, ARCHIVE_NO_SPACE_HINT);
}

static int check_space(struct place *p, struct err *e)
{
	struct statvfs fs;
	if (fstatvfs(p->rootfd, &fs) < 0)
		return 0;
	uint64_t reserve = RL_MIN((uint64_t)SPACE_RESERVE, (uint64_t)fs.f_blocks * fs.f_frsize / 64);
	return (uint64_t)fs.f_bavail * fs.f_frsize < reserve ? place_no_space(p, e) : 0;
}

int place_data(struct place *p, uint64_t offset, const void *data, size_t len, struct err *e)
{
	const char *at = data;
	if (offset > INT64_MAX - len)
		return err_set(e, EBADMSG, "%s: impossible size", p->file_path);
	for (size_t left = len; left;) {
		ssize_t n = pwrite(p->filefd, at, left, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ENOSPC || errno == EDQUOT ? place_no_space(p, e)
								  : err_sys(e, errno, "write %s", p->file_path);
		at += n;
		offset += (uint64_t)n;
		left -= (size_t)n;
	}
	p->file_end = RL_MAX(p->file_end, offset);
	p->result.unpacked_size += len;
	p->since_check += len;
	if (p->since_check < SPACE_CHECK_EVERY)
		return 0;
	p->since_check = 0;
	return check_space(p, e);
}
