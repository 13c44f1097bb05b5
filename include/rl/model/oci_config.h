/*
 * oci_config.h - config.json of an OCI bundle (runtime-spec 1.2), and process.json, as structs.
 *
 * Model: one table (oci_fields.c) has a row for every member the specification knows: where its value goes, what its own
 * members are, or why it is refused. From the table come the reader, the release of memory, and oci_config_fields, which
 * a test compares with the specification's schema. The structs say what was written, nothing more: what it means to
 * the kernel is decided in svc/oci_spec.c and svc/oci_cgroup.c.
 *
 * A member of a known name and another type is an error that names it ("linux.namespaces[2].type is not a string").
 * Unknown members are ignored, as the specification wants ("extensibility"), with a line in the debug log; `ignored`
 * collects them. null is taken for absent. Numbers above 2^63 are read exactly (rlimits are 2^64 - 1).
 *
 * Calling sequence: oci_config_parse(text, len, &config, e); ... oci_config_free(&config);
 * Ownership: the struct owns everything in it. Pure; hostile input is expected. Errors: -EBADMSG no JSON, -EINVAL wrong
 * type or missing member, -EOPNOTSUPP refused member, -EFBIG more than OCI_CONFIG_MAX bytes.
 */
#ifndef RL_MODEL_OCI_CONFIG_H
#define RL_MODEL_OCI_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"

enum { OCI_CONFIG_MAX = 16 << 20, OCI_LIST_MAX = 65536 };

/* A number that may be absent. Unsigned ones above INT64_MAX are in `value` as their bits. */
struct oci_num {
	bool given;
	int64_t value;
};

struct oci_list {
	void *items;
	size_t count;
};

/* The i-th item of a list of `type`. */
#define oci_item(list, type, i) (&((type *)(list).items)[i])

struct oci_user {
	struct oci_num uid, gid, umask;
	struct oci_list additional_gids; /* struct oci_num */
};

struct oci_caps {
	bool given;
	struct strv bounding, permitted, effective, inheritable, ambient;
};

struct oci_rlimit {
	char *type;
	struct oci_num soft, hard;
};

struct oci_scheduler {
	bool given;
	char *policy;
	struct strv flags;
	struct oci_num nice, priority, runtime, deadline, period;
};

struct oci_ioprio {
	bool given;
	char *class;
	struct oci_num priority;
};

struct oci_affinity {
	char *initial, *final;
};

struct oci_process {
	bool given;
	struct oci_num terminal; /* a boolean */
	struct {
		struct oci_num height, width;
	} console;
	struct oci_user user;
	struct strv args, env;
	char *cwd;
	struct oci_caps caps;
	struct oci_list rlimits; /* struct oci_rlimit */
	struct oci_num no_new_privileges;
	char *apparmor_profile;
	char *selinux_label;
	struct oci_num oom_score_adj;
	struct oci_scheduler scheduler;
	struct oci_ioprio ioprio;
	struct oci_affinity affinity;
};

struct oci_id_mapping {
	struct oci_num inside, outside, size;
};

struct oci_mount {
	char *destination, *type, *source;
	struct strv options;
	struct oci_list uid_mappings, gid_mappings; /* struct oci_id_mapping */
};

struct oci_hook {
	char *path;
	struct strv args, env;
	struct oci_num timeout; /* seconds */
};

enum oci_hook_kind {
	OCI_HOOK_PRESTART,
	OCI_HOOK_CREATE_RUNTIME,
	OCI_HOOK_CREATE_CONTAINER,
	OCI_HOOK_START_CONTAINER,
	OCI_HOOK_POSTSTART,
	OCI_HOOK_POSTSTOP,
	OCI_HOOK_KINDS,
};

struct oci_namespace {
	char *type, *path;
};

struct oci_device {
	char *path, *type;
	struct oci_num major, minor, file_mode, uid, gid;
};

struct oci_clock {
	struct oci_num secs, nanosecs;
};

struct oci_device_rule {
	struct oci_num allow; /* a boolean */
	char *type, *access;
	struct oci_num major, minor;
};

struct oci_block_weight {
	struct oci_num major, minor, weight, leaf_weight;
};

struct oci_throttle {
	struct oci_num major, minor, rate;
};

struct oci_hugepage {
	char *page_size;
	struct oci_num limit;
};

struct oci_net_priority {
	char *name;
	struct oci_num priority;
};

struct oci_resources {
	bool given;
	struct oci_list devices; /* struct oci_device_rule */
	struct {
		struct oci_num limit, reservation, swap, kernel, kernel_tcp, swappiness;
		struct oci_num disable_oom_killer, use_hierarchy, check_before_update; /* booleans */
	} memory;
	struct {
		struct oci_num shares, quota, burst, period, rt_runtime, rt_period, idle;
		char *cpus, *mems;
	} cpu;
	struct oci_num pids;
	struct {
		struct oci_num weight, leaf_weight;
		struct oci_list weight_device;				    /* struct oci_block_weight */
		struct oci_list read_bps, write_bps, read_iops, write_iops; /* struct oci_throttle */
	} block_io;
	struct oci_list hugepages; /* struct oci_hugepage */
	struct oci_num class_id;
	struct oci_list net_priorities; /* struct oci_net_priority */
	json_t *rdma;			/* object of {hcaHandles, hcaObjects} */
	json_t *unified;		/* object of strings */
};

struct oci_config {
	char *oci_version;
	struct oci_process process;
	struct {
		bool given;
		char *path;
		struct oci_num readonly; /* a boolean */
	} root;
	char *hostname, *domainname;
	struct oci_list mounts;		       /* struct oci_mount */
	struct oci_list hooks[OCI_HOOK_KINDS]; /* struct oci_hook */
	json_t *annotations;		       /* object of strings, or NULL */
	bool has_linux;
	struct oci_list namespaces;		    /* struct oci_namespace */
	struct oci_list uid_mappings, gid_mappings; /* struct oci_id_mapping */
	struct oci_list devices;		    /* struct oci_device */
	char *cgroups_path;
	char *rootfs_propagation;
	char *mount_label;
	struct oci_resources resources;
	json_t *seccomp; /* model/seccomp_profile.h reads it */
	json_t *sysctl;	 /* object of strings */
	struct strv masked_paths, readonly_paths;
	struct {
		bool given;
		struct oci_clock monotonic, boottime;
	} time_offsets;
	struct {
		char *domain;
		struct strv flags;
	} personality;
	struct strv ignored; /* members that no row knows */
};

#define OCI_CONFIG_INIT                                                                                                \
	{                                                                                                              \
		.oci_version = NULL                                                                                    \
	}

int oci_config_parse(const char *text, size_t len, struct oci_config *ret_config, struct err *e) RL_CHECK;
void oci_config_free(struct oci_config *c);
#define autoconfig __attribute__((cleanup(oci_config_free)))

/* process.json of `exec --process`: the members of config.json's process. */
int oci_process_parse(const char *text, size_t len, struct oci_process *ret_process, struct err *e) RL_CHECK;
void oci_process_free(struct oci_process *p);

/* The resources of `update --resources`: members of config.json's linux.resources. */
int oci_resources_parse(const char *text, size_t len, struct oci_resources *ret_resources, struct err *e) RL_CHECK;
void oci_resources_free(struct oci_resources *r);

/* Every member the table knows, one a line: path, tab, "handled", "refused: why" or "ignored: why". Items of lists are
 * "[]", members with names of the user's "*". */
void oci_config_fields(struct str *out);

/* "prestart", ..., as config.json spells the kind. */
const char *oci_hook_kind_name(enum oci_hook_kind kind);

#endif
