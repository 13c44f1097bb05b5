/*
 * build_proto.h - what rl and `rl-image pack-layers` say to each other during a build (descriptor 3, base/sync.h).
 *
 * The program lives as long as the build. It forks one child that is root in the user namespace of the map, once, and
 * that packs what it is told, one layer after the other: starting a program and writing id maps for every step would
 * cost more than the step.
 *
 *   step          sender   when                                 payload
 *   START         rl       first (image_proto.h)                struct idmap
 *   BUILD_DIR     rl       a directory that is or will be a     one descriptor; the n-th one is number n
 *                          layer
 *   BUILD_PACK    rl       one of them is complete and nobody   struct build_pack_order, one descriptor: the blob's file
 *                          writes there any more
 *   BUILD_PACKED  program  it is packed; what may not be in an  struct build_packed
 *                          unpacked layer is gone from it
 *   (error)       program  the last message                     struct err
 * rl ends it by closing the socket. Nothing is synced: rl syncs the file system once, before it publishes.
 */
#ifndef RL_MODEL_BUILD_PROTO_H
#define RL_MODEL_BUILD_PROTO_H

#include <stdint.h>

enum { BUILD_PROTO_LOWERS_MAX = 500 };

enum build_proto_step { BUILD_STEP_DIR = 32, BUILD_STEP_PACK, BUILD_STEP_PACKED };

enum build_times { BUILD_TIMES_KEEP, BUILD_TIMES_CLAMP, BUILD_TIMES_SET };

struct build_pack_order {
	uint32_t dir;
	uint32_t nlowers;
	uint32_t times;		/* enum build_times */
	uint32_t trust_records; /* control records in it were written by rl-notifyd (rl/kern/xattr.h) */
	int64_t epoch;
	uint16_t lowers[BUILD_PROTO_LOWERS_MAX]; /* numbers of directories, top first */
};

struct build_packed {
	uint32_t dir;
	uint32_t max_uid, max_gid;
	char blob[72], diff_id[72];
	int64_t blob_size, tar_size, unpacked_size, entries;
	uint32_t only_root; /* the layer holds its root directory and nothing else */
};

#endif
