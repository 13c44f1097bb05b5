/* The grammar of --secret: NAME[,type=mount|env][,target=...][,uid=N][,gid=N][,mode=OCTAL]. */
#include <errno.h>
#include <stdlib.h>

#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "run_opts_int.h"

static int read_field(struct secret_opt *s, const char *key, const char *value, unsigned *given, struct err *e)
{
	enum { GIVEN_OWNER = 1 };
	uint64_t id;
	if (str_eq(key, "source") || str_eq(key, "src") || str_eq(key, "id")) {
		run_opts_set_str(&s->name, value);
		return 0;
	}
	if (str_eq(key, "type")) {
		if (!str_eq(value, "mount") && !str_eq(value, "env"))
			return err_set(e, EINVAL, "type=%s: mount or env is expected", value);
		s->env = str_eq(value, "env");
		return 0;
	}
	if (str_eq(key, "target") || str_eq(key, "dst") || str_eq(key, "destination")) {
		run_opts_set_str(&s->target, value);
		return 0;
	}
	*given |= GIVEN_OWNER;
	if (str_eq(key, "uid") || str_eq(key, "UID") || str_eq(key, "gid") || str_eq(key, "GID")) {
		int r = str_to_u64(value, UINT32_MAX - 1, key, &id, e);
		if (r < 0)
			return r;
		*(key[0] == 'u' || key[0] == 'U' ? &s->uid : &s->gid) = (uint32_t)id;
		return 0;
	}
	if (str_eq(key, "mode")) {
		char *end;
		unsigned long mode = strtoul(value, &end, 8);
		if (*end || *value < '0' || *value > '7' || mode > 0777)
			return err_set(e, EINVAL, "mode=%s: an octal number up to 0777 is expected", value);
		s->mode = (unsigned)mode;
		return 0;
	}
	return err_set(e, EINVAL, "unknown option '%s' (type, target, uid, gid, mode)", key);
}

/* Where it is to be: the name of a variable, or a path; relative ones are below /run/secrets. */
static int finish(struct secret_opt *s, unsigned owner_given, struct err *e)
{
	if (!s->name || !path_is_plain_name(s->name))
		return err_set(e, EINVAL, "the name of the secret is missing or is none");
	if (!s->target)
		s->target = xstrdup(s->name);
	if (s->env) {
		if (owner_given)
			return err_set(e, EINVAL, "uid, gid and mode are for type=mount");
		if (!*s->target || strchr(s->target, '='))
			return err_set(e, EINVAL, "'%s' is no name of a variable", s->target);
		return 0;
	}
	if (path_has_dotdot(s->target) || !*s->target || str_ends(s->target, "/"))
		return err_set(e, EINVAL, "target=%s: a file without '..' is expected", s->target);
	char *absolute = s->target[0] == '/' ? path_clean(s->target) : path_join("/run/secrets", s->target);
	free(s->target);
	s->target = path_clean(absolute);
	free(absolute);
	return 0;
}

int run_opts_secret(struct run_opts *o, const char *value, struct err *e)
{
	struct secret_opt s = {.mode = 0444};
	autostrv struct strv fields = STRV_INIT;
	unsigned given = 0;
	int r = 0;
	strv_split(&fields, value, ',');
	for (size_t i = 0; i < fields.count && r == 0; i++) {
		char *eq = strchr(fields.items[i], '=');
		if (eq)
			*eq = '\0';
		if (eq)
			r = read_field(&s, fields.items[i], eq + 1, &given, e);
		else if (i == 0)
			run_opts_set_str(&s.name, fields.items[i]);
		else
			r = err_set(e, EINVAL, "'%s' has no value", fields.items[i]);
	}
	if (r == 0)
		r = finish(&s, given, e);
	for (size_t i = 0; i < o->nsecrets && r == 0; i++)
		if (o->secrets[i].env == s.env && str_eq(o->secrets[i].target, s.target))
			r = err_set(e, EINVAL, "two secrets on the same place: %s", s.target);
	if (r < 0) {
		free(s.name);
		free(s.target);
		return err_ctx(e, "--secret '%s'", value);
	}
	o->secrets = xreallocarray(o->secrets, o->nsecrets + 1, sizeof(*o->secrets));
	o->secrets[o->nsecrets++] = s;
	return 0;
}
