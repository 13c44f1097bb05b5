/*
 * login.c - `rl-image login` and `logout`: credentials, verified with the registry before they are kept; see image_int.h.
 *
 * User and password come as RL_IMAGE_CREDS; without, those stored already are tried and the user's name is told.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image_int.h"
#include "rl/base/mem.h"

/* "https://host/" is what people copy from a browser's address line. */
static char *credentials_key(const char *text)
{
	const char *rest = str_after(text, "https://");
	if (!rest)
		rest = str_after(text, "http://");
	char *key = xstrdup(rest ? rest : text);
	for (size_t n = strlen(key); n && key[n - 1] == '/'; n--)
		key[n - 1] = '\0';
	return key;
}

int login_verb(struct image_ctx *c, struct err *e)
{
	struct registry *reg = NULL;
	autofree char *key = credentials_key(c->args.items[0]);
	autofree char *user = c->registry.creds ? xstrdup(c->registry.creds) : NULL;
	autofree char *where = NULL;
	autofree char *stored = NULL;
	char *password = user ? strchr(user, ':') : NULL;
	if (user && !password)
		return err_set(e, EPROTO, "credentials without a password");
	if (password)
		*password++ = '\0';
	c->registry.creds = NULL;
	int r = registry_open(&c->registry, &reg, e);
	if (r < 0)
		return r;
	if (!user)
		r = registry_login_user(reg, key, &stored, e);
	if (r >= 0)
		r = registry_login(reg, &(struct registry_login){.user = user, .password = password, .key = key},
				   &where, e);
	if (r > 0)
		image_note(c, "%s asks for no credentials", key);
	if (r >= 0)
		image_tell_text(c, user ? where ? where : "" : stored);
	registry_close(reg);
	if (r < 0)
		err_drop(e, key);
	return r < 0 ? err_ctx(e, "login %s", key) : 0;
}

/* The operand may be "" for all of them. */
int logout_verb(struct image_ctx *c, struct err *e)
{
	struct registry *reg = NULL;
	autofree char *key = credentials_key(c->args.items[0]);
	int r = registry_open(&c->registry, &reg, e);
	if (r < 0)
		return r;
	r = registry_logout(reg, *key ? key : NULL, e);
	if (r > 0 || !*key)
		image_tell_text(c, "removed");
	else if (r == 0)
		image_note(c, "there were no credentials for %s", key);
	registry_close(reg);
	return r < 0 ? err_ctx(e, "logout %s", key) : 0;
}
