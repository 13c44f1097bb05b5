/*
 * io.h - whole reads and writes, files replaced atomically, locks, and descriptors sent over sockets.
 *
 * Model: every descriptor made here is close-on-exec. Paths are relative to `dirfd` (AT_FDCWD allowed) and are paths of
 * ours (store, run directory, host configuration); paths inside a container go through rl/kern/safepath.h only.
 * Errors: all functions follow err.h; reads interrupted by a signal are continued.
 */
#ifndef RL_BASE_IO_H
#define RL_BASE_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

/* Write all of it, or -errno. */
int io_write_all(int fd, const void *data, size_t len, struct err *e) RL_CHECK;
/* Read up to `len` bytes; fewer only at end of file. Returns the number read. */
ssize_t io_read_full(int fd, void *data, size_t len, struct err *e) RL_CHECK;
/* Write to `to` what is left to read of `from`, where the kernel cannot copy by itself. */
int io_copy_rest(int from, int to, struct err *e) RL_CHECK;
/* Append the rest of fd to `out`; -EFBIG past `max` bytes. `what` names it in errors. */
int io_read_rest(int fd, size_t max, const char *what, struct str *out, struct err *e) RL_CHECK;
/* Read a whole regular file, at most `max` bytes. -ENOENT is returned like any other failure, text included. */
int io_read_file(int dirfd, const char *path, size_t max, struct str *out, struct err *e) RL_CHECK;

/* Replace `path` by a file with this content: temporary name beside it, (fsync if durable), rename. Never follows a
 * symlink at `path`. A reader sees the old file or the new one. */
int io_replace_file(int dirfd, const char *path, const void *data, size_t len, mode_t mode, bool durable,
		    struct err *e) RL_CHECK;
/* Create or truncate and write; for files nobody reads concurrently. */
int io_write_file(int dirfd, const char *path, const void *data, size_t len, mode_t mode, struct err *e) RL_CHECK;

/* Rename where nothing may be replaced: 0, or -1 with errno (EEXIST). NFS and FUSE know no RENAME_NOREPLACE: there a file is
 * linked and unlinked, and a directory, which replaces an empty one at most, renamed. */
int io_rename_new(int olddir, const char *oldname, int newdir, const char *newname);

/* mkdir -p below dirfd with `mode` for what is made; existing directories are left as they are. */
int io_mkdirs(int dirfd, const char *path, mode_t mode, struct err *e) RL_CHECK;
/* Append the names in a directory but "." and "..", in no order; dirfd must be readable, and its position stays. A list
 * that cannot be read to its end is an error: what is not in it would be taken for gone. */
int io_list_dir(int dirfd, struct strv *out, struct err *e) RL_CHECK;
/* Open a directory (O_DIRECTORY|O_CLOEXEC), making it and its parents first if `create`. Returns the fd. */
int io_open_dir(int dirfd, const char *path, bool create, mode_t mode, struct err *e) RL_CHECK;
/* Remove a tree without following symlinks or crossing into anything mounted on it. A path that is not there is
 * success. Permission bits of directories that we own are widened where they stand in the way. On NFS and FUSE files that are
 * still open somewhere stay until they are closed, and their directory with them: success as well. */
int io_remove_tree(int dirfd, const char *path, struct err *e) RL_CHECK;

/* Whole-file advisory locks (flock(2)): they vanish with the last descriptor, so a crash releases them.
 * io_lock waits; io_try_lock returns 1 when taken, 0 when somebody else holds it. File systems that refuse locks
 * (-ENOLCK, -EOPNOTSUPP) are reported as success with a debug line: single writers still work there. */
/* Where that is so nobody can be told from the dead, and nothing may be removed because its lock is free: */
bool io_can_lock(int fd); /* fd is not locked yet */
int io_lock(int fd, bool exclusive, struct err *e) RL_CHECK;
int io_try_lock(int fd, bool exclusive, struct err *e) RL_CHECK;

/* Random bytes (getrandom), and `n` bytes as lower-case hex into ret_hex[2 * n + 1]. */
void io_random(void *data, size_t len);
void io_random_hex(size_t n, char *ret_hex);
void io_hex(const void *data, size_t n, char *ret_hex);

/* Close every descriptor from `first` up. */
int io_close_from(int first, struct err *e) RL_CHECK;
/* Move fd to a number >= 3 with close-on-exec, so that it cannot be mistaken for stdio. Closes the old one. */
int io_move_high(int fd, struct err *e) RL_CHECK;
/* Clear or set close-on-exec. */
int io_set_cloexec(int fd, bool on, struct err *e) RL_CHECK;
int io_set_nonblock(int fd, bool on, struct err *e) RL_CHECK;

/* A nameless file, empty, open for reading and writing, for what passes between processes: in memory, or, where an outer
 * filter refuses memfd_create, in the first of TMPDIR, /dev/shm, /tmp that takes one. */
int io_memory_file(const char *what, struct err *e) RL_CHECK;

#endif
