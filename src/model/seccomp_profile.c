/*
 * seccomp_profile.c - seccomp profiles from JSON.
 *
 * One walk for both formats: a table of members per object says which format knows which member, everything else is
 * refused by name. The reader keeps the path of the member it is in ("syscalls[3].args[0].op") for errors. null counts
 * as absent, as the Go programs that write these files mean it. The rules are read by seccomp_profile_rules.c.
 */
#include "rl/model/seccomp_profile.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "seccomp_profile_int.h"

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

static const struct named flag_names[] = {
	{"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
	{"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
	{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
	{"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};

int profile_bad(const struct profile_reader *rd, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(rd->e, EINVAL, "%s: %s%s%s", rd->what, rd->path, rd->path[0] ? ": " : "", text);
}

size_t profile_enter(struct profile_reader *rd, const char *fmt, ...)
{
	size_t len = strlen(rd->path);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(rd->path + len, sizeof(rd->path) - len, fmt, ap);
	va_end(ap);
	return len;
}

void profile_leave(struct profile_reader *rd, size_t len)
{
	rd->path[len] = 0;
}

int profile_check_members(const struct profile_reader *rd, const json_t *obj, const struct profile_member *members,
			  size_t count)
{
	const char *key;
	json_t *value;
	if (!json_is_object(obj))
		return profile_bad(rd, "is not an object");
	json_object_foreach ((json_t *)(uintptr_t)obj, key, value) {
		size_t i = 0;
		while (i < count && strcmp(members[i].name, key) != 0)
			i++;
		if (i == count)
			return profile_bad(rd, "unknown member \"%.64s\"", key);
		if (!(members[i].formats & (1 << rd->format)))
			return profile_bad(rd, "member \"%s\" does not belong in %s", key,
					   rd->format == SECCOMP_PROFILE_OCI ? "the runtime spec's format"
									     : "docker's format");
	}
	return 0;
}

json_t *profile_get(const json_t *obj, const char *key)
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

int profile_read_unsigned(const struct profile_reader *rd, const json_t *v, uint64_t max, uint64_t *ret_value)
{
	if (!json_is_integer(v))
		return profile_bad(rd, "is not an integer");
	json_int_t n = json_integer_value(v);
	if (n < 0 || (uint64_t)n > max)
		return profile_bad(rd, "%lld is out of range (0 to %llu)", (long long)n, (unsigned long long)max);
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
int profile_read_action(struct profile_reader *rd, const json_t *obj, const char *key, const char *errno_key,
			const char *name_key, uint32_t *ret_action)
{
	const json_t *name = profile_get(obj, key);
	const json_t *number = profile_get(obj, errno_key);
	const json_t *errname = profile_get(obj, name_key);
	uint32_t action = 0;
	uint64_t data = EPERM;
	size_t at = profile_enter(rd, "%s%s", rd->path[0] ? "." : "", key);
	if (!name)
		return profile_bad(rd, "is missing");
	if (!json_is_string(name))
		return profile_bad(rd, "is not a string");
	if (!lookup(actions, ARRAY_SIZE(actions), json_string_value(name), &action))
		return profile_bad(rd, "unknown action \"%.64s\"", json_string_value(name));
	profile_leave(rd, at);
	bool takes_data = action == SECCOMP_RET_ERRNO || action == SECCOMP_RET_TRACE;
	at = profile_enter(rd, "%s%s", rd->path[0] ? "." : "", number ? errno_key : name_key);
	if (number) {
		/* The kernel clamps errno values above 4095; trace data may use all 16 bits. */
		int r = profile_read_unsigned(rd, number, action == SECCOMP_RET_TRACE ? 0xffff : 4095, &data);
		if (r < 0)
			return r;
	}
	if (errname) {
		if (!json_is_string(errname))
			return profile_bad(rd, "is not a string");
		int n = errno_number(json_string_value(errname));
		if (n < 0 && json_string_value(errname)[0])
			return profile_bad(rd, "unknown error name \"%.64s\"", json_string_value(errname));
		if (n > 0 && number && data != (uint64_t)n)
			return profile_bad(rd, "\"%s\" and \"%s\" differ", errno_key, name_key);
		if (n > 0)
			data = (uint64_t)n;
	}
	/* docker writes errnoRet beside other actions too; there it means nothing unless it asks for something. */
	if (!takes_data && number && data != 0)
		return profile_bad(rd, "needs action SCMP_ACT_ERRNO or SCMP_ACT_TRACE");
	profile_leave(rd, at);
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

static int read_arch(const struct profile_reader *rd, const json_t *v, bool docker_name, unsigned int *ret_arch)
{
	if (!json_is_string(v))
		return profile_bad(rd, "is not a string");
	int a = find_arch(json_string_value(v), docker_name);
	if (a < 0)
		return profile_bad(rd, "unknown architecture \"%.64s\"", json_string_value(v));
	*ret_arch = (unsigned int)a;
	return 0;
}

int profile_read_archs(struct profile_reader *rd, const json_t *obj, const char *key, bool docker_names,
		       uint32_t *ret_archs)
{
	const json_t *list = profile_get(obj, key);
	uint32_t bits = 0;
	size_t i;
	json_t *v;
	if (!list)
		return 0;
	size_t at = profile_enter(rd, "%s%s", rd->path[0] ? "." : "", key);
	if (!json_is_array(list))
		return profile_bad(rd, "is not an array");
	json_array_foreach (list, i, v) {
		unsigned int a = 0;
		size_t inner = profile_enter(rd, "[%zu]", i);
		int r = read_arch(rd, v, docker_names, &a);
		if (r < 0)
			return r;
		bits |= 1u << a;
		profile_leave(rd, inner);
	}
	profile_leave(rd, at);
	*ret_archs = bits;
	return 0;
}

static int read_archmap(struct profile_reader *rd, const json_t *doc)
{
	static const struct profile_member members[] = {
		{"architecture", PROFILE_IN_DOCKER},
		{"subArchitectures", PROFILE_IN_DOCKER},
	};
	const json_t *list = profile_get(doc, "archMap");
	size_t i;
	json_t *v;
	if (!list)
		return 0;
	size_t at = profile_enter(rd, "archMap");
	if (!json_is_array(list))
		return profile_bad(rd, "is not an array");
	json_array_foreach (list, i, v) {
		unsigned int a = 0;
		size_t inner = profile_enter(rd, "[%zu]", i);
		struct seccomp_profile_archmap map = {.sub_archs = 0};
		int r = profile_check_members(rd, v, members, ARRAY_SIZE(members));
		if (r < 0)
			return r;
		size_t innermost = profile_enter(rd, ".architecture");
		r = read_arch(rd, profile_get(v, "architecture"), false, &a);
		if (r < 0)
			return r;
		profile_leave(rd, innermost);
		r = profile_read_archs(rd, v, "subArchitectures", false, &map.sub_archs);
		if (r < 0)
			return r;
		map.arch = (enum seccomp_profile_arch)a;
		for (size_t k = 0; k < rd->p->narchmap; k++)
			if (rd->p->archmap[k].arch == map.arch)
				return profile_bad(rd, "architecture %s is there twice", archs[a].oci);
		rd->p->archmap[rd->p->narchmap++] = map;
		profile_leave(rd, inner);
	}
	rd->p->has_archmap = rd->p->narchmap > 0;
	profile_leave(rd, at);
	return 0;
}

static int read_flags(struct profile_reader *rd, const json_t *doc)
{
	const json_t *list = profile_get(doc, "flags");
	size_t i;
	json_t *v;
	if (!list)
		return 0;
	size_t at = profile_enter(rd, "flags");
	if (!json_is_array(list))
		return profile_bad(rd, "is not an array");
	json_array_foreach (list, i, v) {
		uint32_t bit = 0;
		size_t inner = profile_enter(rd, "[%zu]", i);
		if (!json_is_string(v))
			return profile_bad(rd, "is not a string");
		if (!lookup(flag_names, ARRAY_SIZE(flag_names), json_string_value(v), &bit))
			return profile_bad(rd, "unknown flag \"%.64s\"", json_string_value(v));
		rd->p->flags |= bit;
		profile_leave(rd, inner);
	}
	rd->p->has_flags = true;
	profile_leave(rd, at);
	return 0;
}

static int read_string(struct profile_reader *rd, const json_t *doc, const char *key, char **ret_text)
{
	const json_t *v = profile_get(doc, key);
	size_t at = profile_enter(rd, "%s", key);
	if (v && !json_is_string(v))
		return profile_bad(rd, "is not a string");
	if (v && json_string_value(v)[0])
		*ret_text = xstrdup(json_string_value(v));
	profile_leave(rd, at);
	return 0;
}

static int read_document(struct profile_reader *rd, const json_t *doc)
{
	static const struct profile_member members[] = {
		{"defaultAction", PROFILE_IN_BOTH},  {"defaultErrnoRet", PROFILE_IN_BOTH},
		{"defaultErrno", PROFILE_IN_DOCKER}, {"architectures", PROFILE_IN_BOTH},
		{"archMap", PROFILE_IN_DOCKER},	     {"flags", PROFILE_IN_BOTH},
		{"listenerPath", PROFILE_IN_BOTH},   {"listenerMetadata", PROFILE_IN_BOTH},
		{"syscalls", PROFILE_IN_BOTH},
	};
	struct seccomp_profile *p = rd->p;
	int r = profile_check_members(rd, doc, members, ARRAY_SIZE(members));
	if (r >= 0)
		r = profile_read_action(rd, doc, "defaultAction", "defaultErrnoRet", "defaultErrno",
					&p->default_action);
	if (r >= 0)
		r = profile_read_archs(rd, doc, "architectures", false, &p->archs);
	if (r >= 0)
		r = read_archmap(rd, doc);
	if (r >= 0)
		r = read_flags(rd, doc);
	if (r >= 0)
		r = read_string(rd, doc, "listenerPath", &p->listener_path);
	if (r >= 0)
		r = read_string(rd, doc, "listenerMetadata", &p->listener_metadata);
	if (r >= 0)
		r = profile_read_rules(rd, doc);
	if (r < 0)
		return r;
	if (p->archs && p->has_archmap)
		return profile_bad(rd, "has both \"architectures\" and \"archMap\"");
	if (p->default_action == SECCOMP_RET_USER_NOTIF)
		return profile_bad(rd, "defaultAction: SCMP_ACT_NOTIFY cannot be the default");
	if (p->uses_notify && !p->listener_path)
		return profile_bad(rd, "SCMP_ACT_NOTIFY needs \"listenerPath\"");
	if (p->listener_metadata && !p->listener_path)
		return profile_bad(rd, "\"listenerMetadata\" needs \"listenerPath\"");
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
	struct profile_reader rd = {.format = format, .what = what, .p = &p, .e = e};
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
