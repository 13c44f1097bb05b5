/*
 * plan.h - the operations that make a container, as data.
 *
 * An operation is a tagged union; it carries its stage, and the executor (apply.c) runs the list in order. The planner
 * emits operations stage by stage, so the order within the list is the order of the enum. What an operation points to
 * belongs to the spec, except `text`, which the plan owns.
 */
#ifndef RL_RUNTIME_PLAN_H
#define RL_RUNTIME_PLAN_H

#include "rl/base/str.h"
#include "rl/kern/idmap.h"
#include "rl/kern/seccomp.h"
#include "rl/model/rtspec.h"

enum op_stage {
	STAGE_EARLY,	/* before the ids are mapped: nothing that creates a file */
	STAGE_HOST,	/* ids are mapped, but this is still the caller: the host's paths are opened */
	STAGE_ROOT,	/* as root of the container: the root file system stands at spec->mount_dir */
	STAGE_MOUNTS,	/* everything mounted into it */
	STAGE_PIVOT,	/* the host is out of reach from here on */
	STAGE_PROCESS,	/* identity, limits, terminal */
	STAGE_SECURITY, /* nothing after this may need a privilege */
	STAGE_COUNT,
};

enum op_kind {
	OP_JOIN_NS,	/* ns: setns */
	OP_NETWORK,	/* the network engine's part */
	OP_TIME,	/* offsets, or setns */
	OP_HOSTNAME,	/* text */
	OP_DOMAINNAME,	/* text */
	OP_PROPAGATION, /* the copy of the host's mounts stops sending events back (no user namespace) */
	OP_OPEN_HOST,	/* what is mounted from the host, and its null device for masks, as the caller */
	OP_ROOT_OVERLAY,
	OP_ROOT_BIND, /* text: directory */
	OP_ROOT_MEMORY,
	OP_MOUNT,  /* mount */
	OP_DEVICE, /* device */
	OP_SECRETS,
	OP_SYSCTL, /* text: key=value */
	OP_STANDARD_DEV,
	OP_LATE_ATTRS, /* mount */
	OP_MASK,       /* text: path */
	OP_READ_ONLY,  /* text: path */
	OP_MEET_PIVOT, /* the caller's function */
	OP_PIVOT,
	OP_ROOT_PROPAGATION,
	OP_ROOT_READ_ONLY,
	OP_OOM_SCORE,
	OP_TERMINAL,
	OP_SESSION,  /* setsid, and the terminal if any becomes the controlling one */
	OP_CHOWN,    /* mount: its source becomes the payload user's */
	OP_ACCOUNTS, /* lines for passwd and group */
	OP_PERSONALITY,
	OP_USER, /* resolve user, groups and HOME against the container's files */
	OP_CWD,
	OP_RLIMIT, /* rlimit */
	OP_SCHEDULER,
	OP_IOPRIO,
	OP_KEYRING,
	OP_ABSTRACT_SCOPE, /* Landlock: no abstract sockets of the host */
	OP_INIT,	   /* fork: the parent stays as reaper */
	OP_UMASK,
	OP_MEET_EXEC,
	OP_EXEC_LABEL,
	OP_DENY_TCP, /* by Landlock */
	OP_NOTIFY,   /* the filter and listener of rl-notifyd */
	OP_SECCOMP,
	OP_IDENTITY, /* groups, gid, uid, capabilities */
	OP_NO_NEW_PRIVS,
	OP_DEATH_SIGNAL,
	OP_HOLD, /* in place of the exec */
	OP_EXEC,
};

struct op {
	enum op_stage stage;
	enum op_kind kind;
	union {
		const struct rt_mount *mount;
		const struct rt_device *device;
		const struct rt_rlimit *rlimit;
		const char *text;
		enum rt_ns_kind ns;
	};
};

struct plan {
	const struct rtspec *spec;
	const struct idmap *map;
	const struct seccomp_filter *filter;
	struct op *ops;
	size_t nops;
	struct strv texts; /* owned texts of operations */
};

/* The child is cloned by a joiner (join_clone.h), which enters everything that is to be joined. Needed where the user
 * namespace is joined, from which the others take their privileges, for pid namespaces, which only children enter, and
 * where the user namespace is new: from within it nothing that was there before can be entered. */
bool plan_needs_joiner(const struct rtspec *spec);

/* The process and security stages only: what a process that joins a container has to do. `spec` is no first process: it
 * has no init and no root of its own. */
struct plan *plan_joined(const struct rtspec *spec, const struct idmap *map, const struct seccomp_filter *filter);

void op_print(const struct plan *p, const struct op *op, struct str *out);

#endif
