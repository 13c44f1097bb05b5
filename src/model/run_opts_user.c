/*
 * run_opts_user.c - the grammars of what podman's run can say beyond docker's: the environment taken apart, accounts,
 * the time zone, the personality, requirements.
 */
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/personality.h>

#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "run_opts_int.h"

static bool is_variable_name(const char *text, size_t len)
{
	return len > 0 && !memchr(text, '=', len);
}

int run_opts_env_merge(struct run_opts *o, const char *value, struct err *e)
{
	const char *eq = strchr(value, '=');
	if (!eq || !is_variable_name(value, (size_t)(eq - value)))
		return err_set(e, EINVAL, "--env-merge '%s': NAME=TEXT is expected, with ${NAME} for the old value",
			       value);
	strv_add(&o->env_merge, value);
	return 0;
}

int run_opts_unsetenv(struct run_opts *o, const char *value, struct err *e)
{
	if (!is_variable_name(value, strlen(value)))
		return err_set(e, EINVAL, "--unsetenv '%s': the name of a variable is expected", value);
	strv_add(&o->unsetenv, value);
	return 0;
}

int run_opts_tz(struct run_opts *o, const char *value, struct err *e)
{
	if (!*value || *value == '/' || path_has_dotdot(value))
		return err_set(e, EINVAL, "--tz '%s': 'local' or a name such as Europe/Vienna is expected", value);
	run_opts_set_str(&o->tz, value);
	return 0;
}

/* Lines of the container's files, so one line each, with all their fields. */
static int check_entry(const char *option, const char *value, size_t colons, struct err *e)
{
	size_t n = 0;
	for (const char *p = value; *p; p++) {
		n += *p == ':';
		if ((unsigned char)*p < ' ')
			return err_set(e, EINVAL, "%s: one line is expected", option);
	}
	if (n != colons || *value == ':')
		return err_set(e, EINVAL, "%s '%s': %zu fields separated by ':' are expected", option, value,
			       colons + 1);
	return 0;
}

int run_opts_passwd_entry(struct run_opts *o, const char *value, struct err *e)
{
	int r = check_entry("--passwd-entry", value, 6, e);
	if (r == 0)
		run_opts_set_str(&o->passwd_entry, value);
	return r;
}

int run_opts_group_entry(struct run_opts *o, const char *value, struct err *e)
{
	int r = check_entry("--group-entry", value, 3, e);
	if (r == 0)
		run_opts_set_str(&o->group_entry, value);
	return r;
}

int run_opts_hostuser(struct run_opts *o, const char *value, struct err *e)
{
	if (!*value || strpbrk(value, ":/\n"))
		return err_set(e, EINVAL, "--hostuser '%s': the name of a user of this machine is expected", value);
	strv_add(&o->host_users, value);
	return 0;
}

int run_opts_requires(struct run_opts *o, const char *value, struct err *e)
{
	autostrv struct strv names = STRV_INIT;
	strv_split(&names, value, ',');
	for (size_t i = 0; i < names.count; i++)
		if (!path_is_plain_name(names.items[i]))
			return err_set(e, EINVAL, "--requires '%s': '%s' is no container's name", value,
				       names.items[i]);
	strv_add_all(&o->requires, &names);
	return 0;
}

int run_opts_personality(struct run_opts *o, const char *value, struct err *e)
{
	static const struct {
		const char *name;
		unsigned value;
	} names[] = {
		{"LINUX", PER_LINUX},
		{"LINUX32", PER_LINUX32},
		{"ADDR_COMPAT_LAYOUT", ADDR_COMPAT_LAYOUT},
		{"ADDR_NO_RANDOMIZE", ADDR_NO_RANDOMIZE},
		{"ADDR_LIMIT_32BIT", ADDR_LIMIT_32BIT},
		{"ADDR_LIMIT_3GB", ADDR_LIMIT_3GB},
		{"READ_IMPLIES_EXEC", READ_IMPLIES_EXEC},
		{"SHORT_INODE", SHORT_INODE},
		{"UNAME26", UNAME26},
		{"WHOLE_SECONDS", WHOLE_SECONDS},
		{"STICKY_TIMEOUTS", STICKY_TIMEOUTS},
	};
	autostrv struct strv words = STRV_INIT;
	unsigned sum = 0;
	strv_split(&words, value, ',');
	for (size_t w = 0; w < words.count; w++) {
		size_t i = 0;
		while (i < ARRAY_SIZE(names) && strcasecmp(words.items[w], names[i].name) != 0)
			i++;
		if (i == ARRAY_SIZE(names))
			return err_set(e, EINVAL,
				       "--personality '%s': '%s' is not known (LINUX32, ADDR_NO_RANDOMIZE, "
				       "ADDR_COMPAT_LAYOUT, UNAME26, ...)",
				       value, words.items[w]);
		sum |= names[i].value;
	}
	o->personality = (int)sum;
	return 0;
}

/* podman's: in TEXT, ${NAME} and $NAME stand for what the image and rl would have given. */
void run_opts_expand(const char *text, const struct strv *env, struct str *out)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	while (*text) {
		const char *name = text + 1;
		bool braces = *text == '$' && *name == '{';
		name += braces;
		size_t n = *text == '$' ? strspn(name, letters) : 0;
		if (!n || (braces && name[n] != '}')) {
			str_addc(out, *text++);
			continue;
		}
		autofree char *key = xstrndup(name, n);
		const char *value = strv_env_get(env, key);
		str_adds(out, value ? value : "");
		text = name + n + braces;
	}
}

int run_opts_pod(struct run_opts *o, const char *value, struct err *e)
{
	const char *name = str_after(value, "new:");
	if (!path_is_plain_name(name ? name : value))
		return err_set(e, EINVAL, "--pod '%s': the name of a pod, or new:NAME, is expected", value);
	run_opts_set_str(&o->pod, value);
	return 0;
}
