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
#include "rl/model/image_proto.h"
#include "rl/model/limit_opts.h"

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

enum mount_atime { ATIME_DEFAULT, ATIME_NOATIME, ATIME_NODIRATIME, ATIME_RELATIME, ATIME_STRICTATIME };

/* One -v, --mount or --tmpfs. Tri-state options are -1 (not said), 0, 1. */
struct mount_opt {
	enum mount_kind kind;
	char *source;  /* path or volume name as typed; NULL for tmpfs and anonymous volumes */
	char *target;  /* absolute, cleaned */
	char *subpath; /* volume-subpath, or NULL */
	bool read_only;
	bool recursive_bind; /* default true for binds (rbind) */
	int exec, dev, suid; /* -1 default (exec, nodev, nosuid for tmpfs and volumes; unchanged for binds) */
	enum mount_propagation propagation;
	bool overlay;	     /* :O, writes go to a throw-away layer */
	bool chown;	     /* :U */
	int copy;	     /* volumes: copy-up on first use, -1 default (yes), 0 nocopy, 1 copy */
	int relabel;	     /* 0 none, 'z', 'Z' */
	bool create_source;  /* -v makes a missing host directory (docker); --mount does not */
	int64_t tmpfs_size;  /* bytes, -1 not said */
	int32_t tmpfs_mode;  /* octal bits, -1 not said */
	char *tmpfs_options; /* further tmpfs options of the allow-list (nr_inodes=, uid=, gid=, ...), or NULL */
	enum mount_atime atime;
	char *upperdir, *workdir; /* with overlay: the caller's own upper and work directory, both or neither */
	struct strv image_layers; /* type=image: the layers found at creation, top first; not from the options */
};

struct ulimit_opt {
	char *name;	     /* "nofile" */
	int resource;	     /* RLIMIT_* */
	uint64_t soft, hard; /* UINT64_MAX: unlimited */
};

struct device_opt {
	char *source; /* host path */
	char *target; /* container path */
	bool read, write, mknod;
};

struct secret_opt {
	char *name;
	char *target; /* absolute path, or with `env` the name of the variable */
	bool env;
	uint32_t uid, gid;
	unsigned mode;
};

struct env_opt {
	char *key;
	char *value; /* NULL: take the caller's value of that name, if it has one */
};

enum network_kind { NETWORK_SLIRP, NETWORK_NONE, NETWORK_HOST, NETWORK_CONTAINER, NETWORK_NS, NETWORK_NAMED };

/* What stands behind NAME: of a named network. */
struct named_opt {
	char *name, *ip, *ip6, *mac, *interface; /* or NULL */
	struct strv aliases;
	bool fast; /* connections to outside on sockets of the host */
};

struct network_opt {
	enum network_kind kind;
	char *name;    /* container or ns path */
	char *options; /* the text after the first ':' of slirp4netns:... and slirp:..., or NULL */
};

/* --sdnotify: who says READY=1 to systemd (podman's words). SERVICE: rl, when the container has started. */
enum sdnotify { SDNOTIFY_SERVICE, SDNOTIFY_CONTAINER, SDNOTIFY_HEALTHY, SDNOTIFY_IGNORE };

enum ns_share { NS_PRIVATE, NS_HOST, NS_CONTAINER, NS_PATH };

enum userns_kind { USERNS_DEFAULT, USERNS_HOST, USERNS_KEEP_ID, USERNS_NOMAP };

enum pull_policy { PULL_MISSING, PULL_ALWAYS, PULL_NEVER, PULL_NEWER };

enum { RUN_OPTS_OWN_ID = 0xffffffffu };

/* Restart policies; anything but NO needs a detached container. */
enum restart_policy { RESTART_NO, RESTART_ON_FAILURE, RESTART_ALWAYS, RESTART_UNLESS_STOPPED };

enum log_driver { LOG_DRIVER_JSON, LOG_DRIVER_K8S, LOG_DRIVER_NONE, LOG_DRIVER_PASSTHROUGH, LOG_DRIVER_JOURNALD };

enum health_action { HEALTH_ACTION_NONE, HEALTH_ACTION_KILL, HEALTH_ACTION_RESTART, HEALTH_ACTION_STOP };

/* What the VOLUMEs of the image become. */
enum image_volumes { IMAGE_VOLUMES_ANONYMOUS, IMAGE_VOLUMES_TMPFS, IMAGE_VOLUMES_IGNORE };

enum tristate { UNSET = -1, NO = 0, YES = 1 };

struct run_opts {
	/* what */
	char *image;	     /* reference as typed; NULL with rootfs */
	char *rootfs;	     /* --rootfs DIR, without the ":O" */
	bool rootfs_overlay; /* --rootfs DIR:O */
	struct strv command; /* what follows the image */
	bool entrypoint_set;
	struct strv entrypoint; /* "" clears; one word or a JSON array */
	enum pull_policy pull;
	char *platform;
	bool quiet; /* -q */
	/* How to show what is done to have the image; called with NULL when that is over. Borrowed, not recorded. */
	void (*progress)(const struct image_progress *p, void *arg);
	void *progress_arg;

	/* identity and life */
	char *name;
	char *hostname;
	char *domainname;
	bool rm, detach, interactive, tty, init, read_only, privileged, replace;
	enum restart_policy restart;
	unsigned restart_retries; /* on-failure:N; 0: without end */
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
	unsigned hidden; /* 1 << 1, 1 << 2: output not to be shown; of this run, not stored */
	char *report;	 /* "line", "json" or a file; NULL: none */
	enum log_driver log_driver;
	uint64_t log_max_size; /* bytes of one file, 0: without end */
	unsigned log_max_file; /* files kept, 1 at least */
	struct strv log_opts;  /* as typed, for inspect */
	char *health_cmd;      /* shell text or a JSON array; "none" switches the image's off; NULL: the image's */
	int64_t health_interval, health_timeout, health_start_period; /* ns, -1: the image's, else docker's */
	int64_t health_start_interval;
	int health_retries;	  /* -1: the image's, else 3 */
	char *health_startup_cmd; /* podman's: until it has succeeded the container is starting; NULL: none */
	int64_t health_startup_interval, health_startup_timeout; /* ns, -1: 30 s */
	unsigned health_startup_retries; /* failures after which the container is started again, 0: never */
	unsigned health_startup_success; /* successes that it takes, 0: one */
	bool no_healthcheck;
	enum health_action health_on_failure;
	enum sdnotify sdnotify;

	/* process */
	struct env_opt *env;
	size_t nenv;	   /* in order; --env-file entries first */
	size_t nenv_files; /* how many of them came from files */
	char *workdir;
	char *user;	       /* as typed */
	struct strv group_add; /* names, numbers or keep-groups */
	int umask;	       /* -1: 0022 */
	struct ulimit_opt *ulimits;
	size_t nulimits;
	struct strv sysctls; /* "key=value" */
	int oom_score_adj;
	bool oom_score_adj_set;

	bool env_host;	       /* the caller's environment below the image's */
	struct strv env_merge; /* "NAME=TEXT", ${NAME} is the old value */
	struct strv unsetenv;  /* names */
	bool unsetenv_all;
	char *tz;	/* "local" or a zone */
	bool no_passwd; /* --passwd=false */
	char *passwd_entry, *group_entry;
	struct strv host_users;
	struct strv requires; /* containers started before this one */
	int personality;      /* of personality(2), -1: as it is */
	bool no_hostname;     /* leave the image's /etc/hostname alone */
	char *pod;	      /* --pod: "NAME" or "new:NAME", in a record the pod's id */
	bool holder;	      /* this is a pod (rl/svc/pod.h) */
	unsigned pod_share;   /* of a pod: RUN_OPTS_POD_* */
	struct strv typed;    /* what was asked for, "--name=value", to ask for it again */
	char *create_dir;     /* where: relative names in it are relative to this */
	bool rmi;	      /* remove the image afterwards */
	bool hide_home;	      /* with the machine as the image: an empty home directory */
	bool single_map;      /* one user id is all that is wanted; not from an option */

	/* file systems */
	struct mount_opt *mounts;
	size_t nmounts;
	struct secret_opt *secrets;
	size_t nsecrets;
	struct strv volumes_from; /* "NAME" or "NAME:OPTIONS" */
	enum image_volumes image_volumes;
	uint64_t shm_size; /* 64 MiB */
	bool no_shm;	   /* --ipc none */
	struct device_opt *devices;
	size_t ndevices;

	/* security */
	struct strv cap_add, cap_drop;	 /* upper case with CAP_, or "ALL" */
	char *seccomp;			 /* NULL default, "unconfined", or a file name */
	enum tristate no_new_privileges; /* UNSET: yes */
	int emulate;			 /* enum rt_emulate (rtspec.h), or -1: as the image needs */
	struct strv mask, unmask;	 /* paths; unmask may hold "ALL" */
	bool label_disable;

	/* namespaces and network */
	enum userns_kind userns;
	uint32_t keep_id_uid, keep_id_gid; /* RUN_OPTS_OWN_ID (the value of IDMAP_UNMAPPED): the caller's own */
	enum ns_share pid, ipc, uts, cgroupns;
	char *pid_container, *ipc_container, *uts_container; /* or, with NS_PATH, the absolute path */
	struct network_opt network;
	struct strv dns, dns_search, dns_options;
	struct strv add_hosts; /* "name:ip", checked; ip may be "host-gateway" */
	char *hosts_file;      /* --hosts-file: made absolute at creation; NULL: none */
	bool no_hosts;
	char *mac_address;
	/* Networks with a name, "NAME[:OPTIONS]", in the order of the interfaces: all of them with NETWORK_NAMED, those beside
	 * the user-mode network with NETWORK_SLIRP. */
	struct strv networks;
	/* Not stored: an option said which; and what is about the first of them, until run_opts_check writes it there. */
	bool network_given;
	struct strv network_aliases;
	char *ip, *ip6;
	struct strv publish;		 /* -p, checked (rl/model/port_opt.h) */
	struct strv expose;		 /* --expose, checked; the image's are added at creation */
	bool publish_all;		 /* -P */
	struct strv host_access;	 /* --host-access none|all|PORT,... ; empty: none */
	struct strv allow_net, deny_net; /* values as typed, checked (rl/model/net_policy.h) */

	struct limit_opts limits;
};

enum {
	RUN_OPTS_FILE_MAX = 1 << 20, /* what callers read of --env-file and --label-file at most */
	RUN_OPTS_DETACH_MAX = 16,    /* keys of a detach sequence */
	RUN_OPTS_POD_NET = 1,	     /* what a pod shares */
	RUN_OPTS_POD_IPC = 2,
	RUN_OPTS_POD_UTS = 4,
	RUN_OPTS_POD_SHARE = RUN_OPTS_POD_NET | RUN_OPTS_POD_IPC | RUN_OPTS_POD_UTS,
};

void run_opts_init(struct run_opts *o);
void run_opts_free(struct run_opts *o);

/*
 * One function per option, named after it: reads one value as typed and stores or appends it. On failure nothing has
 * been stored. They are the setters behind the option table of `rl run` and `rl create`.
 */

/* file systems: run_opts_mount.c */
int run_opts_volume(struct run_opts *o, const char *value, struct err *e) RL_CHECK; /* -v */
int run_opts_mount(struct run_opts *o, const char *value, struct err *e) RL_CHECK;  /* --mount */
int run_opts_tmpfs(struct run_opts *o, const char *value, struct err *e) RL_CHECK;  /* --tmpfs */
/* --read-only-tmpfs: a tmpfs on /run, /tmp and /var/tmp wherever no mount was asked for. Called after all options. */
void run_opts_add_read_only_tmpfs(struct run_opts *o);
/* A deep copy appended to the mounts. */
void run_opts_add_mount_copy(struct run_opts *o, const struct mount_opt *m);
int run_opts_volumes_from(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_image_volume(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
/* One item of volumes_from: the container's name and what the options say (-1 not said). */
int run_opts_parse_volumes_from(const char *text, char **ret_name, enum tristate *ret_read_only,
				struct err *e) RL_CHECK;
int run_opts_secret(struct run_opts *o, const char *value, struct err *e) RL_CHECK; /* --secret: run_opts_secret.c */
int run_opts_device(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_shm_size(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_rootfs(struct run_opts *o, const char *value, struct err *e) RL_CHECK;

/* process: run_opts_process.c */
/* "KEY=value", "KEY" (the caller's), or "PREFIX*" (all that start so in `environment`, the caller's). */
int run_opts_env(struct run_opts *o, const char *value, char *const *environment, struct err *e) RL_CHECK;
/* The text of an env file in docker's format: one variable per line, '#' lines are comments, nothing is unquoted; a
 * KEY alone is the caller's. They are put before what is there already, so that -e wins; call in the order typed. */
int run_opts_env_file(struct run_opts *o, const char *text, size_t len, const char *name, struct err *e) RL_CHECK;
int run_opts_label(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_label_file(struct run_opts *o, const char *text, size_t len, const char *name, struct err *e) RL_CHECK;
int run_opts_annotation(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_entrypoint(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_workdir(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_user(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_group_add(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_umask(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_ulimit(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_sysctl(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_oom_score_adj(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_stop_signal(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_stop_timeout(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_timeout(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_detach_keys(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_name(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_restart(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
/* logs and health checks: run_opts_life.c */
int run_opts_report(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_log_driver(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_log_opt(struct run_opts *o, const char *value, struct err *e) RL_CHECK; /* max-size=, max-file=, tag= */
int run_opts_health_cmd(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_health_interval(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_health_timeout(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_health_start_period(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_health_start_interval(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_health_retries(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_health_startup_cmd(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_health_startup_interval(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_health_startup_timeout(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_health_startup_retries(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_health_startup_success(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_sdnotify(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_health_on_failure(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
/* Names as typed: "json-file"; "on-failure". */
const char *run_opts_log_driver_name(enum log_driver d);
const char *run_opts_restart_name(enum restart_policy p);
const char *run_opts_health_action_name(enum health_action a);
int run_opts_pull(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_platform(struct run_opts *o, const char *value, struct err *e) RL_CHECK;

/* security: run_opts_security.c */
int run_opts_cap_add(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_cap_drop(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_security_opt(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_emulate(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_userns(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_pid(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_ipc(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_uts(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_cgroupns(struct run_opts *o, const char *value, struct err *e) RL_CHECK;

/* network: run_opts_network.c */
int run_opts_network(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_hostname(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_domainname(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_dns(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_dns_search(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_dns_option(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_hosts_file(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_add_host(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_mac_address(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_host_access(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_allow_net(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_deny_net(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_ip(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_ip6(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
/* Change which networks are wanted, of a container that exists. `text` is NAME[:OPTIONS], checked. connect: -EEXIST when
 * it is wanted already, -EINVAL with a network that nothing can be added to (host, container:, ns:); "none" becomes the
 * network. disconnect: -ENOENT; without any left it is "none". */
int run_opts_connect(struct run_opts *o, const char *text, struct err *e) RL_CHECK;
int run_opts_disconnect(struct run_opts *o, const char *name, struct err *e) RL_CHECK;
bool run_opts_wants_network(const struct run_opts *o, const char *name);
/* Its place in o->networks, or o->networks.count. */
size_t run_opts_find_network(const struct run_opts *o, const char *name);
/* The first network with a name that is wanted `fast`, the caller's to free, or NULL. */
char *run_opts_fast_network(const struct run_opts *o);
int run_opts_network_alias(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_publish(struct run_opts *o, const char *value, struct err *e) RL_CHECK; /* -p */
int run_opts_expose(struct run_opts *o, const char *value, struct err *e) RL_CHECK;

/* "NAME" or "NAME:ip=...,ip6=...,mac=...,alias=...,interface_name=...,fast"; on failure nothing is to be freed. */
int run_opts_parse_named(const char *text, struct named_opt *ret, struct err *e) RL_CHECK;
/* The same backwards; the caller's to free. */
char *run_opts_named_text(const struct named_opt *n);
void run_opts_free_named(struct named_opt *n);

/* What the values say together: a mount target twice, a sysctl of a namespace that is the host's, ... Called once,
 * after all options; --ip and its like become options of the first network with a name. Rules between options (as opposed
 * to values) are cmd's table. */
int run_opts_check(struct run_opts *o, struct err *e) RL_CHECK;

/* podman's further options: run_opts_user.c */
int run_opts_env_merge(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_unsetenv(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_tz(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_passwd_entry(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_group_entry(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_hostuser(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_requires(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
int run_opts_personality(struct run_opts *o, const char *value, struct err *e) RL_CHECK;
/* `text` with $NAME and ${NAME} replaced by what `env` ("NAME=value" items) says, or nothing. */
void run_opts_expand(const char *text, const struct strv *env, struct str *out);

int run_opts_pod(struct run_opts *o, const char *value, struct err *e) RL_CHECK; /* --pod */
/* Replace an owned string. */
void run_opts_set(char **slot, const char *value);

/* Shared grammars. */
/* A signal as "TERM", "SIGTERM", "15", "RTMIN+3": its number. */
int run_opts_parse_signal(const char *text, const char *what, int *ret_signal, struct err *e) RL_CHECK;
/* A detach sequence as bytes, e.g. 0x10 0x11 for "ctrl-p,ctrl-q". "" gives none. */
int run_opts_parse_detach_keys(const char *text, unsigned char ret_keys[RUN_OPTS_DETACH_MAX], size_t *ret_count,
			       struct err *e) RL_CHECK;
/* Upper case with CAP_ in front, or "ALL"; `ret_name` is malloc'd. */
int run_opts_parse_cap(const char *text, const char *what, char **ret_name, struct err *e) RL_CHECK;

#endif
