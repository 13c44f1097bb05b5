/*
 * container_int.h - what the files of svc/container share: one container while it is being run.
 *
 * Ownership: struct container owns everything in it; container_close releases memory and descriptors and, for a
 * container that is to be thrown away, its directory.
 */
#ifndef RL_SVC_CONTAINER_INT_H
#define RL_SVC_CONTAINER_INT_H

#include "rl/engine/net.h"
#include "rl/engine/net_named.h"
#include "rl/engine/net_ports.h"
#include "rl/engine/runtime.h"
#include "rl/engine/seccomp_plan.h"
#include "rl/engine/store.h"
#include "rl/kern/cgroup.h"
#include "rl/kern/idmap.h"
#include "rl/model/rtspec.h"
#include "rl/model/run_opts.h"
#include "rl/svc/container_store.h"
#include "rl/svc/image.h"
#include "rl/svc/volume.h"

enum { CONTAINER_ID_SIZE = 65 };

/* Of the containers of RUN steps. */
#define CONTAINER_BUILD_LABEL "rl.build=1"

/* Its cgroups, and the watch that stands in for a memory limit where there are none (container_limits.c). */
struct container_limits {
	struct cgroup_job job;
	struct cgroup_made made;
	bool is_ready;	       /* made, or found that nothing can be made */
	uint64_t oom_before;   /* OOM kills of earlier runs in the same cgroup */
	uint64_t watch_memory; /* bytes; 0: not watched */
	uint64_t processes;    /* RLIMIT_NPROC in place of --pids-limit, 0: none */
	int timer;	       /* timerfd of the watch, -1 */
	unsigned ticks;
	bool oom; /* this run was ended for its memory */
};

/* What --report tells (container_report.c). */
struct container_usage {
	uint64_t started_ns; /* CLOCK_MONOTONIC */
	bool has_rusage;     /* of PID 1 and all it has waited for */
	double user, system; /* seconds */
	uint64_t peak;	     /* bytes of the largest process */
};

/* The map of a container that keeps the caller's user namespace (--userns=host as root). */
#define CONTAINER_MAP_IDENTITY                                                                                         \
	{                                                                                                              \
		.form = IDMAP_IDENTITY, .uid = {{0, 0, UINT32_MAX}}, .gid = {{0, 0, UINT32_MAX}}, .nuid = 1,           \
		.ngid = 1, .key = "identity"                                                                           \
	}

struct container {
	const struct run_opts *o; /* &rec.config.o */
	struct container_rec rec; /* its dirfd and dir are those below */
	bool is_named;		  /* names/NAME is ours */
	bool is_recorded;	  /* config.json is written: the container exists */
	bool dir_later;		  /* its directory is made while the child makes its namespaces */
	struct store store;
	struct idmap map;
	struct idmap ranged; /* with --userns=nomap: the map it was made from */
	bool has_map;	     /* false with --userns=host as root */
	struct image_run image;
	bool has_image;
	bool is_working; /* what was named is no image but a working container */
	char id[CONTAINER_ID_SIZE];
	char *dir;    /* absolute path of containers/ID */
	int dirfd;    /* holds the lock that says "alive" */
	int parentfd; /* containers/, of a new container; -1 */
	struct rtspec spec;
	struct seccomp_plan seccomp;
	bool has_seccomp;
	struct net_slirp_opts slirp_opts;
	struct net_slirp slirp;
	bool uses_slirp;
	struct net_lease *leases; /* named networks */
	int *lease_conns;
	size_t nleases;
	struct net_ports ports; /* bound, until rl-portd has them */
	struct proc_child portd;
	struct volume_lease *volumes; /* held by their shared locks (container_volumes.c) */
	size_t nvolumes;
	struct runtime_container run;
	struct container_limits limits;
	struct container_usage usage;
	int op_fd;	   /* of the verb that starts it: the monitor closes its copy; -1 */
	int shared_fds[4]; /* pidfds of the containers whose namespaces it shares, or namespaces */
	size_t nshared;
	int shm_fd;			/* mount of the /dev/shm it shares, -1 */
	int proc_fd, mqueue_fd;		/* mounts that belong to namespaces named by a path, -1 */
	char *net_dir;			/* directory of the container whose network it shares, or NULL */
	int own_output[3];		/* what --attach hides of the payload, while it is cloned; -1 */
	void (*after_clone)(void *arg); /* or NULL */
	void *after_clone_arg;
	int (*after_dir)(void *arg, struct err *e); /* with dir_later, once the directory is there; or NULL */
	void *after_dir_arg;
};

/* container_shm.c: a detached copy of the mount on /dev/shm of the container of this process. */
int container_shm_open(int pidfd, bool join_user, struct err *e) RL_CHECK;

/* container_ns.c: a namespace named by a path, checked: of that kind, and one that may be entered. */
int container_ns_open(const char *path, enum rt_ns_kind kind, struct err *e) RL_CHECK;
/* The file system that goes with it (RT_NS_PID, RT_NS_IPC), mounted nowhere. */
int container_ns_mount(int ns, enum rt_ns_kind kind, struct err *e) RL_CHECK;
/* The host name in it; NULL where it cannot be had. */
char *container_ns_hostname(const char *path);

/* container_dir.c: containers/ID, made, found dead, removed. */
int container_dir_make(struct container *c, struct err *e) RL_CHECK;
int container_dir_give_away(struct container *c, const struct idmap *ranged, struct err *e) RL_CHECK;
/* With --rm it is made as garbage, should nobody hold its lock. One made by `create` is not, until it is started. */
int container_dir_mark(const struct container *c, bool is_started, struct err *e) RL_CHECK;
/* hosts, resolv.conf, hostname: what is mounted in the container and not part of the plan. */
int container_dir_fill(struct container *c, struct err *e) RL_CHECK;
/* config.json and the list of layers: from here on the container exists. Nothing where it does already. */
int container_dir_record(struct container *c, struct err *e) RL_CHECK;
int container_dir_remove(struct container *c, struct err *e) RL_CHECK;
/* Remove what containers with --rm left behind when they were killed. Cheap when there is nothing. */
void container_sweep(const struct store *s);
/* Remove directory and name, with the locks held by the caller. */
int container_dir_unmake(const struct store *s, const char *id, const char *name, struct err *e) RL_CHECK;

/* Wall clock in nanoseconds, as records have it. */
int64_t container_now(void);
/* PID 1's and this process's names into the state; status running. */
void container_note_started(struct container *c, bool foreground);

/* container_resolve.c: options and image config to the record; everything that is decided at creation. */
int container_resolve(struct container *c, struct err *e) RL_CHECK;
/* container_emulate.c: the record's --emulate becomes RT_EMULATE_OFF, _WRITE or _FULL. After user and layers are known. */
void container_emulate_resolve(struct container *c);

/* container_volumes.c: at creation, with the image's config or NULL: mounts completed, volumes made, filled and held. */
int container_volumes_resolve(struct container *c, const json_t *config, struct err *e) RL_CHECK;
/* The volumes of the record's mounts, for as long as the container is made or runs. */
int container_volumes_hold(struct container *c, bool create, struct err *e) RL_CHECK;
/* One of them, or NULL. */
const struct volume_lease *container_volume(const struct container *c, const char *name);
void container_volumes_release(struct container *c);
/* The anonymous volumes of a container that is going away. Before its record goes: what a crash leaves is then still
 * reachable. The container's own locks on them must be released. */
void container_volumes_drop(const struct container_rec *rec);

/* container.c */
void container_init(struct container *c);
/* Take over `o` (it is left empty), find the image, make and name the directory, resolve. */
int container_prepare_new(struct container *c, struct run_opts *o, const char *store_root, struct err *e) RL_CHECK;
/* From the record, with the directory's lock in lock_fd (taken over): as it was created. */
int container_prepare_old(struct container *c, const char *store_root, struct container_rec *rec, int lock_fd,
			  struct err *e) RL_CHECK;
/* Clone and handshake, up to where the child may run. */
int container_launch(struct container *c, struct err *e) RL_CHECK;
/* The network device, once the child has sent it. */
int container_hand_over_device(struct container *c, struct err *e) RL_CHECK;
/* Launch, and relay until the container ends; its exit status. */
int container_start_and_relay(struct container *c, struct err *e) RL_CHECK;
int container_write_id_files(struct container *c, bool with_cid, struct err *e) RL_CHECK;
/* Deliver a signal to PID 1 as its default action demands (decision 19): returns the signal if the container was
 * killed in its place, 0 otherwise. */
int container_deliver(struct container *c, int sig);
/* monitor.c: start with a monitor; takes everything of *c over. Attached unless -d: returns as container_run does. */
int container_run_monitored(struct container *c, struct str *ret_id, int *ret_status, struct err *e) RL_CHECK;
/* container_start.c: start what must run first and does not: those of --requires, the pod. */
int container_start_required(const char *root, const struct run_opts *o, struct err *e) RL_CHECK;
/* --sdnotify=container: the directory of the socket, in the container's own and inside. */
#define CONTAINER_NOTIFY_DIR	"notify"
#define CONTAINER_NOTIFY_SOCKET "notify.sock"
#define CONTAINER_NOTIFY_INSIDE "/run/notify"

/* container_logs.c: where the log is. *ret_dir is -1 or a descriptor to close; --log-opt path= is absolute. */
struct log_place;
const char *container_log_path(const struct run_opts *o);
int container_log_place(const struct run_opts *o, int dirfd, int *ret_dir, struct log_place *ret_place,
			struct err *e) RL_CHECK;

/* container_watch.c: waiting for a container without polling. */
struct container_watch {
	const struct container_rec *rec;
	int inotify;
	int pids[2]; /* pidfds of PID 1 and of the monitor, -1 when gone */
};
int container_watch_open(const struct container_rec *rec, struct container_watch *ret_watch, struct err *e) RL_CHECK;
/*
 * The same for who waits only until the processes have ended: without inotify, because the close of its descriptor waits
 * for the kernel's grace period, 10 to 40 ms. With both processes gone there is nothing to wait for.
 */
void container_watch_open_ends(const struct container_rec *rec, struct container_watch *ret_watch);
/* Something may have changed (files of the directory, a process ended): 1; 0 after timeout_ms (-1: none). Afterwards
 * reload the record and, if processes changed, open the watch anew. */
int container_watch_wait(struct container_watch *w, int timeout_ms, struct err *e) RL_CHECK;
void container_watch_close(struct container_watch *w);
/* Wait until nobody holds the directory's lock any more (a monitor on its way out), and take it. */
int container_rec_wait_free(const struct container_rec *rec, int *ret_fd, struct err *e) RL_CHECK;

/* container_pause.c: everything of a running container stands still, or goes on; no mark is made. */
int container_rec_halt(const struct container_rec *rec, bool still, struct err *e) RL_CHECK;

/* container_share.c: namespaces of other containers. At creation names become ids and --userns follows from them; the map
 * that was chosen must be theirs; before every start they are opened into the spec. */
bool container_shares(const struct container *c);
int container_share_resolve(struct container *c, struct err *e) RL_CHECK;
int container_share_check_map(struct container *c, struct err *e) RL_CHECK;
int container_share_open(struct container *c, struct err *e) RL_CHECK;
void container_share_close(struct container *c);
/* After the end: a pid namespace that is not the container's own does not end with it. */
void container_share_kill_rest(struct container *c);

/* container_leftover.c: where the record cannot say who runs. A process of the container or one that may be, 0: none; all
 * that certainly are ended, -EBUSY with what to do where that cannot be, or cannot be known. */
pid_t container_leftover_find(const struct container_rec *rec);
int container_leftover_end(const struct container_rec *rec, struct err *e) RL_CHECK;

/* container_join.c: a process that joins a container that runs, with the sandbox of the record. */
struct container_join_opts {
	const struct strv *args;
	const struct run_opts *o; /* env, workdir, user, tty, privileged; NULL: as the container's own command */
	int stdio[3];		  /* become 0 to 2; -1: ours */
	unsigned preserve_fds;
	bool outlives_caller; /* no parent-death signal */
};
int container_join(const struct container_rec *rec, const struct container_join_opts *o,
		   struct runtime_container *ret_run, struct err *e) RL_CHECK;
/* A pidfd of a process whose namespaces are the container's and may be looked at: PID 1, or its command where PID 1 is
 * our reaper. */
int container_rec_open_member(const struct container_rec *rec, struct err *e) RL_CHECK;

struct container_selection;
/* container_select.c: the containers a selection without names means. */
/* As container_store_list_brief lists them. */
int container_select_list(const struct store *s, const struct container_selection *sel, struct container_list *l,
			  struct err *e) RL_CHECK;
/* container_admin.c: remove; `force` ends it first, `volumes`: and its anonymous volumes (always with --rm). */
int container_remove_rec(struct container_rec *rec, bool force, bool volumes, struct err *e) RL_CHECK;
/* Undo everything; keep_dir: the container is to stay. */
void container_close(struct container *c, bool keep_dir);

/* container_network.c: which network, into spec and slirp_opts. */
int container_build_network(struct container *c, struct err *e) RL_CHECK;
/* What it has, one line per network (rl/model/endpoint.h). */
void container_network_describe(const struct container *c, struct strv *out);
/* container_rights.c: what the options allow, malloc'd; NULL: what every container may. */
int container_rights(const struct record_config *config, struct net_rights **ret, struct err *e) RL_CHECK;
/* Tell the rl-netd of its own, before the device; tell that of a network, before it is plugged in. */
int container_rights_slirp(struct container *c, struct err *e) RL_CHECK;
/* Where the fast path leads; off (with a warning) where the kernel cannot. */
int container_rights_fast(const struct record_config *config, const struct net_slirp_opts *s, struct rt_connect *ret,
			  struct err *e) RL_CHECK;
/* The same for a process that joins the container. */
int container_rights_fast_join(const struct container_rec *rec, struct rt_connect *ret, struct err *e) RL_CHECK;
int container_rights_lease(const struct container_rec *rec, const struct net_lease *lease, int conn,
			   struct err *e) RL_CHECK;
/* Addresses on named networks, before the clone; and let go of them. */
int container_network_lease(struct container *c, struct err *e) RL_CHECK;
void container_network_release(struct container *c);
/* One of them: `text` is NAME[:OPTIONS]. */
int container_lease(const struct store *s, const struct record_config *config, const char *text, const char *interface,
		    struct net_lease *ret_lease, int *ret_conn, struct err *e) RL_CHECK;
/* In the child, in its network namespace (runtime_start's net_setup; `arg` is the container). */
int container_network_setup(void *arg, int *ret_fd, int *ret_kind, struct err *e) RL_CHECK;
void container_network_endpoint(const struct net_lease *l, struct strv *out);
/* The text of its resolv.conf. */
int container_network_resolv_conf(const struct run_opts *o, const struct strv *endpoints, struct str *out,
				  struct err *e) RL_CHECK;
/* docker's members of NetworkSettings: "Networks", and the addresses of the first one by themselves. Without endpoints
 * there is one network, `name`. */
void container_networks_put(const struct container_rec *rec, const char *name, json_t *settings);
/* container_ports.c: the addresses that published ports lead to may be others now. */
int container_ports_moved(const struct container_rec *rec, struct err *e) RL_CHECK;
/* container_ports.c: before the clone; when the payload runs (or has already ended); when it has ended. */
int container_ports_bind(struct container *c, struct err *e) RL_CHECK;
int container_ports_start(struct container *c, struct err *e) RL_CHECK;
void container_ports_stop(struct container *c);

/* container_spec.c: a filter for these capabilities: the default one, or that of a profile's text (docker's format). */
enum { CONTAINER_SECCOMP_MAX = 4 << 20 };
#define CONTAINER_SECCOMP_FILE "seccomp.json" /* of the last start, in the container's directory; only with a profile */
int container_seccomp_plan(const struct store *s, const struct str *profile, const char *what, uint64_t caps,
			   struct seccomp_plan *ret_plan, struct err *e) RL_CHECK;
/* options and image config to the spec. */
/* container_report.c: with --report only, else nothing. The payload runs; PID 1 has ended and is not yet reaped; it is
 * reaped, and what it wrote still there. The text, whole lines, is for standard error (it goes to the file, if that was
 * asked for, and *ret_text stays empty). `why` is not NULL if it is known. */
void container_report_started(struct container *c);
void container_report_reaping(struct container *c);
void container_report(struct container *c, int status, const char *why, struct str *ret_text);

/* container_limits.c. In the order of a life: asked for as early as possible; made before the monitor is forked (systemd
 * moves the asking process into the scope) and after the spec is built (it gets rlimits where cgroups are missing). */
void container_limits_init(struct container_limits *l);
void container_limits_request(struct container *c);
int container_limits_make(struct container *c, struct err *e) RL_CHECK;
/* What limits the payload without a cgroup; before each plan. */
void container_limits_add_to_spec(struct container *c);
/* The record was changed by `rl update`. May make limits.timer. */
void container_limits_changed(struct container *c);
/* The payload runs: the watch begins. */
void container_limits_started(struct container *c);
/* limits.timer is readable. True if the container was killed for its memory. */
bool container_limits_on_timer(struct container *c);
/* PID 1 was reaped with `status`: nothing of the container stays; *ret_text, one line, says why it ended if that was
 * its memory (else it stays as it is). */
void container_limits_ended(struct container *c, int status, struct str *ret_text);
/* No further start in this process: the cgroups are removed. */
void container_limits_close(struct container *c);
/* The fields of cgroup.h from what was asked for. *io is the array limits->io points to, for the caller to free. */
int container_limits_translate(const struct limit_opts *o, struct cgroup_limits *ret_limits, struct cgroup_io **ret_io,
			       struct err *e) RL_CHECK;

/* container_spec.c: options and image config to the spec. */
int container_build_spec(struct container *c, struct err *e) RL_CHECK;
/* container_users.c: lines for the container's passwd and group files */
int container_build_users(struct container *c, struct err *e) RL_CHECK;
/* container_spec_mounts.c */
int container_build_mounts(struct container *c, struct err *e) RL_CHECK;
/* After mounts were added: parents first. */
void container_sort_mounts(struct container *c);

/* container_foreground.c: relay until the container ends; returns its exit status. */
int container_foreground(struct container *c, struct err *e) RL_CHECK;

#endif
