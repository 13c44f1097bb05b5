/*
 * mnt.h - mounts by descriptor.
 *
 * operation            system calls (new API)                               where the new API is refused
 * new file system      fsopen, fsconfig..., fsmount -> detached fd           mount(2) on the target descriptor's /proc path
 * bind                 open_tree(CLONE [|RECURSIVE]) -> detached fd          mount(2) MS_BIND [| MS_REC]
 * attributes           mount_setattr(fd [, RECURSIVE])                       mount(2) MS_REMOUNT|MS_BIND (not recursive)
 * attach               move_mount(fd -> target descriptor)                   (part of the two above)
 * propagation          mount_setattr(propagation)                            mount(2) MS_PRIVATE...
 *
 * Model: sources are looked up in the caller's own mount namespace (the kernel refuses to clone a mount of another one,
 * so these run in the container's child before pivot_root). Targets are O_PATH descriptors made by rl/kern/safepath.h.
 * Sources: mount_namespaces(7), fs/namespace.c; open_tree(2), move_mount(2), mount_setattr(2).
 *
 * Context: role child (capability SYS_ADMIN over its user namespace). Returned descriptors are close-on-exec and the
 * caller's. Errors: -EPERM with the kernel's reason named where it is known (locked mounts, masked procfs).
 */
#ifndef RL_KERN_MNT_H
#define RL_KERN_MNT_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"

/* Mount attributes; the values are the kernel's MOUNT_ATTR_* so that no table is needed. */
enum mnt_attr {
	MNT_RDONLY = 0x00000001,
	MNT_NOSUID = 0x00000002,
	MNT_NODEV = 0x00000004,
	MNT_NOEXEC = 0x00000008,
	MNT_NOATIME = 0x00000010,
	MNT_STRICTATIME = 0x00000020, /* neither: relatime */
	MNT_NODIRATIME = 0x00000080,
	MNT_NOSYMFOLLOW = 0x00200000,
};

/* What a propagation request means to the kernel: MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE. */

/* Make a new instance of a file system and attach it at `targetfd` (O_PATH).
 * options: comma separated "key=value" and "flag" words as mount(8) knows them, or NULL.
 * Returns an O_PATH-like descriptor of the new mount's root. */
int mnt_new(const char *fstype, const char *options, unsigned attrs, int targetfd, struct err *e) RL_CHECK;

/* The same with a source that means something to the file system: a block device, a share. NULL: `fstype`. */
int mnt_new_from(const char *fstype, const char *source, const char *options, unsigned attrs, int targetfd,
		 struct err *e) RL_CHECK;

/* A new instance mounted nowhere, for mnt_attach, also in another mount namespace. As mnt_copy, only with new calls. */
int mnt_new_detached(const char *fstype, unsigned attrs, struct err *e) RL_CHECK;

/* A detached clone of the tree at an absolute path, with attributes and, if usernsfd is not -1, its owners seen through
 * that user namespace's map (mount_setattr(2), "ID-mapped mounts"). For mnt_attach, also in another mount namespace. */
struct mnt_detached {
	const char *source;
	bool recursive;
	unsigned set, clear; /* of the top */
	int usernsfd;
	bool map_recursive;
};
int mnt_detached(const struct mnt_detached *d, struct err *e) RL_CHECK;
int mnt_attach(int fd, int targetfd, struct err *e) RL_CHECK;

/* Attach a clone of the tree at source (path below `sourcefd`, or "" for the descriptor itself) to `targetfd`.
 * set/clear: attributes to change on the clone, on every mount in it if `recursive`. Returns the mount's descriptor. */
int mnt_bind(int sourcefd, const char *source, bool recursive, unsigned set, unsigned clear, int targetfd,
	     struct err *e) RL_CHECK;

/* Change attributes of the mount that `fd` lies in. */
int mnt_setattr(int fd, bool recursive, unsigned set, unsigned clear, struct err *e) RL_CHECK;

/* A copy of the mount `sourcefd` lies in, mounted nowhere, and where to; either in a process of its own. Needs the mount
 * system calls of Linux 5.2: -ENOSYS, -EPERM where an outer filter refuses them. */
int mnt_copy(int sourcefd, unsigned set, struct err *e) RL_CHECK;

/* Change propagation of the mount at fd (MS_PRIVATE, MS_SLAVE, MS_SHARED), recursively if asked. */
int mnt_propagation(int fd, bool recursive, unsigned long how, struct err *e) RL_CHECK;

/* Make the root of this mount namespace `rootfd` (a mount of its own) and drop the old one, with everything mounted in
 * it. The caller's working directory is "/" of the new root afterwards. */
int mnt_pivot(int rootfd, struct err *e) RL_CHECK;
/* The same by moving the mount over "/" and chroot, for a host whose root is the initial ramdisk. What was "/" stays
 * mounted below and cannot be named any more. */
int mnt_move_to_root(int rootfd, struct err *e) RL_CHECK;

/* Make every mount of this namespace private. Outer filters may know only mount(2), or only what came after it:
 * whichever of the two works is used. */
int mnt_make_all_private(struct err *e) RL_CHECK;
/* Make the mount that `fd` lies in private, so that nothing mounted on it is seen elsewhere. */
int mnt_make_private_around(int fd, struct err *e) RL_CHECK;

/* Overlay. lower: descriptors of directories of this mount namespace (O_PATH will do), TOP first, 1..500
 * (OVL_LOWER_MAX). upper and work: likewise, or -1 for a read-only overlay. The option string is kept under one page by /proc/self/fd paths, and above that by short symlinks
 * in a throw-away tmpfs (decision 8). Sources: kernel Documentation/filesystems/overlayfs.rst, fs/overlayfs/super.c. */
enum { OVL_LOWER_MAX = 500 };

struct mnt_overlay {
	const int *lower;
	size_t nlower;
	int upper;
	int work;
	bool is_volatile; /* no syncs: only for containers that are thrown away */
};

int mnt_overlay(const struct mnt_overlay *o, unsigned attrs, int targetfd, struct err *e) RL_CHECK;
/* The file system or a policy says no, so something else is worth trying. Not: a layer is missing, memory is short. */
bool mnt_overlay_is_refused(int code);

/* Empty work directory `work` (a name in dirfd) of an overlay that is mounted no more, as far as what the kernel itself
 * left there goes: directories without permissions, one in the other, which cost a walk of the tree most of its time.
 * What is not as expected stays for whoever removes the rest. Only for directories nobody else can write to. */
void mnt_overlay_clear_work(int dirfd, const char *work);

#endif
