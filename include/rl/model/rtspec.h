/*
 * rtspec.h - what a container is to be, fully decided except for what only its own root file system can tell.
 *
 * The nouns are those of the OCI runtime specification (config.md, config-linux.md, 1.2); a config.json and the flags of
 * `rl run` both end up here. Nothing in it is looked up any more except the user (`user_text`, resolved against the
 * container's own passwd and group files) and the command (PATH of the container).
 *
 * Ownership: the struct owns all memory reachable from it; rtspec_free releases it. Descriptors are borrowed.
 * Trust: image data can get here only through rtdefault's "lower, never raise" rules (see svc/container.c).
 */
#ifndef RL_MODEL_RTSPEC_H
#define RL_MODEL_RTSPEC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rl/base/err.h"
#include "rl/base/str.h"
#include "rl/model/net_policy.h"

enum rt_mount_kind {
	RT_BIND,
	RT_TMPFS,
	RT_PROC,
	RT_SYSFS,
	RT_DEVPTS,
	RT_MQUEUE,
	RT_CGROUP,
	RT_DEV,	    /* a tmpfs with the standard device nodes and links */
	RT_OVERLAY, /* source is the lower directory; writes are thrown away */
	RT_LAYERS,  /* `subpath` of what `lowers` show together, read-only; source is an empty directory of ours */
	RT_FILE,    /* a file that exists in memory only, with what `fd` holds; source is an empty directory of ours */
	RT_MADE,    /* `fd` is a mount that is mounted nowhere yet */
	RT_FS,	    /* any other file system, `fstype`; source is what mount(8) calls so */
	RT_REMOUNT, /* attributes of what is mounted there already */
};

struct rt_mount {
	enum rt_mount_kind kind;
	char *source; /* host path, for RT_BIND and RT_OVERLAY; the name of a RT_TMPFS or RT_FS in the list of mounts */
	char *target; /* absolute path in the container */
	bool recursive;
	unsigned set; /* enum mnt_attr */
	unsigned clear;
	unsigned late_set;	     /* after everything was mounted and made */
	bool top_only;		     /* RT_BIND: set and clear are of the top mount alone, as mount(8) does it */
	unsigned rec_set, rec_clear; /* of every mount in the tree */
	unsigned long propagation;   /* MS_PRIVATE, MS_SLAVE, MS_SHARED or 0; with MS_REC for the r-forms */
	char *options;		     /* file system options, or NULL */
	bool is_dir;		     /* of the mount point to make when it is missing (binds: found out when opened) */
	char *upper, *work;	     /* RT_OVERLAY */
	struct strv lowers;	     /* RT_LAYERS, RT_OVERLAY without source: directories to stack, top first */
	bool over_link;		     /* a symlink that leads to nothing is replaced, not refused */
	char *subpath;		     /* what to mount of the source, resolved beneath it when it is mounted; or NULL */
	bool chown;		     /* :U, the source is given to the payload's user */
	bool is_volatile;	     /* RT_OVERLAY: what is written is thrown away at the end */
	bool may_vanish;	     /* a source that is not there any more is no error: nothing is mounted */
	bool may_bind; /* RT_OVERLAY that is refused: in memory if is_volatile, else the source, read-only */
	bool copy_up;  /* tmpfs: fill with what the image has there */
	int fd;	       /* RT_FILE, RT_MADE: borrowed */
	char *fstype;  /* RT_FS */
	uint32_t uid, gid, mode;
};

/* A directory or a symlink in a root that is made of nothing. */
struct rt_entry {
	char *path; /* absolute; a directory comes before what is in it */
	char *link; /* text of a symlink, or NULL */
	uint32_t mode, uid, gid;
};

struct rt_device {
	char *source; /* host path */
	char *target;
	bool read_only;
	/* A node made with these numbers; bound from `source`, if that has the same, where making nodes is refused. */
	bool node;
	char type; /* 'c', 'b' or 'p' */
	unsigned major, minor;
	unsigned mode;
	uint32_t uid, gid;
};

/* The numbers of process.user of a config.json: nothing is looked up but HOME. */
struct rt_ids {
	bool given;
	uint32_t uid, gid;
	uint32_t *groups;
	size_t ngroups;
};

/* The five sets of process.capabilities, in place of docker's rule. */
struct rt_caps {
	bool given;
	uint64_t bounding, permitted, effective, inheritable, ambient;
};

/* sched_setattr(2). */
struct rt_scheduler {
	bool given;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period; /* ns */
};

struct rt_clock_offset {
	bool given;
	int64_t seconds;
	uint32_t nanoseconds;
};

/* A time namespace; not among rt_ns_kind, because it cannot be cloned into: the offsets are set before it is used. */
struct rt_time {
	bool fresh;
	int fd; /* to join; -1: none */
	struct rt_clock_offset monotonic, boottime;
};

/* A file of the container's own that is on no disk. The bytes are wiped when the spec is freed. */
struct rt_secret {
	char *target;
	uint32_t uid, gid;
	unsigned mode;
	char *data;
	size_t len;
};

struct rt_rlimit {
	int resource;
	uint64_t soft, hard; /* UINT64_MAX: unlimited */
	bool lower_to_hard;  /* an image or default value: lowered to the caller's hard limit instead of refused */
};

/* One namespace: private (new), the caller's, or joined by descriptor. */
enum rt_ns_mode { RT_NS_NEW, RT_NS_HOST, RT_NS_JOIN };

enum rt_ns_kind { RT_NS_USER, RT_NS_MOUNT, RT_NS_PID, RT_NS_NET, RT_NS_IPC, RT_NS_UTS, RT_NS_CGROUP, RT_NS_COUNT };
/* In a mask of kinds: the time namespace, which struct rt_time describes. */
enum { RT_NS_TIME_BIT = 1 << RT_NS_COUNT };

struct rt_ns {
	enum rt_ns_mode mode;
	int fd; /* RT_NS_JOIN */
};

/* System calls on owners and identity answered by rl-notifyd, for containers with one id (rl-internals(7)). */
enum rt_emulate {
	RT_EMULATE_OFF,
	RT_EMULATE_WRITE, /* chown, mknod, setxattr, setuid and their kin succeed, and what they said is kept */
	RT_EMULATE_FULL,  /* and stat and getuid and their kin agree with it */
};

/* TCP connections that would go through the gateway, of the user-mode network or of one with a name, are made by rl-notifyd on sockets of the host (rl-internals(7)). */
struct rt_connect {
	bool on;
	struct in_addr gateway, outbound; /* outbound zero: as routed */
	struct in6_addr gateway6, outbound6;
	struct net_policy *policy; /* owned; NULL: everything is allowed */
};

struct rtspec {
	/* process */
	struct strv args;
	struct strv env; /* complete, except HOME, which is added from passwd when absent */
	char *cwd;	 /* absolute */
	bool make_cwd;	 /* the image's WORKDIR is made when missing, a user's -w too (docker) */
	char *user_text; /* -u or the image's User, "" is root */
	struct strv group_add;
	bool keep_groups;
	struct strv passwd, group; /* lines to add to the container's files where the name and the id are free */
	int personality;	   /* -1: as it is */
	int umask;
	bool terminal;
	unsigned short rows, columns; /* of the terminal; 0 0: unknown */
	bool init;		      /* a reaper of ours is PID 1 */
	bool hold;		      /* nothing is executed: PID 1 only holds the namespaces; no args */
	bool outlives_parent;	      /* no parent-death signal: a detached container goes on without its monitor */
	uint64_t caps;		      /* bounding set; also effective and permitted for uid 0 */
	struct rt_caps cap_sets;
	struct rt_ids ids;
	bool no_new_privs;
	enum rt_emulate emulate;
	struct rt_connect connect;
	unsigned seccomp_flags; /* SECCOMP_FILTER_FLAG_* the profile asks for */
	int oom_score_adj;
	bool oom_score_adj_set;
	struct rt_rlimit *rlimits;
	size_t nrlimits;
	struct rt_scheduler scheduler;
	int ioprio;	       /* ioprio_set(2); -1: as it is */
	char *exec_label;      /* for the LSM, written before the exec; or NULL */
	bool apparmor;	       /* exec_label is a profile of AppArmor, not a context of SELinux */
	bool keep_keyring;     /* no session keyring of its own */
	unsigned preserve_fds; /* so many from 3 up stay open */
	bool meets_caller; /* the caller's function is called at the points of enum runtime_point (engine/runtime.h) */

	/* root */
	char *rootfs;	  /* a directory to use as it is, or NULL */
	bool root_memory; /* an empty tmpfs in which only `entries` stand */
	struct rt_entry *entries;
	size_t nentries;
	struct strv root_files; /* empty files in it */
	struct strv layers;	/* lower directories, top first */
	char *upper, *work;	/* NULL with read-only stacks */
	bool is_volatile;
	bool is_layer;	      /* what is written becomes a layer: an overlay on the disk, or nothing */
	bool layer_in_memory; /* with is_layer: or one in memory, which runtime_container.layer is then */
	bool root_read_only;
	char *mount_dir;		/* directory of ours the root is mounted on before pivot_root */
	unsigned long root_propagation; /* as rt_mount's, of the root at last; 0: as it is */
	bool keep_shared;		/* mounts go on sending events to the host: for shared binds */
	bool no_pivot;			/* the root on a ramdisk cannot be left by pivot_root: moved over "/" instead */
	bool standard_dev; /* the nodes and links of /dev are made where they are missing, after the mounts */

	/* file systems */
	struct rt_mount *mounts;
	size_t nmounts;
	struct rt_device *devices;
	size_t ndevices;
	struct rt_secret *secrets;
	size_t nsecrets;
	struct strv secret_env; /* added to env for the payload, recorded nowhere */
	struct strv masked;
	struct strv read_only_paths;

	/* namespaces */
	struct rt_ns ns[RT_NS_COUNT];
	struct rt_time time;
	char *hostname;
	char *domainname;
	struct strv sysctls; /* "key=value"; with a "-" in front it may fail (sysctl.d(5)) */
};

void rtspec_init(struct rtspec *s);
void rtspec_free(struct rtspec *s);

/* Add a mount and return it for further settings; target and source are copied. */
struct rt_mount *rtspec_add_mount(struct rtspec *s, enum rt_mount_kind kind, const char *source, const char *target,
				  unsigned set);
void rtspec_add_secret(struct rtspec *s, const char *target, uint32_t uid, uint32_t gid, unsigned mode,
		       const void *data, size_t len);
/* Wipe and forget them: once the container is cloned nobody else needs them. */
void rtspec_drop_secrets(struct rtspec *s);
/* Owned by root unless the caller sets it. */
struct rt_entry *rtspec_add_entry(struct rtspec *s, const char *path, const char *link, uint32_t mode);
struct rt_device *rtspec_add_device(struct rtspec *s, const char *source, const char *target, bool read_only);
void rtspec_add_rlimit(struct rtspec *s, int resource, uint64_t soft, uint64_t hard, bool lower_to_hard);

/* docker's masked and read-only paths. */
void rtspec_default_paths(struct rtspec *s);

const char *rt_mount_kind_name(enum rt_mount_kind kind);
const char *rt_ns_name(enum rt_ns_kind kind);

#endif
