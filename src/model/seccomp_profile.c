/*
 * seccomp_profile.c - seccomp profiles from JSON.
 *
 * One walk for both formats: a table of members per object says which format knows which member, everything else is
 * refused by name. The reader keeps the path of the member it is in ("syscalls[3].args[0].op") for errors. null counts
 * as absent, as the Go programs that write these files mean it.
 */
#include "rl/model/seccomp_profile.h"

#include <ctype.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "rl/base/json.h"
#include "rl/base/mem.h"

enum { PATH_SIZE = 192 };

struct reader {
	enum seccomp_profile_format format;
	const char *what;
	char path[PATH_SIZE];
	size_t names; /* so far, over all rules */
	struct seccomp_profile *p;
	struct err *e;
};

/* Which formats know a member. */
enum {
	IN_DOCKER = 1 << SECCOMP_PROFILE_DOCKER,
	IN_OCI = 1 << SECCOMP_PROFILE_OCI,
	IN_BOTH = IN_DOCKER | IN_OCI,
};

struct member {
	const char *name;
	int formats;
};

struct named {
	const char *name;
	uint32_t value;
};

static const struct named actions[] = {
	{"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
	{"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
	{"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
	{"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
	{"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
	{"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},
	{"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
	{"SCMP_ACT_LOG", SECCOMP_RET_LOG},
	{"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF},
};

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

/* The runtime spec's name and docker's (Go's, mostly). */
static const struct {
	const char *oci;
	const char *docker;
} archs[] = {
	[SECCOMP_PROFILE_ARCH_X86] = {"SCMP_ARCH_X86", "x86"},
	[SECCOMP_PROFILE_ARCH_X86_64] = {"SCMP_ARCH_X86_64", "amd64"},
	[SECCOMP_PROFILE_ARCH_X32] = {"SCMP_ARCH_X32", "x32"},
	[SECCOMP_PROFILE_ARCH_ARM] = {"SCMP_ARCH_ARM", "arm"},
	[SECCOMP_PROFILE_ARCH_AARCH64] = {"SCMP_ARCH_AARCH64", "arm64"},
	[SECCOMP_PROFILE_ARCH_MIPS] = {"SCMP_ARCH_MIPS", "mips"},
	[SECCOMP_PROFILE_ARCH_MIPS64] = {"SCMP_ARCH_MIPS64", "mips64"},
	[SECCOMP_PROFILE_ARCH_MIPS64N32] = {"SCMP_ARCH_MIPS64N32", "mips64n32"},
	[SECCOMP_PROFILE_ARCH_MIPSEL] = {"SCMP_ARCH_MIPSEL", "mipsel"},
	[SECCOMP_PROFILE_ARCH_MIPSEL64] = {"SCMP_ARCH_MIPSEL64", "mipsel64"},
	[SECCOMP_PROFILE_ARCH_MIPSEL64N32] = {"SCMP_ARCH_MIPSEL64N32", "mipsel64n32"},
	[SECCOMP_PROFILE_ARCH_PPC] = {"SCMP_ARCH_PPC", "ppc"},
	[SECCOMP_PROFILE_ARCH_PPC64] = {"SCMP_ARCH_PPC64", "ppc64"},
	[SECCOMP_PROFILE_ARCH_PPC64LE] = {"SCMP_ARCH_PPC64LE", "ppc64le"},
	[SECCOMP_PROFILE_ARCH_S390] = {"SCMP_ARCH_S390", "s390"},
	[SECCOMP_PROFILE_ARCH_S390X] = {"SCMP_ARCH_S390X", "s390x"},
	[SECCOMP_PROFILE_ARCH_PARISC] = {"SCMP_ARCH_PARISC", "parisc"},
	[SECCOMP_PROFILE_ARCH_PARISC64] = {"SCMP_ARCH_PARISC64", "parisc64"},
	[SECCOMP_PROFILE_ARCH_RISCV64] = {"SCMP_ARCH_RISCV64", "riscv64"},
	[SECCOMP_PROFILE_ARCH_LOONGARCH64] = {"SCMP_ARCH_LOONGARCH64", "loong64"},
	[SECCOMP_PROFILE_ARCH_M68K] = {"SCMP_ARCH_M68K", "m68k"},
	[SECCOMP_PROFILE_ARCH_SH] = {"SCMP_ARCH_SH", "sh"},
	[SECCOMP_PROFILE_ARCH_SHEB] = {"SCMP_ARCH_SHEB", "sheb"},
};
_Static_assert(ARRAY_SIZE(archs) == SECCOMP_PROFILE_ARCH_N, "every architecture has its line");
_Static_assert(SECCOMP_PROFILE_ARCH_N <= 32, "one bit each");

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

static const struct named flag_names[] = {
	{"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
	{"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
	{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
	{"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};

/* Refuse: "web.json: syscalls[3].args: ...". */
static int bad(const struct reader *rd, const char *fmt, ...) RL_PRINTF(2, 3);
static int bad(const struct reader *rd, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(rd->e, EINVAL, "%s: %s%s%s", rd->what, rd->path, rd->path[0] ? ": " : "", text);
}

/* Append to the path; returns the length to cut back to. */
static size_t enter(struct reader *rd, const char *fmt, ...) RL_PRINTF(2, 3);
static size_t enter(struct reader *rd, const char *fmt, ...)
{
	size_t len = strlen(rd->path);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(rd->path + len, sizeof(rd->path) - len, fmt, ap);
	va_end(ap);
	return len;
}

static void leave(struct reader *rd, size_t len)
{
	rd->path[len] = 0;
}

static int check_members(const struct reader *rd, const json_t *obj, const struct member *members, size_t count)
{
	const char *key;
	json_t *value;
	if (!json_is_object(obj))
		return bad(rd, "is not an object");
	json_object_foreach ((json_t *)(uintptr_t)obj, key, value) {
		size_t i = 0;
		while (i < count && strcmp(members[i].name, key) != 0)
			i++;
		if (i == count)
			return bad(rd, "unknown member \"%.64s\"", key);
		if (!(members[i].formats & (1 << rd->format)))
			return bad(rd, "member \"%s\" does not belong in %s", key,
				   rd->format == SECCOMP_PROFILE_OCI ? "the runtime spec's format" : "docker's format");
	}
	return 0;
}

/* The member, or NULL when absent or null. */
static json_t *member(const json_t *obj, const char *key)
{
	json_t *v = json_object_get(obj, key);
	return json_is_null(v) ? NULL : v;
}

static int lookup(const struct named *table, size_t count, const char *name, uint32_t *ret_value)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(table[i].name, name) == 0) {
			*ret_value = table[i].value;
			return 1;
		}
	}
	return 0;
}

static int read_unsigned(const struct reader *rd, const json_t *v, uint64_t max, uint64_t *ret_value)
{
	if (!json_is_integer(v))
		return bad(rd, "is not an integer");
	json_int_t n = json_integer_value(v);
	if (n < 0 || (uint64_t)n > max)
		return bad(rd, "%lld is out of range (0 to %llu)", (long long)n, (unsigned long long)max);
	*ret_value = (uint64_t)n;
	return 0;
}

static int errno_number(const char *name)
{
	for (int i = 1; i < 4096; i++) {
		const char *s = strerrorname_np(i);
		if (s && strcmp(s, name) == 0)
			return i;
	}
	return -1;
}

/* The action in member `key` with its data from `errno_key` (a number) or `name_key` (podman: a name such as "EPERM").
 * Data belongs to errno and trace actions; without it docker and the spec mean EPERM. */
static int read_action(struct reader *rd, const json_t *obj, const char *key, const char *errno_key,
		       const char *name_key, uint32_t *ret_action)
{
	const json_t *name = member(obj, key);
	const json_t *number = member(obj, errno_key);
	const json_t *errname = member(obj, name_key);
	uint32_t action = 0;
	uint64_t data = EPERM;
	size_t at = enter(rd, "%s%s", rd->path[0] ? "." : "", key);
	if (!name)
		return bad(rd, "is missing");
	if (!json_is_string(name))
		return bad(rd, "is not a string");
	if (!lookup(actions, ARRAY_SIZE(actions), json_string_value(name), &action))
		return bad(rd, "unknown action \"%.64s\"", json_string_value(name));
	leave(rd, at);
	bool takes_data = action == SECCOMP_RET_ERRNO || action == SECCOMP_RET_TRACE;
	at = enter(rd, "%s%s", rd->path[0] ? "." : "", number ? errno_key : name_key);
	if (number) {
		/* The kernel clamps errno values above 4095; trace data may use all 16 bits. */
		int r = read_unsigned(rd, number, action == SECCOMP_RET_TRACE ? 0xffff : 4095, &data);
		if (r < 0)
			return r;
	}
	if (errname) {
		if (!json_is_string(errname))
			return bad(rd, "is not a string");
		int n = errno_number(json_string_value(errname));
		if (n < 0 && json_string_value(errname)[0])
			return bad(rd, "unknown error name \"%.64s\"", json_string_value(errname));
		if (n > 0 && number && data != (uint64_t)n)
			return bad(rd, "\"%s\" and \"%s\" differ", errno_key, name_key);
		if (n > 0)
			data = (uint64_t)n;
	}
	/* docker writes errnoRet beside other actions too; there it means nothing unless it asks for something. */
	if (!takes_data && number && data != 0)
		return bad(rd, "needs action SCMP_ACT_ERRNO or SCMP_ACT_TRACE");
	leave(rd, at);
	*ret_action = takes_data ? action | (uint32_t)data : action;
	return 0;
}

static int find_arch(const char *name, bool docker_name)
{
	for (int i = 0; i < SECCOMP_PROFILE_ARCH_N; i++)
		if (strcmp(docker_name ? archs[i].docker : archs[i].oci, name) == 0)
			return i;
	return -1;
}

static int read_arch(const struct reader *rd, const json_t *v, bool docker_name, unsigned int *ret_arch)
{
	if (!json_is_string(v))
		return bad(rd, "is not a string");
	int a = find_arch(json_string_value(v), docker_name);
	if (a < 0)
		return bad(rd, "unknown architecture \"%.64s\"", json_string_value(v));
	*ret_arch = (unsigned int)a;
	return 0;
}

/* An array of architectures as bits; absent is empty. */
static int read_archs(struct reader *rd, const json_t *obj, const char *key, bool docker_names, uint32_t *ret_archs)
{
	const json_t *list = member(obj, key);
	uint32_t bits = 0;
	size_t i;
	json_t *v;
	if (!list)
		return 0;
	size_t at = enter(rd, "%s%s", rd->path[0] ? "." : "", key);
	if (!json_is_array(list))
		return bad(rd, "is not an array");
	json_array_foreach (list, i, v) {
		unsigned int a = 0;
		size_t inner = enter(rd, "[%zu]", i);
		int r = read_arch(rd, v, docker_names, &a);
		if (r < 0)
			return r;
		bits |= 1u << a;
		leave(rd, inner);
	}
	leave(rd, at);
	*ret_archs = bits;
	return 0;
}

static int read_caps(struct reader *rd, const json_t *obj, uint64_t *ret_caps)
{
	const json_t *list = member(obj, "caps");
	uint64_t bits = 0;
	size_t i;
	json_t *v;
	if (!list)
		return 0;
	size_t at = enter(rd, ".caps");
	if (!json_is_array(list))
		return bad(rd, "is not an array");
	json_array_foreach (list, i, v) {
		size_t inner = enter(rd, "[%zu]", i);
		if (!json_is_string(v))
			return bad(rd, "is not a string");
		const char *name = str_after(json_string_value(v), "CAP_");
		size_t n = 0;
		while (n < ARRAY_SIZE(caps) && (!name || strcmp(caps[n], name) != 0))
			n++;
		if (n == ARRAY_SIZE(caps))
			return bad(rd, "unknown capability \"%.64s\"", json_string_value(v));
		bits |= 1ull << n;
		leave(rd, inner);
	}
	leave(rd, at);
	*ret_caps = bits;
	return 0;
}

/* "4.8" */
static int read_kernel(struct reader *rd, const json_t *obj, struct seccomp_profile_filter *f)
{
	const json_t *v = member(obj, "minKernel");
	uint64_t parts[2];
	if (!v)
		return 0;
	size_t at = enter(rd, ".minKernel");
	if (!json_is_string(v))
		return bad(rd, "is not a string");
	if (!json_string_value(v)[0])
		return leave(rd, at), 0;
	autostrv struct strv words = STRV_INIT;
	strv_split(&words, json_string_value(v), '.');
	if (words.count != 2 || str_to_u64(words.items[0], 65535, "", &parts[0], NULL) < 0 ||
	    str_to_u64(words.items[1], 65535, "", &parts[1], NULL) < 0)
		return bad(rd, "\"%.64s\" is not of the form \"major.minor\"", json_string_value(v));
	f->kernel_major = (unsigned int)parts[0];
	f->kernel_minor = (unsigned int)parts[1];
	rd->p->kernel_mentioned = true;
	leave(rd, at);
	return 0;
}

static int read_filter(struct reader *rd, const json_t *rule, const char *key, struct seccomp_profile_filter *f)
{
	static const struct member members[] = {
		{"caps", IN_DOCKER},
		{"arches", IN_DOCKER},
		{"minKernel", IN_DOCKER},
	};
	const json_t *obj = member(rule, key);
	if (!obj)
		return 0;
	size_t at = enter(rd, ".%s", key);
	int r = check_members(rd, obj, members, ARRAY_SIZE(members));
	if (r >= 0)
		r = read_caps(rd, obj, &f->caps);
	if (r >= 0)
		r = read_archs(rd, obj, "arches", true, &f->archs);
	if (r >= 0)
		r = read_kernel(rd, obj, f);
	if (r < 0)
		return r;
	f->has_archs = f->archs != 0;
	rd->p->caps_mentioned |= f->caps;
	leave(rd, at);
	return 0;
}

static int read_member_unsigned(struct reader *rd, const json_t *obj, const char *key, bool required, uint64_t max,
				uint64_t *ret_value)
{
	const json_t *v = member(obj, key);
	size_t at = enter(rd, ".%s", key);
	if (!v && required)
		return bad(rd, "is missing");
	if (v) {
		int r = read_unsigned(rd, v, max, ret_value);
		if (r < 0)
			return r;
	}
	leave(rd, at);
	return 0;
}

static int read_arg(struct reader *rd, const json_t *obj, struct seccomp_profile_rule *rule)
{
	static const struct member members[] = {
		{"index", IN_BOTH},
		{"value", IN_BOTH},
		{"valueTwo", IN_BOTH},
		{"op", IN_BOTH},
	};
	struct seccomp_profile_arg arg = {.op = SECCOMP_PROFILE_OP_N};
	uint64_t index = 0;
	int r = check_members(rd, obj, members, ARRAY_SIZE(members));
	if (r >= 0)
		r = read_member_unsigned(rd, obj, "index", true, 5, &index);
	if (r >= 0)
		r = read_member_unsigned(rd, obj, "value", true, INT64_MAX, &arg.value);
	if (r >= 0)
		r = read_member_unsigned(rd, obj, "valueTwo", false, INT64_MAX, &arg.value_two);
	if (r < 0)
		return r;
	arg.index = (unsigned int)index;
	size_t at = enter(rd, ".op");
	const json_t *op = member(obj, "op");
	if (!json_is_string(op))
		return bad(rd, op ? "is not a string" : "is missing");
	for (int i = 0; i < SECCOMP_PROFILE_OP_N; i++)
		if (strcmp(ops[i], json_string_value(op)) == 0)
			arg.op = (enum seccomp_profile_op)i;
	if (arg.op == SECCOMP_PROFILE_OP_N)
		return bad(rd, "unknown operator \"%.64s\"", json_string_value(op));
	leave(rd, at);
	for (size_t i = 0; i < rule->nargs; i++) {
		if (rule->args[i].index != arg.index)
			continue;
		bad(rd, "argument %u is compared twice in one rule", arg.index);
		return err_hint(rd->e,
				"some runtimes read this as \"both\" and some as \"either\": for either, write one "
				"rule for each comparison; for both, use SCMP_CMP_MASKED_EQ or list the values");
	}
	rule->args[rule->nargs++] = arg;
	return 0;
}

static int read_args(struct reader *rd, const json_t *obj, struct seccomp_profile_rule *rule)
{
	const json_t *list = member(obj, "args");
	size_t i;
	json_t *v;
	if (!list)
		return 0;
	size_t at = enter(rd, ".args");
	if (!json_is_array(list))
		return bad(rd, "is not an array");
	json_array_foreach (list, i, v) {
		size_t inner = enter(rd, "[%zu]", i);
		int r = read_arg(rd, v, rule);
		if (r < 0)
			return r;
		leave(rd, inner);
	}
	leave(rd, at);
	return 0;
}

static int add_name(struct reader *rd, const json_t *v, struct seccomp_profile_rule *rule)
{
	if (!json_is_string(v))
		return bad(rd, "is not a string");
	const char *name = json_string_value(v);
	size_t len = strlen(name);
	bool good = len > 0 && len <= SECCOMP_PROFILE_NAME_MAX;
	for (size_t i = 0; i < len && good; i++)
		good = name[i] == '_' || (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9');
	if (!good)
		return bad(rd, "\"%.64s\" is not a system call's name", name);
	if (rd->names++ >= SECCOMP_PROFILE_MAX_NAMES)
		return err_set(rd->e, E2BIG, "%s: more than %d names", rd->what, SECCOMP_PROFILE_MAX_NAMES);
	strv_add(&rule->names, name);
	return 0;
}

static int read_names(struct reader *rd, const json_t *obj, struct seccomp_profile_rule *rule)
{
	const json_t *one = member(obj, "name");
	const json_t *list = member(obj, "names");
	size_t i;
	json_t *v;
	/* docker's own generator used to write both, with name empty. */
	if (json_is_string(one) && !json_string_value(one)[0])
		one = NULL;
	if (one && list && json_array_size(list))
		return bad(rd, "has both \"name\" and \"names\"");
	size_t at = enter(rd, one ? ".name" : ".names");
	if (one) {
		int r = add_name(rd, one, rule);
		if (r < 0)
			return r;
		return leave(rd, at), 0;
	}
	if (!list || !json_is_array(list))
		return bad(rd, list ? "is not an array" : "is missing");
	if (!json_array_size(list))
		return bad(rd, "is empty");
	json_array_foreach (list, i, v) {
		size_t inner = enter(rd, "[%zu]", i);
		int r = add_name(rd, v, rule);
		if (r < 0)
			return r;
		leave(rd, inner);
	}
	leave(rd, at);
	return 0;
}

static int read_rule(struct reader *rd, const json_t *obj, struct seccomp_profile_rule *rule)
{
	static const struct member members[] = {
		{"names", IN_BOTH},	{"name", IN_DOCKER},	 {"action", IN_BOTH},
		{"errnoRet", IN_BOTH},	{"errno", IN_DOCKER},	 {"args", IN_BOTH},
		{"comment", IN_DOCKER}, {"includes", IN_DOCKER}, {"excludes", IN_DOCKER},
	};
	int r = check_members(rd, obj, members, ARRAY_SIZE(members));
	if (r >= 0)
		r = read_names(rd, obj, rule);
	if (r >= 0)
		r = read_action(rd, obj, "action", "errnoRet", "errno", &rule->action);
	if (r >= 0)
		r = read_args(rd, obj, rule);
	if (r >= 0)
		r = read_filter(rd, obj, "includes", &rule->includes);
	if (r >= 0)
		r = read_filter(rd, obj, "excludes", &rule->excludes);
	if (r < 0)
		return r;
	const json_t *comment = member(obj, "comment");
	if (comment && !json_is_string(comment))
		return bad(rd, "\"comment\" is not a string");
	if (rule->action == SECCOMP_RET_USER_NOTIF)
		rd->p->uses_notify = true;
	return 0;
}

static int read_rules(struct reader *rd, const json_t *doc)
{
	const json_t *list = member(doc, "syscalls");
	size_t i;
	json_t *v;
	if (!list)
		return 0;
	size_t at = enter(rd, "syscalls");
	if (!json_is_array(list))
		return bad(rd, "is not an array");
	if (json_array_size(list) > SECCOMP_PROFILE_MAX_RULES)
		return err_set(rd->e, E2BIG, "%s: %zu rules (at most %d)", rd->what, json_array_size(list),
			       SECCOMP_PROFILE_MAX_RULES);
	rd->p->rules = xcalloc(json_array_size(list) + 1, sizeof(*rd->p->rules));
	json_array_foreach (list, i, v) {
		size_t inner = enter(rd, "[%zu]", i);
		rd->p->nrules++;
		int r = read_rule(rd, v, &rd->p->rules[i]);
		if (r < 0)
			return r;
		leave(rd, inner);
	}
	leave(rd, at);
	return 0;
}

static int read_archmap(struct reader *rd, const json_t *doc)
{
	static const struct member members[] = {
		{"architecture", IN_DOCKER},
		{"subArchitectures", IN_DOCKER},
	};
	const json_t *list = member(doc, "archMap");
	size_t i;
	json_t *v;
	if (!list)
		return 0;
	size_t at = enter(rd, "archMap");
	if (!json_is_array(list))
		return bad(rd, "is not an array");
	json_array_foreach (list, i, v) {
		unsigned int a = 0;
		size_t inner = enter(rd, "[%zu]", i);
		struct seccomp_profile_archmap map = {.sub_archs = 0};
		int r = check_members(rd, v, members, ARRAY_SIZE(members));
		if (r < 0)
			return r;
		size_t innermost = enter(rd, ".architecture");
		r = read_arch(rd, member(v, "architecture"), false, &a);
		if (r < 0)
			return r;
		leave(rd, innermost);
		r = read_archs(rd, v, "subArchitectures", false, &map.sub_archs);
		if (r < 0)
			return r;
		map.arch = (enum seccomp_profile_arch)a;
		for (size_t k = 0; k < rd->p->narchmap; k++)
			if (rd->p->archmap[k].arch == map.arch)
				return bad(rd, "architecture %s is there twice", archs[a].oci);
		rd->p->archmap[rd->p->narchmap++] = map;
		leave(rd, inner);
	}
	rd->p->has_archmap = rd->p->narchmap > 0;
	leave(rd, at);
	return 0;
}

static int read_flags(struct reader *rd, const json_t *doc)
{
	const json_t *list = member(doc, "flags");
	size_t i;
	json_t *v;
	if (!list)
		return 0;
	size_t at = enter(rd, "flags");
	if (!json_is_array(list))
		return bad(rd, "is not an array");
	json_array_foreach (list, i, v) {
		uint32_t bit = 0;
		size_t inner = enter(rd, "[%zu]", i);
		if (!json_is_string(v))
			return bad(rd, "is not a string");
		if (!lookup(flag_names, ARRAY_SIZE(flag_names), json_string_value(v), &bit))
			return bad(rd, "unknown flag \"%.64s\"", json_string_value(v));
		rd->p->flags |= bit;
		leave(rd, inner);
	}
	rd->p->has_flags = true;
	leave(rd, at);
	return 0;
}

static int read_string(struct reader *rd, const json_t *doc, const char *key, char **ret_text)
{
	const json_t *v = member(doc, key);
	size_t at = enter(rd, "%s", key);
	if (v && !json_is_string(v))
		return bad(rd, "is not a string");
	if (v && json_string_value(v)[0])
		*ret_text = xstrdup(json_string_value(v));
	leave(rd, at);
	return 0;
}

static int read_document(struct reader *rd, const json_t *doc)
{
	static const struct member members[] = {
		{"defaultAction", IN_BOTH}, {"defaultErrnoRet", IN_BOTH},  {"defaultErrno", IN_DOCKER},
		{"architectures", IN_BOTH}, {"archMap", IN_DOCKER},	   {"flags", IN_BOTH},
		{"listenerPath", IN_BOTH},  {"listenerMetadata", IN_BOTH}, {"syscalls", IN_BOTH},
	};
	struct seccomp_profile *p = rd->p;
	int r = check_members(rd, doc, members, ARRAY_SIZE(members));
	if (r >= 0)
		r = read_action(rd, doc, "defaultAction", "defaultErrnoRet", "defaultErrno", &p->default_action);
	if (r >= 0)
		r = read_archs(rd, doc, "architectures", false, &p->archs);
	if (r >= 0)
		r = read_archmap(rd, doc);
	if (r >= 0)
		r = read_flags(rd, doc);
	if (r >= 0)
		r = read_string(rd, doc, "listenerPath", &p->listener_path);
	if (r >= 0)
		r = read_string(rd, doc, "listenerMetadata", &p->listener_metadata);
	if (r >= 0)
		r = read_rules(rd, doc);
	if (r < 0)
		return r;
	if (p->archs && p->has_archmap)
		return bad(rd, "has both \"architectures\" and \"archMap\"");
	if (p->default_action == SECCOMP_RET_USER_NOTIF)
		return bad(rd, "defaultAction: SCMP_ACT_NOTIFY cannot be the default");
	if (p->uses_notify && !p->listener_path)
		return bad(rd, "SCMP_ACT_NOTIFY needs \"listenerPath\"");
	if (p->listener_metadata && !p->listener_path)
		return bad(rd, "\"listenerMetadata\" needs \"listenerPath\"");
	return 0;
}

int seccomp_profile_parse(const char *text, size_t len, enum seccomp_profile_format format, const char *what,
			  struct seccomp_profile *ret_profile, struct err *e)
{
	autojson json_t *doc = NULL;
	autoprofile struct seccomp_profile p = SECCOMP_PROFILE_INIT;
	if (len > SECCOMP_PROFILE_MAX_BYTES)
		return err_set(e, EFBIG, "%s: %zu bytes (at most %d)", what, len, SECCOMP_PROFILE_MAX_BYTES);
	int r = json_parse(text, len, what, &doc, e);
	if (r < 0)
		return r;
	/* Names and actions are looked at even where the caller wants no text. */
	struct reader rd = {.format = format, .what = what, .p = &p, .e = e};
	r = read_document(&rd, doc);
	if (r < 0)
		return r;
	*ret_profile = p;
	p = (struct seccomp_profile)SECCOMP_PROFILE_INIT;
	return 0;
}

void seccomp_profile_free(struct seccomp_profile *p)
{
	int saved = errno;
	for (size_t i = 0; i < p->nrules; i++)
		strv_free(&p->rules[i].names);
	free(p->rules);
	free(p->listener_path);
	free(p->listener_metadata);
	*p = (struct seccomp_profile)SECCOMP_PROFILE_INIT;
	errno = saved;
}
