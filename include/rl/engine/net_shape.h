/*
 * net_shape.h - libslirp's frames made cheaper for the container to take. Pure functions.
 *
 * Measured on two cores, one TCP stream, per gigabyte of rl-netd's processor time (libslirp 4.7, MTU 65520):
 *
 *   receive window   libslirp advertises 65535. A sender may use half of the largest window it has seen per segment, so
 *                    it cuts a window in 32767 + 32767 + 1 bytes, and a third of all frames carries one byte. An even
 *                    window gives two.                                                                  up -12 %
 *   acknowledgements libslirp acknowledges every segment. Of several that it makes while a batch of frames is read, only
 *                    the last is worth a system call and waking the sender for.                         up -30 %
 *   checksums        libslirp has computed them, and the container's kernel would verify them byte by byte; a frame
 *                    marked as "to be completed" (as every local sender's) is not verified.             down
 */
#ifndef RL_ENGINE_NET_SHAPE_H
#define RL_ENGINE_NET_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SHAPE_HEAD_MAX = 128, /* longer than Ethernet, IPv6 and TCP with options */
	SHAPE_VNET_LEN = 10,  /* struct virtio_net_hdr before every frame on the device */
};

struct shape {
	uint8_t head[SHAPE_HEAD_MAX]; /* what to send instead of the first head_len bytes */
	size_t head_len;
	uint8_t vnet[SHAPE_VNET_LEN];
	bool is_ack; /* an acknowledgement and nothing else */
	size_t l3, l4;
};

/* `frame`: complete, with right checksums, from libslirp. */
void shape_frame(const uint8_t *frame, size_t len, struct shape *ret);
/* Both acknowledgements of one connection, and the newer says more: the older need not be sent. A repeated
 * acknowledgement is a message of its own (fast retransmit) and supersedes nothing. */
bool shape_supersedes(const struct shape *newer, const struct shape *older);

#endif
