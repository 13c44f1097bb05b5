/*
 * safepath.h - the only way to reach a path inside a container's root.
 *
 * Model: every function takes a descriptor of the root directory and a path that the image, the user or the payload
 * chose, and resolves it with openat2(2) so that ".." and absolute symlinks stay inside that root
 * (RESOLVE_IN_ROOT) and /proc's magic links are refused (RESOLVE_NO_MAGICLINKS). What is returned is a descriptor: the
 * caller acts on it (fd, /proc/self/fd/N for mounts), never on the string again. Where openat2 is missing (-ENOSYS,
 * old seccomp filters) a component-by-component walk with O_NOFOLLOW does the same.
 *
 * Modes are subject to the umask, as for mkdir(2) and open(2) (safepath_write_file's is not): a role that builds a root
 * sets umask(0) first.
 *
 * Context: any role; the walk is safe against concurrent renames inside the root, a swapped component is an error.
 * Errors: -ELOOP (magic link or too many links), -EXDEV, -ENOTDIR, -ENOENT as the kernel reports them.
 */
#ifndef RL_KERN_SAFEPATH_H
#define RL_KERN_SAFEPATH_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

/* open(2) flags and mode; O_CLOEXEC is added. O_CREAT creates only the last component, never through a symlink: it adds
 * O_NOFOLLOW, so a symlink that is there is -ELOOP, wherever it leads. */
int safepath_open(int rootfd, const char *path, int flags, mode_t mode, struct err *e) RL_CHECK;

/* An O_PATH descriptor of whatever is there. */
int safepath_locate(int rootfd, const char *path, struct err *e) RL_CHECK;

/* mkdir -p inside the root; returns an O_PATH descriptor of the directory. Existing components may be symlinks (they
 * are followed inside the root, and what they name is made if it is missing, except for a symlink at the last
 * component: -ELOOP if that leads to nothing); what is made gets `mode`. */
int safepath_mkdirs(int rootfd, const char *path, mode_t mode, struct err *e) RL_CHECK;

/* Make sure something is there to mount on: a directory if `dir`, else an empty regular file; parents are made (0755).
 * An existing object of the wrong type is -ENOTDIR or -EISDIR; a symlink there is followed inside the root, -ELOOP if
 * it leads to nothing. Returns an O_PATH descriptor of it. */
int safepath_mountpoint(int rootfd, const char *path, bool dir, mode_t mode, struct err *e) RL_CHECK;

/* Create or replace a small file of ours in the root, by rename: whatever was there (file, symlink, fifo, device; not a
 * directory) is replaced, never written to. Parents that are missing are made (0755). `mode` is exact. */
int safepath_write_file(int rootfd, const char *path, const void *data, size_t len, mode_t mode,
			struct err *e) RL_CHECK;

/* Read a regular file of the image of at most `max` bytes: symlinks inside the root are followed, fifos, devices and
 * directories are refused, the open never blocks. -ENOENT when it is not there. */
int safepath_read_file(int rootfd, const char *path, size_t max, struct str *out, struct err *e) RL_CHECK;

/* The parent must exist; -EEXIST when something is there. */
int safepath_symlink(int rootfd, const char *target, const char *path, struct err *e) RL_CHECK;

/* "/proc/self/fd/N" for system calls that want a path of a descriptor we hold. `ret` has room for 32 bytes. */
void safepath_fd_path(int fd, char ret[32]);

#endif
