/*
 * run_opts_mount_int.h - one mount being read, shared by the spellings -v, --tmpfs and --mount.
 *
 * Calling sequence: mount_parse_init, words and fields, mount_parse_check, mount_parse_done (or run_opts_free_mount of
 * what is left). Everything returns 0 or -errno with the option and its value in the message.
 */
#ifndef RL_MODEL_RUN_OPTS_MOUNT_INT_H
#define RL_MODEL_RUN_OPTS_MOUNT_INT_H

#include "rl/model/run_opts.h"

/* A mount being read: what it is, what was said, and the words for messages. */
struct mount_parse {
	const char *option; /* "--volume" */
	const char *text;   /* the whole value */
	struct mount_opt m;
	unsigned given; /* bits of enum mount_property */
};

void mount_parse_init(struct mount_parse *p, const char *option, const char *text);
/* Refuse the value: always -EINVAL. */
int mount_parse_bad(const struct mount_parse *p, struct err *e, const char *fmt, ...) RL_PRINTF(3, 4);
/* Refuse a word by name, with the reason where there is one, or the nearest that exists. */
int mount_parse_unknown(const struct mount_parse *p, const char *word, struct err *e);
/* A word of the flags' table, or with a boolean value: 0 set, 1 no such flag. */
int mount_parse_flag(struct mount_parse *p, const char *word, const char *value, struct err *e) RL_CHECK;
int mount_parse_target(struct mount_parse *p, const char *text, struct err *e) RL_CHECK;
/* A name of a volume, or a path. */
int mount_parse_volume_source(struct mount_parse *p, const char *text, struct err *e) RL_CHECK;
/* Rules that hold for every spelling. */
int mount_parse_check(const struct mount_parse *p, struct err *e) RL_CHECK;
/* bind-propagation= */
int mount_parse_propagation(struct mount_parse *p, const char *value, struct err *e) RL_CHECK;
/* ro or rw was said. */
bool mount_parse_says_read_only(const struct mount_parse *p);
/* "bind", "volume", ... */
const char *mount_kind_name(enum mount_kind kind);
/* Hand the mount over to the options. */
void mount_parse_done(struct run_opts *o, struct mount_parse *p);

/* run_opts_tmpfs.c: size=, mode= and the like: 0 taken, 1 no such key. */
int mount_parse_tmpfs_value(struct mount_parse *p, const char *key, const char *value, struct err *e) RL_CHECK;

#endif
