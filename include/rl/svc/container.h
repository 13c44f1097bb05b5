/*
 * container.h - containers as a whole: run, and later create, start, exec, stop.
 *
 * container_run runs one container in the foreground and returns when it has ended; *ret_status is the exit status for
 * the shell (the command's own, or 128 + signal). A failure of ours is a negative return with *e filled, its
 * exit_status telling 125, 126 and 127 apart.
 */
#ifndef RL_SVC_CONTAINER_H
#define RL_SVC_CONTAINER_H

#include "rl/base/err.h"
#include "rl/base/str.h"
#include "rl/model/run_opts.h"

int container_run(const struct run_opts *o, const char *store_root, int *ret_status, struct err *e) RL_CHECK;

/* First thing in a verb that starts or enters containers: where a container could write the rl binary, go on in a
 * sealed copy of it (rl/kern/selfexe.h). argv is main's. */
int container_protect_binary(char **argv, struct err *e) RL_CHECK;

/* What container_run would do, one operation a line; nothing is started. */
int container_explain(const struct run_opts *o, const char *store_root, struct str *ret_text, struct err *e) RL_CHECK;

#endif
