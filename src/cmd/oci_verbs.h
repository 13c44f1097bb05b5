/*
 * oci_verbs.h - the OCI runtime's command line: `rl-oci [GLOBAL] VERB ...`, also `rl oci ...`.
 *
 * Its verbs are a table of their own with runc's flags; the rows are as those of every verb (rl/cmd/verb.h). What main
 * calls is oci_main: it reads the global flags, opens the log and runs the verb.
 */
#ifndef RL_CMD_OCI_VERBS_H
#define RL_CMD_OCI_VERBS_H

#include "rl/cmd/verb.h"
#include "rl/svc/oci.h"

extern const struct opt_def oci_global_opts[];
enum { OCI_VERBS_MAX = 32 };
extern const struct verb *const oci_verb_table[]; /* NULL-terminated */

extern const struct verb oci_verb_create, oci_verb_run, oci_verb_exec, oci_verb_update;

/* config.json into a bundle; one that is there stays. */
int cmd_write_spec(const char *bundle, bool rootless, struct err *e) RL_CHECK;

/* main_argv: the whole command line, for the protection of the binary; argv: what follows `rl-oci` or `rl oci`. */
int oci_main(char **main_argv, char *const *argv, struct err *e) RL_CHECK;

#endif
