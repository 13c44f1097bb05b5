/*
 * seccomp_profile_int.h - the reader that the seccomp_profile*.c files share.
 *
 * A function that fails has set rd->e, with the path of the member, and the path is then left as it is.
 */
#ifndef RL_MODEL_SECCOMP_PROFILE_INT_H
#define RL_MODEL_SECCOMP_PROFILE_INT_H

#include "rl/base/json.h"
#include "rl/model/seccomp_profile.h"

enum { PROFILE_PATH_SIZE = 192 };

struct profile_reader {
	enum seccomp_profile_format format;
	const char *what;
	char path[PROFILE_PATH_SIZE];
	size_t names; /* so far, over all rules */
	struct seccomp_profile *p;
	struct err *e;
};

/* Which formats know a member. */
enum {
	PROFILE_IN_DOCKER = 1 << SECCOMP_PROFILE_DOCKER,
	PROFILE_IN_OCI = 1 << SECCOMP_PROFILE_OCI,
	PROFILE_IN_BOTH = PROFILE_IN_DOCKER | PROFILE_IN_OCI,
};

struct profile_member {
	const char *name;
	int formats;
};

/* Refuse: "web.json: syscalls[3].args: ...". */
int profile_bad(const struct profile_reader *rd, const char *fmt, ...) RL_PRINTF(2, 3);
/* Append to the path; returns the length to cut back to with profile_leave. */
size_t profile_enter(struct profile_reader *rd, const char *fmt, ...) RL_PRINTF(2, 3);
void profile_leave(struct profile_reader *rd, size_t len);
/* Every member of obj is in the table and belongs to the format. */
int profile_check_members(const struct profile_reader *rd, const json_t *obj, const struct profile_member *members,
			  size_t count) RL_CHECK;
/* The member, or NULL when absent or null. */
json_t *profile_get(const json_t *obj, const char *key);
int profile_read_unsigned(const struct profile_reader *rd, const json_t *v, uint64_t max, uint64_t *ret_value) RL_CHECK;
/* The action in member `key` with its data from `errno_key` (a number) or `name_key` (podman: a name such as "EPERM"). */
int profile_read_action(struct profile_reader *rd, const json_t *obj, const char *key, const char *errno_key,
			const char *name_key, uint32_t *ret_action) RL_CHECK;
/* An array of architectures as bits; absent is empty. */
int profile_read_archs(struct profile_reader *rd, const json_t *obj, const char *key, bool docker_names,
		       uint32_t *ret_archs) RL_CHECK;

/* seccomp_profile_rules.c: "syscalls" into rd->p. */
int profile_read_rules(struct profile_reader *rd, const json_t *doc) RL_CHECK;

#endif
