/*
 * verbs_global.h - the options before the verb; their table is verb_global_opts (rl/cmd/verb.h).
 */
#ifndef RL_CMD_VERBS_GLOBAL_H
#define RL_CMD_VERBS_GLOBAL_H

#include <stdbool.h>

struct global_opts {
	char *root;
	char *list_options;
	bool debug, version, list_verbs;
};

#endif
