/*
 * run_opts_int.h - helpers shared by the run_opts*.c files.
 */
#ifndef RL_MODEL_RUN_OPTS_INT_H
#define RL_MODEL_RUN_OPTS_INT_H

#include "rl/model/run_opts.h"

/* Frees what the mount owns, not the struct. */
void run_opts_free_mount(struct mount_opt *m);
/* Replace an owned string. */
void run_opts_set_str(char **slot, const char *value);
/* "true", "false", "1", "0", "yes", "no", "on", "off", "t", "f". False when `text` is none of them. */
bool run_opts_read_bool(const char *text, bool *ret);
/* A name of letters, digits, '-', '_' and '.', labels of at most 63, at most `max` in all. */
bool run_opts_is_host_name(const char *text, size_t max);
/* An IPv4 or IPv6 address, without brackets. */
bool run_opts_is_ip(const char *text);
/* What --ip, --ip6, --mac-address and --network-alias said becomes options of the first network with a name. */
int run_opts_fold_first(struct run_opts *o, struct err *e) RL_CHECK;

#endif
