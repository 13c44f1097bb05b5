/* seccomp_profile_rules.c - the "syscalls" of a seccomp profile: names, arguments, and what must hold for a rule. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <string.h>

#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "seccomp_profile_int.h"

static const char *const ops[] = {
	[SECCOMP_PROFILE_OP_NE] = "SCMP_CMP_NE",
	[SECCOMP_PROFILE_OP_LT] = "SCMP_CMP_LT",
	[SECCOMP_PROFILE_OP_LE] = "SCMP_CMP_LE",
	[SECCOMP_PROFILE_OP_EQ] = "SCMP_CMP_EQ",
	[SECCOMP_PROFILE_OP_GE] = "SCMP_CMP_GE",
	[SECCOMP_PROFILE_OP_GT] = "SCMP_CMP_GT",
	[SECCOMP_PROFILE_OP_MASKED_EQ] = "SCMP_CMP_MASKED_EQ",
};
_Static_assert(ARRAY_SIZE(ops) == SECCOMP_PROFILE_OP_N, "every operator has its line");

static const char *const caps[] = {
	[CAP_CHOWN] = "CHOWN",
	[CAP_DAC_OVERRIDE] = "DAC_OVERRIDE",
	[CAP_DAC_READ_SEARCH] = "DAC_READ_SEARCH",
	[CAP_FOWNER] = "FOWNER",
	[CAP_FSETID] = "FSETID",
	[CAP_KILL] = "KILL",
	[CAP_SETGID] = "SETGID",
	[CAP_SETUID] = "SETUID",
	[CAP_SETPCAP] = "SETPCAP",
	[CAP_LINUX_IMMUTABLE] = "LINUX_IMMUTABLE",
	[CAP_NET_BIND_SERVICE] = "NET_BIND_SERVICE",
	[CAP_NET_BROADCAST] = "NET_BROADCAST",
	[CAP_NET_ADMIN] = "NET_ADMIN",
	[CAP_NET_RAW] = "NET_RAW",
	[CAP_IPC_LOCK] = "IPC_LOCK",
	[CAP_IPC_OWNER] = "IPC_OWNER",
	[CAP_SYS_MODULE] = "SYS_MODULE",
	[CAP_SYS_RAWIO] = "SYS_RAWIO",
	[CAP_SYS_CHROOT] = "SYS_CHROOT",
	[CAP_SYS_PTRACE] = "SYS_PTRACE",
	[CAP_SYS_PACCT] = "SYS_PACCT",
	[CAP_SYS_ADMIN] = "SYS_ADMIN",
	[CAP_SYS_BOOT] = "SYS_BOOT",
	[CAP_SYS_NICE] = "SYS_NICE",
	[CAP_SYS_RESOURCE] = "SYS_RESOURCE",
	[CAP_SYS_TIME] = "SYS_TIME",
	[CAP_SYS_TTY_CONFIG] = "SYS_TTY_CONFIG",
	[CAP_MKNOD] = "MKNOD",
	[CAP_LEASE] = "LEASE",
	[CAP_AUDIT_WRITE] = "AUDIT_WRITE",
	[CAP_AUDIT_CONTROL] = "AUDIT_CONTROL",
	[CAP_SETFCAP] = "SETFCAP",
	[CAP_MAC_OVERRIDE] = "MAC_OVERRIDE",
	[CAP_MAC_ADMIN] = "MAC_ADMIN",
	[CAP_SYSLOG] = "SYSLOG",
	[CAP_WAKE_ALARM] = "WAKE_ALARM",
	[CAP_BLOCK_SUSPEND] = "BLOCK_SUSPEND",
	[CAP_AUDIT_READ] = "AUDIT_READ",
	[CAP_PERFMON] = "PERFMON",
	[CAP_BPF] = "BPF",
	[CAP_CHECKPOINT_RESTORE] = "CHECKPOINT_RESTORE",
};
_Static_assert(ARRAY_SIZE(caps) == CAP_LAST_CAP + 1, "every capability has its line");

static int read_caps(struct profile_reader *rd, const json_t *obj, uint64_t *ret_caps)
{
	const json_t *list = profile_get(obj, "caps");
	uint64_t bits = 0;
	size_t i;
	json_t *v;
	if (!list)
		return 0;
	size_t at = profile_enter(rd, ".caps");
	if (!json_is_array(list))
		return profile_bad(rd, "is not an array");
	json_array_foreach (list, i, v) {
		size_t inner = profile_enter(rd, "[%zu]", i);
		if (!json_is_string(v))
			return profile_bad(rd, "is not a string");
		const char *name = str_after(json_string_value(v), "CAP_");
		size_t n = 0;
		while (n < ARRAY_SIZE(caps) && (!name || strcmp(caps[n], name) != 0))
			n++;
		if (n == ARRAY_SIZE(caps))
			return profile_bad(rd, "unknown capability \"%.64s\"", json_string_value(v));
		bits |= 1ull << n;
		profile_leave(rd, inner);
	}
	profile_leave(rd, at);
	*ret_caps = bits;
	return 0;
}

/* "4.8" */
static int read_kernel(struct profile_reader *rd, const json_t *obj, struct seccomp_profile_filter *f)
{
	const json_t *v = profile_get(obj, "minKernel");
	uint64_t parts[2];
	if (!v)
		return 0;
	size_t at = profile_enter(rd, ".minKernel");
	if (!json_is_string(v))
		return profile_bad(rd, "is not a string");
	if (!json_string_value(v)[0])
		return profile_leave(rd, at), 0;
	autostrv struct strv words = STRV_INIT;
	strv_split(&words, json_string_value(v), '.');
	if (words.count != 2 || str_to_u64(words.items[0], 65535, "", &parts[0], NULL) < 0 ||
	    str_to_u64(words.items[1], 65535, "", &parts[1], NULL) < 0)
		return profile_bad(rd, "\"%.64s\" is not of the form \"major.minor\"", json_string_value(v));
	f->kernel_major = (unsigned int)parts[0];
	f->kernel_minor = (unsigned int)parts[1];
	rd->p->kernel_mentioned = true;
	profile_leave(rd, at);
	return 0;
}

static int read_filter(struct profile_reader *rd, const json_t *rule, const char *key, struct seccomp_profile_filter *f)
{
	static const struct profile_member members[] = {
		{"caps", PROFILE_IN_DOCKER},
		{"arches", PROFILE_IN_DOCKER},
		{"minKernel", PROFILE_IN_DOCKER},
	};
	const json_t *obj = profile_get(rule, key);
	if (!obj)
		return 0;
	size_t at = profile_enter(rd, ".%s", key);
	int r = profile_check_members(rd, obj, members, ARRAY_SIZE(members));
	if (r >= 0)
		r = read_caps(rd, obj, &f->caps);
	if (r >= 0)
		r = profile_read_archs(rd, obj, "arches", true, &f->archs);
	if (r >= 0)
		r = read_kernel(rd, obj, f);
	if (r < 0)
		return r;
	f->has_archs = f->archs != 0;
	rd->p->caps_mentioned |= f->caps;
	profile_leave(rd, at);
	return 0;
}

static int read_member_unsigned(struct profile_reader *rd, const json_t *obj, const char *key, bool required,
				uint64_t max, uint64_t *ret_value)
{
	const json_t *v = profile_get(obj, key);
	size_t at = profile_enter(rd, ".%s", key);
	if (!v && required)
		return profile_bad(rd, "is missing");
	if (v) {
		int r = profile_read_unsigned(rd, v, max, ret_value);
		if (r < 0)
			return r;
	}
	profile_leave(rd, at);
	return 0;
}

static bool has_arg(const struct seccomp_profile_rule *rule, unsigned int index)
{
	for (size_t i = 0; i < rule->nargs; i++)
		if (rule->args[i].index == index)
			return true;
	return false;
}

static int read_arg(struct profile_reader *rd, const json_t *obj, struct seccomp_profile_rule *rule)
{
	static const struct profile_member members[] = {
		{"index", PROFILE_IN_BOTH},
		{"value", PROFILE_IN_BOTH},
		{"valueTwo", PROFILE_IN_BOTH},
		{"op", PROFILE_IN_BOTH},
	};
	struct seccomp_profile_arg arg = {.op = SECCOMP_PROFILE_OP_N};
	uint64_t index = 0;
	int r = profile_check_members(rd, obj, members, ARRAY_SIZE(members));
	if (r >= 0)
		r = read_member_unsigned(rd, obj, "index", true, 5, &index);
	if (r >= 0)
		r = read_member_unsigned(rd, obj, "value", true, INT64_MAX, &arg.value);
	if (r >= 0)
		r = read_member_unsigned(rd, obj, "valueTwo", false, INT64_MAX, &arg.value_two);
	if (r < 0)
		return r;
	arg.index = (unsigned int)index;
	size_t at = profile_enter(rd, ".op");
	const json_t *op = profile_get(obj, "op");
	if (!json_is_string(op))
		return profile_bad(rd, op ? "is not a string" : "is missing");
	for (int i = 0; i < SECCOMP_PROFILE_OP_N; i++)
		if (strcmp(ops[i], json_string_value(op)) == 0)
			arg.op = (enum seccomp_profile_op)i;
	if (arg.op == SECCOMP_PROFILE_OP_N)
		return profile_bad(rd, "unknown operator \"%.64s\"", json_string_value(op));
	profile_leave(rd, at);
	bool again = has_arg(rule, arg.index);
	if (again && rd->format != SECCOMP_PROFILE_OCI) {
		profile_bad(rd, "argument %u is compared twice in one rule", arg.index);
		return err_hint(rd->e,
				"some runtimes read this as \"both\" and some as \"either\": for either, write one "
				"rule for each comparison; for both, use SCMP_CMP_MASKED_EQ or list the values");
	}
	if (rule->nargs == SECCOMP_PROFILE_MAX_ARGS)
		return profile_bad(rd, "more than %d comparisons in one rule", SECCOMP_PROFILE_MAX_ARGS);
	rule->any_arg |= again;
	rule->args[rule->nargs++] = arg;
	return 0;
}

static int read_args(struct profile_reader *rd, const json_t *obj, struct seccomp_profile_rule *rule)
{
	const json_t *list = profile_get(obj, "args");
	size_t i;
	json_t *v;
	if (!list)
		return 0;
	size_t at = profile_enter(rd, ".args");
	if (!json_is_array(list))
		return profile_bad(rd, "is not an array");
	json_array_foreach (list, i, v) {
		size_t inner = profile_enter(rd, "[%zu]", i);
		int r = read_arg(rd, v, rule);
		if (r < 0)
			return r;
		profile_leave(rd, inner);
	}
	profile_leave(rd, at);
	return 0;
}

static int add_name(struct profile_reader *rd, const json_t *v, struct seccomp_profile_rule *rule)
{
	if (!json_is_string(v))
		return profile_bad(rd, "is not a string");
	const char *name = json_string_value(v);
	size_t len = strlen(name);
	bool good = len > 0 && len <= SECCOMP_PROFILE_NAME_MAX;
	for (size_t i = 0; i < len && good; i++)
		good = name[i] == '_' || (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9');
	if (!good)
		return profile_bad(rd, "\"%.64s\" is not a system call's name", name);
	if (rd->names++ >= SECCOMP_PROFILE_MAX_NAMES)
		return err_set(rd->e, E2BIG, "%s: more than %d names", rd->what, SECCOMP_PROFILE_MAX_NAMES);
	strv_add(&rule->names, name);
	return 0;
}

static int read_names(struct profile_reader *rd, const json_t *obj, struct seccomp_profile_rule *rule)
{
	const json_t *one = profile_get(obj, "name");
	const json_t *list = profile_get(obj, "names");
	size_t i;
	json_t *v;
	/* docker's own generator used to write both, with name empty. */
	if (json_is_string(one) && !json_string_value(one)[0])
		one = NULL;
	if (one && list && json_array_size(list))
		return profile_bad(rd, "has both \"name\" and \"names\"");
	size_t at = profile_enter(rd, one ? ".name" : ".names");
	if (one) {
		int r = add_name(rd, one, rule);
		if (r < 0)
			return r;
		return profile_leave(rd, at), 0;
	}
	if (!list || !json_is_array(list))
		return profile_bad(rd, list ? "is not an array" : "is missing");
	if (!json_array_size(list))
		return profile_bad(rd, "is empty");
	json_array_foreach (list, i, v) {
		size_t inner = profile_enter(rd, "[%zu]", i);
		int r = add_name(rd, v, rule);
		if (r < 0)
			return r;
		profile_leave(rd, inner);
	}
	profile_leave(rd, at);
	return 0;
}

static int read_rule(struct profile_reader *rd, const json_t *obj, struct seccomp_profile_rule *rule)
{
	static const struct profile_member members[] = {
		{"names", PROFILE_IN_BOTH},	{"name", PROFILE_IN_DOCKER},	 {"action", PROFILE_IN_BOTH},
		{"errnoRet", PROFILE_IN_BOTH},	{"errno", PROFILE_IN_DOCKER},	 {"args", PROFILE_IN_BOTH},
		{"comment", PROFILE_IN_DOCKER}, {"includes", PROFILE_IN_DOCKER}, {"excludes", PROFILE_IN_DOCKER},
	};
	int r = profile_check_members(rd, obj, members, ARRAY_SIZE(members));
	if (r >= 0)
		r = read_names(rd, obj, rule);
	if (r >= 0)
		r = profile_read_action(rd, obj, "action", "errnoRet", "errno", &rule->action);
	if (r >= 0)
		r = read_args(rd, obj, rule);
	if (r >= 0)
		r = read_filter(rd, obj, "includes", &rule->includes);
	if (r >= 0)
		r = read_filter(rd, obj, "excludes", &rule->excludes);
	if (r < 0)
		return r;
	const json_t *comment = profile_get(obj, "comment");
	if (comment && !json_is_string(comment))
		return profile_bad(rd, "\"comment\" is not a string");
	if (rule->action == SECCOMP_RET_USER_NOTIF)
		rd->p->uses_notify = true;
	return 0;
}

/* A rule for each of its comparisons. */
static void split_rule(struct seccomp_profile *p, const struct seccomp_profile_rule *rule)
{
	p->rules = xreallocarray(p->rules, p->nrules + rule->nargs, sizeof(*p->rules));
	for (size_t i = 0; i < rule->nargs; i++) {
		struct seccomp_profile_rule *one = &p->rules[p->nrules++];
		*one = (struct seccomp_profile_rule){
			.action = rule->action,
			.nargs = 1,
			.args = {rule->args[i]},
			.includes = rule->includes,
			.excludes = rule->excludes,
		};
		strv_add_all(&one->names, &rule->names);
	}
}

static int add_rule(struct profile_reader *rd, const json_t *obj)
{
	struct seccomp_profile *p = rd->p;
	struct seccomp_profile_rule rule = {.nargs = 0};
	int r = read_rule(rd, obj, &rule);
	if (r >= 0 && rule.any_arg) {
		split_rule(p, &rule);
	} else if (r >= 0) {
		p->rules = xreallocarray(p->rules, p->nrules + 1, sizeof(*p->rules));
		p->rules[p->nrules++] = rule;
		return r;
	}
	strv_free(&rule.names);
	return r;
}

int profile_read_rules(struct profile_reader *rd, const json_t *doc)
{
	const json_t *list = profile_get(doc, "syscalls");
	size_t i;
	json_t *v;
	if (!list)
		return 0;
	size_t at = profile_enter(rd, "syscalls");
	if (!json_is_array(list))
		return profile_bad(rd, "is not an array");
	if (json_array_size(list) > SECCOMP_PROFILE_MAX_RULES)
		return err_set(rd->e, E2BIG, "%s: %zu rules (at most %d)", rd->what, json_array_size(list),
			       SECCOMP_PROFILE_MAX_RULES);
	json_array_foreach (list, i, v) {
		size_t inner = profile_enter(rd, "[%zu]", i);
		int r = add_rule(rd, v);
		if (r < 0)
			return r;
		profile_leave(rd, inner);
	}
	profile_leave(rd, at);
	return 0;
}
