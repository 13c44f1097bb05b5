/*
 * host_image.h - `rl run host`: a container whose image is this machine; shared by the files of svc/container.
 *
 * The root is a tmpfs in which the parts stand (host_walk.h). On disk, in the container's directory: `host/NAME/upper` is what
 * the container wrote in the part that NAME stands for, a path without its first slash in which '/' is written "%2F" and '%'
 * "%25". `host/NAME/work` is overlayfs's; a part without it is a directory that was taken apart, and its upper one a plain
 * directory, in which mount points and copies of symlinks stand beside what was written. Parts are found anew at every
 * start; what was written stays under the name of its path.
 */
#ifndef RL_SVC_HOST_IMAGE_H
#define RL_SVC_HOST_IMAGE_H

#include "container_int.h"
#include "rl/kern/tree.h"

/* The reference is exactly "host". An image of that name is reached by its whole name (localhost/host). */
bool host_image_is(const struct run_opts *o);

/* Before anything else is decided: what differs from a container with an image if no option says otherwise. The user's
 * own id and nothing else, the user's directory, shell, PATH, HOME and language. -EINVAL for options that have no
 * meaning here. */
int host_image_defaults(struct run_opts *o, struct err *e) RL_CHECK;
/* The root and the parts, into the spec; makes their directories unless o->explain. */
int host_image_build(struct container *c, struct err *e) RL_CHECK;

/* Once the masked paths of the spec are known: the store is one of them, whatever was unmasked. */
void host_image_hide_store(struct container *c);

/* File of the container's directory: absolute paths, each with a NUL, at which something of ours stands for what the machine
 * had there when the container was started. */
#define HOST_IMAGE_PLACES "host-places"
enum { HOST_IMAGE_PLACES_MAX = 16 << 20 };

/* Name of the part's directory below `host`; NULL if the path is too long for one. And back: a path with its slash. */
char *host_image_part_name(const char *path);
char *host_image_part_path(const char *name);
/* What it has written. */
int host_image_measure(int dirfd, struct tree_stats *ret_stats, struct err *e) RL_CHECK;

#endif
