/*
 * archive_role.h - what the confined program does, and the handshake between it and archive_unpack/archive_extract.
 *
 * Model: rl-image's main dispatches its hidden verbs "unpack", "extract" and "inflate" to the role mains in src/image/, which call
 * the functions here. Descriptors of the program: 3 the socket (rl/base/sync.h), 4 the blob, 5 the target directory,
 * and those a message carries.
 *
 *   step        sender   precondition                        payload
 *   REQUEST     parent   the program was started             struct archive_wire; fds: tee and sidecar if flagged
 *   LOWER       parent   repeated until nlower were sent     up to SYNC_FDS_MAX directories, top first
 *   UNSHARED    child    its namespaces exist, no ids yet    none
 *   MAPPED      parent   uid_map and gid_map are written, or there is no user namespace to be had (struct archive_wire says
 *                        so, and UNSHARED says nothing then)  none
 *   DONE        child    all written and synced              struct archive_unpacked (unpack, inflate), uint64_t count (extract)
 *   (error)     either   any time, last message              struct err
 *
 * Situation on entry of archive_role_main: host namespaces, the caller's uid, all capabilities the caller has, fds 3 to
 * 5, stdio; on entry of the unpacking itself: own namespaces, container root, six capabilities, root directory = the
 * target, seccomp on. The parent's death closes the socket and kills it.
 */
#ifndef RL_ENGINE_ARCHIVE_ROLE_H
#define RL_ENGINE_ARCHIVE_ROLE_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/kern/idmap.h"

enum archive_step {
	ARCHIVE_STEP_REQUEST = 1,
	ARCHIVE_STEP_LOWER,
	ARCHIVE_STEP_UNSHARED,
	ARCHIVE_STEP_MAPPED,
	ARCHIVE_STEP_DONE,
};

enum { ARCHIVE_FD_SOCK = 3, ARCHIVE_FD_BLOB = 4, ARCHIVE_FD_TARGET = 5 };

enum archive_role { ARCHIVE_ROLE_UNPACK, ARCHIVE_ROLE_EXTRACT, ARCHIVE_ROLE_INFLATE };

/* Runs the whole role and ends the process; failures go to the parent over the socket. Returns only when the process
 * was not started as a role. */
int archive_role_main(enum archive_role role, struct err *e) RL_CHECK;

#endif
