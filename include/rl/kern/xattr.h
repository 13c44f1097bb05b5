/*
 * xattr.h - extended attributes by descriptor, and the control record that keeps what a file system could not hold.
 *
 * Model: a layer is unpacked as somebody who may own only some ids, may not make device nodes and may not set every
 * xattr. What the archive really said is kept in a *control record*, one per object:
 *
 *     record  := "1 " uid " " gid " " mode " " rdev-major " " rdev-minor "\n" { xattr }
 *     xattr   := name-length " " value-length "\n" name value          (those that could not be set, any bytes)
 *
 * uid, gid and numbers are decimal, mode is st_mode in octal with the file type. Where a record lives:
 *
 *     regular file, directory      xattr XATTR_STAT ("user.rl.stat") of itself
 *     fifo, socket, device that cannot be made (or fifo whose owner differs)
 *                                  an empty regular file takes its place, with that xattr
 *     symlink                      xattr XATTR_STAT_AT + NAME of the parent directory (NAME up to XATTR_NAME_PLAIN
 *                                  bytes); moved and removed together with the entry
 *     no user xattrs, no room, or a longer name
 *                                  the layer's sidecar file (rl/engine/archive.h), which wins over xattrs
 *
 * Meaning: uid and gid are the object's true owner. The type bits of mode say what it truly is. Its permission bits say
 * what they were when the record was written; those of the object stored count, a placeholder's too, so that a later
 * chmod is not lost. An object without record is what stat says.
 *
 * Whoever emulates ownership at run time keeps the same records. A record in a payload's writable layer may have been
 * written by the payload: it may only be believed if the writer is known (decision 6).
 *
 * Context: any role; no allocation beyond what is returned. Functions returning xattr data return 0 with an empty
 * result where the attribute or the support for attributes is missing.
 * Sources: xattr(7) (user.* only on regular files and directories), overlayfs.rst ("userxattr", "opaque").
 */
#ifndef RL_KERN_XATTR_H
#define RL_KERN_XATTR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

#define XATTR_OURS	 "user.rl."
#define XATTR_STAT	 "user.rl.stat"
#define XATTR_STAT_AT	 "user.rl.at."
#define XATTR_OVL_OPAQUE "user.overlay.opaque"

enum {
	XATTR_NAME_PLAIN = 200,	      /* longest entry name that is put behind XATTR_STAT_AT */
	XATTR_RECORD_MAX = 60 * 1024, /* longest record that is put into an xattr */
	XATTR_VALUE_MAX = 64 * 1024,  /* the kernel's limit */
};

struct xattr_stat {
	uint32_t uid;
	uint32_t gid;
	uint32_t mode; /* with type */
	uint32_t major;
	uint32_t minor;
};

/* True for names that steer overlayfs, other tools' ownership overrides, or are our own: never taken from an archive
 * and never put into one. */
bool xattr_is_control(const char *name);

/* Append the record of `st`, without xattrs, to out; then any number of xattr_record_add. */
void xattr_record_start(const struct xattr_stat *st, struct str *out);
void xattr_record_add(struct str *out, const char *name, const void *value, size_t len);
/* Parse the first line. Returns the offset of the xattr part, or -EBADMSG. Ids above 2^32-2 are refused. */
int xattr_record_parse(const char *record, size_t len, struct xattr_stat *ret_stat, struct err *e) RL_CHECK;
/* Step through the xattr part: *pos starts as the value xattr_record_parse returned. Returns 1 and one attribute
 * (borrowed; the name is not NUL-terminated), 0 at the end, -EBADMSG. */
int xattr_record_next(const char *record, size_t len, size_t *pos, const char **ret_name, size_t *ret_name_len,
		      const char **ret_value, size_t *ret_len, struct err *e) RL_CHECK;

/* Name of the attribute of the parent that holds the record of its entry `name`; false when the name is too long. */
bool xattr_at_name(const char *name, char ret[256]);

/* A fifo or socket has its record in its directory too. Its name may come to mean another one without anybody's notice, so
 * major and minor say which it is: these two numbers of the file itself, which stay when it is renamed, and are the same in
 * an overlay and below it. false: there is no such file. */
bool xattr_identity(int dirfd, const char *path, bool follow, uint32_t *ret_major, uint32_t *ret_minor);

/* All attribute names of an open file, NUL-separated in out. */
int xattr_list(int fd, struct str *out, struct err *e) RL_CHECK;
/* One value appended to out. Returns 1 if there is one, 0 if not. */
int xattr_get(int fd, const char *name, struct str *out, struct err *e) RL_CHECK;
/* Returns 0, or -errno without text for what the caller may answer by recording it: -EPERM, -ENOTSUP, -ENOSPC,
 * -E2BIG, -ERANGE, -EINVAL. */
int xattr_set(int fd, const char *name, const void *value, size_t len);

/* Do regular files and directories below this directory take user.* attributes? Tries it on the directory itself. */
bool xattr_has_user(int dirfd);

#endif
