/*
 * run_table.h - the options of `rl run`, shared with every verb that makes a container.
 */
#ifndef RL_CMD_RUN_TABLE_H
#define RL_CMD_RUN_TABLE_H

#include "rl/cmd/verb.h"
#include "rl/model/run_opts.h"

/* What the table fills: run_opts first, so that its grammar functions take the same pointer. */
struct run_target {
	struct run_opts o;
	bool read_only_tmpfs;
	unsigned attach; /* bits 1, 2, 4: stdin, stdout, stderr */
	char *arch, *os, *variant;
	bool passwd; /* --passwd, true unless said otherwise */
};

extern const struct opt_def run_defs[];
extern const struct opt_rule run_rules[];

/* For struct verb: init and release of a struct run_target. */
void run_target_init(void *target);
void run_target_release(void *target);

/* After parsing: image and command from the operands, options that expand to others, rules between values. */
int run_target_finish(struct run_target *t, const char *verb, const struct opt_args *args, struct err *e) RL_CHECK;

#endif
