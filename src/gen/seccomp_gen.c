/*
 * seccomp_gen.c - build-time generator: the default seccomp profile to C.
 *
 *     seccomp_gen filters PROFILE    the filters of every capability set built in, for every architecture we know, as
 *                                    constant arrays (included by src/kern/seccomp_default.c and by tests)
 *     seccomp_gen text PROFILE       the profile's text as a C string (for sets that are compiled at run time)
 *
 * Runs on the machine that builds, for all architectures at once: numbers come from tables, not from this machine's
 * headers. The kernel version is the oldest we support, so that minKernel conditions hold as they would at run time.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/engine/seccomp_plan.h"

enum { KERNEL_MAJOR = 6, KERNEL_MINOR = 1, PER_LINE = 4 };

#define CAP(name) (1ull << CAP_##name)
#define DOCKER_CAPS                                                                                                    \
	(CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(FSETID) | CAP(FOWNER) | CAP(MKNOD) | CAP(NET_RAW) | CAP(SETGID) |        \
	 CAP(SETUID) | CAP(SETFCAP) | CAP(SETPCAP) | CAP(NET_BIND_SERVICE) | CAP(SYS_CHROOT) | CAP(KILL) |             \
	 CAP(AUDIT_WRITE))

static const struct {
	const char *name;
	uint64_t caps;
} sets[] = {
	{"docker's default capabilities", DOCKER_CAPS},
	{"no capabilities (--cap-drop all)", 0},
	{"default and SYS_PTRACE", DOCKER_CAPS | CAP(SYS_PTRACE)},
	{"default and SYS_ADMIN", DOCKER_CAPS | CAP(SYS_ADMIN)},
	{"all capabilities (--cap-add all)", (1ull << (CAP_LAST_CAP + 1)) - 1},
};

static int print_program(const struct seccomp_profile *p, enum seccomp_arch arch, size_t set, struct err *e)
{
	struct seccomp_rules rules;
	autoprogram struct seccomp_program program = SECCOMP_PROGRAM_NONE;
	autostrv struct strv warnings = STRV_INIT;
	int r = seccomp_plan_rules(p, arch, sets[set].caps, KERNEL_MAJOR, KERNEL_MINOR, &rules, &warnings, e);
	if (r < 0)
		return r;
	autofree const struct seccomp_rule *owned RL_UNUSED = rules.rules;
	/* A name nobody knows in our own profile is a mistake. */
	if (warnings.count)
		return err_set(e, EINVAL, "%s", warnings.items[0]);
	r = seccomp_filter_tree(&rules, &program, e);
	if (r < 0)
		return r;
	printf("/* %s */\nstatic const struct sock_filter seccomp_insns_%s_%zu[] = {", sets[set].name,
	       seccomp_arch_name(arch), set);
	for (size_t i = 0; i < program.count; i++) {
		const struct sock_filter *in = &program.insns[i];
		printf("%s{ 0x%02x, %u, %u, 0x%08x },", i % PER_LINE ? " " : "\n\t", in->code, in->jt, in->jf, in->k);
	}
	printf("\n};\n\n");
	return 0;
}

static int print_arch(const struct seccomp_profile *p, enum seccomp_arch arch, const char *macro, struct err *e)
{
	const char *name = seccomp_arch_name(arch);
	printf("#ifdef %s\n", macro);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		int r = print_program(p, arch, i, e);
		if (r < 0)
			return err_ctx(e, "%s", name);
	}
	printf("static const struct seccomp_builtin seccomp_builtins_%s[] = {\n", name);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		printf("\t{ 0x%llxull, { seccomp_insns_%s_%zu, ARRAY_SIZE(seccomp_insns_%s_%zu) } },\n",
		       (unsigned long long)(sets[i].caps & p->caps_mentioned), name, i, name, i);
	printf("\t{ 0, { NULL, 0 } },\n};\n#endif\n\n");
	return 0;
}

static int print_filters(const char *path, const struct str *text, struct err *e)
{
	autoprofile struct seccomp_profile p = SECCOMP_PROFILE_INIT;
	int r = seccomp_profile_parse(text->buf, text->len, SECCOMP_PROFILE_DOCKER, path, &p, e);
	if (r < 0)
		return r;
	/* seccomp_cache.c looks programs of the default profile up without parsing it. */
	if (p.kernel_mentioned || p.has_flags || p.listener_path)
		return err_set(e, EINVAL, "%s: the default profile has no flags, listener or kernel versions", path);
	printf("/* Made by seccomp_gen from %s. */\n\n", path);
	printf("#define SECCOMP_GEN_RELEVANT_CAPS 0x%llxull\n\n", (unsigned long long)p.caps_mentioned);
	printf("struct seccomp_builtin {\n\tuint64_t caps;\n\tstruct seccomp_filter filter;\n};\n\n");
	r = print_arch(&p, SECCOMP_ARCH_X86_64, "SECCOMP_GEN_X86_64", e);
	if (r >= 0)
		r = print_arch(&p, SECCOMP_ARCH_AARCH64, "SECCOMP_GEN_AARCH64", e);
	return r;
}

static void print_text(const struct str *text)
{
	printf("static const char seccomp_default_text[] =\n\t\"");
	for (size_t i = 0; i < text->len; i++) {
		unsigned char c = (unsigned char)text->buf[i];
		if (c == '\n')
			printf("\\n\"%s", i + 1 < text->len ? "\n\t\"" : "");
		else if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c == '\t')
			printf("\\t");
		else if (c < 0x20 || c >= 0x7f || c == '?')
			printf("\\%03o", c);
		else
			putchar(c);
	}
	printf("%s;\n", text->len && text->buf[text->len - 1] == '\n' ? "" : "\"");
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	autostr struct str text = STR_INIT;
	if (argc != 3) {
		fprintf(stderr, "usage: seccomp_gen filters|text PROFILE\n");
		return 2;
	}
	int r = io_read_file(AT_FDCWD, argv[2], SECCOMP_PROFILE_MAX_BYTES, &text, &e);
	if (r >= 0 && str_eq(argv[1], "filters"))
		r = print_filters(argv[2], &text, &e);
	else if (r >= 0)
		print_text(&text);
	if (r < 0) {
		err_print(&e);
		return 1;
	}
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
