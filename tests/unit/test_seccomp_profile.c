/*
 * Seccomp profiles: what is read, and that everything else is refused by the name of its member.
 */
#include "tap.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>

#include "rl/base/mem.h"
#include "rl/model/seccomp_profile.h"

static int parse(const char *text, enum seccomp_profile_format format, struct seccomp_profile *p, struct err *e)
{
	err_clear(e);
	return seccomp_profile_parse(text, strlen(text), format, "p.json", p, e);
}

/* One rule inside an otherwise good document. */
#define RULE(r)                                                                                                        \
	"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"}," r  \
	"]}"
#define ARG(a)	   RULE("{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[" a "]}")
#define DOC(d)	   "{\"defaultAction\":\"SCMP_ACT_ERRNO\"," d "}"
#define COND(k, c) RULE("{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"" k "\":" c "}")

static const struct {
	const char *text;
	const char *error; /* part of it */
	const char *what;
} bad[] = {
	{"", "not valid JSON", "an empty file"},
	{"[]", "not an object", "an array"},
	{"{}", "defaultAction: is missing", "no default action"},
	{"{\"defaultAction\":5}", "defaultAction: is not a string", "a default action of the wrong type"},
	{"{\"defaultAction\":\"ALLOW\"}", "defaultAction: unknown action \"ALLOW\"", "an unknown default action"},
	{"{\"defaultAction\":\"SCMP_ACT_ALLOW\"} x", "not valid JSON", "text after the document"},
	{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultAction\":\"SCMP_ACT_LOG\"}", "duplicate",
	 "a duplicate member"},
	{DOC("\"frob\":1"), "unknown member \"frob\"", "an unknown member"},
	{DOC("\"defaultErrnoRet\":4096"), "defaultErrnoRet: 4096 is out of range", "an errno above 4095"},
	{DOC("\"defaultErrnoRet\":-1"), "defaultErrnoRet: -1 is out of range", "a negative errno"},
	{DOC("\"defaultErrnoRet\":1.5"), "defaultErrnoRet: is not an integer", "a fractional errno"},
	{DOC("\"defaultErrno\":\"EFROB\""), "defaultErrno: unknown error name \"EFROB\"", "an unknown error name"},
	{DOC("\"defaultErrno\":\"EPERM\",\"defaultErrnoRet\":38"), "differ", "two default errors that differ"},
	{"{\"defaultAction\":\"SCMP_ACT_NOTIFY\",\"listenerPath\":\"/x\"}", "SCMP_ACT_NOTIFY cannot be the default",
	 "notification as the default"},
	{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":1}", "needs action",
	 "an errno for an allowing default"},
	{DOC("\"architectures\":[\"SCMP_ARCH_VAX\"]"), "architectures[0]: unknown architecture \"SCMP_ARCH_VAX\"",
	 "an unknown architecture"},
	{DOC("\"architectures\":[\"SCMP_ARCH_X86\",7]"), "architectures[1]: is not a string",
	 "an architecture that is a number"},
	{DOC("\"architectures\":{}"), "architectures: is not an array", "architectures that are an object"},
	{DOC("\"architectures\":[\"SCMP_ARCH_X86\"],\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\"}]"), "both",
	 "architectures and archMap"},
	{DOC("\"archMap\":[{\"architecture\":\"amd64\"}]"), "archMap[0].architecture: unknown architecture",
	 "docker's name in archMap"},
	{DOC("\"archMap\":[{}]"), "archMap[0].architecture: is not a string", "archMap without architecture"},
	{DOC("\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":[\"y\"]}]"),
	 "archMap[0].subArchitectures[0]: unknown", "an unknown sub-architecture"},
	{DOC("\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\"},{\"architecture\":\"SCMP_ARCH_X86_64\"}]"),
	 "there twice", "an architecture mapped twice"},
	{DOC("\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\",\"sub\":[]}]"), "archMap[0]: unknown member \"sub\"",
	 "an unknown member of archMap"},
	{DOC("\"flags\":[\"SECCOMP_FILTER_FLAG_FROB\"]"), "flags[0]: unknown flag", "an unknown flag"},
	{DOC("\"flags\":\"SECCOMP_FILTER_FLAG_LOG\""), "flags: is not an array", "flags that are a string"},
	{DOC("\"flags\":[3]"), "flags[0]: is not a string", "a flag that is a number"},
	{DOC("\"listenerPath\":3"), "listenerPath: is not a string", "a listener path that is a number"},
	{DOC("\"listenerMetadata\":\"m\""), "needs \"listenerPath\"", "listener metadata without a path"},
	{DOC("\"syscalls\":{}"), "syscalls: is not an array", "syscalls that are an object"},
	{RULE("7"), "syscalls[1]: is not an object", "a rule that is a number"},
	{RULE("{}"), "syscalls[1].names: is missing", "a rule without names"},
	{RULE("{\"names\":[],\"action\":\"SCMP_ACT_ALLOW\"}"), "syscalls[1].names: is empty", "a rule with no name"},
	{RULE("{\"names\":[\"x\"]}"), "syscalls[1].action: is missing", "a rule without action"},
	{RULE("{\"names\":[\"x\"],\"action\":\"SCMP_ACT_FROB\"}"), "syscalls[1].action: unknown action",
	 "an unknown action"},
	{RULE("{\"names\":[\"x\"],\"action\":\"SCMP_ACT_NOTIFY\"}"), "needs \"listenerPath\"",
	 "notification without a listener"},
	{RULE("{\"names\":[\"x\"],\"action\":\"SCMP_ACT_ALLOW\",\"frob\":1}"), "syscalls[1]: unknown member \"frob\"",
	 "an unknown member of a rule"},
	{RULE("{\"names\":[\"x\"],\"name\":\"y\",\"action\":\"SCMP_ACT_ALLOW\"}"), "both \"name\" and \"names\"",
	 "name and names"},
	{RULE("{\"names\":[3],\"action\":\"SCMP_ACT_ALLOW\"}"), "syscalls[1].names[0]: is not a string",
	 "a name that is a number"},
	{RULE("{\"names\":[\"a b\"],\"action\":\"SCMP_ACT_ALLOW\"}"),
	 "syscalls[1].names[0]: \"a b\" is not a system call's name", "a name with a space"},
	{RULE("{\"names\":[\"\"],\"action\":\"SCMP_ACT_ALLOW\"}"), "is not a system call's name", "an empty name"},
	{RULE("{\"names\":[\"x\"],\"action\":\"SCMP_ACT_ALLOW\",\"errnoRet\":5}"), "syscalls[1].errnoRet: needs action",
	 "an errno for an allowing rule"},
	{RULE("{\"names\":[\"x\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":\"5\"}"),
	 "syscalls[1].errnoRet: is not an integer", "an errno that is a string"},
	{RULE("{\"names\":[\"x\"],\"action\":\"SCMP_ACT_TRACE\",\"errnoRet\":65536}"), "out of range",
	 "trace data above 16 bits"},
	{RULE("{\"names\":[\"x\"],\"action\":\"SCMP_ACT_ALLOW\",\"comment\":1}"), "\"comment\" is not a string",
	 "a comment that is a number"},
	{RULE("{\"names\":[\"x\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":{}}"), "syscalls[1].args: is not an array",
	 "args that are an object"},
	{ARG("5"), "syscalls[1].args[0]: is not an object", "an argument that is a number"},
	{ARG("{\"index\":0,\"value\":1}"), "syscalls[1].args[0].op: is missing", "no operator"},
	{ARG("{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_XX\"}"),
	 "syscalls[1].args[0].op: unknown operator \"SCMP_CMP_XX\"", "an unknown operator"},
	{ARG("{\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}"), "syscalls[1].args[0].index: 6 is out of range",
	 "argument 6"},
	{ARG("{\"value\":1,\"op\":\"SCMP_CMP_EQ\"}"), "syscalls[1].args[0].index: is missing", "no index"},
	{ARG("{\"index\":0,\"op\":\"SCMP_CMP_EQ\"}"), "syscalls[1].args[0].value: is missing", "no value"},
	{ARG("{\"index\":0,\"value\":-1,\"op\":\"SCMP_CMP_EQ\"}"), "value: -1 is out of range", "a negative value"},
	{ARG("{\"index\":0,\"value\":\"1\",\"op\":\"SCMP_CMP_EQ\"}"), "value: is not an integer",
	 "a value that is a string"},
	{ARG("{\"index\":0,\"value\":1,\"valueThree\":1,\"op\":\"SCMP_CMP_EQ\"}"), "unknown member \"valueThree\"",
	 "an unknown member of an argument"},
	{ARG("{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_NE\"},{\"index\":0,\"value\":2,\"op\":\"SCMP_CMP_NE\"}"),
	 "argument 0 is compared twice", "one argument compared twice"},
	{COND("includes", "5"), "syscalls[1].includes: is not an object", "includes that are a number"},
	{COND("includes", "{\"cap\":[]}"), "syscalls[1].includes: unknown member \"cap\"",
	 "an unknown member of includes"},
	{COND("includes", "{\"caps\":\"CAP_KILL\"}"), "syscalls[1].includes.caps: is not an array",
	 "caps that are a string"},
	{COND("excludes", "{\"caps\":[\"CAP_FROB\"]}"), "syscalls[1].excludes.caps[0]: unknown capability \"CAP_FROB\"",
	 "an unknown capability"},
	{COND("excludes", "{\"caps\":[\"KILL\"]}"), "unknown capability \"KILL\"", "a capability without CAP_"},
	{COND("includes", "{\"arches\":[\"x86_64\"]}"), "syscalls[1].includes.arches[0]: unknown architecture",
	 "an unknown architecture in a condition"},
	{COND("includes", "{\"minKernel\":\"4\"}"), "syscalls[1].includes.minKernel: \"4\" is not of the form",
	 "half a kernel version"},
	{COND("includes", "{\"minKernel\":\"4.8.1\"}"), "not of the form", "a kernel version of three parts"},
	{COND("includes", "{\"minKernel\":4.8}"), "minKernel: is not a string", "a kernel version that is a number"},
};

static void test_refused(void)
{
	struct err e = ERR_INIT;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct seccomp_profile p = SECCOMP_PROFILE_INIT;
		int r = parse(bad[i].text, SECCOMP_PROFILE_DOCKER, &p, &e);
		if (!tap_ok(r < 0 && strstr(e.text, bad[i].error) && !p.rules, "%s is refused by name", bad[i].what))
			tap_diag("%d: %s", r, r < 0 ? e.text : "accepted");
		if (r >= 0)
			seccomp_profile_free(&p);
	}
	/* The runtime spec has less. */
	static const char *const docker_only[] = {
		DOC("\"archMap\":[]"),
		DOC("\"defaultErrno\":\"EPERM\""),
		RULE("{\"name\":\"x\",\"action\":\"SCMP_ACT_ALLOW\"}"),
		RULE("{\"names\":[\"x\"],\"action\":\"SCMP_ACT_ALLOW\",\"comment\":\"\"}"),
		RULE("{\"names\":[\"x\"],\"action\":\"SCMP_ACT_ALLOW\",\"errno\":\"EPERM\"}"),
		COND("includes", "{}"),
		COND("excludes", "{}"),
	};
	bool ok = true;
	for (size_t i = 0; i < ARRAY_SIZE(docker_only); i++) {
		struct seccomp_profile p = SECCOMP_PROFILE_INIT;
		bool docker = parse(docker_only[i], SECCOMP_PROFILE_DOCKER, &p, &e) == 0;
		seccomp_profile_free(&p);
		int r = parse(docker_only[i], SECCOMP_PROFILE_OCI, &p, &e);
		if (!docker || r != -EINVAL || !strstr(e.text, "does not belong")) {
			tap_diag("%s: %s", docker_only[i], e.text);
			ok = false;
		}
	}
	tap_ok(ok, "docker's own members are refused in the runtime spec's format");
}

static void test_read(void)
{
	struct err e = ERR_INIT;
	autoprofile struct seccomp_profile p = SECCOMP_PROFILE_INIT;
	const char *t =
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,\"archMap\":[{\"architecture\":\"SCMP_"
		"ARCH_X86_64\","
		"\"subArchitectures\":[\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"]},{\"architecture\":\"SCMP_ARCH_RISCV64\","
		"\"subArchitectures\":null}],\"flags\":[\"SECCOMP_FILTER_FLAG_TSYNC\",\"SECCOMP_FILTER_FLAG_SPEC_"
		"ALLOW\"],"
		"\"syscalls\":[{\"names\":[\"read\",\"write\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[],\"comment\":"
		"\"c\","
		"\"includes\":{},\"excludes\":{}},{\"name\":\"bdflush\",\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":22,"
		"\"errno\":"
		"\"EINVAL\",\"args\":null},{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_TRACE\",\"errnoRet\":4660,"
		"\"args\":["
		"{\"index\":5,\"value\":9223372036854775807,\"valueTwo\":2,\"op\":\"SCMP_CMP_MASKED_EQ\"},{\"index\":0,"
		"\"value\":1,"
		"\"op\":\"SCMP_CMP_LT\"}],\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\",\"CAP_CHECKPOINT_RESTORE\"],"
		"\"minKernel\":"
		"\"4.18\"},\"excludes\":{\"arches\":[\"s390\",\"s390x\"]}},{\"names\":[\"chroot\"],\"action\":\"SCMP_"
		"ACT_ERRNO\"}]}";
	if (!tap_ok(parse(t, SECCOMP_PROFILE_DOCKER, &p, &e) == 0, "a docker profile is read")) {
		tap_diag("%s", e.text);
		return;
	}
	tap_is_int(p.default_action, SECCOMP_RET_ERRNO | 38, "the default action has its errno");
	tap_ok(p.has_archmap && p.narchmap == 2 && p.archmap[0].arch == SECCOMP_PROFILE_ARCH_X86_64 &&
		       p.archmap[0].sub_archs == (1u << SECCOMP_PROFILE_ARCH_X86 | 1u << SECCOMP_PROFILE_ARCH_X32) &&
		       p.archmap[1].sub_archs == 0,
	       "the architecture map is read");
	tap_ok(p.has_flags && p.flags == (SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW),
	       "flags are read");
	tap_ok(p.nrules == 4 && p.rules[0].names.count == 2 && p.rules[0].action == SECCOMP_RET_ALLOW &&
		       p.rules[0].nargs == 0,
	       "names and actions are read");
	tap_ok(p.rules[1].action == (SECCOMP_RET_ERRNO | 22) && str_eq(p.rules[1].names.items[0], "bdflush"),
	       "the old form with one name, and an errno by number and by name");
	const struct seccomp_profile_rule *r = &p.rules[2];
	tap_ok(r->action == (SECCOMP_RET_TRACE | 4660) && r->nargs == 2 && r->args[0].index == 5 &&
		       r->args[0].op == SECCOMP_PROFILE_OP_MASKED_EQ && r->args[0].value == INT64_MAX &&
		       r->args[0].value_two == 2 && r->args[1].op == SECCOMP_PROFILE_OP_LT,
	       "arguments are read");
	tap_ok(r->includes.caps == (1ull << CAP_SYS_ADMIN | 1ull << CAP_CHECKPOINT_RESTORE) &&
		       r->includes.kernel_major == 4 && r->includes.kernel_minor == 18 &&
		       r->excludes.archs == (1u << SECCOMP_PROFILE_ARCH_S390 | 1u << SECCOMP_PROFILE_ARCH_S390X),
	       "conditions are read");
	tap_ok(p.rules[3].action == (SECCOMP_RET_ERRNO | EPERM), "an errno action without a number means EPERM");
	tap_ok(p.caps_mentioned == r->includes.caps && p.kernel_mentioned && !p.uses_notify,
	       "what can change the result is summed up");
}

static void test_limits(void)
{
	struct err e = ERR_INIT;
	autostr struct str s = STR_INIT;
	struct seccomp_profile p = SECCOMP_PROFILE_INIT;
	str_adds(&s, "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[");
	for (int i = 0; i <= SECCOMP_PROFILE_MAX_RULES; i++)
		str_addf(&s, "%s{\"names\":[\"read\"],\"action\":\"SCMP_ACT_LOG\"}", i ? "," : "");
	str_adds(&s, "]}");
	tap_is_int(parse(s.buf, SECCOMP_PROFILE_DOCKER, &p, &e), -E2BIG, "too many rules are refused");
	str_cut(&s, 0);
	str_adds(&s, "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"action\":\"SCMP_ACT_LOG\",\"names\":[");
	for (int i = 0; i <= SECCOMP_PROFILE_MAX_NAMES; i++)
		str_addf(&s, "%s\"read\"", i ? "," : "");
	str_adds(&s, "]}]}");
	tap_is_int(parse(s.buf, SECCOMP_PROFILE_DOCKER, &p, &e), -E2BIG, "too many names are refused");
	str_cut(&s, 0);
	str_adds(&s, "{\"defaultAction\":\"SCMP_ACT_ALLOW\"");
	while (s.len <= SECCOMP_PROFILE_MAX_BYTES)
		str_adds(&s, "                                                                ");
	str_adds(&s, "}");
	tap_is_int(parse(s.buf, SECCOMP_PROFILE_DOCKER, &p, &e), -EFBIG, "a file above 1 MiB is refused");
	str_cut(&s, 0);
	for (int i = 0; i < 100000; i++)
		str_addc(&s, '[');
	tap_ok(parse(s.buf, SECCOMP_PROFILE_DOCKER, &p, &e) < 0, "deep nesting is refused");
	str_cut(&s, 0);
	str_adds(&s, "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"action\":\"SCMP_ACT_LOG\",\"names\":[\"");
	for (int i = 0; i < SECCOMP_PROFILE_NAME_MAX + 1; i++)
		str_addc(&s, 'a');
	str_adds(&s, "\"]}]}");
	tap_is_int(parse(s.buf, SECCOMP_PROFILE_DOCKER, &p, &e), -EINVAL, "a name above 64 characters is refused");
}

/* Every prefix and every single-byte change of a document either parses or is refused with words; nothing else. */
static void test_damaged(void)
{
	static const char t[] =
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":1,\"archMap\":[{\"architecture\":\"SCMP_"
		"ARCH_X86_64\","
		"\"subArchitectures\":[\"SCMP_ARCH_X86\"]}],\"flags\":[],\"syscalls\":[{\"names\":[\"clone\"],"
		"\"action\":"
		"\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":7,\"valueTwo\":0,\"op\":\"SCMP_CMP_MASKED_EQ\"}],"
		"\"includes\":{\"caps\":[\"CAP_KILL\"],\"arches\":[\"arm\"],\"minKernel\":\"4.8\"}}]}";
	static const char replacements[] = "\0\"{}[],:0-9a\\\x80\xff";
	struct err e = ERR_INIT;
	bool ok = true;
	unsigned long tried = 0;
	for (size_t i = 0; i < sizeof(t) - 1; i++) {
		struct seccomp_profile p = SECCOMP_PROFILE_INIT;
		err_clear(&e);
		int r = seccomp_profile_parse(t, i, SECCOMP_PROFILE_DOCKER, "p", &p, &e);
		ok &= r < 0 && e.text[0];
		for (size_t k = 0; k < sizeof(replacements) - 1; k++, tried++) {
			char copy[sizeof(t)];
			memcpy(copy, t, sizeof(t));
			copy[i] = replacements[k];
			err_clear(&e);
			r = seccomp_profile_parse(copy, sizeof(t) - 1, SECCOMP_PROFILE_DOCKER, "p", &p, &e);
			ok &= (r < 0) == (e.text[0] != 0);
			if (r >= 0)
				seccomp_profile_free(&p);
		}
	}
	tap_ok(ok, "every prefix is refused and every of %lu single-byte changes is read or refused in words", tried);
	struct seccomp_profile p = SECCOMP_PROFILE_INIT;
	tap_ok(seccomp_profile_parse("{", 1, SECCOMP_PROFILE_OCI, "p", &p, NULL) < 0, "an error may go unheard");
}

/* The runtime spec's format says nothing of it; runc and crun read it so. */
static void test_compared_twice(void)
{
	struct err e = ERR_INIT;
	struct seccomp_profile p = SECCOMP_PROFILE_INIT;
	static const char text[] =
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":["
		"{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"},"
		"{\"names\":[\"personality\",\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
		"{\"index\":0,\"value\":0,\"op\":\"SCMP_CMP_EQ\"},{\"index\":1,\"value\":3,\"op\":\"SCMP_CMP_NE\"},"
		"{\"index\":0,\"value\":8,\"op\":\"SCMP_CMP_EQ\"}]},"
		"{\"names\":[\"write\"],\"action\":\"SCMP_ACT_ALLOW\"}]}";
	tap_ok(parse(text, SECCOMP_PROFILE_OCI, &p, &e) >= 0 && p.nrules == 5,
	       "in the runtime spec's format an argument may be compared twice: a rule for each comparison");
	bool ok = p.nrules == 5 && p.rules[0].nargs == 0 && strcmp(p.rules[4].names.items[0], "write") == 0;
	for (size_t i = 1; i < 4 && ok; i++)
		ok = p.rules[i].nargs == 1 && p.rules[i].names.count == 2 && p.rules[i].action == SECCOMP_RET_ALLOW;
	tap_ok(ok && p.rules[1].args[0].value == 0 && p.rules[2].args[0].index == 1 && p.rules[3].args[0].value == 8,
	       "each has the names, the action and one of them, in their order");
	seccomp_profile_free(&p);
}

int main(void)
{
	tap_plan_later();
	test_compared_twice();
	test_refused();
	test_read();
	test_limits();
	test_damaged();
	return tap_done();
}
