/*
 * wire_int.h - the message of ARCHIVE_STEP_REQUEST; both ends are one binary, so it is a plain struct.
 */
#ifndef RL_ENGINE_ARCHIVE_WIRE_INT_H
#define RL_ENGINE_ARCHIVE_WIRE_INT_H

#include <assert.h>

#include "rl/base/sync.h"
#include "rl/engine/archive.h"
#include "rl/engine/archive_role.h"

struct archive_wire {
	struct idmap map;
	uint64_t max_tar;
	uint64_t max_ratio;
	uint32_t nlower;
	uint32_t max_members;
	uint64_t blob_size; /* with has_feed */
	bool has_tee;	    /* the message's descriptors: tee, sidecar, feed, each if flagged */
	bool has_sidecar;
	bool has_feed;
	bool no_sync;
	bool plain; /* no user namespace can be had: see role_plain_int.h */
};

static_assert(sizeof(struct archive_wire) <= SYNC_DATA_MAX, "the request must fit one message");
static_assert(sizeof(struct archive_unpacked) <= SYNC_DATA_MAX, "the result must fit one message");

/* What the workers of the two roles get, once confined. Descriptors: -1 where there is none. */
struct archive_work {
	const struct archive_wire *wire;
	int blobfd;
	int teefd;
	int feedfd;
	int rootfd;
	int sidecarfd;
	const int *lowerfds;
};

/* unpack_work and inflate_work: on failure threads may still be running, and the process must end. */
int unpack_work(const struct archive_work *w, struct archive_unpacked *ret, struct err *e) RL_CHECK;
/* Writes the tar stream to teefd. */
int inflate_work(const struct archive_work *w, struct archive_unpacked *ret, struct err *e) RL_CHECK;
/* Leaves no thread behind. */
int extract_work(const struct archive_work *w, uint64_t *ret_count, struct err *e) RL_CHECK;

/* What extract_work wrote into its root, for the caller's side. */
#define EXTRACT_LIST "list"
int extract_read_list(int dirfd, struct archive_members *ret, struct err *e) RL_CHECK;

#endif
