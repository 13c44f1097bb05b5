/* registry_opts.c - see registry_opts.h. */
#include "registry_opts.h"

#include "rl/base/mem.h"

int registry_cli_get(const struct registry_cli *c, const char *creds, struct image_registry *ret, struct err *e)
{
	enum tristate verify = UNSET;
	if (c->tls_verify) {
		if (!str_eq(c->tls_verify, "true") && !str_eq(c->tls_verify, "false"))
			return err_set(e, EINVAL, "--tls-verify: '%s' is neither true nor false", c->tls_verify);
		verify = str_eq(c->tls_verify, "true") ? YES : NO;
	}
	*ret = (struct image_registry){.creds = creds,
				       .authfile = c->authfile,
				       .cert_dir = c->cert_dir,
				       .tls_verify = verify,
				       .retries = c->retries};
	return 0;
}

void registry_cli_free(struct registry_cli *c)
{
	free(c->authfile);
	free(c->cert_dir);
	free(c->tls_verify);
}
