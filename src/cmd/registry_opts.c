/* registry_opts.c - see registry_opts.h. */
#include "registry_opts.h"

#include "rl/base/mem.h"

struct image_registry registry_cli_get(const struct registry_cli *c, const char *creds)
{
	return (struct image_registry){
		.creds = creds,
		.authfile = c->authfile,
		.cert_dir = c->cert_dir,
		.tls_verify = !c->tls_verify		      ? UNSET
			      : str_eq(c->tls_verify, "true") ? YES
							      : NO,
		.retries = c->retries,
	};
}

void registry_cli_free(struct registry_cli *c)
{
	free(c->authfile);
	free(c->cert_dir);
	free(c->tls_verify);
}
