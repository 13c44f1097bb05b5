/*
 * net_frag.h - put the fragments of the container's IPv4 datagrams together before libslirp sees them.
 *
 * libslirp's own reassembly keeps any number of half datagrams and has been wrong more than once; it never gets a
 * fragment. Here: at most FRAG_ENTRIES datagrams at a time, a few seconds each, and a datagram with overlapping or
 * contradicting fragments is given up as a whole. Pure but for memory; time is passed in.
 */
#ifndef RL_ENGINE_NET_FRAG_H
#define RL_ENGINE_NET_FRAG_H

#include <stddef.h>
#include <stdint.h>

#include "rl/base/compiler.h"
#include "rl/engine/net_frame.h"

enum {
	FRAG_ENTRIES = 8,
	FRAG_TIMEOUT_MS = 3000,
};

struct frag_table;

struct frag_table *frag_new(void);
void frag_free(struct frag_table *t);
/* A frame that frame_check called FRAME_FRAGMENT. Returns 0 when more is to come; the length of the finished frame,
 * built in `out` (FRAME_MAX bytes), which is to be checked like any other; or -EINVAL when the datagram was given up. */
int frag_add(struct frag_table *t, const uint8_t *frame, const struct frame_info *i, int64_t now_ms,
	     uint8_t *out) RL_CHECK;
/* When the oldest entry ends, INT64_MAX without one; frag_expire frees those whose time is up. */
int64_t frag_deadline(const struct frag_table *t);
void frag_expire(struct frag_table *t, int64_t now_ms);

#endif
