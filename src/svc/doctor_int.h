/*
 * doctor_int.h - one row, and the probes by file.
 */
#ifndef RL_SVC_DOCTOR_INT_H
#define RL_SVC_DOCTOR_INT_H

#include "rl/engine/store.h"
#include "rl/kern/idmap.h"
#include "rl/svc/doctor.h"

enum doctor_state { DOCTOR_WORKS, DOCTOR_RUNG, DOCTOR_MISSING };

struct doctor_row {
	const char *name;
	enum doctor_state state;
	struct str finding;
	struct str remedy;
	const char *command; /* for root, or NULL; static */
};

/* What the probes share: found by the first ones, used by the later ones. */
struct doctor {
	struct store store;
	bool has_store;
	struct err store_error;
	struct idmap map;
	bool has_userns; /* a user namespace with this map can be made */
	bool is_root;
};

/* Fills finding, and where it is not DOCTOR_WORKS the remedy. */
typedef enum doctor_state doctor_probe(struct doctor *d, struct doctor_row *row);

/* doctor_probes.c: namespaces and what is done in them. */
doctor_probe doctor_userns, doctor_ids, doctor_proc, doctor_overlay, doctor_network, doctor_mount_calls;
/* doctor_host.c: what the host has. */
doctor_probe doctor_store_dir, doctor_xattr, doctor_cgroups, doctor_seccomp, doctor_landlock, doctor_ping, doctor_ports,
	doctor_linger, doctor_lsm, doctor_groups, doctor_runtime_dir, doctor_programs, doctor_user;

#endif
