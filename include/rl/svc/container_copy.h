/*
 * container_copy.h - the files of a container: what was changed in them, copies in and out, images and archives of them.
 *
 * Model: a container's files are a stack of directories: its writable layer, frozen layers of its snapshots, the
 * image's layers. What only reads them (diff, commit, export) reads the directories themselves, in the user namespace
 * of the container's id map, and mounts nothing. What means the container's files as its processes see them (copy)
 * enters a running container's mount namespace, or stacks the layers of a stopped one in a throw-away mount namespace.
 *
 * `root` is --root or NULL, `name` a container's name, id or unique prefix. Errors: -ENOENT with a suggestion,
 * -EOPNOTSUPP for containers that run on a directory of the host (--rootfs), whose changes nobody recorded.
 */
#ifndef RL_SVC_CONTAINER_COPY_H
#define RL_SVC_CONTAINER_COPY_H

#include <stdbool.h>

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"
#include "rl/model/image_proto.h"
#include "rl/svc/image.h"

/* Array of {"kind":"A"|"C"|"D","path":"/..."}, parents first, sorted by name. */
int container_diff(const char *root, const char *name, json_t **ret_changes, struct err *e) RL_CHECK;

struct container_commit_opts {
	const char *root;
	const char *container;
	const char *image;	      /* reference, or NULL */
	const struct strv *changes;   /* Dockerfile instructions */
	const char *message, *author; /* or NULL */
	const char *format;	      /* oci (NULL), docker */
	bool pause;		      /* stop a running container's processes meanwhile */
	bool squash;
};
int container_commit(const struct container_commit_opts *o, const struct image_ui *ui, struct image_added *ret_added,
		     struct err *e) RL_CHECK;

struct container_cp_opts {
	const char *root;
	const char *source,
		*dest;	/* CONTAINER:PATH, a path of this machine, or "-" (a tar); at least one is a container's */
	bool archive;	/* owners are kept: as the container numbers them */
	bool follow;	/* a symlink at the source's end */
	bool overwrite; /* a directory gives way to something else, and the reverse */
};
/* docker's rules (rl/engine/copy.h). What runs in the container may change it meanwhile, and can lead nothing out. */
int container_cp(const struct container_cp_opts *o, struct err *e) RL_CHECK;

struct container_export_opts {
	const char *root;
	const char *name;   /* a container's, or an image's where there is no such container */
	const char *output; /* file, or "-" */
	const char *format; /* tar (NULL), squashfs, ext4, erofs */
};
/* Everything it shows together, mounts left out: as one tar, or as a file system image by a program of the machine. A
 * file appears when it is whole. */
int container_export(const struct container_export_opts *o, struct err *e) RL_CHECK;

#endif
