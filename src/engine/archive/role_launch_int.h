/*
 * role_launch_int.h - starting one of the confined roles; the parent's side of archive_role.h.
 */
#ifndef RL_ENGINE_ARCHIVE_ROLE_LAUNCH_INT_H
#define RL_ENGINE_ARCHIVE_ROLE_LAUNCH_INT_H

#include "wire_int.h"

struct launch {
	const char *program; /* NULL: the installed rl-image */
	const char *verb;
	const struct archive_wire *wire;
	int blobfd;
	int targetfd;
	int teefd;     /* 0: none */
	int feedfd;    /* 0: none */
	int sidecarfd; /* 0: none */
	const int *lowerfds;
	bool no_wait; /* launch_advance does the handshake */
};

/* Returns when the role is confined and at work (unless no_wait). */
int launch_start(const struct launch *l, struct archive_job *ret_job, struct err *e) RL_CHECK;
/* Wait for its result of `size` bytes and for its end. */
int launch_finish(struct archive_job *job, void *ret, size_t size, struct err *e) RL_CHECK;

#endif
