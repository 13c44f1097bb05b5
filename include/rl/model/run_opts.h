/*
 * run_opts.h - what a person asked of `rl run` and `rl create`, as data.
 *
 * Filled by cmd's option table (each value grammar is a pure function here), read by svc/container. Nothing in here has
 * been looked up: names are still names, paths still as typed. All strings and vectors are owned by the struct;
 * run_opts_free releases them. run_opts_init sets the defaults documented per field.
 *
 * Grammar functions return -EINVAL with a text that names the option and quotes the value.
 */
#ifndef RL_MODEL_RUN_OPTS_H
#define RL_MODEL_RUN_OPTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rl/base/err.h"
#include "rl/base/str.h"

enum mount_kind { MOUNT_KIND_BIND, MOUNT_KIND_TMPFS, MOUNT_KIND_VOLUME, MOUNT_KIND_IMAGE, MOUNT_KIND_DEVPTS };

enum mount_propagation {
	PROPAGATION_DEFAULT, /* rprivate */
	PROPAGATION_PRIVATE,
	PROPAGATION_RPRIVATE,
	PROPAGATION_SLAVE,
	PROPAGATION_RSLAVE,
	PROPAGATION_SHARED,
	PROPAGATION_RSHARED,
};

/* One -v, --mount or --tmpfs. Tri-state options are -1 (not said), 0, 1. */
struct mount_opt {
	enum mount_kind kind;
	char *source;	    /* path or volume name as typed; NULL for tmpfs and anonymous volumes */
	char *target;	    /* absolute, cleaned */
	char *subpath;	    /* volume-subpath, or NULL */
	bool read_only;
	bool recursive_bind; /* default true for binds (rbind) */
	int exec, dev, suid; /* -1 default (exec, nodev, nosuid for tmpfs and volumes; unchanged for binds) */
	enum mount_propagation propagation;
	bool overlay;	    /* :O, writes go to a throw-away layer */
	bool chown;	    /* :U */
	int copy;	    /* volumes: copy-up on first use, -1 default (yes), 0 nocopy, 1 copy */
	int relabel;	    /* 0 none, 'z', 'Z' */
	bool create_source; /* -v makes a missing host directory (docker); --mount does not */
	int64_t tmpfs_size; /* bytes, -1 not said */
	int32_t tmpfs_mode; /* octal bits, -1 not said */
	char *tmpfs_options; /* further tmpfs options of the allow-list (nr_inodes=, uid=, gid=, ...), or NULL */
};

struct ulimit_opt {
	char *name;	    /* "nofile" */
	int resource;	    /* RLIMIT_* */
	uint64_t soft, hard; /* UINT64_MAX: unlimited */
};

struct device_opt {
	char *source;	/* host path */
	char *target;	/* container path */
	bool read, write, mknod;
};

struct env_opt {
	char *key;
	char *value; /* NULL: take the caller's value of that name, if it has one */
};

enum network_kind { NETWORK_SLIRP, NETWORK_NONE, NETWORK_HOST, NETWORK_CONTAINER, NETWORK_NS, NETWORK_NAMED };

struct network_opt {
	enum network_kind kind;
	char *name;    /* container, ns path or network name */
	char *options; /* the text after the first ':' of slirp4netns:..., slirp:..., NAME:..., or NULL */
};

enum ns_share { NS_PRIVATE, NS_HOST, NS_CONTAINER };

enum userns_kind { USERNS_DEFAULT, USERNS_HOST, USERNS_KEEP_ID, USERNS_NOMAP };

enum pull_policy { PULL_MISSING, PULL_ALWAYS, PULL_NEVER, PULL_NEWER };

enum tristate { UNSET = -1, NO = 0, YES = 1 };

struct run_opts {
	/* what */
	char *image;	      /* reference as typed; NULL with rootfs */
	char *rootfs;	      /* --rootfs DIR, without the ":O" */
	bool rootfs_overlay;  /* --rootfs DIR:O */
	struct strv command;  /* what follows the image */
	bool entrypoint_set;
	struct strv entrypoint; /* "" clears; one word or a JSON array */
	enum pull_policy pull;
	char *platform;
	bool quiet;	      /* -q */

	/* identity and life */
	char *name;
	char *hostname;
	char *domainname;
	bool rm, detach, interactive, tty, init, read_only, privileged, replace;
	char *cidfile;
	char *pidfile;
	struct strv labels;	 /* "key=value" */
	struct strv annotations; /* "key=value" */
	int stop_signal;	 /* 0: the image's, else SIGTERM */
	unsigned stop_timeout;	 /* seconds, 10 */
	unsigned timeout;	 /* seconds, 0: none */
	bool sig_proxy;		 /* true */
	char *detach_keys;	 /* "ctrl-p,ctrl-q"; "" switches off */
	bool explain;

	/* process */
	struct env_opt *env;
	size_t nenv;		/* in order; --env-file entries first */
	char *workdir;
	char *user;		/* as typed */
	struct strv group_add;	/* names, numbers or keep-groups */
	int umask;		/* -1: 0022 */
	struct ulimit_opt *ulimits;
	size_t nulimits;
	struct strv sysctls;	/* "key=value" */
	int oom_score_adj;
	bool oom_score_adj_set;

	/* file systems */
	struct mount_opt *mounts;
	size_t nmounts;
	uint64_t shm_size;	/* 64 MiB */
	struct device_opt *devices;
	size_t ndevices;

	/* security */
	struct strv cap_add, cap_drop; /* upper case with CAP_, or "ALL" */
	char *seccomp;		/* NULL default, "unconfined", or a file name */
	enum tristate no_new_privileges; /* UNSET: yes */
	struct strv mask, unmask;	/* paths; unmask may hold "ALL" */
	bool label_disable;

	/* namespaces and network */
	enum userns_kind userns;
	uint32_t keep_id_uid, keep_id_gid; /* IDMAP_UNMAPPED (0xffffffff): the caller's own */
	enum ns_share pid, ipc, uts, cgroupns;
	char *pid_container, *ipc_container, *uts_container;
	struct network_opt network;
	struct strv dns, dns_search, dns_options;
	struct strv add_hosts;	/* "name:ip", checked; ip may be "host-gateway" */
	bool no_hosts;
	char *mac_address;
	struct strv host_access; /* --host-access none|all|PORT,... ; empty: none */
};

void run_opts_init(struct run_opts *o);
void run_opts_free(struct run_opts *o);

#endif
