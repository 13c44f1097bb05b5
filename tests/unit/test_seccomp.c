/* links: kern base; libs: -lseccomp */
/*
 * Rule lists, the two compilers against each other on lists made up at random, the simulator, names, loading.
 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "rl/base/str.h"
#include "rl/kern/seccomp.h"
#include "seccomp_cases.h"

#define FAMILY_X86                                                                                                     \
	(SECCOMP_ARCH_BIT(SECCOMP_ARCH_X86_64) | SECCOMP_ARCH_BIT(SECCOMP_ARCH_X86) |                                  \
	 SECCOMP_ARCH_BIT(SECCOMP_ARCH_X32))
#define FAMILY_ARM (SECCOMP_ARCH_BIT(SECCOMP_ARCH_AARCH64) | SECCOMP_ARCH_BIT(SECCOMP_ARCH_ARM))

static uint32_t nr_of(enum seccomp_arch arch, const char *name)
{
	uint32_t nr;
	return seccomp_syscall_number(arch, name, &nr) ? nr : UINT32_MAX;
}

static void test_names(void)
{
	tap_ok(nr_of(SECCOMP_ARCH_X86_64, "read") == 0 && nr_of(SECCOMP_ARCH_X86, "read") == 3 &&
		       nr_of(SECCOMP_ARCH_X32, "read") == 0x40000000u && nr_of(SECCOMP_ARCH_AARCH64, "read") == 63 &&
		       nr_of(SECCOMP_ARCH_ARM, "read") == 3,
	       "read has its number on every architecture");
	tap_ok(nr_of(SECCOMP_ARCH_X86, "socket") == 359 && nr_of(SECCOMP_ARCH_X86, "shmctl") == 396 &&
		       nr_of(SECCOMP_ARCH_X86, "sendmmsg") == 345,
	       "i386's socket and System V calls are the direct ones");
	tap_ok(nr_of(SECCOMP_ARCH_X86, "accept") == UINT32_MAX && nr_of(SECCOMP_ARCH_X86, "semop") == UINT32_MAX,
	       "what i386 has only behind a multiplexer has no number");
	tap_ok(nr_of(SECCOMP_ARCH_X86_64, "listns") == 470 && nr_of(SECCOMP_ARCH_X32, "listns") == 0x400001d6u &&
		       nr_of(SECCOMP_ARCH_ARM, "mseal") == 462,
	       "calls newer than libseccomp are known");
	tap_ok(nr_of(SECCOMP_ARCH_X86_64, "uretprobe") == 335 && nr_of(SECCOMP_ARCH_X86, "uretprobe") == UINT32_MAX,
	       "uretprobe is x86-64's alone");
	tap_ok(nr_of(SECCOMP_ARCH_ARM, "set_tls") == 0xf0005u, "ARM's private calls are known");
	tap_ok(!seccomp_syscall_is_known("frobnicate") && !seccomp_syscall_is_known("") &&
		       nr_of(SECCOMP_ARCH_X86_64, "frobnicate") == UINT32_MAX,
	       "other names are unknown");
	tap_ok(nr_of(seccomp_native_arch(), "getpid") == SYS_getpid, "the native architecture is this one");
}

static const struct seccomp_rule simple[] = {
	{.name = "read", .action = SECCOMP_RET_ALLOW},
	{.name = "write", .action = SECCOMP_RET_ALLOW},
};

static int compile_one(const struct seccomp_rule *rule, uint32_t default_action, bool tree, struct err *e)
{
	struct seccomp_rules rules = {.default_action = default_action, .archs = FAMILY_X86, .rules = rule, .count = 1};
	autoprogram struct seccomp_program p = SECCOMP_PROGRAM_NONE;
	return tree ? seccomp_filter_tree(&rules, &p, e) : seccomp_filter_compile(&rules, &p, e);
}

static void test_refused(void)
{
	struct err e = ERR_INIT;
	struct seccomp_rule twice = {.name = "ioctl",
				     .action = SECCOMP_RET_ALLOW,
				     .nconds = 2,
				     .conds = {{1, SECCOMP_OP_NE, 1, 0}, {1, SECCOMP_OP_NE, 2, 0}}};
	tap_ok(compile_one(&twice, SECCOMP_RET_ERRNO | EPERM, false, &e) == -EINVAL && strstr(e.text, "ioctl"),
	       "an argument compared twice is refused, naming the call");
	struct seccomp_rule six = {
		.name = "ioctl", .action = SECCOMP_RET_ALLOW, .nconds = 1, .conds = {{6, SECCOMP_OP_NE, 1, 0}}};
	tap_is_int(compile_one(&six, SECCOMP_RET_ERRNO | EPERM, false, &e), -EINVAL, "argument 6 is refused");
	struct seccomp_rule hidden = {.name = "socket", .action = SECCOMP_RET_ALLOW};
	tap_is_int(compile_one(&hidden, SECCOMP_RET_ERRNO | EPERM, true, &e), -EOPNOTSUPP,
		   "the tree compiler refuses to decide about multiplexers");
	tap_is_int(compile_one(&hidden, SECCOMP_RET_ERRNO | EPERM, false, &e), 0, "which libseccomp does");
	struct seccomp_rules none = {.default_action = SECCOMP_RET_ALLOW, .archs = 0};
	autoprogram struct seccomp_program p = SECCOMP_PROGRAM_NONE;
	tap_is_int(seccomp_filter_compile(&none, &p, &e), -EINVAL, "no architecture at all is refused");
	struct seccomp_filter empty = {NULL, 0};
	tap_is_int(seccomp_filter_load(&empty, 0, &e), -EINVAL, "an empty filter is not loaded");
}

/* --- random lists --------------------------------------------------------------------------------------------- */

static uint32_t random_state = 12345;

static uint32_t rnd(uint32_t n)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)random_state * n) >> 32);
}

static const char *const pool[] = {
	"read",	      "write",	     "open",	   "close",	"ioctl",   "socket",	"socketpair",	"clone",
	"unshare",    "personality", "mount",	   "fchmodat2", "listns",  "mseal",	"setns",	"shmget",
	"socketcall", "ipc",	     "bpf",	   "futex",	"set_tls", "execve",	"rt_sigaction", "waitid",
	"chown32",    "stat64",	     "arch_prctl", "openat2",	"clone3",  "uretprobe", "getpid",	"recv",
};

/* `simple_only`: one masked condition of 32 bits; one argument and one action for each call. */
static size_t random_rules(struct seccomp_rule *rules, size_t max, uint32_t default_action, bool simple_only)
{
	static const uint32_t actions[] = {SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | 13, SECCOMP_RET_KILL_PROCESS,
					   SECCOMP_RET_TRAP, SECCOMP_RET_LOG};
	static const uint64_t masks[] = {0xffffffff, 0xffffffff, 0xff, 0x1, 0x80000000, 0x7e020000, 0xfff0, 0};
	size_t n = 0;
	while (n < max) {
		const char *name = pool[rnd(ARRAY_SIZE(pool))];
		uint32_t action = actions[rnd(ARRAY_SIZE(actions))];
		unsigned int arg = rnd(3);
		size_t group = 1 + (rnd(3) == 0 ? rnd(12) : 0);
		bool again = false;
		for (size_t i = 0; i < n; i++)
			again |= str_eq(rules[i].name, name);
		if (again && rnd(4))
			continue;
		if (action == default_action)
			continue;
		bool conditional = rnd(2) && !again;
		bool same_mask = rnd(2);
		bool same_op = rnd(2);
		enum seccomp_op op = rnd(6);
		uint64_t mask = masks[rnd(ARRAY_SIZE(masks))];
		for (size_t g = 0; g < group && n < max; g++) {
			struct seccomp_rule *r = &rules[n++];
			*r = (struct seccomp_rule){.name = name, .action = action, .mention_only = rnd(12) == 0};
			if (!conditional)
				continue;
			if (!same_mask)
				mask = masks[rnd(ARRAY_SIZE(masks))];
			r->nconds = 1;
			r->conds[0] = (struct seccomp_cond){arg, SECCOMP_OP_MASKED_EQ, mask,
							    mask & rnd(rnd(2) ? 64 : UINT32_MAX)};
			if (!simple_only && (same_op ? op != SECCOMP_OP_NE : rnd(2))) {
				r->conds[0].op = same_op ? op : rnd(6);
				r->conds[0].value = rnd(8) ? rnd(1000) : (uint64_t)rnd(1000) << 30;
			}
			if (!simple_only && !same_op && rnd(4) == 0) {
				r->nconds = 2;
				r->conds[1] = (struct seccomp_cond){arg + 1, SECCOMP_OP_EQ, rnd(100), 0};
			}
		}
	}
	return n;
}

static void test_random_trees(void)
{
	struct seccomp_rule rules[64];
	unsigned long tried = 0;
	unsigned long lists = 0;
	unsigned long refused = 0;
	char first[256] = "";
	for (int i = 0; i < 300; i++) {
		uint32_t default_action = rnd(4) ? SECCOMP_RET_ERRNO | EPERM : SECCOMP_RET_ALLOW;
		struct seccomp_rules list = {
			.default_action = default_action,
			.archs = rnd(3)	  ? FAMILY_X86
				 : rnd(2) ? FAMILY_ARM
					  : SECCOMP_ARCH_BIT(SECCOMP_ARCH_X86_64),
			.rules = rules,
			.count = random_rules(rules, 1 + rnd(40), default_action, true),
		};
		/* Mostly lists that say what they want of the multiplexers: the tree does not do the others. */
		if (rnd(8)) {
			rules[list.count++] = (struct seccomp_rule){.name = "ipc", .action = SECCOMP_RET_TRAP};
			rules[list.count++] = (struct seccomp_rule){.name = "socketcall", .action = SECCOMP_RET_LOG};
		}
		struct err e = ERR_INIT;
		autoprogram struct seccomp_program tree = SECCOMP_PROGRAM_NONE;
		autoprogram struct seccomp_program library = SECCOMP_PROGRAM_NONE;
		int r = seccomp_filter_tree(&list, &tree, &e);
		if (r == -EOPNOTSUPP) {
			refused++;
			continue;
		}
		if (r < 0 || seccomp_filter_compile(&list, &library, &e) < 0) {
			snprintf(first, sizeof(first), "list %d: %.200s", i, e.text);
			break;
		}
		struct seccomp_filter a = {tree.insns, tree.count};
		struct seccomp_filter b = {library.insns, library.count};
		struct cases c = {.rules = &list, .a = &a, .b = &b};
		cases_run(&c);
		tried += c.tried;
		lists++;
		if (c.wrong) {
			snprintf(first, sizeof(first), "list %d: %.200s", i, c.first);
			break;
		}
	}
	if (!tap_ok(!first[0] && lists > 200,
		    "%lu random lists mean the same to the tree, to libseccomp and to the rules in "
		    "%lu cases",
		    lists, tried))
		tap_diag("%s (%lu lists, %lu refused)", first, lists, refused);
}

static void test_random_library(void)
{
	struct seccomp_rule rules[64];
	unsigned long tried = 0;
	unsigned long lists = 0;
	unsigned long trees = 0;
	char first[256] = "";
	for (int i = 0; i < 200 && !first[0]; i++) {
		uint32_t default_action = rnd(4) ? SECCOMP_RET_ERRNO | EPERM : SECCOMP_RET_ALLOW;
		struct seccomp_rules list = {
			.default_action = default_action,
			.archs = rnd(2) ? FAMILY_X86 : FAMILY_ARM,
			.rules = rules,
			.count = random_rules(rules, 1 + rnd(30), default_action, false),
		};
		if (rnd(2)) {
			rules[list.count++] = (struct seccomp_rule){.name = "ipc", .action = SECCOMP_RET_TRAP};
			rules[list.count++] = (struct seccomp_rule){.name = "socketcall", .action = SECCOMP_RET_LOG};
		}
		struct err e = ERR_INIT;
		autoprogram struct seccomp_program library = SECCOMP_PROGRAM_NONE;
		autoprogram struct seccomp_program tree = SECCOMP_PROGRAM_NONE;
		int r = seccomp_filter_compile(&list, &library, &e);
		struct seccomp_filter a = {library.insns, library.count};
		struct seccomp_filter b = a;
		if (r == 0 && seccomp_filter_tree(&list, &tree, NULL) == 0) {
			b = (struct seccomp_filter){tree.insns, tree.count};
			trees++;
		}
		struct cases c = {.rules = &list, .a = &a, .b = &b};
		if (r < 0)
			snprintf(first, sizeof(first), "list %d: %.200s", i, e.text);
		else
			cases_run(&c);
		tried += c.tried;
		lists++;
		if (c.wrong)
			snprintf(first, sizeof(first), "list %d: %.200s", i, c.first);
	}
	if (!tap_ok(!first[0] && lists > 100 && trees > 60,
		    "%lu random lists with every operator compile to what the rules say in %lu cases "
		    "(%lu as trees too)",
		    lists, tried, trees))
		tap_diag("%s", first);
}

/* --- simulator ------------------------------------------------------------------------------------------------ */

static uint32_t run(const struct sock_filter *insns, size_t count)
{
	struct seccomp_data d = {
		.nr = 7, .arch = 9, .instruction_pointer = 0x1122334455667788ull, .args = {0xaaaabbbbccccddddull}};
	struct seccomp_filter f = {insns, count};
	return seccomp_filter_simulate(&f, &d);
}
#define RUN(...)                                                                                                       \
	({                                                                                                             \
		const struct sock_filter insns[] = {__VA_ARGS__};                                                      \
		run(insns, ARRAY_SIZE(insns));                                                                         \
	})

static void test_simulator(void)
{
	const struct sock_filter ret = BPF_STMT(BPF_RET | BPF_A, 0);
	tap_is_int(RUN(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 16), ret), 0xccccdddd, "low half of an argument");
	tap_is_int(RUN(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 20), ret), 0xaaaabbbb, "high half of an argument");
	tap_is_int(RUN(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4), BPF_STMT(BPF_MISC | BPF_TAX, 0),
		       BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0), ret),
		   16, "register x and arithmetic");
	tap_is_int(RUN(BPF_STMT(BPF_LD | BPF_IMM, 5), BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LD | BPF_IMM, 0),
		       BPF_STMT(BPF_LDX | BPF_MEM, 3), BPF_STMT(BPF_MISC | BPF_TXA, 0), ret),
		   5, "scratch memory");
	tap_is_int(RUN(BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), ret), 64, "the length is the data's");
	tap_is_int(RUN(BPF_STMT(BPF_LD | BPF_IMM, 8), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 12, 1, 0),
		       BPF_STMT(BPF_RET | BPF_K, 1), BPF_STMT(BPF_RET | BPF_K, 2)),
		   2, "jumps");
	tap_is_int(RUN(BPF_STMT(BPF_LD | BPF_IMM, 8)), SECCOMP_RET_KILL_PROCESS, "running off the end kills");
	tap_is_int(RUN(BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), ret), SECCOMP_RET_KILL_PROCESS,
		   "so does jumping past it");
	tap_is_int(RUN(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), ret), SECCOMP_RET_KILL_PROCESS,
		   "so does reading past the data");
	tap_is_int(RUN(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), ret), SECCOMP_RET_KILL_PROCESS,
		   "so does an instruction that seccomp does not have");
	tap_is_int(RUN(BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), ret), SECCOMP_RET_KILL_PROCESS,
		   "so does dividing by zero");
}

/* --- loading -------------------------------------------------------------------------------------------------- */

static long int80(long nr, long a, long b, long c)
{
#if defined(__x86_64__)
	long r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
	return r;
#else
	(void)nr, (void)a, (void)b, (void)c;
	return -ENOSYS;
#endif
}

static int child_default(void *arg)
{
	const struct seccomp_filter *f = seccomp_filter_default(*(uint64_t *)arg);
	struct err e = ERR_INIT;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_filter_load(f, 0, &e) != 0)
		return 2;
	if (getpid() <= 0 || open("/dev/null", O_RDONLY) < 0)
		return 3;
	if (syscall(SYS_unshare, 0x10000000) != -1 || errno != EPERM)
		return 4;
	if (syscall(435, 0, 0) != -1 || errno != ENOSYS) /* clone3 */
		return 5;
	if (syscall(SYS_socket, 38, 5, 0) != -1 || errno != EPERM)
		return 6;
	if (syscall(900) != -1 || errno != ENOSYS)
		return 7;
	return 0;
}

static int child_int80(void *arg)
{
	const struct seccomp_filter *f = seccomp_filter_default(*(uint64_t *)arg);
	struct err e = ERR_INIT;
	if (int80(20, 0, 0, 0) != getpid())
		return 77; /* no 32-bit calls here */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_filter_load(f, 0, &e) != 0)
		return 2;
	if (int80(20, 0, 0, 0) != getpid())
		return 3;
	if (int80(359, 38, 5, 0) != -EPERM || int80(102, 1, 0, 0) != -ENOSYS || int80(54, 0, 0x5412, 0) != -EPERM)
		return 4;
	int fd = (int)int80(359, 1, 1, 0);
	return fd >= 0 ? 0 : 5;
}

static int child_listener(void *arg)
{
	(void)arg;
	const struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdir, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct seccomp_filter f = {insns, ARRAY_SIZE(insns)};
	struct err e = ERR_INIT;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	int fd = seccomp_filter_load(&f, SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC, &e);
	if (fd < 0 || !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
		return 2;
	/* A second listener is refused in words. */
	return seccomp_filter_load(&f, SECCOMP_FILTER_FLAG_NEW_LISTENER, &e) == -EBUSY && e.hint[0] ? 0 : 3;
}

static int child_no_privs(void *arg)
{
	(void)arg;
	const struct sock_filter insns[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct seccomp_filter f = {insns, 1};
	struct err e = ERR_INIT;
	if (setgroups(0, NULL) < 0 && geteuid() == 0)
		return 2;
	if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
		return 2;
	return seccomp_filter_load(&f, 0, &e) == -EACCES && strstr(e.hint, "no_new_privs") ? 0 : 3;
}

/* Sanitizers use calls at exit that the filter of this child refuses. */
static int end(int status)
{
	syscall(SYS_exit_group, status);
	return status;
}

static int child_self(void *arg)
{
	const int allowed[] = {SYS_write, SYS_exit_group, SYS_read, SYS_read, SYS_close, SYS_dup};
	struct err e = ERR_INIT;
	int how = *(int *)arg;
	if (seccomp_self_allow(allowed, ARRAY_SIZE(allowed),
			       how == 1 ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | 99, &e) < 0)
		return end(2);
	if (how == 2) {
		int80(20, 0, 0, 0);
		return end(3);
	}
	char c;
	if (syscall(SYS_read, 0, &c, 0) != 0 || syscall(SYS_close, 1000) != -1 || errno != EBADF)
		return end(4);
	if (how == 3) {
		/* Every number: only those of the list get through. */
		for (int nr = 0; nr < 500; nr++) {
			/* uretprobe and uprobe: the kernel lets them past seccomp and answers SIGILL. */
			bool listed = nr == SYS_exit_group || nr == 335 || nr == 336;
			for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
				listed |= allowed[i] == nr;
			if (!listed && (syscall(nr, -1, 0, 0, 0, 0, 0) != -1 || errno != 99))
				return end(5);
		}
		return end(0);
	}
	errno = 0;
	if (syscall(SYS_getpid) != -1 || errno != 99)
		return end(6);
	return end(0);
}

static void test_loading(void)
{
	uint64_t caps = 1ull << 18;
	tap_ok(seccomp_filter_default(caps) && seccomp_filter_default(caps)->count < 1000,
	       "docker's capability set has a built-in filter of less than 1000 instructions");
	tap_is_int(tap_child_status(child_default, &caps), 0, "the kernel loads and obeys it");
	int r = tap_child_status(child_int80, &caps);
	if (r == 77)
		tap_skip("the kernel has no 32-bit calls", "32-bit calls are filtered as they should");
	else
		tap_is_int(r, 0, "32-bit calls are filtered as they should: AF_ALG, socketcall, TIOCSTI");
	tap_is_int(tap_child_status(child_listener, NULL), 0,
		   "a listener is returned, close-on-exec; a second one is EBUSY");
	tap_is_int(tap_child_status(child_no_privs, NULL), 0, "without no_new_privs the error says what is missing");
	int how = 0;
	tap_is_int(tap_child_status(child_self, &how), 0,
		   "seccomp_self_allow answers other calls with the errno given");
	how = 1;
	tap_is_int(tap_child_status(child_self, &how), 128 + SIGSYS, "or kills");
	how = 2;
	r = tap_child_status(child_self, &how);
	tap_ok(r == 128 + SIGSYS || r == 128 + SIGSEGV || r == 3, "and kills 32-bit calls");
	how = 3;
	tap_is_int(tap_child_status(child_self, &how), 0, "exactly the listed numbers get through");
	struct err e = ERR_INIT;
	int negative = -1;
	tap_is_int(seccomp_self_allow(&negative, 1, SECCOMP_RET_KILL_PROCESS, &e), -EINVAL,
		   "a negative number is refused");
}

int main(void)
{
	tap_plan_later();
	test_names();
	test_refused();
	test_random_trees();
	test_random_library();
	test_simulator();
	test_loading();
	struct seccomp_rules rules = {SECCOMP_RET_ERRNO | EPERM, FAMILY_X86, simple, 2};
	autoprogram struct seccomp_program p = SECCOMP_PROGRAM_NONE;
	struct err e = ERR_INIT;
	tap_ok(seccomp_filter_tree(&rules, &p, &e) == 0 && p.count < 40, "a list of two calls is a short program");
	return tap_done();
}
