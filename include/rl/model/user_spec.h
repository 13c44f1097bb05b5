/*
 * user_spec.h - `-u USER[:GROUP]` and the image's User: text to ids, exactly or not at all.
 *
 * Model: user_spec_parse reads the text alone; user_spec_resolve looks names up in the texts of the container's
 * /etc/passwd and /etc/group, which are hostile. Rules:
 *   - text of digits only is a number, never a name, whatever the files say; 0 to 4294967294, no sign, no space, no
 *     "0x", no leading zeros. Everything that is not exactly that form and not a name is refused.
 *   - a name must match a line's first field exactly; the first matching line counts; if its numbers are malformed
 *     that is an error and not a reason to look further.
 *   - a number without a line gets group 0, home "/" and no name.
 *   - without an explicit group, `groups` holds the primary group and every group whose member list names the user;
 *     with an explicit group it holds just that one (docker's rule).
 *   - an empty user (":100", or no text at all) is uid 0.
 * The cost is one pass over each text without copies; the number of groups is bounded.
 *
 * Calling sequence:
 *     struct user_spec spec;
 *     user_spec_parse(o->user ? o->user : image_user, &spec, e);
 *     safepath_read_file(rootfd, "/etc/passwd", USER_SPEC_FILE_MAX, &passwd, e);   // -ENOENT: use an empty text
 *     user_spec_resolve(&spec, passwd.buf, passwd.len, group.buf, group.len, &ids, e);
 *     user_ids_free(&ids);
 * Errors: -EINVAL malformed text or file line, -ENOENT the name is in no line, -E2BIG too many groups.
 * History behind the rules: CVE-2024-40635, CVE-2026-30892, CVE-2026-47262, CVE-2022-36109.
 */
#ifndef RL_MODEL_USER_SPEC_H
#define RL_MODEL_USER_SPEC_H

#include <stddef.h>
#include <stdint.h>

#include "rl/base/err.h"

enum {
	USER_SPEC_NAME_MAX = 256,
	USER_SPEC_FILE_MAX = 16 << 20, /* what callers read of passwd and group at most */
	USER_SPEC_GROUPS_MAX = 65536,  /* the kernel's NGROUPS_MAX */
};

enum user_part_kind {
	USER_PART_NONE, /* not given */
	USER_PART_ID,
	USER_PART_NAME,
};

struct user_part {
	enum user_part_kind kind;
	uint32_t id;
	char name[USER_SPEC_NAME_MAX];
};

struct user_spec {
	struct user_part user;
	struct user_part group;
};

struct user_ids {
	uint32_t uid;
	uint32_t gid;
	uint32_t *groups; /* gid first, no duplicates */
	size_t ngroups;
	char *name; /* the passwd line's, or NULL */
	char *home; /* never NULL, absolute, "/" when unknown */
};

/* Text as typed; NULL and "" give two USER_PART_NONE. */
int user_spec_parse(const char *text, struct user_spec *ret_spec, struct err *e) RL_CHECK;

int user_spec_resolve(const struct user_spec *spec, const char *passwd, size_t passwd_len, const char *group,
		      size_t group_len, struct user_ids *ret_ids, struct err *e) RL_CHECK;

/* One --group-add value: a number, or a name of the group file. */
int user_spec_group(const char *text, const char *group, size_t group_len, uint32_t *ret_gid, struct err *e) RL_CHECK;

/* Add one more group to ids->groups unless it is there. */
int user_ids_add_group(struct user_ids *ids, uint32_t gid, struct err *e) RL_CHECK;
void user_ids_free(struct user_ids *ids);

#endif
