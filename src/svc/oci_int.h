/*
 * oci_int.h - what the files of the OCI runtime share; see rl/svc/oci.h for the model.
 */
#ifndef RL_SVC_OCI_INT_H
#define RL_SVC_OCI_INT_H

#include <sys/types.h>

#include "rl/engine/runtime.h"
#include "rl/engine/seccomp_plan.h"
#include "rl/kern/idmap.h"
#include "rl/model/oci_config.h"
#include "rl/model/rtspec.h"
#include "rl/svc/oci.h"

enum { OCI_ID_MAX = 1024, OCI_FILE_MAX = 16 << 20 };

#define OCI_STATE_FILE	"state.json"
#define OCI_CONFIG_FILE "config.json"
#define OCI_GATE_FILE	"gate"
#define OCI_START_FILE	"start"
#define OCI_PAUSED_FILE "paused"

enum oci_status { OCI_CREATING, OCI_CREATED, OCI_RUNNING, OCI_PAUSED, OCI_STOPPED };
const char *oci_status_name(enum oci_status s);

/* state.json. */
struct oci_record {
	char *id, *bundle, *rootfs, *oci_version, *owner, *created;
	pid_t pid;	/* 0: none yet */
	uint64_t start; /* of pid, in ticks since boot */
	char *boot_id;
	struct strv cgroups; /* rl/kern/cgroup.h's vector */
	char *scope;	     /* systemd's unit, or NULL */
	char *mount_ns;	     /* where the pid namespace is not the container's own */
	unsigned namespaces; /* 1 << enum rt_ns_kind that exec enters, and RT_NS_TIME_BIT */
	bool rootless;
	bool ready; /* the first process waits or runs */
	json_t *annotations;
};

/* An open container: its directory, locked or not. */
struct oci_container {
	char *path; /* of the directory */
	int dirfd;
	struct oci_record rec;
	enum oci_status status;
};

#define OCI_CONTAINER_NONE                                                                                             \
	{                                                                                                              \
		.dirfd = -1                                                                                            \
	}

/* ---- oci_state.c ---- */

int oci_check_id(const char *id, struct err *e) RL_CHECK;
bool oci_is_rootless(const struct oci_runtime *rt);
/* The state root, made if `create`. -ENOENT if it is not there. */
int oci_open_root(const struct oci_runtime *rt, bool create, char **ret_path, struct err *e) RL_CHECK;
/* The directory is the one that `path` names, not one that was removed and made anew while we waited for its lock. */
bool oci_is_in_place(int dirfd, const char *path);
/* A new directory, locked; a dead create's is taken over. -EEXIST. */
int oci_container_new(const struct oci_runtime *rt, const char *id, struct oci_container *ret_c,
		      struct err *e) RL_CHECK;
/* An existing one. `lock`: exclusively, until oci_container_close. -ENOENT "container does not exist". */
int oci_container_open(const struct oci_runtime *rt, const char *id, bool lock, struct oci_container *ret_c,
		       struct err *e) RL_CHECK;
void oci_container_close(struct oci_container *c);
#define autocontainer __attribute__((cleanup(oci_container_close)))
/* Compute c->status anew. */
void oci_container_refresh(struct oci_container *c);
int oci_container_save(const struct oci_container *c, struct err *e) RL_CHECK;
/* Everything in the directory, and it. */
int oci_container_remove(struct oci_container *c, struct err *e) RL_CHECK;
/* A pidfd of the first process, verified; -ESRCH. */
int oci_container_pidfd(const struct oci_container *c, struct err *e) RL_CHECK;
/* The config.json as it was at create. */
int oci_container_config(const struct oci_container *c, struct oci_config *ret_config, struct err *e) RL_CHECK;
/* The specification's state document. */
json_t *oci_record_state(const struct oci_record *r, enum oci_status status);

/* ---- oci_bundle.c ---- */

/* The bundle (NULL: where we are), its config.json as text and parsed, and its root: fills rec->bundle and rec->rootfs. */
int oci_bundle_read(const char *path, struct str *text, struct oci_config *config, struct oci_record *rec,
		    struct err *e) RL_CHECK;
/* What is known of a container before anything of it is made. */
void oci_record_begin(struct oci_record *rec, const struct oci_runtime *rt, const char *id,
		      const struct oci_config *config);

/* ---- oci_spec.c ---- */

/* Everything that a start needs and rtspec has no room for. */
struct oci_plan {
	struct rtspec spec;
	struct idmap map;
	bool has_map;
	struct seccomp_plan seccomp;
	bool has_seccomp;
	struct strv warnings;
	int fds[64]; /* namespaces and mount trees; closed with the plan */
	size_t nfds;
};

void oci_plan_init(struct oci_plan *p);
void oci_plan_free(struct oci_plan *p);
/* Keep a descriptor until the plan is freed. -EMFILE. */
int oci_plan_keep_fd(struct oci_plan *p, int fd, struct err *e) RL_CHECK;

struct oci_context {
	const struct oci_config *config;
	const char *bundle; /* absolute */
	const char *rootfs; /* absolute */
	bool rootless;
	const struct strv *cgroups; /* the container's, known before it is cloned */
	const struct oci_create_opts *opts;
};

int oci_plan_make(const struct oci_context *ctx, struct oci_plan *p, struct err *e) RL_CHECK;
/* The process part alone; also exec's. `listen_fds` sockets of systemd are passed on to it. */
int oci_plan_process(const struct oci_process *proc, unsigned listen_fds, struct oci_plan *p, struct err *e) RL_CHECK;
int oci_plan_seccomp(const struct oci_config *c, struct oci_plan *p, struct err *e) RL_CHECK;
/* oci_mounts.c */
int oci_plan_mounts(const struct oci_context *ctx, struct oci_plan *p, struct err *e) RL_CHECK;
int oci_plan_devices(const struct oci_context *ctx, struct oci_plan *p, struct err *e) RL_CHECK;
/* The names of every mount option, an array. */
json_t *oci_mount_options(void);
/* A user namespace with these maps, to map a mount's ids with; a descriptor. */
int oci_idmap_userns(const struct oci_list *uids, const struct oci_list *gids, struct err *e) RL_CHECK;
int oci_extents(const struct oci_list *list, const char *what, struct idmap_extent *ret, size_t *ret_n,
		struct err *e) RL_CHECK;

/* ---- oci_cgroup.c ---- */

/* Where the container's control groups will be: fills rec->cgroups. */
int oci_cgroup_plan(const struct oci_runtime *rt, const struct oci_config *c, struct oci_record *rec,
		    struct err *e) RL_CHECK;
/* Make them. Rootless they may not be ours to make: rec->cgroups is empty then. */
int oci_cgroup_make(struct oci_record *rec, struct err *e) RL_CHECK;
/* --systemd-cgroup, where the path is only known once the process is in its scope: fills rec->cgroups and rec->scope. */
int oci_cgroup_put_in_scope(const struct oci_config *c, pid_t pid, struct oci_record *rec, struct err *e) RL_CHECK;
/* Write what `r` asks for. `update`: of a container that runs. */
int oci_cgroup_limit(const struct strv *dirs, const struct oci_resources *r, bool lenient, struct strv *warnings,
		     struct err *e) RL_CHECK;
/* The device rules: v1's devices.*, v2's program. */
int oci_cgroup_devices(const struct strv *dirs, const struct oci_config *c, bool lenient, struct err *e) RL_CHECK;

/* ---- oci_hooks.c ---- */

/* Run the hooks of a kind in order, with the state on stdin. Stops at the first that fails. */
int oci_hooks_run(const struct oci_config *c, enum oci_hook_kind kind, const struct oci_record *rec,
		  enum oci_status status, struct err *e) RL_CHECK;
/* The same for poststart and poststop: one that fails is a warning, and the next one runs. */
void oci_hooks_run_all(const struct oci_config *c, enum oci_hook_kind kind, const struct oci_record *rec,
		       enum oci_status status);

/* ---- oci_console.c ---- */

/* Send one descriptor with a few bytes to the socket at `path`. */
int oci_connect(const char *path, struct err *e) RL_CHECK;
int oci_send_fd_on(int sock, const void *data, size_t len, int fd, struct err *e) RL_CHECK;
int oci_send_fd(const char *path, const void *data, size_t len, int fd, struct err *e) RL_CHECK;
/* Fails before anything is made if the two do not fit. */
int oci_check_console(bool terminal, bool detached, const char *socket, struct err *e) RL_CHECK;
int oci_write_pid_file(const char *path, pid_t pid, struct err *e) RL_CHECK;
/* In front of a command of ours: signals on, terminal relayed, until it ends; its exit status. */
int oci_foreground(struct runtime_container *c, struct err *e) RL_CHECK;

/* ---- oci_admin.c ---- */

/* What delete does once nobody runs: control groups, directory, poststop. */
int oci_destroy(struct oci_container *c, struct err *e) RL_CHECK;

#endif
