/*
 * sync.h - messages between two of our processes, with descriptors and errors, and a peer's death as an event.
 *
 * Model: a SOCK_SEQPACKET pair; each message is a fixed header (step, length), at most SYNC_DATA_MAX bytes and at most
 * SYNC_FDS_MAX descriptors. Steps are the caller's enum (values >= 1), defined in one header with sender,
 * precondition and payload of every value. Step SYNC_STEP_ERROR carries a struct err and is turned into a failure of
 * sync_recv with that very error, so "the other side failed" reads like a failure of our own.
 *
 * Calling sequence: sync_pair in the parent; after the fork each side closes the other's end. Both ends are
 * close-on-exec. sync_expect is the normal receive: any other step than the one expected is -EPROTO.
 * Errors: the peer died: -EPIPE with the text "<peer> died". Never hangs on a dead peer.
 * Ownership: received descriptors belong to the caller; on failure all of them are closed.
 */
#ifndef RL_BASE_SYNC_H
#define RL_BASE_SYNC_H

#include <stdint.h>

#include "rl/base/err.h"

enum {
	SYNC_DATA_MAX = 16 * 1024,
	SYNC_FDS_MAX = 8,
	SYNC_STEP_ERROR = 0x7fff,
};

struct sync_msg {
	uint32_t step;
	uint32_t len;
	int nfds;
	int fds[SYNC_FDS_MAX];
	_Alignas(8) unsigned char data[SYNC_DATA_MAX];
};

int sync_pair(int ret_fds[2], struct err *e) RL_CHECK;
int sync_send(int sock, uint32_t step, const void *data, size_t len, const int *fds, int nfds, struct err *e) RL_CHECK;
/* Tell the peer that we failed; best effort. */
void sync_send_err(int sock, const struct err *cause);
/* Receive one message. peer: who is at the other end, for the error text. Returns 0, or -EPIPE when the peer is gone,
 * or -(the peer's code) with the peer's error when it sent SYNC_STEP_ERROR. */
int sync_recv(int sock, const char *peer, struct sync_msg *ret_msg, struct err *e) RL_CHECK;
/* The same where the peer's orderly end is no failure: 1 a message, 0 end of file, -errno otherwise. */
int sync_next(int sock, const char *peer, struct sync_msg *ret_msg, struct err *e) RL_CHECK;
/* sync_recv, and anything but `step` is -EPROTO. `ret_msg` may be NULL when nothing but the step matters. */
int sync_expect(int sock, const char *peer, uint32_t step, struct sync_msg *ret_msg, struct err *e) RL_CHECK;
/* sync_expect where one descriptor is what matters of the message: that descriptor. */
int sync_expect_fd(int sock, const char *peer, uint32_t step, struct err *e) RL_CHECK;
void sync_close_fds(struct sync_msg *msg);

/* For what cannot be undone in this process (entering namespaces): a fork calls fn, which sends `step` on `sock` or
 * fails, and is gone. peer: who that is, for the error text. ret_msg as for sync_expect. */
int sync_ask_fork(int (*fn)(const void *arg, int sock, struct err *e), const void *arg, const char *peer, uint32_t step,
		  struct sync_msg *ret_msg, struct err *e) RL_CHECK;

#endif
