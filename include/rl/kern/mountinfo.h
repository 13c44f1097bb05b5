/*
 * mountinfo.h - the mount table of the caller's mount namespace, seen from its root.
 *
 * Source: proc_pid_mountinfo(5); src in fs/proc_namespace.c. Mounts outside of the caller's root are not in it.
 * Ownership: mountinfo_free releases the table; its strings are unescaped ("\040" is a space again).
 * Context: any role. Errors: those of opening /proc/self/mountinfo; lines that cannot be read are left out.
 */
#ifndef RL_KERN_MOUNTINFO_H
#define RL_KERN_MOUNTINFO_H

#include <stdbool.h>
#include <stddef.h>

#include "rl/base/err.h"

struct mountinfo_entry {
	char *root;    /* directory of the file system that is mounted */
	char *point;   /* absolute path */
	char *type;    /* "ext4", "fuse.sshfs" */
	char *options; /* of the file system, "rw,memory" */
};

struct mountinfo {
	struct mountinfo_entry *items; /* in the order of the kernel: a mount comes after what it stands on */
	size_t count;
};

int mountinfo_read(struct mountinfo *ret, struct err *e) RL_CHECK;
void mountinfo_free(struct mountinfo *m);
/* The same from text: any bytes may be given. */
void mountinfo_parse(const char *text, struct mountinfo *ret);

/* Some mount stands strictly below `path`, a cleaned absolute path. */
bool mountinfo_has_below(const struct mountinfo *m, const char *path);
/* What is mounted at exactly `path`, the uppermost; NULL if nothing is. */
const struct mountinfo_entry *mountinfo_at(const struct mountinfo *m, const char *path);

#endif
