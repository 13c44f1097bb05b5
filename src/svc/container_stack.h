/*
 * container_stack.h - the directories a container's files consist of; shared by the files that read or restack them.
 *
 * Ownership: container_stack_close releases everything, locks included.
 */
#ifndef RL_SVC_CONTAINER_STACK_H
#define RL_SVC_CONTAINER_STACK_H

#include "inside.h"
#include "rl/base/err.h"
#include "rl/base/str.h"
#include "rl/svc/container_store.h"

struct container_stack {
	struct store store;
	struct container_rec rec;
	struct idmap map;
	bool has_map;
	int op;	 /* the lock of the operation, -1 */
	int own; /* the directory's lock: nobody runs it and nobody can start it; -1 while it runs or unless asked for */
	struct strv mine;  /* the writable layer, then frozen ones: TOP first, absolute */
	struct strv image; /* TOP first, absolute */
};
#define CONTAINER_STACK_INIT                                                                                           \
	{                                                                                                              \
		.store = {.rootfd = -1}, .rec = CONTAINER_REC_INIT, .op = -1, .own = -1                                \
	}

enum container_stack_lock {
	STACK_READ, /* the operation's lock only: nothing is restacked meanwhile, but the container may run */
	STACK_OWN,  /* and, if it does not run, the directory's: it cannot be started meanwhile */
};

int container_stack_open(const char *root, const char *name, enum container_stack_lock lock,
			 struct container_stack *ret, struct err *e) RL_CHECK;
void container_stack_close(struct container_stack *k);
/* For whoever reads the layers: all that the container has changed is in them then (container_copied.h). -EOPNOTSUPP for
 * --rootfs without :O, whose files are the host's. `verb` for the message. */
int container_stack_need_layers(const struct container_stack *k, const char *verb, struct err *e) RL_CHECK;
/* Descriptors of all directories, mine then image's; release with container_stack_close_fds. */
int container_stack_open_fds(const struct container_stack *k, int **ret_fds, struct err *e) RL_CHECK;
void container_stack_close_fds(const struct container_stack *k, int *fds);
/* Absolute paths where mounts of this container stand. */
void container_stack_mount_points(const struct container_stack *k, struct strv *out);
/* Those of them that had to be made for it in its own layers and are still empty, without the slash in front: nobody's
 * files. */
int container_stack_placeholders(const struct container_stack *k, struct strv *out, struct err *e) RL_CHECK;
/* Run fn as root of the container's map. */
int container_stack_run(const struct container_stack *k, int clone_flags, int (*fn)(void *arg, struct err *e),
			void *arg, const char *what, struct err *e) RL_CHECK;

/* docker's GraphDriver: where the writable layer and those below it are. The mount itself is in the container only. */
json_t *container_stack_describe(const struct container_rec *c);

#endif
