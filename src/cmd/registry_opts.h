/*
 * registry_opts.h - the options of every verb that talks to a registry.
 *
 * A verb's struct has `struct registry_cli registry;` and its table the rows REGISTRY_OPT_ROWS(struct its_opts), or, where
 * no credentials are used, SERVER_OPT_ROWS.
 */
#ifndef RL_CMD_REGISTRY_OPTS_H
#define RL_CMD_REGISTRY_OPTS_H

#include "rl/cmd/opt.h"
#include "rl/svc/image.h"

struct registry_cli {
	char *authfile, *cert_dir;
	char *tls_verify; /* a boolean: "true", "false", or NULL: as registries.conf says */
	unsigned retries;
};

#define SERVER_OPT_ROWS(type)                                                                                          \
	{"cert-dir",                                                                                                   \
	 NULL,                                                                                                         \
	 0,                                                                                                            \
	 "DIR",                                                                                                        \
	 OPT_GENERIC(opt_set_string, type, registry.cert_dir),                                                         \
	 OPT_ONCE,                                                                                                     \
	 "Registry",                                                                                                   \
	 "directory of *.crt, *.cert and *.key files",                                                                 \
	 COMPLETE_DIR,                                                                                                 \
	 NULL},                                                                                                        \
		{"tls-verify",                                                                                         \
		 NULL,                                                                                                 \
		 0,                                                                                                    \
		 NULL,                                                                                                 \
		 OPT_GENERIC(opt_set_string, type, registry.tls_verify),                                               \
		 OPT_ONCE,                                                                                             \
		 "Registry",                                                                                           \
		 "=false: accept any certificate, and http",                                                           \
		 0,                                                                                                    \
		 NULL},                                                                                                \
	{                                                                                                              \
		"retry", NULL, 0, "N", OPT_GENERIC(opt_set_uint, type, registry.retries), OPT_ONCE, "Registry",        \
			"attempts after a failure of the network (default 3)", 0, NULL                                 \
	}

#define REGISTRY_OPT_ROWS(type)                                                                                        \
	{"authfile",                                                                                                   \
	 NULL,                                                                                                         \
	 0,                                                                                                            \
	 "FILE",                                                                                                       \
	 OPT_GENERIC(opt_set_string, type, registry.authfile),                                                         \
	 OPT_ONCE,                                                                                                     \
	 "Registry",                                                                                                   \
	 "file with credentials",                                                                                      \
	 COMPLETE_FILE,                                                                                                \
	 NULL},                                                                                                        \
		SERVER_OPT_ROWS(type)

/* What they say, borrowed; creds NULL or as --creds. */
struct image_registry registry_cli_get(const struct registry_cli *c, const char *creds);
void registry_cli_free(struct registry_cli *c);

#endif
