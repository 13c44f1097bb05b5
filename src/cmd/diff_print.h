/* diff_print.h - lists of changes as text and as JSON, for `rl diff` and `rl snapshot diff`. */
#ifndef RL_CMD_DIFF_PRINT_H
#define RL_CMD_DIFF_PRINT_H

#include "rl/base/json.h"
#include "rl/cmd/verb.h"

void diff_print(const json_t *changes, struct str *out);
void diff_print_json(const json_t *changes, struct str *out);
/* The one container a verb means: its operand, or with --latest the one made last. */
int container_operand(const struct cmd_ctx *ctx, bool latest, const struct opt_args *args, struct strv *out,
		      struct err *e) RL_CHECK;

#endif
