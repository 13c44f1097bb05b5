/*
 * run_opts_process.c - the grammars of what belongs to the process and to the container's life: environment, labels,
 * entrypoint, user, limits, signals, names.
 *
 * Files (--env-file, --label-file) come in as text: the caller reads them and bounds their size. Their format is
 * docker's: one variable per line, leading blanks and lines that begin with '#' are ignored, nothing is unquoted and
 * nothing is trimmed on the right but a carriage return.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/model/user_spec.h"
#include "run_opts_int.h"

/* Insert one variable before index `at`; value NULL: inherited. */
static void insert_env(struct run_opts *o, size_t at, const char *key, size_t key_len, const char *value)
{
	o->env = xreallocarray(o->env, o->nenv + 1, sizeof(*o->env));
	memmove(o->env + at + 1, o->env + at, (o->nenv - at) * sizeof(*o->env));
	o->env[at] = (struct env_opt){.key = xstrndup(key, key_len), .value = value ? xstrdup(value) : NULL};
	o->nenv++;
}

int run_opts_env(struct run_opts *o, const char *value, char *const *environment, struct err *e)
{
	const char *eq = strchr(value, '=');
	size_t n = eq ? (size_t)(eq - value) : strlen(value);
	if (n == 0)
		return err_set(e, EINVAL, "--env '%s': the name is missing (NAME=VALUE, or NAME to inherit)", value);
	if (eq || value[n - 1] != '*') {
		insert_env(o, o->nenv, value, n, eq ? eq + 1 : NULL);
		return 0;
	}
	for (; environment && *environment; environment++) {
		const char *end = strchr(*environment, '=');
		if (end && !strncmp(*environment, value, n - 1))
			insert_env(o, o->nenv, *environment, (size_t)(end - *environment), NULL);
	}
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

/* Lines of a variable file: calls `add` with each "KEY=value" or "KEY". */
static int read_variable_lines(struct run_opts *o, const char *option, const char *text, size_t len, const char *name,
			       int (*add)(struct run_opts *o, char *line, char *eq), struct err *e)
{
	if (memchr(text, '\0', len))
		return err_set(e, EINVAL, "%s %s: contains a NUL byte, this is not a text file", option, name);
	const char *end = text + len;
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		text += 3;
	for (unsigned number = 1; text < end; number++) {
		const char *eol = memchr(text, '\n', (size_t)(end - text));
		const char *stop = eol ? eol : end;
		const char *p = text;
		text = eol ? eol + 1 : end;
		if (stop > p && stop[-1] == '\r')
			stop--;
		while (p < stop && is_blank(*p))
			p++;
		if (p == stop || *p == '#')
			continue;
		autofree char *line = xstrndup(p, (size_t)(stop - p));
		char *eq = strchr(line, '=');
		size_t key_len = eq ? (size_t)(eq - line) : strlen(line);
		if (key_len == 0)
			return err_set(e, EINVAL, "%s %s: line %u has no name before '='", option, name, number);
		for (size_t i = 0; i < key_len; i++)
			if (is_blank(line[i]))
				return err_set(e, EINVAL, "%s %s: line %u: the name '%.*s' contains a blank", option,
					       name, number, (int)RL_MIN(key_len, (size_t)64), line);
		int r = add(o, line, eq);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_env_line(struct run_opts *o, char *line, char *eq)
{
	size_t key_len = eq ? (size_t)(eq - line) : strlen(line);
	insert_env(o, o->nenv_files, line, key_len, eq ? eq + 1 : NULL);
	o->nenv_files++;
	return 0;
}

/* A file that is bad in its third line leaves nothing behind of the first two. */
static void drop_file_env(struct run_opts *o, size_t from)
{
	for (size_t i = from; i < o->nenv_files; i++) {
		free(o->env[i].key);
		free(o->env[i].value);
	}
	memmove(o->env + from, o->env + o->nenv_files, (o->nenv - o->nenv_files) * sizeof(*o->env));
	o->nenv -= o->nenv_files - from;
	o->nenv_files = from;
}

int run_opts_env_file(struct run_opts *o, const char *text, size_t len, const char *name, struct err *e)
{
	size_t before = o->nenv_files;
	int r = read_variable_lines(o, "--env-file", text, len, name, add_env_line, e);
	if (r < 0 && o->nenv_files > before)
		drop_file_env(o, before);
	return r;
}

/* "key=value" into a vector where a later value of the same key replaces the earlier one. */
static int add_pair(struct strv *v, const char *option, const char *text, bool need_value, struct err *e)
{
	const char *eq = strchr(text, '=');
	if (eq == text || !*text)
		return err_set(e, EINVAL, "%s '%s': the name is missing (NAME=VALUE)", option, text);
	if (!eq && need_value)
		return err_set(e, EINVAL, "%s '%s': the value is missing (NAME=VALUE)", option, text);
	autofree char *key = eq ? xstrndup(text, (size_t)(eq - text)) : xstrdup(text);
	strv_env_set(v, key, eq ? eq + 1 : "");
	return 0;
}

int run_opts_label(struct run_opts *o, const char *value, struct err *e)
{
	return add_pair(&o->labels, "--label", value, false, e);
}

static int add_label_line(struct run_opts *o, char *line, char *eq)
{
	(void)eq;
	return add_pair(&o->labels, "--label-file", line, false, NULL);
}

int run_opts_label_file(struct run_opts *o, const char *text, size_t len, const char *name, struct err *e)
{
	return read_variable_lines(o, "--label-file", text, len, name, add_label_line, e);
}

int run_opts_annotation(struct run_opts *o, const char *value, struct err *e)
{
	return add_pair(&o->annotations, "--annotation", value, true, e);
}

int run_opts_entrypoint(struct run_opts *o, const char *value, struct err *e)
{
	struct strv words = STRV_INIT;
	size_t n = strlen(value);
	if (n >= 2 && value[0] == '[' && value[n - 1] == ']') {
		json_t *doc = NULL;
		int r = json_parse(value, n, "--entrypoint", &doc, e);
		if (r < 0)
			return r;
		autojson json_t *array = doc;
		for (size_t i = 0; i < json_array_size(array); i++) {
			const char *word = json_string_value(json_array_get(array, i));
			if (!word) {
				strv_free(&words);
				return err_set(e, EINVAL, "--entrypoint '%s': every member must be a string", value);
			}
			strv_add(&words, word);
		}
	} else if (n) {
		strv_add(&words, value);
	}
	strv_free(&o->entrypoint);
	o->entrypoint = words;
	o->entrypoint_set = true;
	return 0;
}

int run_opts_workdir(struct run_opts *o, const char *value, struct err *e)
{
	if (*value != '/')
		return err_set(e, EINVAL, "--workdir '%s': not an absolute path", value);
	run_opts_set_str(&o->workdir, value);
	return 0;
}

int run_opts_user(struct run_opts *o, const char *value, struct err *e)
{
	struct user_spec spec;
	int r = user_spec_parse(value, &spec, e);
	if (r < 0)
		return err_ctx(e, "--user");
	run_opts_set_str(&o->user, value);
	return 0;
}

int run_opts_group_add(struct run_opts *o, const char *value, struct err *e)
{
	struct user_spec spec;
	if (!*value || strchr(value, ':'))
		return err_set(e, EINVAL, "--group-add '%s': a group name or number is expected", value);
	/* A group reads like the part before ':' of a user. */
	int r = user_spec_parse(value, &spec, e);
	if (r < 0)
		return err_ctx(e, "--group-add '%s'", value);
	strv_add(&o->group_add, value);
	return 0;
}

int run_opts_umask(struct run_opts *o, const char *value, struct err *e)
{
	size_t n = strlen(value);
	if (n == 0 || n > 4 || value[strspn(value, "01234567")] || strtoul(value, NULL, 8) > 0777)
		return err_set(e, EINVAL, "--umask '%s': an octal number up to 0777 is expected", value);
	o->umask = (int)strtoul(value, NULL, 8);
	return 0;
}

static const struct {
	const char *name;
	int resource;
} limit_names[] = {
	{"as", RLIMIT_AS},	     {"core", RLIMIT_CORE},	    {"cpu", RLIMIT_CPU},
	{"data", RLIMIT_DATA},	     {"fsize", RLIMIT_FSIZE},	    {"locks", RLIMIT_LOCKS},
	{"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
	{"nofile", RLIMIT_NOFILE},   {"nproc", RLIMIT_NPROC},	    {"rss", RLIMIT_RSS},
	{"rtprio", RLIMIT_RTPRIO},   {"rttime", RLIMIT_RTTIME},	    {"sigpending", RLIMIT_SIGPENDING},
	{"stack", RLIMIT_STACK},
};

static int read_limit(const char *text, const char *value, uint64_t *ret, struct err *e)
{
	if (str_eq(text, "unlimited") || str_eq(text, "-1")) {
		*ret = UINT64_MAX;
		return 0;
	}
	if (str_to_u64(text, UINT64_MAX - 1, "--ulimit", ret, NULL) < 0)
		return err_set(e, EINVAL, "--ulimit '%s': '%s' is not a number (or 'unlimited')", value, text);
	return 0;
}

int run_opts_ulimit(struct run_opts *o, const char *value, struct err *e)
{
	const char *names[ARRAY_SIZE(limit_names) + 1] = {NULL};
	const char *eq = strchr(value, '=');
	/* podman: the caller's own, which is what there is without the option. */
	if (str_eq(value, "host")) {
		while (o->nulimits)
			free(o->ulimits[--o->nulimits].name);
		return 0;
	}
	if (!eq)
		return err_set(e, EINVAL, "--ulimit '%s': NAME=SOFT[:HARD] is expected", value);
	autofree char *name = xstrndup(value, (size_t)(eq - value));
	struct ulimit_opt u = {.name = NULL};
	size_t i;
	for (i = 0; i < ARRAY_SIZE(limit_names) && !str_eq(name, limit_names[i].name); i++)
		names[i] = limit_names[i].name;
	if (i == ARRAY_SIZE(limit_names)) {
		const char *near = str_nearest(name, names);
		err_set(e, EINVAL, "--ulimit '%s': there is no limit '%s'", value, name);
		return near ? err_hint(e, "did you mean '%s'?", near) : -EINVAL;
	}
	autofree char *soft = xstrdup(eq + 1);
	char *hard = strchr(soft, ':');
	if (hard)
		*hard++ = '\0';
	int r = read_limit(soft, value, &u.soft, e);
	if (r < 0)
		return r;
	r = read_limit(hard ? hard : soft, value, &u.hard, e);
	if (r < 0)
		return r;
	if (u.soft > u.hard)
		return err_set(e, EINVAL, "--ulimit '%s': the soft limit is above the hard limit", value);
	u.resource = limit_names[i].resource;
	/* The last one of a name counts. */
	for (size_t k = 0; k < o->nulimits; k++) {
		if (o->ulimits[k].resource != u.resource)
			continue;
		o->ulimits[k].soft = u.soft;
		o->ulimits[k].hard = u.hard;
		return 0;
	}
	u.name = take_ptr(&name);
	o->ulimits = xreallocarray(o->ulimits, o->nulimits + 1, sizeof(*o->ulimits));
	o->ulimits[o->nulimits++] = u;
	return 0;
}

/* Sysctls that belong to a namespace of the container; a prefix ends with '.', a name stands alone. */
static const char *const namespaced_sysctls[] = {
	"net.",	      "fs.mqueue.",    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni",
	"kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
};

int run_opts_sysctl(struct run_opts *o, const char *value, struct err *e)
{
	const char *eq = strchr(value, '=');
	if (!eq || eq == value)
		return err_set(e, EINVAL, "--sysctl '%s': NAME=VALUE is expected", value);
	autofree char *name = xstrndup(value, (size_t)(eq - value));
	/* sysctl(8) also takes the path spelling, where '/' and '.' change places. */
	const char *first = strpbrk(name, "./");
	if (first && *first == '/')
		for (char *p = name; *p; p++)
			*p = *p == '/' ? '.' : *p == '.' ? '/' : *p;
	bool plain = name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./")] == '\0';
	if (!plain || *name == '.' || strstr(name, "..") || strstr(name, "./") || strstr(name, "//") ||
	    str_ends(name, "."))
		return err_set(e, EINVAL, "--sysctl '%s': '%s' is not the name of a sysctl", value, name);
	if (str_eq(name, "kernel.hostname") || str_eq(name, "kernel.domainname"))
		return err_set(e, EINVAL, "--sysctl '%s': use --%s", value, name + strlen("kernel."));
	for (size_t i = 0; i < ARRAY_SIZE(namespaced_sysctls); i++) {
		const char *known = namespaced_sysctls[i];
		if (!str_eq(name, known) && !(str_ends(known, ".") && str_after(name, known)))
			continue;
		strv_env_set(&o->sysctls, name, eq + 1);
		return 0;
	}
	return err_set(e, EINVAL, "--sysctl '%s': '%s' is not a setting of the container but of the whole machine",
		       value, name);
}

int run_opts_oom_score_adj(struct run_opts *o, const char *value, struct err *e)
{
	uint64_t n;
	bool negative = *value == '-';
	if (str_to_u64(value + negative, 1000, "--oom-score-adj", &n, NULL) < 0)
		return err_set(e, EINVAL, "--oom-score-adj '%s': a number from -1000 to 1000 is expected", value);
	o->oom_score_adj = negative ? -(int)n : (int)n;
	o->oom_score_adj_set = true;
	return 0;
}

int run_opts_stop_signal(struct run_opts *o, const char *value, struct err *e)
{
	return run_opts_parse_signal(value, "--stop-signal", &o->stop_signal, e);
}

static int read_seconds(const char *value, const char *what, unsigned *ret, struct err *e)
{
	uint64_t n;
	int r = str_to_u64(value, 10 * 365 * 86400, what, &n, e);
	if (r < 0)
		return r;
	*ret = (unsigned)n;
	return 0;
}

int run_opts_stop_timeout(struct run_opts *o, const char *value, struct err *e)
{
	return read_seconds(value, "--stop-timeout", &o->stop_timeout, e);
}

int run_opts_timeout(struct run_opts *o, const char *value, struct err *e)
{
	return read_seconds(value, "--timeout", &o->timeout, e);
}

/* One key: a printable ASCII character, "ctrl-X", or "DEL". Returns -1 when it is none. */
static int read_key(const char *text)
{
	const char *ctrl = str_after(text, "ctrl-");
	if (!ctrl || !*ctrl) {
		if (str_eq(text, "DEL"))
			return 0x7f;
		return text[0] > ' ' && text[0] < 0x7f && !text[1] ? text[0] : -1;
	}
	if (ctrl[1])
		return -1;
	if (*ctrl >= 'a' && *ctrl <= 'z')
		return *ctrl - 'a' + 1;
	if (*ctrl >= 'A' && *ctrl <= 'Z')
		return *ctrl - 'A' + 1;
	const char *others = "@[\\]^_";
	const char *p = strchr(others, *ctrl);
	return p ? *ctrl - '@' : -1;
}

int run_opts_parse_detach_keys(const char *text, unsigned char ret_keys[RUN_OPTS_DETACH_MAX], size_t *ret_count,
			       struct err *e)
{
	unsigned char keys[RUN_OPTS_DETACH_MAX];
	size_t n = 0;
	autostrv struct strv parts = STRV_INIT;
	if (*text)
		strv_split(&parts, text, ',');
	if (parts.count > RUN_OPTS_DETACH_MAX)
		return err_set(e, EINVAL, "--detach-keys '%s': more than %d keys", text, RUN_OPTS_DETACH_MAX);
	for (size_t i = 0; i < parts.count; i++) {
		int key = read_key(parts.items[i]);
		if (key < 0)
			return err_set(e, EINVAL, "--detach-keys '%s': '%s' is not a key (examples: a, ctrl-p, ctrl-@)",
				       text, parts.items[i]);
		keys[n++] = (unsigned char)key;
	}
	memcpy(ret_keys, keys, n);
	*ret_count = n;
	return 0;
}

int run_opts_detach_keys(struct run_opts *o, const char *value, struct err *e)
{
	unsigned char keys[RUN_OPTS_DETACH_MAX];
	size_t n;
	int r = run_opts_parse_detach_keys(value, keys, &n, e);
	if (r < 0)
		return r;
	run_opts_set_str(&o->detach_keys, value);
	return 0;
}

int run_opts_name(struct run_opts *o, const char *value, struct err *e)
{
	if (!path_is_plain_name(value))
		return err_set(
			e, EINVAL,
			"--name '%s': letters, digits, '_', '.' and '-' are allowed, the first a letter or digit",
			value);
	run_opts_set_str(&o->name, value);
	return 0;
}

int run_opts_restart(struct run_opts *o, const char *value, struct err *e)
{
	static const struct {
		const char *name;
		enum restart_policy policy;
	} policies[] = {
		{"no", RESTART_NO},
		{"on-failure", RESTART_ON_FAILURE},
		{"always", RESTART_ALWAYS},
		{"unless-stopped", RESTART_UNLESS_STOPPED},
	};
	const char *retries = str_after(value, "on-failure:");
	uint64_t n = 0;
	if (retries) {
		int r = str_to_u64(retries, INT32_MAX, "--restart on-failure", &n, e);
		if (r < 0)
			return r;
		value = "on-failure";
	}
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		if (!str_eq(value, policies[i].name))
			continue;
		o->restart = policies[i].policy;
		o->restart_retries = (unsigned)n;
		return 0;
	}
	return err_set(e, EINVAL, "--restart '%s': no, on-failure[:RETRIES], always or unless-stopped is expected",
		       value);
}

int run_opts_pull(struct run_opts *o, const char *value, struct err *e)
{
	static const char *const names[] = {
		[PULL_MISSING] = "missing",
		[PULL_ALWAYS] = "always",
		[PULL_NEVER] = "never",
		[PULL_NEWER] = "newer",
	};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!str_eq(value, names[i]))
			continue;
		o->pull = (enum pull_policy)i;
		return 0;
	}
	return err_set(e, EINVAL, "--pull '%s': missing, always, never or newer is expected", value);
}

int run_opts_platform(struct run_opts *o, const char *value, struct err *e)
{
	static const struct {
		const char *alias;
		const char *name;
	} aliases[] = {
		{"x86_64", "amd64"}, {"x86-64", "amd64"}, {"aarch64", "arm64"}, {"i386", "386"},
		{"i686", "386"},     {"armhf", "arm/v7"}, {"armel", "arm/v6"},
	};
	autostrv struct strv parts = STRV_INIT;
	strv_split(&parts, value, '/');
	bool plain = parts.count >= 1 && parts.count <= 3;
	for (size_t i = 0; i < parts.count; i++) {
		const char *p = parts.items[i];
		plain = plain && *p && p[strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789_-.")] == '\0';
	}
	if (!plain)
		return err_set(e, EINVAL, "--platform '%s': OS/ARCH[/VARIANT] is expected (example: linux/arm64)",
			       value);
	/* One word is the architecture, unless it is the system. */
	bool one_word = parts.count == 1;
	if (!one_word && !str_eq(parts.items[0], "linux"))
		return err_set(e, EINVAL, "--platform '%s': only linux containers can run", value);
	if (one_word && str_eq(parts.items[0], "linux")) {
		run_opts_set_str(&o->platform, "linux");
		return 0;
	}
	const char *arch = parts.items[!one_word];
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
		if (str_eq(arch, aliases[i].alias))
			arch = aliases[i].name;
	free(o->platform);
	o->platform = parts.count == 3 ? xasprintf("linux/%s/%s", arch, parts.items[2]) : xasprintf("linux/%s", arch);
	return 0;
}
