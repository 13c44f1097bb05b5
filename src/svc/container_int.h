/*
 * container_int.h - what the files of svc/container share: one container while it is being run.
 *
 * Ownership: struct container owns everything in it; container_close releases memory and descriptors and, for a
 * container that is to be thrown away, its directory.
 */
#ifndef RL_SVC_CONTAINER_INT_H
#define RL_SVC_CONTAINER_INT_H

#include "rl/engine/net.h"
#include "rl/engine/runtime.h"
#include "rl/engine/seccomp_plan.h"
#include "rl/engine/store.h"
#include "rl/kern/idmap.h"
#include "rl/model/rtspec.h"
#include "rl/model/run_opts.h"
#include "rl/svc/image.h"

enum { CONTAINER_ID_SIZE = 65 };

struct container {
	const struct run_opts *o;
	struct store store;
	struct idmap map;
	struct idmap ranged; /* with --userns=nomap: the map it was made from */
	bool has_map; /* false with --userns=host as root */
	struct image_run image;
	bool has_image;
	char id[CONTAINER_ID_SIZE];
	char *dir;	/* absolute path of containers/ID */
	int dirfd;	/* holds the lock that says "alive" */
	struct rtspec spec;
	struct seccomp_plan seccomp;
	bool has_seccomp;
	struct net_slirp_opts slirp_opts;
	struct net_slirp slirp;
	bool uses_slirp;
	struct runtime_container run;
};

/* container_dir.c: containers/ID, made, found dead, removed. */
int container_dir_make(struct container *c, struct err *e) RL_CHECK;
int container_dir_give_away(struct container *c, const struct idmap *ranged, struct err *e) RL_CHECK;
/* hosts, resolv.conf, hostname, the list of layers: what the start needs but the plan does not. */
int container_dir_fill(struct container *c, struct err *e) RL_CHECK;
int container_dir_remove(struct container *c, struct err *e) RL_CHECK;
/* Remove what containers with --rm left behind when they were killed. Cheap when there is nothing. */
void container_sweep(const struct store *s, const struct idmap *map);

/* container_spec.c: options and image config to the spec. */
int container_build_spec(struct container *c, struct err *e) RL_CHECK;
/* container_spec_mounts.c */
int container_build_mounts(struct container *c, struct err *e) RL_CHECK;

/* container_foreground.c: relay until the container ends; returns its exit status. */
int container_foreground(struct container *c, struct err *e) RL_CHECK;

#endif
