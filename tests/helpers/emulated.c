/*
 * emulated.c - a payload for containers whose calls on owners and ids are answered from outside: raw calls, and races.
 *
 * Usage: emulated WHAT [ARG...]; prints one line per finding; static, so it runs in any root.
 *   i386                 the 32-bit calls (int 0x80) say what the 64-bit ones say
 *   threads              a setuid in one thread is one of the process
 *   inherit              a child keeps the ids of the moment of its fork
 *   keepcaps             PR_SET_KEEPCAPS, setresuid, capset, setresgid: as setpriv does it
 *   limit                RLIMIT_LOCKS is not what the ids are kept in, as far as anybody inside can see
 *   race-path DIR OUT N  one thread exchanges a directory in DIR for a symlink to OUT, another chowns files through it
 *   race-name FILE N     one thread exchanges the name of an attribute, another sets it
 *   attr FILE NAME [VALUE]   set an attribute, or remove it, and list those there are
 *   pointers             every call with every kind of bad pointer, and names of all lengths
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static atomic_bool stop;

#ifdef __x86_64__
static long call32(long nr, uintptr_t a, uintptr_t b, uintptr_t c)
{
	long result;
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(nr), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

enum {
	I386_CHOWN = 182,
	I386_STAT64 = 195,
	I386_GETUID32 = 199,
	I386_SETUID32 = 213,
	I386_CHOWN32 = 212,
	I386_GETUID = 24
};

static int i386(void)
{
	char *low = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	uint32_t words[24];
	if (low == MAP_FAILED)
		return 1;
	memcpy(low, "/tmp/i386", 10);
	close(open(low, O_CREAT | O_WRONLY, 0644));
	if (call32(I386_GETUID32, 0, 0, 0) == -ENOSYS) {
		printf("no 32-bit calls here\n");
		return 0;
	}
	printf("chown32 %ld\n", call32(I386_CHOWN32, (uintptr_t)low, 70000, 33));
	printf("old chown %ld\n", call32(I386_CHOWN, (uintptr_t)low, 1, 1) == -ENOSYS ? 0L : 1L);
	printf("stat64 %ld", call32(I386_STAT64, (uintptr_t)low, (uintptr_t)low + 4096, 0));
	memcpy(words, low + 4096, sizeof(words));
	printf(" owner %u:%u\n", words[6], words[7]);
	printf("setuid32 %ld\n", call32(I386_SETUID32, 70000, 0, 0));
	printf("getuid32 %ld getuid %d\n", call32(I386_GETUID32, 0, 0, 0), (int)getuid());
	printf("old getuid %ld\n", call32(I386_GETUID, 0, 0, 0) == -ENOSYS ? 0L : 1L);
	return 0;
}
#else
static int i386(void)
{
	printf("no 32-bit calls here\n");
	return 0;
}
#endif

static void *show_uid(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop))
		;
	printf("thread %d\n", (int)getuid());
	return NULL;
}

static int threads(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, show_uid, NULL) != 0)
		return 1;
	if (setgroups(0, NULL) < 0 || setresgid(7, 7, 7) < 0 || setresuid(7, 8, 9) < 0)
		return 1;
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	uid_t ids[3];
	if (getresuid(&ids[0], &ids[1], &ids[2]) < 0)
		return 1;
	printf("real %u effective %u saved %u\n", ids[0], ids[1], ids[2]);
	printf("to saved %d\n", seteuid(9));
	int back = setuid(0);
	printf("to root %d %s\n", back, strerrorname_np(errno));
	return 0;
}

static int inherit(void)
{
	int go[2];
	char byte;
	if (pipe(go) < 0 || setegid(44) < 0)
		return 1;
	pid_t pid = fork();
	if (pid == 0) {
		close(go[1]);
		/* It has made no call yet that anybody could have noticed; its parent is somebody else by now. */
		if (read(go[0], &byte, 1) != 0)
			_exit(1);
		printf("child %u:%u\n", geteuid(), getegid());
		fflush(stdout);
		_exit(0);
	}
	if (setresgid(5, 5, 5) < 0 || setresuid(6, 6, 6) < 0)
		return 1;
	close(go[1]);
	waitpid(pid, NULL, 0);
	printf("parent %u:%u\n", geteuid(), getegid());
	return 0;
}

static int keepcaps(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};
	prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
	if (setresuid(33, 33, 33) < 0)
		return 1;
	printf("without the effective capability %d\n", setresgid(33, 33, 33));
	data[0].permitted = data[0].effective = 1U << CAP_SETGID;
	if (syscall(SYS_capset, &header, data) < 0)
		return 1;
	printf("with it %d\n", setresgid(33, 33, 33));
	data[0].permitted = data[0].effective = 0;
	if (syscall(SYS_capset, &header, data) < 0)
		return 1;
	printf("given up %d\n", setresgid(0, 0, 0));
	printf("ids %u:%u\n", getuid(), getgid());
	return 0;
}

static int limit(void)
{
	struct rlimit r = {1, 2};
	int set = setrlimit(RLIMIT_LOCKS, &r);
	int got = getrlimit(RLIMIT_LOCKS, &r);
	bool unlimited = r.rlim_cur == RLIM_INFINITY && r.rlim_max == RLIM_INFINITY;
	printf("set %d get %d %s\n", set, got, unlimited ? "unlimited" : "limited");
	if (setuid(33) < 0)
		return 1;
	r = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
	setrlimit(RLIMIT_LOCKS, &r);
	getrlimit(RLIMIT_LOCKS, &r);
	printf("uid %u %s\n", getuid(), r.rlim_cur == RLIM_INFINITY ? "unlimited" : "limited");
	return 0;
}

struct race {
	const char *dir, *out;
	long n;
	char shared[4096];
};

static void *exchange_dirs(void *arg)
{
	const struct race *r = arg;
	char a[300];
	char b[300];
	snprintf(a, sizeof(a), "%s/way", r->dir);
	snprintf(b, sizeof(b), "%s/link", r->dir);
	while (!atomic_load(&stop))
		renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
	return NULL;
}

static int race_path(const char *dir, const char *out, long n)
{
	struct race r = {.dir = dir, .out = out};
	char path[300];
	pthread_t t;
	long done = 0;
	snprintf(path, sizeof(path), "%s/way", dir);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/way/file", dir);
	close(open(path, O_CREAT | O_WRONLY, 0644));
	snprintf(path, sizeof(path), "%s/link", dir);
	if (symlink(out, path) < 0 || pthread_create(&t, NULL, exchange_dirs, &r) != 0)
		return 1;
	snprintf(path, sizeof(path), "%s/way/file", dir);
	for (long i = 0; i < n; i++) {
		struct stat st;
		done += chown(path, 1234, 1234) == 0;
		(void)!stat(path, &st);
		(void)!setxattr(path, "trusted.race", "x", 1, 0);
		(void)!mknod(path, S_IFCHR | 0600, 0x103);
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	printf("done %s\n", done ? "some" : "none");
	return 0;
}

static void *exchange_names(void *arg)
{
	struct race *r = arg;
	while (!atomic_load(&stop)) {
		memcpy(r->shared, "user.rl.stat", 13);
		atomic_thread_fence(memory_order_seq_cst);
		memcpy(r->shared, "user.aa.aaaa", 13);
		atomic_thread_fence(memory_order_seq_cst);
	}
	return NULL;
}

static int race_name(const char *file, long n)
{
	static struct race r;
	static const char forged[] = "1 4711 4711 100644 0 0\n";
	pthread_t t;
	long taken = 0;
	close(open(file, O_CREAT | O_WRONLY, 0644));
	memcpy(r.shared, "user.aa.aaaa", 13);
	if (pthread_create(&t, NULL, exchange_names, &r) != 0)
		return 1;
	for (long i = 0; i < n; i++) {
		struct stat st;
		if (setxattr(file, r.shared, forged, sizeof(forged) - 1, 0) < 0 && errno == EPERM)
			taken++;
		if (stat(file, &st) == 0 && st.st_uid == 4711) {
			printf("forged\n");
			return 1;
		}
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	printf("refused %s\n", taken ? "some" : "none");
	return 0;
}

static int attr(const char *file, const char *name, const char *value)
{
	char names[4096];
	int r = value ? setxattr(file, name, value, strlen(value), 0) : removexattr(file, name);
	printf("%s %s", value ? "set" : "removed", r == 0 ? "yes" : strerrorname_np(errno));
	ssize_t n = listxattr(file, names, sizeof(names));
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1)
		printf(" %s", names + at);
	printf("\n");
	return 0;
}

static int pointers(void)
{
	static char name[8192];
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct stat st;
	if (page == MAP_FAILED || munmap(page + 4096, 4096) < 0)
		return 1;
	memset(name, 'a', sizeof(name) - 1);
	void *const bad[] = {NULL, (void *)8, page + 4095, page + 4096, (void *)-1, (void *)(1UL << 63)};
	page[4095] = '/';
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		syscall(SYS_stat, bad[i], &st);
		syscall(SYS_stat, "/", bad[i]);
		syscall(SYS_newfstatat, -1, bad[i], bad[i], -1);
		syscall(SYS_statx, 0, bad[i], AT_EMPTY_PATH, 0xfff, bad[i]);
		syscall(SYS_fchownat, -7, bad[i], 1, 1, AT_EMPTY_PATH);
		syscall(SYS_setgroups, 100, bad[i]);
		syscall(SYS_getgroups, 65536, bad[i]);
		syscall(SYS_getresuid, bad[i], bad[i], bad[i]);
		syscall(SYS_symlink, bad[i], bad[i]);
		syscall(SYS_rename, bad[i], "/tmp/x");
		syscall(SYS_rename, "/tmp/x", bad[i]);
		syscall(SYS_setxattr, "/tmp", bad[i], bad[i], 100, 0);
		syscall(SYS_setxattr, "/tmp", "user.x", bad[i], (size_t)-1, 0);
		syscall(SYS_listxattr, "/tmp", bad[i], 1000);
		syscall(SYS_capset, bad[i], bad[i]);
		syscall(SYS_mknod, bad[i], S_IFCHR, 0);
	}
	for (size_t len = 4000; len < 4200; len++) {
		name[len] = '\0';
		(void)!chown(name, 1, 1);
		lstat(name, &st);
		name[len] = 'a';
	}
	name[300] = '\0';
	(void)!symlink("x", name);
	name[240] = '\0';
	printf("long symlink %d", symlink("x", name));
	printf(" %d", lchown(name, 5, 5));
	lstat(name, &st);
	printf(" owner %u\n", st.st_uid);
	printf("alive %d\n", chown("/tmp", 0, 0));
	return 0;
}

/* bind is nobody's call but the kernel's. */
static int make_socket(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	return fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(what, "i386") == 0)
		return i386();
	if (strcmp(what, "threads") == 0)
		return threads();
	if (strcmp(what, "inherit") == 0)
		return inherit();
	if (strcmp(what, "keepcaps") == 0)
		return keepcaps();
	if (strcmp(what, "limit") == 0)
		return limit();
	if (strcmp(what, "attr") == 0 && argc > 3)
		return attr(argv[2], argv[3], argv[4]);
	if (strcmp(what, "socket") == 0 && argc > 2)
		return make_socket(argv[2]);
	if (strcmp(what, "pointers") == 0)
		return pointers();
	if (strcmp(what, "race-path") == 0 && argc > 4)
		return race_path(argv[2], argv[3], strtol(argv[4], NULL, 10));
	if (strcmp(what, "race-name") == 0 && argc > 3)
		return race_name(argv[2], strtol(argv[3], NULL, 10));
	fprintf(stderr, "emulated: what?\n");
	return 2;
}
