/*
 * run_opts_security.c - the grammars of capabilities, --security-opt and the namespaces.
 *
 * A value that would weaken the sandbox is taken only in its exact spelling; whatever is not known is refused, because
 * a security option that is silently ignored is worse than none.
 */
#include <ctype.h>
#include <errno.h>

#include "rl/base/mem.h"
#include "rl/base/path.h"
#include "rl/model/rtspec.h"
#include "run_opts_int.h"

/* capability.h, in the kernel's order. */
static const char *const cap_names[] = {
	"CHOWN",
	"DAC_OVERRIDE",
	"DAC_READ_SEARCH",
	"FOWNER",
	"FSETID",
	"KILL",
	"SETGID",
	"SETUID",
	"SETPCAP",
	"LINUX_IMMUTABLE",
	"NET_BIND_SERVICE",
	"NET_BROADCAST",
	"NET_ADMIN",
	"NET_RAW",
	"IPC_LOCK",
	"IPC_OWNER",
	"SYS_MODULE",
	"SYS_RAWIO",
	"SYS_CHROOT",
	"SYS_PTRACE",
	"SYS_PACCT",
	"SYS_ADMIN",
	"SYS_BOOT",
	"SYS_NICE",
	"SYS_RESOURCE",
	"SYS_TIME",
	"SYS_TTY_CONFIG",
	"MKNOD",
	"LEASE",
	"AUDIT_WRITE",
	"AUDIT_CONTROL",
	"SETFCAP",
	"MAC_OVERRIDE",
	"MAC_ADMIN",
	"SYSLOG",
	"WAKE_ALARM",
	"BLOCK_SUSPEND",
	"AUDIT_READ",
	"PERFMON",
	"BPF",
	"CHECKPOINT_RESTORE",
};

int run_opts_parse_cap(const char *text, const char *what, char **ret_name, struct err *e)
{
	enum { LONGEST = 32 };
	char upper[LONGEST] = "";
	for (size_t i = 0; text[i] && i + 1 < sizeof(upper); i++)
		upper[i] = (char)toupper((unsigned char)text[i]);
	const char *name = str_after(upper, "CAP_");
	if (!name)
		name = upper;
	if (str_eq(upper, "ALL")) {
		*ret_name = xstrdup("ALL");
		return 0;
	}
	const char *candidates[ARRAY_SIZE(cap_names) + 1];
	for (size_t i = 0; i < ARRAY_SIZE(cap_names); i++) {
		candidates[i] = cap_names[i];
		if (strlen(text) >= sizeof(upper) || !str_eq(name, cap_names[i]))
			continue;
		*ret_name = xasprintf("CAP_%s", name);
		return 0;
	}
	candidates[ARRAY_SIZE(cap_names)] = NULL;
	const char *near = *name ? str_nearest(name, candidates) : NULL;
	err_set(e, EINVAL, "%s: there is no capability '%s'", what, text);
	return near ? err_hint(e, "did you mean '%s'?", near) : -EINVAL;
}

/* podman also takes "A,B". All or nothing is stored. */
static int add_caps(struct strv *out, const char *value, const char *what, struct err *e)
{
	autostrv struct strv words = STRV_INIT;
	autostrv struct strv found = STRV_INIT;
	strv_split(&words, value, ',');
	for (size_t i = 0; i < words.count; i++) {
		char *name = NULL;
		int r = run_opts_parse_cap(words.items[i], what, &name, e);
		if (r < 0)
			return r;
		strv_add_owned(&found, name);
	}
	for (size_t i = 0; i < found.count; i++)
		if (!strv_has(out, found.items[i]))
			strv_add(out, found.items[i]);
	return 0;
}

int run_opts_cap_add(struct run_opts *o, const char *value, struct err *e)
{
	return add_caps(&o->cap_add, value, "--cap-add", e);
}

int run_opts_cap_drop(struct run_opts *o, const char *value, struct err *e)
{
	return add_caps(&o->cap_drop, value, "--cap-drop", e);
}

static int bad_security(const char *key, const char *value, const char *why, struct err *e)
{
	return err_set(e, EINVAL, "--security-opt %s=%s: %s", key, value, why);
}

static int add_paths(struct strv *out, const char *key, const char *value, bool all_allowed, struct err *e)
{
	autostrv struct strv paths = STRV_INIT;
	strv_split(&paths, value, ':');
	for (size_t i = 0; i < paths.count; i++)
		if (*paths.items[i] != '/' && !(all_allowed && str_eq(paths.items[i], "ALL")))
			return bad_security(key, value, "absolute paths separated by ':' are expected", e);
	for (size_t i = 0; i < paths.count; i++) {
		autofree char *clean = *paths.items[i] == '/' ? path_clean(paths.items[i]) : xstrdup("ALL");
		if (!strv_has(out, clean))
			strv_add(out, clean);
	}
	return 0;
}

static int security_label(struct run_opts *o, const char *value, struct err *e)
{
	if (!str_eq(value, "disable"))
		return bad_security("label", value, "SELinux labels are not set by rl; only 'disable' is accepted", e);
	o->label_disable = true;
	return 0;
}

static int security_seccomp(struct run_opts *o, const char *value, struct err *e)
{
	if (!*value)
		return bad_security("seccomp", value, "a file, 'unconfined' or 'builtin' is expected", e);
	if (str_eq(value, "builtin") || str_eq(value, "default")) {
		free(o->seccomp);
		o->seccomp = NULL;
		return 0;
	}
	run_opts_set_str(&o->seccomp, value);
	return 0;
}

static int security_nnp(struct run_opts *o, const char *value, struct err *e)
{
	bool on = true;
	if (*value && !run_opts_read_bool(value, &on))
		return bad_security("no-new-privileges", value, "true or false is expected", e);
	o->no_new_privileges = on ? YES : NO;
	return 0;
}

static int security_mask(struct run_opts *o, const char *value, struct err *e)
{
	return add_paths(&o->mask, "mask", value, false, e);
}

static int security_unmask(struct run_opts *o, const char *value, struct err *e)
{
	return add_paths(&o->unmask, "unmask", value, true, e);
}

static int security_systempaths(struct run_opts *o, const char *value, struct err *e)
{
	if (!str_eq(value, "unconfined"))
		return bad_security("systempaths", value, "only 'unconfined' is known", e);
	return add_paths(&o->unmask, "unmask", "ALL", true, e);
}

static int security_apparmor(struct run_opts *o, const char *value, struct err *e)
{
	(void)o;
	if (!str_eq(value, "unconfined"))
		return bad_security("apparmor", value,
				    "rl does not load AppArmor profiles; only 'unconfined' is accepted", e);
	return 0;
}

int run_opts_security_opt(struct run_opts *o, const char *value, struct err *e)
{
	static const struct {
		const char *key;
		int (*set)(struct run_opts *o, const char *value, struct err *e);
	} known[] = {
		{"seccomp", security_seccomp},	 {"no-new-privileges", security_nnp},	{"mask", security_mask},
		{"unmask", security_unmask},	 {"systempaths", security_systempaths}, {"label", security_label},
		{"apparmor", security_apparmor},
	};
	/* "key=value"; docker's old "key:value" */
	size_t n = strcspn(value, "=:");
	autofree char *key = xstrndup(value, n);
	const char *rest = value[n] ? value + n + 1 : "";
	const char *names[ARRAY_SIZE(known) + 1] = {NULL};
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		names[i] = known[i].key;
		if (!str_eq(key, known[i].key))
			continue;
		if (!value[n] && known[i].set != security_nnp)
			return err_set(e, EINVAL, "--security-opt '%s': '%s=VALUE' is expected", value, key);
		return known[i].set(o, rest, e);
	}
	const char *near = str_nearest(key, names);
	err_set(e, EINVAL, "--security-opt '%s': '%s' is not supported", value, key);
	return near ? err_hint(e, "did you mean '%s'?", near) : -EINVAL;
}

static int keep_id_options(struct run_opts *o, const char *options, const char *value, struct err *e)
{
	uint32_t uid = RUN_OPTS_OWN_ID;
	uint32_t gid = RUN_OPTS_OWN_ID;
	autostrv struct strv words = STRV_INIT;
	strv_split(&words, options, ',');
	for (size_t i = 0; i < words.count; i++) {
		const char *text = str_after(words.items[i], "uid=");
		uint32_t *slot = text ? &uid : &gid;
		if (!text)
			text = str_after(words.items[i], "gid=");
		uint64_t id;
		if (!text)
			return err_set(e, EINVAL, "--userns '%s': '%s' is not supported (uid=, gid=)", value,
				       words.items[i]);
		if (str_to_u64(text, UINT32_MAX - 1, "--userns", &id, NULL) < 0)
			return err_set(e, EINVAL, "--userns '%s': '%s' is not an id", value, text);
		*slot = (uint32_t)id;
	}
	o->userns = USERNS_KEEP_ID;
	o->keep_id_uid = uid;
	o->keep_id_gid = gid;
	return 0;
}

int run_opts_emulate(struct run_opts *o, const char *value, struct err *e)
{
	static const char *const names[] = {
		[RT_EMULATE_OFF] = "off", [RT_EMULATE_WRITE] = "write", [RT_EMULATE_FULL] = "full"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq(value, names[i])) {
			o->emulate = (int)i;
			return 0;
		}
	return err_set(e, EINVAL, "--emulate '%s': off, write or full is expected", value);
}

int run_opts_userns(struct run_opts *o, const char *value, struct err *e)
{
	static const struct {
		const char *name;
		enum userns_kind kind;
	} kinds[] = {
		{"", USERNS_DEFAULT},	     {"private", USERNS_DEFAULT}, {"host", USERNS_HOST},
		{"keep-id", USERNS_KEEP_ID}, {"nomap", USERNS_NOMAP},
	};
	const char *options = str_after(value, "keep-id:");
	if (options)
		return keep_id_options(o, options, value, e);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!str_eq(value, kinds[i].name))
			continue;
		o->userns = kinds[i].kind;
		o->keep_id_uid = RUN_OPTS_OWN_ID;
		o->keep_id_gid = RUN_OPTS_OWN_ID;
		return 0;
	}
	if (str_eq(value, "auto") || str_after(value, "auto:") || str_after(value, "container:") ||
	    str_after(value, "ns:"))
		return err_set(e, EINVAL, "--userns '%s': not supported (host, private, keep-id, nomap)", value);
	return err_set(e, EINVAL, "--userns '%s': host, private, keep-id[:uid=N,gid=N] or nomap is expected", value);
}

/* host or private. `further` is what else the option takes, for the message. */
static int share_host(const char *value, const char *what, const char *further, enum ns_share *share, struct err *e)
{
	bool host = str_eq(value, "host");
	if (!host && *value && !str_eq(value, "private"))
		return err_set(e, EINVAL, "%s '%s': host%s or private is expected", what, value, further);
	*share = host ? NS_HOST : NS_PRIVATE;
	return 0;
}

/* The same, container:NAME and ns:PATH. */
static int share_namespace(const char *value, const char *what, enum ns_share *share, char **container, struct err *e)
{
	const char *name = str_after(value, "container:");
	const char *path = str_after(value, "ns:");
	if (path && *path != '/')
		return err_set(e, EINVAL, "%s '%s': ns:PATH with an absolute path is expected", what, value);
	if (path) {
		run_opts_set_str(container, path);
		*share = NS_PATH;
		return 0;
	}
	if (!name)
		return share_host(value, what, ", container:NAME, ns:PATH", share, e);
	if (!path_is_plain_name(name))
		return err_set(e, EINVAL, "%s '%s': '%s' is not a container name or id", what, value, name);
	run_opts_set_str(container, name);
	*share = NS_CONTAINER;
	return 0;
}

int run_opts_pid(struct run_opts *o, const char *value, struct err *e)
{
	return share_namespace(value, "--pid", &o->pid, &o->pid_container, e);
}

int run_opts_ipc(struct run_opts *o, const char *value, struct err *e)
{
	/* Every private namespace here may be joined by another container. */
	if (str_eq(value, "shareable"))
		value = "private";
	/* docker: one's own, without /dev/shm. */
	o->no_shm = str_eq(value, "none");
	if (o->no_shm)
		value = "private";
	return share_namespace(value, "--ipc", &o->ipc, &o->ipc_container, e);
}

int run_opts_uts(struct run_opts *o, const char *value, struct err *e)
{
	return share_namespace(value, "--uts", &o->uts, &o->uts_container, e);
}

int run_opts_cgroupns(struct run_opts *o, const char *value, struct err *e)
{
	return share_host(value, "--cgroupns", "", &o->cgroupns, e);
}
