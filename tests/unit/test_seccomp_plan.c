/* links: engine/runtime kern model base; libs: -lseccomp -ljansson */
/*
 * The plan: built-in filters are what libseccomp makes of the same profile, what the default policy answers, conditions
 * of profiles, the cache.
 */
#include "tap.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>

#include "rl/base/io.h"
#include "rl/engine/seccomp_plan.h"
#include "seccomp_cases.h"

#define SECCOMP_GEN_X86_64
#define SECCOMP_GEN_AARCH64
#include "seccomp_default.inc"

#define CAP(name) (1ull << CAP_##name)
#define ALL_CAPS  ((1ull << (CAP_LAST_CAP + 1)) - 1)

static void default_rules(enum seccomp_arch native, uint64_t caps, struct seccomp_profile *p, struct seccomp_rules *r)
{
	struct err e = ERR_INIT;
	size_t len;
	const char *text = seccomp_plan_default_text(&len);
	if (seccomp_profile_parse(text, len, SECCOMP_PROFILE_DOCKER, "default", p, &e) < 0 ||
	    seccomp_plan_rules(p, native, caps, 6, 1, r, NULL, &e) < 0) {
		err_print(&e);
		exit(1);
	}
}

/* Every built-in filter of one machine against libseccomp and against the rules. */
static void test_equal(enum seccomp_arch native, const struct seccomp_builtin *builtins)
{
	for (; builtins->filter.count; builtins++) {
		struct err e = ERR_INIT;
		autoprofile struct seccomp_profile p = SECCOMP_PROFILE_INIT;
		autoprogram struct seccomp_program library = SECCOMP_PROGRAM_NONE;
		struct seccomp_rules rules;
		default_rules(native, builtins->caps, &p, &rules);
		if (!tap_ok(seccomp_filter_compile(&rules, &library, &e) == 0,
			    "libseccomp compiles the default profile for %s with capabilities %#llx",
			    seccomp_arch_name(native), (unsigned long long)builtins->caps))
			tap_diag("%s", e.text);
		struct seccomp_filter f = {library.insns, library.count};
		struct cases c = {.rules = &rules, .a = &builtins->filter, .b = &f};
		cases_run(&c);
		if (!tap_ok(c.wrong == 0 && c.tried > 10000,
			    "the built-in filter for %s with capabilities %#llx answers like libseccomp's and like the "
			    "rules in %lu cases",
			    seccomp_arch_name(native), (unsigned long long)builtins->caps, c.tried))
			tap_diag("%lu differ; %s", c.wrong, c.first);
		tap_diag("%zu instructions, libseccomp's %zu", builtins->filter.count, library.count);
		free((void *)(uintptr_t)rules.rules);
	}
}

static const struct seccomp_filter *builtin(const struct seccomp_builtin *table, uint64_t caps)
{
	for (; table->filter.count; table++)
		if (table->caps == (caps & SECCOMP_GEN_RELEVANT_CAPS))
			return &table->filter;
	return NULL;
}

static uint32_t ask(const struct seccomp_filter *f, enum seccomp_arch arch, const char *name, uint64_t arg0,
		    uint64_t arg1)
{
	struct seccomp_data d = {.arch = seccomp_arch_audit(arch), .args = {arg0, arg1}};
	uint32_t nr;
	if (!seccomp_syscall_number(arch, name, &nr))
		return SECCOMP_RET_DATA; /* no such call here */
	d.nr = (int)nr;
	return seccomp_filter_simulate(f, &d);
}

static const struct {
	enum seccomp_arch native;
	const struct seccomp_builtin *table;
	enum seccomp_arch archs[3];
	size_t n;
} machines[] = {
	{SECCOMP_ARCH_X86_64, seccomp_builtins_x86_64, {SECCOMP_ARCH_X86_64, SECCOMP_ARCH_X86, SECCOMP_ARCH_X32}, 3},
	{SECCOMP_ARCH_AARCH64, seccomp_builtins_aarch64, {SECCOMP_ARCH_AARCH64, SECCOMP_ARCH_ARM}, 2},
};

#define EACH_ARCH(m, a)                                                                                                \
	for (size_t m = 0; m < ARRAY_SIZE(machines); m++)                                                              \
		for (size_t a = 0; a < machines[m].n; a++)

/* True if on every architecture that has the call the answer is `want`. */
static bool everywhere(uint64_t caps, const char *name, uint64_t arg0, uint64_t arg1, uint32_t want)
{
	bool seen = false;
	EACH_ARCH(m, a)
	{
		uint32_t got = ask(builtin(machines[m].table, caps), machines[m].archs[a], name, arg0, arg1);
		if (got == SECCOMP_RET_DATA)
			continue;
		seen = true;
		if (got != want) {
			tap_diag("%s: %s(%#llx, %#llx) is %#x", seccomp_arch_name(machines[m].archs[a]), name,
				 (unsigned long long)arg0, (unsigned long long)arg1, got);
			return false;
		}
	}
	return seen;
}

#define ALLOW	     SECCOMP_RET_ALLOW
#define EPERM_	     (SECCOMP_RET_ERRNO | EPERM)
#define ENOSYS_	     (SECCOMP_RET_ERRNO | ENOSYS)
#define DEFAULT_CAPS CAP(SYS_CHROOT) /* what the profile sees of docker's set */

static void test_policy_calls(void)
{
	/* clang-format off */
	static const char *const denied[] = {
		"mount", "umount2", "move_mount", "open_tree", "open_tree_attr", "fsopen", "fsmount", "fsconfig",
		"fspick", "mount_setattr", "pivot_root", "setns", "keyctl", "add_key", "request_key", "bpf",
		"perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "kexec_load",
		"kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "swapon", "swapoff",
		"syslog", "acct", "quotactl", "quotactl_fd", "iopl", "ioperm", "open_by_handle_at", "pidfd_getfd",
		"process_madvise", "kcmp", "settimeofday", "clock_settime", "clock_settime64", "stime", "sethostname",
		"setdomainname", "vhangup", "nfsservctl", "lookup_dcookie", "fanotify_init", "move_pages", "mbind",
		"migrate_pages", "set_mempolicy", "vm86", "vm86old", "uselib", "ustat", "sysfs", "_sysctl", "listns",
		"create_module", "get_kernel_syms", "query_module", "nice",
	};
	static const char *const allowed[] = {
		"read", "openat", "openat2", "execve", "execveat", "ptrace", "process_vm_readv", "futex", "futex_waitv",
		"fchmodat2", "cachestat", "statx", "mseal", "setxattrat", "file_getattr", "rseq", "landlock_create_ruleset",
		"seccomp", "prctl", "bind", "connect", "sendmmsg", "recvmmsg", "accept4", "memfd_create", "close_range",
		"epoll_pwait2", "clock_gettime64", "arch_prctl", "mknodat", "chroot", "statmount", "map_shadow_stack",
		"uretprobe", "ipc", "shmget", "cacheflush", "set_tls",
	};
	/* clang-format on */
	for (size_t i = 0; i < ARRAY_SIZE(denied); i++)
		tap_ok(everywhere(DEFAULT_CAPS, denied[i], 0, 0, EPERM_), "%s is EPERM by default", denied[i]);
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		tap_ok(everywhere(DEFAULT_CAPS, allowed[i], 0, 0, ALLOW), "%s is allowed by default", allowed[i]);
	tap_ok(everywhere(0, "chroot", 0, 0, EPERM_), "chroot needs CAP_SYS_CHROOT");
	tap_ok(everywhere(ALL_CAPS, "mount", 0, 0, ALLOW), "mount is allowed with all capabilities");
	tap_ok(everywhere(ALL_CAPS, "io_uring_setup", 0, 0, EPERM_),
	       "io_uring_setup is denied even with all capabilities");
	tap_ok(everywhere(ALL_CAPS, "keyctl", 0, 0, EPERM_), "keyctl is denied even with all capabilities");
	tap_ok(everywhere(DEFAULT_CAPS | CAP(SYS_PTRACE), "pidfd_getfd", 0, 0, ALLOW),
	       "pidfd_getfd is allowed with CAP_SYS_PTRACE");
}

/* CVE-2026-123876: a denied socket family must not be reachable in any way. */
static void test_policy_sockets(void)
{
	static const unsigned int denied[] = {12, 19, 20, 23, 25,  34,		37,
					      38, 40, 46, 47, 255, 0x80000026u, 0xffffffffu};
	static const unsigned int allowed[] = {0, 1, 2, 10, 16, 17, 29, 31, 36, 39, 44, 45};
	bool no = true;
	bool yes = true;
	bool high_no = true;
	bool high_yes = true;
	for (size_t i = 0; i < ARRAY_SIZE(denied); i++) {
		no &= everywhere(DEFAULT_CAPS, "socket", denied[i], 1, EPERM_);
		no &= everywhere(DEFAULT_CAPS, "socketpair", denied[i], 1, EPERM_);
		no &= everywhere(ALL_CAPS, "socket", denied[i], 1, EPERM_);
		high_no &= everywhere(DEFAULT_CAPS, "socket", denied[i] | 0xffffffff00000000ull, 1, EPERM_);
		high_no &= everywhere(DEFAULT_CAPS, "socket", denied[i] | 0x100000000ull, 1, EPERM_);
		high_no &= everywhere(DEFAULT_CAPS, "socketpair", denied[i] | 0x100000000ull, 1, EPERM_);
	}
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
		yes &= everywhere(DEFAULT_CAPS, "socket", allowed[i], 1, ALLOW);
		high_yes &= everywhere(DEFAULT_CAPS, "socket", allowed[i] | 0xabcd00000000ull, 1, ALLOW);
	}
	tap_ok(no, "CVE-2026-123876: AF_ALG, AF_VSOCK and the other families of the list are EPERM in socket and "
		   "socketpair");
	tap_ok(high_no, "CVE-2026-123876: a denied family with bits above 32 set is still EPERM");
	tap_ok(yes, "unix, inet, inet6, netlink, packet and the other listed families are allowed");
	tap_ok(high_yes, "garbage above the 32 bits the kernel reads does not refuse an allowed family");
	bool mux = true;
	for (uint64_t call = 0; call < 32; call++)
		mux &= everywhere(DEFAULT_CAPS, "socketcall", call, 0, ENOSYS_) &&
		       everywhere(ALL_CAPS, "socketcall", call, 0, ENOSYS_);
	tap_ok(mux, "CVE-2026-123876: socketcall is ENOSYS for every subcall, with all capabilities too");
}

static void test_policy_args(void)
{
	static const uint64_t injecting[] = {0x5412, 0x541c};
	bool no = true;
	for (size_t i = 0; i < ARRAY_SIZE(injecting); i++)
		for (int bit = 31; bit < 64; bit++) {
			uint64_t high = bit == 31 ? 0 : 1ull << bit;
			no &= everywhere(DEFAULT_CAPS, "ioctl", 0, injecting[i] | high, EPERM_);
			no &= everywhere(ALL_CAPS, "ioctl", 0, injecting[i] | high, EPERM_);
			no &= everywhere(DEFAULT_CAPS, "ioctl", 0, injecting[i] | 0xffffffff00000000ull, EPERM_);
		}
	tap_ok(no, "CVE-2017-5226: TIOCSTI and TIOCLINUX are EPERM with any bits above 32, with all capabilities too");
	bool yes = true;
	for (uint64_t cmd = 0x5000; cmd < 0x6000; cmd++)
		if (cmd != 0x5412 && cmd != 0x541c)
			yes &= everywhere(DEFAULT_CAPS, "ioctl", 0, cmd, ALLOW);
	yes &= everywhere(DEFAULT_CAPS, "ioctl", 0, 0xffffffff80045430ull, ALLOW);
	tap_ok(yes, "every other ioctl is allowed, sign-extended numbers too");

	static const uint64_t ns[] = {0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000};
	bool clones = true;
	bool unshares = everywhere(DEFAULT_CAPS, "unshare", 0x80, 0, EPERM_);
	for (size_t i = 0; i < ARRAY_SIZE(ns); i++) {
		clones &= everywhere(DEFAULT_CAPS, "clone", ns[i] | 17, 0, EPERM_);
		clones &= everywhere(DEFAULT_CAPS, "clone", ns[i] | 0xf00000000ull, 0, EPERM_);
		unshares &= everywhere(DEFAULT_CAPS, "unshare", ns[i], 0, EPERM_);
	}
	tap_ok(clones, "clone with any namespace flag is EPERM without CAP_SYS_ADMIN");
	tap_ok(unshares, "unshare with any namespace flag is EPERM without CAP_SYS_ADMIN");
	tap_ok(everywhere(DEFAULT_CAPS, "clone", 0x3d0f00, 0, ALLOW) && everywhere(DEFAULT_CAPS, "clone", 17, 0, ALLOW),
	       "fork and pthread_create flags of clone are allowed");
	tap_ok(everywhere(DEFAULT_CAPS, "unshare", 0x600, 0, ALLOW), "unshare of files and fs is allowed");
	tap_ok(everywhere(DEFAULT_CAPS, "clone3", 0, 0, ENOSYS_), "clone3 is ENOSYS without CAP_SYS_ADMIN");
	tap_ok(everywhere(ALL_CAPS, "clone3", 0, 0, ALLOW) && everywhere(ALL_CAPS, "clone", ns[3], 0, ALLOW) &&
		       everywhere(ALL_CAPS, "unshare", ns[3], 0, ALLOW),
	       "clone3, clone and unshare are free with CAP_SYS_ADMIN");
	bool pers = true;
	for (uint64_t v = 0; v < 0x40000; v++)
		pers &= ask(builtin(machines[0].table, DEFAULT_CAPS), SECCOMP_ARCH_X86_64, "personality", v, 0) ==
			(v == 0 || v == 8 || v == 0x20000 || v == 0x20008 ? ALLOW : EPERM_);
	tap_ok(pers && everywhere(DEFAULT_CAPS, "personality", 0xffffffff, 0, ALLOW),
	       "personality has docker's five values");
}

static void test_policy_numbers(void)
{
	bool newer = true;
	EACH_ARCH(m, a)
	{
		const struct seccomp_filter *f = builtin(machines[m].table, DEFAULT_CAPS);
		enum seccomp_arch arch = machines[m].archs[a];
		struct seccomp_data d = {.arch = seccomp_arch_audit(arch)};
		uint32_t base = arch == SECCOMP_ARCH_X32 ? SECCOMP_X32_BIT : 0;
		for (uint32_t nr = 472; nr < 5000; nr++) {
			if (cases_own(arch, base + nr))
				continue;
			d.nr = (int)(base + nr);
			newer &= seccomp_filter_simulate(f, &d) == ENOSYS_;
		}
	}
	tap_ok(newer, "calls newer than the profile are ENOSYS, so that a libc falls back");
	tap_ok(everywhere(DEFAULT_CAPS, "listns", 0, 0, EPERM_), "the newest call of the profile, guarded, is EPERM");
}

/* --- profiles ------------------------------------------------------------------------------------------------- */

static int plan_text(const char *text, uint64_t caps, int cachefd, struct seccomp_plan *plan, struct err *e)
{
	struct seccomp_plan_input in = {
		.text = text,
		.len = strlen(text),
		.format = SECCOMP_PROFILE_DOCKER,
		.what = "t.json",
		.caps = caps,
		.cache_dirfd = cachefd,
	};
	return seccomp_plan_make(&in, plan, e);
}

static uint32_t ask_plan(const char *text, uint64_t caps, enum seccomp_arch arch, const char *name, uint64_t arg0,
			 uint64_t arg1)
{
	struct seccomp_plan plan = SECCOMP_PLAN_INIT;
	struct err e = ERR_INIT;
	if (plan_text(text, caps, -1, &plan, &e) < 0) {
		tap_diag("%s", e.text);
		return SECCOMP_RET_DATA;
	}
	uint32_t r = ask(&plan.filter, arch, name, arg0, arg1);
	seccomp_plan_free(&plan);
	return r;
}

#define ARCHMAP                                                                                                        \
	"\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":[\"SCMP_ARCH_X86\","                 \
	"\"SCMP_ARCH_X32\"]}],"
#define DENY_ALL "{\"defaultAction\":\"SCMP_ACT_ERRNO\"," ARCHMAP "\"syscalls\":["

static void test_conditions(void)
{
	const char *t = DENY_ALL
		"{\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\",\"CAP_"
		"MKNOD\"]}},"
		"{\"names\":[\"chroot\"],\"action\":\"SCMP_ACT_ALLOW\",\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\",\"CAP_"
		"MKNOD\"]}},"
		"{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"4.8\"}},"
		"{\"names\":[\"write\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"99.0\"}},"
		"{\"names\":[\"open\"],\"action\":\"SCMP_ACT_ALLOW\",\"excludes\":{\"minKernel\":\"4.8\"}},"
		"{\"names\":[\"pipe\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"arches\":[\"s390x\"]}},"
		"{\"names\":[\"pipe2\"],\"action\":\"SCMP_ACT_ALLOW\",\"excludes\":{\"arches\":[\"s390x\"]}}]}";
	enum seccomp_arch a = SECCOMP_ARCH_X86_64;
	tap_ok(ask_plan(t, CAP(SYS_ADMIN), a, "mount", 0, 0) == EPERM_ &&
		       ask_plan(t, CAP(SYS_ADMIN) | CAP(MKNOD), a, "mount", 0, 0) == ALLOW,
	       "includes.caps needs every capability of the list");
	tap_ok(ask_plan(t, CAP(MKNOD), a, "chroot", 0, 0) == EPERM_ && ask_plan(t, 0, a, "chroot", 0, 0) == ALLOW,
	       "excludes.caps drops the rule for any capability of the list");
	tap_ok(ask_plan(t, 0, a, "read", 0, 0) == ALLOW && ask_plan(t, 0, a, "write", 0, 0) == EPERM_ &&
		       ask_plan(t, 0, a, "open", 0, 0) == EPERM_,
	       "minKernel is compared with the running kernel");
	tap_ok(ask_plan(t, 0, a, "pipe", 0, 0) == EPERM_ && ask_plan(t, 0, a, "pipe2", 0, 0) == ALLOW,
	       "arches conditions are about this machine");
}

static void test_pitfalls(void)
{
	/* libseccomp would let socketcall(SYS_SOCKET) through for any family. */
	const char *socket = DENY_ALL "{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,"
				      "\"value\":2,\"op\":\"SCMP_CMP_EQ\"}]}]}";
	const char *plain = DENY_ALL "{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\"}]}";
	tap_ok(ask_plan(socket, 0, SECCOMP_ARCH_X86, "socketcall", 1, 0) == ENOSYS_,
	       "a profile that restricts socket families closes socketcall");
	tap_ok(ask_plan(socket, 0, SECCOMP_ARCH_X86, "socket", 2, 0) == ALLOW &&
		       ask_plan(socket, 0, SECCOMP_ARCH_X86, "socket", 38, 0) != ALLOW,
	       "and still filters i386's direct socket call");
	tap_ok(ask_plan(plain, 0, SECCOMP_ARCH_X86, "socketcall", 1, 0) == ALLOW,
	       "a profile that allows socket without conditions allows socketcall for it");

	struct seccomp_plan plan = SECCOMP_PLAN_INIT;
	struct err e = ERR_INIT;
	int r = plan_text("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mout\"],\"action\":"
			  "\"SCMP_ACT_ERRNO\"}]}",
			  0, -1, &plan, &e);
	tap_ok(r == -EINVAL && strstr(e.text, "mout"), "a misspelt name that should be denied is an error");
	r = plan_text(DENY_ALL "{\"names\":[\"frobnicate\",\"read\"],\"action\":\"SCMP_ACT_ALLOW\"}]}", 0, -1, &plan,
		      &e);
	tap_ok(r == 0 && plan.warnings.count == 1 && strstr(plan.warnings.items[0], "frobnicate"),
	       "an unknown name that should be allowed is a warning");
	seccomp_plan_free(&plan);
	r = plan_text(
		DENY_ALL
		"{\"names\":[\"ioctl\"],\"action\":\"SCMP_ACT_ALLOW\"},{\"names\":[\"ioctl\"],\"action\":"
		"\"SCMP_ACT_ERRNO\",\"errnoRet\":13,\"args\":[{\"index\":1,\"value\":21522,\"op\":\"SCMP_CMP_EQ\"}]}]}",
		0, -1, &plan, &e);
	tap_ok(r == 0 && plan.warnings.count == 1 && strstr(plan.warnings.items[0], "no effect"),
	       "a denial that an unconditional allowance makes void is a warning");
	seccomp_plan_free(&plan);
	r = plan_text(
		"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/s\",\"listenerMetadata\":\"m\",\"flags\":["
		"\"SECCOMP_FILTER_FLAG_LOG\"],\"syscalls\":[{\"names\":[\"mknod\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}",
		0, -1, &plan, &e);
	tap_ok(r == 0 && plan.flags == (SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_NEW_LISTENER) &&
		       str_eq(plan.listener_path, "/s") && str_eq(plan.listener_metadata, "m") &&
		       ask(&plan.filter, SECCOMP_ARCH_X86_64, "mknod", 0, 0) == SECCOMP_RET_USER_NOTIF,
	       "SCMP_ACT_NOTIFY asks for a listener and keeps its path and metadata");
	seccomp_plan_free(&plan);
	tap_ok(ask_plan("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[]}", 0, SECCOMP_ARCH_X86_64, "listns", 0,
			0) == ALLOW,
	       "a profile that allows by default has no ENOSYS limit");
}

static void test_cache(void)
{
	char dir[] = "/tmp/rl-seccomp-XXXXXX";
	struct err e = ERR_INIT;
	if (!mkdtemp(dir)) {
		tap_ok(false, "temporary directory");
		return;
	}
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *t = DENY_ALL "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"},{\"names\":[\"mount\"],"
				 "\"action\":\"SCMP_ACT_ALLOW\","
				 "\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}}]}";
	struct seccomp_plan a = SECCOMP_PLAN_INIT;
	struct seccomp_plan b = SECCOMP_PLAN_INIT;
	tap_ok(plan_text(t, 0, fd, &a, &e) == 0 && plan_text(t, 0, fd, &b, &e) == 0 &&
		       a.filter.count == b.filter.count &&
		       memcmp(a.filter.insns, b.filter.insns, a.filter.count * sizeof(*a.filter.insns)) == 0,
	       "a cached program is the compiled one");
	size_t count = a.filter.count;
	seccomp_plan_free(&b);

	char path[PATH_MAX];
	DIR *d = opendir(dir);
	struct dirent *de;
	int files = 0;
	path[0] = 0;
	while ((de = readdir(d)))
		if (de->d_name[0] != '.') {
			snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
			files++;
		}
	closedir(d);
	tap_is_int(files, 1, "one file is in the cache and no temporary one");
	struct stat st;
	tap_ok(stat(path, &st) == 0 && (st.st_mode & 077) == 0, "nobody else can read or write it");

	/* A program that allows everything, in a file that is otherwise right: the checksum does not fit. */
	int cf = open(path, O_RDWR | O_CLOEXEC);
	struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
	off_t at = st.st_size - (off_t)(count * sizeof(allow));
	bool wrote = pwrite(cf, &allow, sizeof(allow), at) == sizeof(allow);
	tap_ok(wrote && plan_text(t, 0, fd, &b, &e) == 0 &&
		       memcmp(a.filter.insns, b.filter.insns, a.filter.count * sizeof(*a.filter.insns)) == 0,
	       "a damaged program is compiled again");
	seccomp_plan_free(&b);
	bool ok = true;
	close(cf);
	for (off_t len = 0; len < st.st_size; len += 13) {
		ok &= truncate(path, len) == 0 && plan_text(t, 0, fd, &b, &e) == 0 && b.filter.count == count;
		seccomp_plan_free(&b);
	}
	tap_ok(ok, "a truncated cache file is compiled again");
	tap_ok(plan_text(t, CAP(NET_ADMIN), fd, &b, &e) == 0 && unlink(path) == 0 && rmdir(dir) == 0,
	       "a capability the profile does not mention uses the same file");
	seccomp_plan_free(&b);
	mkdir(dir, 0700);
	close(fd);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rmdir(dir);
	tap_ok(plan_text(t, CAP(SYS_ADMIN), fd, &b, &e) == 0 &&
		       ask(&b.filter, SECCOMP_ARCH_X86_64, "mount", 0, 0) == ALLOW,
	       "a cache that cannot be written is no error");
	seccomp_plan_free(&a);
	seccomp_plan_free(&b);
	close(fd);
}

/* The default profile with a rare capability set comes from the cache without being parsed: same program. */
static void test_default_cached(void)
{
	char dir[] = "/tmp/rl-seccomp-XXXXXX";
	struct seccomp_plan plans[3] = {SECCOMP_PLAN_INIT, SECCOMP_PLAN_INIT, SECCOMP_PLAN_INIT};
	struct err e = ERR_INIT;
	if (!mkdtemp(dir))
		return;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct seccomp_plan_input in = {.caps = CAP(SYS_NICE), .cache_dirfd = fd};
	bool ok = seccomp_plan_make(&in, &plans[0], &e) == 0;
	in.caps |= CAP(NET_ADMIN);
	ok &= seccomp_plan_make(&in, &plans[1], &e) == 0;
	in.caps = CAP(SYS_NICE) | CAP(SYS_TIME);
	ok &= seccomp_plan_make(&in, &plans[2], &e) == 0;
	tap_ok(ok && plans[0].filter.count == plans[1].filter.count &&
		       memcmp(plans[0].filter.insns, plans[1].filter.insns,
			      plans[0].filter.count * sizeof(struct sock_filter)) == 0 &&
		       ask(&plans[1].filter, SECCOMP_ARCH_X86_64, "mbind", 0, 0) == ALLOW &&
		       ask(&plans[1].filter, SECCOMP_ARCH_X86_64, "clock_settime", 0, 0) == EPERM_ &&
		       ask(&plans[2].filter, SECCOMP_ARCH_X86_64, "clock_settime", 0, 0) == ALLOW,
	       "the default profile's programs are cached by the capabilities it mentions");
	DIR *d = fdopendir(fd);
	struct dirent *de;
	int files = 0;
	while ((de = readdir(d)))
		if (de->d_name[0] != '.' && unlinkat(fd, de->d_name, 0) == 0)
			files++;
	closedir(d);
	rmdir(dir);
	tap_is_int(files, 2, "two sets are two files");
	for (size_t i = 0; i < ARRAY_SIZE(plans); i++)
		seccomp_plan_free(&plans[i]);
}

static void test_default_other_caps(void)
{
	struct seccomp_plan plan = SECCOMP_PLAN_INIT;
	struct err e = ERR_INIT;
	struct seccomp_plan_input in = {.caps = DEFAULT_CAPS | CAP(SYS_TIME), .cache_dirfd = -1};
	tap_ok(!seccomp_filter_default(in.caps), "a rare capability set has no built-in filter");
	tap_ok(seccomp_filter_default(DEFAULT_CAPS | CAP(NET_ADMIN) | CAP(CHOWN)) ==
		       seccomp_filter_default(DEFAULT_CAPS),
	       "capabilities the profile does not mention do not matter");
	int r = seccomp_plan_make(&in, &plan, &e);
	tap_ok(r == 0 && ask(&plan.filter, SECCOMP_ARCH_X86_64, "clock_settime", 0, 0) == ALLOW &&
		       ask(&plan.filter, SECCOMP_ARCH_X86_64, "mount", 0, 0) == EPERM_,
	       "it is compiled from the built-in text");
	autoprofile struct seccomp_profile p = SECCOMP_PROFILE_INIT;
	struct seccomp_rules rules;
	default_rules(seccomp_native_arch(), in.caps, &p, &rules);
	struct cases c = {.rules = &rules, .a = &plan.filter};
	cases_run(&c);
	if (!tap_ok(c.wrong == 0, "and means what the rules mean in %lu cases", c.tried))
		tap_diag("%s", c.first);
	free((void *)(uintptr_t)rules.rules);
	seccomp_plan_free(&plan);
}

int main(void)
{
	tap_plan_later();
	test_equal(SECCOMP_ARCH_X86_64, seccomp_builtins_x86_64);
	test_equal(SECCOMP_ARCH_AARCH64, seccomp_builtins_aarch64);
	test_policy_calls();
	test_policy_sockets();
	test_policy_args();
	test_policy_numbers();
	test_conditions();
	test_pitfalls();
	test_cache();
	test_default_other_caps();
	test_default_cached();
	return tap_done();
}
