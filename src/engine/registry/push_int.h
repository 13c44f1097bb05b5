/*
 * push_int.h - one blob on its way to a registry: what push.c (the steps) and push_read.c (the bytes) share.
 */
#ifndef RL_ENGINE_REGISTRY_PUSH_INT_H
#define RL_ENGINE_REGISTRY_PUSH_INT_H

#include "registry_int.h"

enum { CHUNK_LIMIT = 64 << 20 };

enum step { STEP_HEAD, STEP_POST, STEP_SEND, STEP_PATCH, STEP_STATUS, STEP_PUT, STEP_LOST, STEP_END };

struct chunk {
	unsigned char *buf;
	size_t len;
	uint64_t at;
};

struct push_run;

struct push {
	struct http_task task; /* first: tasks are pushes */
	struct push_run *run;
	struct registry_upload *u;
	size_t index;
	enum step step;
	struct http_xfer *x;
	struct auth_ctx *mount_auth; /* like the place's, with the scope of mount_from */
	bool no_mount;
	char *location; /* of the upload, absolute */
	uint64_t sent;	/* bytes the registry has */
	uint64_t total; /* when known (file, or end of input) */
	bool ended;	/* no more input: total is known */
	size_t chunk_size;
	struct chunk filling, sending;
	uint64_t span_from, span_at, span_to; /* bytes of the request under way */
	struct digest hash;
	uint64_t hashed;
	char digest[IMGREF_DIGEST_SIZE]; /* once everything is hashed */
	unsigned failures;
	int64_t told_at;
	struct err err;
};

struct push_run {
	struct registry_repo *repo;
	struct place *place;
	const struct registry_transfer *t;
	struct push *jobs;
	size_t n, next, active, parallel;
	bool done, stopping;
	int result;
	struct err err;
};

static inline bool push_is_file(const struct push *j)
{
	return j->u->fd > 0;
}

static inline struct push *push_of(struct http_xfer *x)
{
	return x->user;
}

/* Tell whoever wants to know; not too often unless `always`. */
void push_tell(struct push *j, enum registry_state state, bool always);
/* The request sends these bytes. */
void push_set_span(struct push *j, struct http_xfer *x, uint64_t from, uint64_t to);
/* Fill the chunk for a while; sets task.fd or task.due to come back. -errno with j->err. */
int push_fill(struct push *j) RL_CHECK;
/* A file sent with the PUT is hashed before: the digest is part of the request. */
int push_hash_file(struct push *j) RL_CHECK;
/* Everything is read and hashed: is it what the descriptor says? */
int push_check_read(struct push *j) RL_CHECK;

#endif
