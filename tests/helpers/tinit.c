/*
 * tinit - what the tests run inside a container: one static program that needs nothing in its root file system.
 *
 *     tinit COMMAND [ARGS]            `tinit help` lists the commands
 *
 * Every command prints plain text, one fact per line, and ends with 0 when it could find out what it was asked for.
 * Attempts that are meant to be refused (open, syscall, socket, tiocsti ...) print "ok" or the errno's name and end with 0,
 * so that a test states which of the two it wants and a crash is never taken for a refusal. Several commands in one
 * run: tinit seq COMMAND ARGS -- COMMAND ARGS.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static long number(const char *text)
{
	return text ? strtol(text, NULL, 0) : 0;
}

/* "ok" or the name of errno: the result line of every attempt. */
static int attempt(long r)
{
	printf("%s\n", r >= 0 ? "ok" : strerrorname_np(errno));
	return 0;
}

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

/* --- ending --------------------------------------------------------------------------------------------------- */

static int cmd_exit(char **a)
{
	return (int)number(a[0]);
}

static int cmd_signal(char **a)
{
	fflush(stdout);
	raise((int)number(a[0]));
	puts("survived");
	return 0;
}

__attribute__((noreturn)) static int cmd_pause(char **a)
{
	(void)a;
	ready();
	for (;;)
		pause();
}

static int cmd_ignore(char **a)
{
	for (; *a; a++)
		signal((int)number(*a), SIG_IGN);
	return cmd_pause(a);
}

static int cmd_trap(char **a)
{
	sigset_t set;
	int sig = 0;
	sigemptyset(&set);
	for (; *a; a++)
		sigaddset(&set, (int)number(*a));
	sigprocmask(SIG_BLOCK, &set, NULL);
	ready();
	if (sigwait(&set, &sig) != 0)
		return 1;
	printf("got %d\n", sig);
	return sig;
}

static int cmd_clear_pdeathsig(char **a)
{
	prctl(PR_SET_PDEATHSIG, 0);
	return cmd_ignore(a);
}

static int cmd_sleep(char **a)
{
	poll(NULL, 0, (int)(strtod(a[0] ? a[0] : "0", NULL) * 1000));
	return 0;
}

/* --- looking ---------------------------------------------------------------------------------------------------- */

static int cmd_args(char **a)
{
	for (; *a; a++)
		puts(*a);
	return 0;
}

static int cmd_env(char **a)
{
	(void)a;
	for (char **e = environ; *e; e++)
		puts(*e);
	return 0;
}

static int cmd_ids(char **a)
{
	(void)a;
	uid_t u[3];
	gid_t g[3];
	gid_t groups[65536];
	getresuid(&u[0], &u[1], &u[2]);
	getresgid(&g[0], &g[1], &g[2]);
	printf("uid %u %u %u\ngid %u %u %u\ngroups", u[0], u[1], u[2], g[0], g[1], g[2]);
	int n = getgroups(65536, groups);
	for (int i = 0; i < n; i++)
		printf(" %u", groups[i]);
	printf("\npid %d ppid %d pgid %d sid %d\n", getpid(), getppid(), getpgid(0), getsid(0));
	return 0;
}

static int print_lines_of(const char *path, const char *const *prefixes)
{
	FILE *f = fopen(path, "re");
	char line[8192];
	if (!f)
		return attempt(-1), 1;
	while (fgets(line, sizeof(line), f)) {
		bool wanted = !prefixes;
		for (const char *const *p = prefixes; p && *p; p++)
			wanted = wanted || strncmp(line, *p, strlen(*p)) == 0;
		if (wanted)
			fputs(line, stdout);
	}
	fclose(f);
	return 0;
}

static int cmd_caps(char **a)
{
	(void)a;
	static const char *const keys[] = {"CapInh", "CapPrm",	"CapEff",  "CapBnd",
					   "CapAmb", "NoNewPr", "Seccomp", NULL};
	return print_lines_of("/proc/self/status", keys);
}

static int cmd_status(char **a)
{
	(void)a;
	return print_lines_of("/proc/self/status", NULL);
}

static int cmd_cat(char **a)
{
	for (; *a; a++)
		if (print_lines_of(*a, NULL))
			return 1;
	return 0;
}

static int cmd_cwd(char **a)
{
	(void)a;
	char buf[PATH_MAX];
	/* The raw call shows "(unreachable)" where libc's would hide it. */
	if (syscall(SYS_getcwd, buf, sizeof(buf)) < 0)
		return attempt(-1);
	puts(buf);
	return 0;
}

/* Every descriptor above 2, without relying on /proc. */
static int cmd_fds(char **a)
{
	(void)a;
	for (int fd = 3; fd < 4096; fd++) {
		struct stat st;
		if (fstat(fd, &st) < 0)
			continue;
		char link[64];
		char target[PATH_MAX] = "?";
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		(void)!readlink(link, target, sizeof(target) - 1);
		printf("%d %o %s\n", fd, st.st_mode & S_IFMT, target);
	}
	return 0;
}

static int cmd_stat(char **a)
{
	for (; *a; a++) {
		struct stat st;
		if (lstat(*a, &st) < 0) {
			attempt(-1);
			continue;
		}
		static const char types[] = "?pc?d?b?-?l?s???";
		printf("%s %c%04o %u:%u dev %u:%u size %lld\n", *a, types[st.st_mode >> 12], st.st_mode & 07777,
		       st.st_uid, st.st_gid, major(st.st_rdev), minor(st.st_rdev),
		       S_ISREG(st.st_mode) ? (long long)st.st_size : 0);
	}
	return 0;
}

static int cmd_ls(char **a)
{
	struct dirent **names;
	int n = scandir(a[0], &names, NULL, alphasort);
	if (n < 0)
		return attempt(-1);
	for (int i = 0; i < n; i++)
		if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0)
			puts(names[i]->d_name);
	return 0;
}

static int cmd_limits(char **a)
{
	(void)a;
	for (int i = 0; i < RLIMIT_NLIMITS; i++) {
		struct rlimit64 r;
		if (getrlimit64(i, &r) == 0)
			printf("%d %lld %lld\n", i, (long long)r.rlim_cur, (long long)r.rlim_max);
	}
	return 0;
}

static int cmd_tty(char **a)
{
	(void)a;
	struct winsize ws = {0};
	for (int fd = 0; fd < 3; fd++)
		printf("%d %s\n", fd, isatty(fd) ? "tty" : "no");
	if (ioctl(0, TIOCGWINSZ, &ws) == 0)
		printf("size %u %u\n", ws.ws_row, ws.ws_col);
	printf("ctty %s\n", open("/dev/tty", O_RDWR | O_CLOEXEC) >= 0 ? "yes" : "no");
	printf("foreground %s\n", tcgetpgrp(0) == getpgrp() ? "yes" : "no");
	return 0;
}

/* The size of the terminal now, then once after each change of it, N times. */
static int cmd_winch(char **a)
{
	sigset_t set;
	int sig;
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (long i = 0; i <= number(a[0]); i++) {
		struct winsize ws = {0};
		if (i && sigwait(&set, &sig) != 0)
			return 1;
		ioctl(0, TIOCGWINSZ, &ws);
		printf("size %u %u\n", ws.ws_row, ws.ws_col);
		fflush(stdout);
	}
	return 0;
}

/* --- files ------------------------------------------------------------------------------------------------------- */

static int cmd_open(char **a)
{
	int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	flags |= a[1] && strchr(a[1], 'w') ? O_RDWR : O_RDONLY;
	flags |= a[1] && strchr(a[1], 'c') ? O_CREAT : 0;
	flags |= a[1] && strchr(a[1], 't') ? O_TRUNC : 0;
	return attempt(open(a[0], flags, 0644));
}

static int cmd_write(char **a)
{
	int fd = open(a[0], O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
	return attempt(fd < 0 ? -1 : write(fd, a[1], strlen(a[1])));
}

static int cmd_mknod(char **a)
{
	mode_t type = a[1][0] == 'c' ? S_IFCHR : a[1][0] == 'b' ? S_IFBLK : a[1][0] == 'p' ? S_IFIFO : S_IFREG;
	return attempt(mknod(a[0], type | 0600, makedev((unsigned)number(a[2]), (unsigned)number(a[2] ? a[3] : NULL))));
}

/* Which files below a directory can be opened for writing: one path per line. Symlinks are not followed. */
static void writable(const char *dir, int depth)
{
	DIR *d = depth < 12 ? opendir(dir) : NULL;
	struct dirent *e;
	while (d && (e = readdir(d))) {
		char path[PATH_MAX];
		struct stat st;
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) >= (int)sizeof(path) || lstat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			writable(path, depth + 1);
		} else if (S_ISREG(st.st_mode)) {
			int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
			if (fd >= 0) {
				puts(path);
				close(fd);
			}
		}
	}
	if (d)
		closedir(d);
}

static int cmd_writable(char **a)
{
	for (; *a; a++)
		writable(*a, 0);
	return 0;
}

/* Overwriting the runtime through the link to its binary (CVE-2019-5736): every process we can see, and ourselves. */
static int cmd_overwrite_exe(char **a)
{
	(void)a;
	DIR *d = opendir("/proc");
	struct dirent *e;
	int opened = 0;
	while (d && (e = readdir(d))) {
		char path[PATH_MAX];
		char target[PATH_MAX] = "";
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/exe", e->d_name);
		(void)!readlink(path, target, sizeof(target) - 1);
		int fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0) {
			printf("opened %s -> %s\n", path, target);
			opened++;
			close(fd);
		}
	}
	printf("%d\n", opened);
	return 0;
}

/* --- attempts ------------------------------------------------------------------------------------------------------ */

static int cmd_syscall(char **a)
{
	long v[7] = {0};
	for (int i = 0; i < 7 && a[i]; i++)
		v[i] = a[i][0] == '@' ? (long)(intptr_t)(a[i] + 1) : number(a[i]);
	return attempt(syscall(v[0], v[1], v[2], v[3], v[4], v[5], v[6]));
}

/* The same through the 32-bit entry of an x86-64 kernel, registers only: pointers would be cut to 32 bits. */
static int cmd_syscall32(char **a)
{
#if defined(__x86_64__)
	long v[6] = {0};
	long r;
	for (int i = 0; i < 6 && a[i]; i++)
		v[i] = number(a[i]);
	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(v[0]), "b"(v[1]), "c"(v[2]), "d"(v[3]), "S"(v[4]), "D"(v[5])
			 : "memory", "r8", "r9", "r10", "r11");
	int code = (int)r;
	if (code < 0 && code > -4096)
		errno = -code;
	return attempt(code < 0 && code > -4096 ? -1 : 0);
#else
	(void)a;
	puts("no 32-bit entry");
	return 1;
#endif
}

static int cmd_socket(char **a)
{
	return attempt(socket((int)number(a[0]), (int)number(a[1]), (int)number(a[1] ? a[2] : NULL)));
}

static int cmd_tiocsti(char **a)
{
	/* High bits above the 32 the kernel looks at must not slip past a filter. */
	unsigned long high = a[0] ? strtoul(a[0], NULL, 0) : 0;
	char c = 'x';
	printf("tiocsti ");
	attempt(syscall(SYS_ioctl, 0, (unsigned long)TIOCSTI | high, &c));
	char sub[2] = {3, 0};
	printf("tioclinux ");
	return attempt(syscall(SYS_ioctl, 0, (unsigned long)TIOCLINUX | high, sub));
}

static int cmd_unshare(char **a)
{
	return attempt(unshare((int)number(a[0])));
}

static int cmd_mount(char **a)
{
	return attempt(mount(a[0], a[1], a[1] ? a[2] : NULL, 0, NULL));
}

static int cmd_chroot(char **a)
{
	return attempt(chroot(a[0]));
}

static int cmd_setuid(char **a)
{
	return attempt(setresuid((uid_t)number(a[0]), (uid_t)number(a[0]), (uid_t)number(a[0])));
}

static int cmd_kill(char **a)
{
	return attempt(kill((pid_t)number(a[1]), (int)number(a[0])));
}

static int cmd_alloc(char **a)
{
	size_t size = (size_t)number(a[0]) << 20;
	char *p = malloc(size);
	if (!p)
		return attempt(-1);
	for (size_t i = 0; i < size; i += 4096)
		((volatile char *)p)[i] = 1;
	return attempt(0);
}

/* Fork N children that wait; prints how many there are. */
static int cmd_forks(char **a)
{
	long n = 0;
	for (; n < number(a[0]); n++) {
		pid_t pid = fork();
		if (pid == 0)
			for (;;)
				pause();
		if (pid < 0)
			break;
	}
	printf("%ld\n", n);
	return 0;
}

/* Leave N orphans that end at once: PID 1 has to reap them. Then count the zombies that can be seen. */
static int cmd_orphans(char **a)
{
	for (long i = 0; i < number(a[0]); i++) {
		pid_t pid = fork();
		if (pid == 0) {
			if (fork() == 0)
				_exit(0);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	/* What is reaped is gone from /proc; give PID 1 up to two seconds. */
	int zombies = 0;
	for (int tries = 0; tries < 200; tries++) {
		zombies = 0;
		DIR *d = opendir("/proc");
		struct dirent *e;
		while (d && (e = readdir(d))) {
			char path[PATH_MAX];
			char line[512] = "";
			if (!isdigit((unsigned char)e->d_name[0]))
				continue;
			snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
			FILE *f = fopen(path, "re");
			if (f) {
				(void)!fgets(line, sizeof(line), f);
				fclose(f);
			}
			char *state = strrchr(line, ')');
			zombies += state && state[2] == 'Z';
		}
		if (d)
			closedir(d);
		if (!zombies)
			break;
		poll(NULL, 0, 10);
	}
	printf("zombies %d\n", zombies);
	return 0;
}

/* A process that left our session and parent: it must not survive the container. */
static int cmd_daemonize(char **a)
{
	if (fork() == 0) {
		setsid();
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, 0);
			for (int sig = 1; sig < 32; sig++)
				signal(sig, SIG_IGN);
			for (;;)
				pause();
		}
		_exit(0);
	}
	wait(NULL);
	(void)a;
	ready();
	return 0;
}

/* --- network ------------------------------------------------------------------------------------------------------- */

static int inet_address(const char *host, const char *port, struct sockaddr_storage *out, socklen_t *len)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)number(port));
		*len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)number(port));
		*len = sizeof(*v6);
	} else {
		fprintf(stderr, "tinit: '%s' is not an address\n", host);
		exit(2);
	}
	return out->ss_family;
}

/* tcp HOST PORT [TEXT]: connect within 5 s, send TEXT, print what comes back. */
static int cmd_tcp(char **a)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int fd = socket(inet_address(a[0], a[1], &ss, &len), SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval five = {.tv_sec = 5};
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &five, sizeof(five));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &five, sizeof(five));
	if (connect(fd, (struct sockaddr *)&ss, len) < 0)
		return attempt(-1);
	attempt(0);
	if (a[2]) {
		char buf[65536];
		(void)!write(fd, a[2], strlen(a[2]));
		shutdown(fd, SHUT_WR);
		for (ssize_t n; (n = read(fd, buf, sizeof(buf))) > 0;)
			fwrite(buf, 1, (size_t)n, stdout);
	}
	return 0;
}

/* udp HOST PORT TEXT: send and print one answer, or the errno, within 5 s. */
static int cmd_udp(char **a)
{
	struct sockaddr_storage ss;
	socklen_t len;
	char buf[65536];
	int fd = socket(inet_address(a[0], a[1], &ss, &len), SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct timeval five = {.tv_sec = 5};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &five, sizeof(five));
	if (connect(fd, (struct sockaddr *)&ss, len) < 0 || send(fd, a[2], strlen(a[2]), 0) < 0)
		return attempt(-1);
	ssize_t n = recv(fd, buf, sizeof(buf), 0);
	if (n < 0)
		return attempt(-1);
	printf("ok %.*s\n", (int)n, buf);
	return 0;
}

/* frame IFACE HEX [MS]: send one raw ethernet frame and print, as hex, every frame that comes in for MS milliseconds. */
static int cmd_frame(char **a)
{
	unsigned char buf[65536];
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(3 /* ETH_P_ALL */));
	if (fd < 0)
		return attempt(-1);
	struct sockaddr_ll ll = {
		.sll_family = AF_PACKET, .sll_protocol = htons(3), .sll_ifindex = (int)if_nametoindex(a[0])};
	if (bind(fd, (struct sockaddr *)&ll, sizeof(ll)) < 0)
		return attempt(-1);
	size_t n = 0;
	for (const char *h = a[1]; h[0] && h[1] && n < sizeof(buf); h += 2)
		buf[n++] = (unsigned char)strtoul((char[]){h[0], h[1], '\0'}, NULL, 16);
	if (n && send(fd, buf, n, 0) < 0)
		return attempt(-1);
	attempt(0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	long long end = now.tv_sec * 1000LL + now.tv_nsec / 1000000 + (a[2] ? number(a[2]) : 1000);
	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		long long left = end - (now.tv_sec * 1000LL + now.tv_nsec / 1000000);
		if (left <= 0 || poll(&p, 1, (int)left) <= 0)
			return 0;
		struct sockaddr_ll from;
		socklen_t len = sizeof(from);
		ssize_t got = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
		if (got <= 0 || from.sll_pkttype == PACKET_OUTGOING)
			continue;
		for (ssize_t i = 0; i < got && i < 128; i++)
			printf("%02x", buf[i]);
		putchar('\n');
	}
}

/* --- table --------------------------------------------------------------------------------------------------------- */

/* One look at a process that appeared: what of it could be reached that an image does not bring along. */
static void look_at(const char *pid)
{
	static const char *const links[] = {"exe", "cwd", "root"};
	char path[600];
	char text[4096];
	ssize_t n;
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		snprintf(path, sizeof(path), "/proc/%s/%s", pid, links[i]);
		if ((n = readlink(path, text, sizeof(text) - 1)) > 0) {
			text[n] = '\0';
			printf("%s %s\n", links[i], text);
		}
	}
	snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
	int fd = open(path, O_RDONLY);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	close(fd);
	for (ssize_t i = 0; i < n; i++)
		text[i] = text[i] > ' ' ? text[i] : ' ';
	if (n > 0)
		printf("cmdline %.*s\n", (int)n, text);
	snprintf(path, sizeof(path), "/proc/%s/environ", pid);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	close(fd);
	for (ssize_t i = 0; i < n; i++)
		text[i] = text[i] ? text[i] : ' ';
	if (n > 0)
		printf("environ %.*s\n", (int)n, text);
	for (int i = 0; i < 24; i++) {
		snprintf(path, sizeof(path), "/proc/%s/fd/%d", pid, i);
		if (i > 2 && (n = readlink(path, text, sizeof(text) - 1)) > 0) {
			text[n] = '\0';
			printf("fd %s\n", text);
		}
	}
}

/* Looks at every process that appears, as fast as it can, for MS; how often it saw one that said nothing of itself. */
static int cmd_spy(char **args)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	long long end = now.tv_sec * 1000LL + now.tv_nsec / 1000000 + number(args[0]);
	long closed = 0;
	char path[300];
	char text[64];
	ready();
	do {
		DIR *d = opendir("/proc");
		struct dirent *entry;
		while (d && (entry = readdir(d))) {
			if (!isdigit((unsigned char)entry->d_name[0]) || number(entry->d_name) <= 1)
				continue;
			if (number(entry->d_name) == getpid())
				continue;
			snprintf(path, sizeof(path), "/proc/%s/exe", entry->d_name);
			closed += readlink(path, text, sizeof(text)) < 0 && errno == EACCES;
			look_at(entry->d_name);
		}
		closedir(d);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec * 1000LL + now.tv_nsec / 1000000 < end);
	printf("closed %ld\n", closed);
	return 0;
}

static int cmd_notify(char **a)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path ? path : "");
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (fd < 0 || sendto(fd, a[0], strlen(a[0]), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		printf("%s\n", strerrorname_np(errno));
	return 0;
}

static int cmd_seq(char **a);
static int cmd_help(char **a);

static const struct {
	const char *name;
	int (*run)(char **args);
	int min_args;
	const char *help;
} commands[] = {
	{"alloc", cmd_alloc, 1, "MIB: allocate and touch"},
	{"args", cmd_args, 0, "print the arguments, one per line"},
	{"caps", cmd_caps, 0, "capability sets, no_new_privs, seccomp mode"},
	{"cat", cmd_cat, 1, "print files"},
	{"chroot", cmd_chroot, 1, "DIR"},
	{"clear-pdeathsig", cmd_clear_pdeathsig, 0, "[SIGNAL...]: clear it, ignore the signals, say ready, wait"},
	{"cwd", cmd_cwd, 0, "what the kernel says"},
	{"daemonize", cmd_daemonize, 0, "leave a process behind that ignores everything"},
	{"env", cmd_env, 0, "print the environment"},
	{"exit", cmd_exit, 1, "STATUS"},
	{"fds", cmd_fds, 0, "descriptors above 2"},
	{"forks", cmd_forks, 1, "N: how many children can be made"},
	{"frame", cmd_frame, 2, "IFACE HEX [MS]: send a raw frame, print those that come"},
	{"help", cmd_help, 0, "this"},
	{"ids", cmd_ids, 0, "uids, gids, groups, pids"},
	{"ignore", cmd_ignore, 0, "SIGNAL...: ignore them, say ready, wait"},
	{"kill", cmd_kill, 2, "SIGNAL PID"},
	{"limits", cmd_limits, 0, "every resource limit, soft and hard"},
	{"ls", cmd_ls, 1, "DIR"},
	{"mknod", cmd_mknod, 2, "PATH c|b|p|f [MAJOR MINOR]"},
	{"mount", cmd_mount, 3, "SOURCE TARGET TYPE"},
	{"notify", cmd_notify, 1, "TEXT: a datagram to NOTIFY_SOCKET"},
	{"open", cmd_open, 1, "PATH [w][c][t]: for reading, or writing, creating, truncating"},
	{"orphans", cmd_orphans, 1, "N: leave orphans, count zombies"},
	{"overwrite-exe", cmd_overwrite_exe, 0, "open /proc/*/exe for writing"},
	{"pause", cmd_pause, 0, "say ready, wait"},
	{"seq", cmd_seq, 1, "COMMAND ARGS [-- COMMAND ARGS]..."},
	{"setuid", cmd_setuid, 1, "UID: all three"},
	{"signal", cmd_signal, 1, "N: raise it"},
	{"sleep", cmd_sleep, 1, "SECONDS"},
	{"socket", cmd_socket, 2, "DOMAIN TYPE [PROTOCOL]"},
	{"spy", cmd_spy, 1, "MS: what can be seen of processes that appear"},
	{"stat", cmd_stat, 1, "PATH..."},
	{"status", cmd_status, 0, "/proc/self/status"},
	{"syscall", cmd_syscall, 1, "NUMBER [ARG...]: numbers, or @TEXT for a pointer"},
	{"syscall32", cmd_syscall32, 1, "NUMBER [ARG...] through the 32-bit entry"},
	{"tcp", cmd_tcp, 2, "ADDRESS PORT [TEXT]"},
	{"tiocsti", cmd_tiocsti, 0, "[HIGH BITS]: push a character into the terminal"},
	{"trap", cmd_trap, 1, "SIGNAL...: say ready, wait for one, end with its number"},
	{"tty", cmd_tty, 0, "which of stdio are terminals, the size, the controlling terminal"},
	{"udp", cmd_udp, 3, "ADDRESS PORT TEXT"},
	{"unshare", cmd_unshare, 1, "FLAGS"},
	{"winch", cmd_winch, 1, "N: the terminal's size, and after each of N changes"},
	{"writable", cmd_writable, 1, "DIR...: files below that open for writing"},
	{"write", cmd_write, 2, "PATH TEXT"},
};

static int cmd_help(char **a)
{
	(void)a;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		printf("%-16s %s\n", commands[i].name, commands[i].help);
	return 0;
}

static int dispatch(char **argv)
{
	int n = 0;
	while (argv[n])
		n++;
	for (size_t i = 0; n && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[0], commands[i].name) == 0 && n - 1 >= commands[i].min_args)
			return commands[i].run(argv + 1);
	fprintf(stderr, "tinit: no command %s, or arguments are missing (tinit help)\n", n ? argv[0] : "");
	return 2;
}

static int cmd_seq(char **a)
{
	int worst = 0;
	while (*a) {
		char **end = a;
		while (*end && strcmp(*end, "--") != 0)
			end++;
		char *separator = *end;
		*end = NULL;
		int r = dispatch(a);
		worst = worst ? worst : r;
		a = separator ? end + 1 : end;
	}
	return worst;
}

int main(int argc, char **argv)
{
	(void)argc;
	int r = dispatch(argv + 1);
	fflush(stdout);
	return r;
}
