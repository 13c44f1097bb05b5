/*
 * filter.c - the system calls the worker needs once it is locked in, and no others.
 *
 * Whatever is not listed ends the process: there is nothing legitimate that could ask for it. Two groups are refused
 * with an error instead, because libslirp or libc try them and live with the answer: opening files (there are none)
 * and raw sockets. Made by our own compiler and not by libseccomp's, which leaves 40 kB of used heap behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "netd.h"
#include "rl/kern/seccomp.h"

#define ALLOW(call)                                                                                                    \
	{                                                                                                              \
		.name = call, .action = SECCOMP_RET_ALLOW                                                              \
	}
#define NO_FILE(call)                                                                                                  \
	{                                                                                                              \
		.name = call, .action = SECCOMP_RET_ERRNO | ENOENT                                                     \
	}
/* `int` arguments: the kernel looks at 32 bits, and so do we. */
#define IS(index, want)                                                                                                \
	{                                                                                                              \
		.arg = (index), .op = SECCOMP_OP_MASKED_EQ, .value = 0xffffffff, .value2 = (want)                      \
	}
#define BITS(index, mask, want)                                                                                        \
	{                                                                                                              \
		.arg = (index), .op = SECCOMP_OP_MASKED_EQ, .value = (mask), .value2 = (want)                          \
	}
#define ALLOW_IF(call, cond)                                                                                           \
	{                                                                                                              \
		.name = call, .action = SECCOMP_RET_ALLOW, .nconds = 1, .conds = {cond},                               \
	}
enum { TYPE_MASK = 0xf }; /* without SOCK_CLOEXEC and SOCK_NONBLOCK */
#define SOCKET(domain, type, protocol)                                                                                 \
	{                                                                                                              \
		.name = "socket", .action = SECCOMP_RET_ALLOW, .nconds = 3,                                            \
		.conds = {IS(0, domain), BITS(1, TYPE_MASK, type), IS(2, protocol)},                                   \
	}

static const struct seccomp_rule rules[] = {
	/* data */
	ALLOW("read"),
	ALLOW("write"),
	ALLOW("readv"),
	ALLOW("writev"),
	ALLOW("recvfrom"),
	ALLOW("recvmsg"),
	ALLOW("sendto"),
	ALLOW("sendmsg"),
	ALLOW("poll"),
	ALLOW("ppoll"),
	/* sockets */
	SOCKET(AF_INET, SOCK_STREAM, 0),
	SOCKET(AF_INET6, SOCK_STREAM, 0),
	SOCKET(AF_INET, SOCK_DGRAM, 0),
	SOCKET(AF_INET6, SOCK_DGRAM, 0),
	SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_ICMP),
	SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6),
	SOCKET(AF_UNIX, SOCK_STREAM, 0),
	{.name = "socket", .action = SECCOMP_RET_ERRNO | EPERM, .nconds = 1, .conds = {BITS(1, TYPE_MASK, SOCK_RAW)}},
	ALLOW("connect"),
	ALLOW("bind"),
	ALLOW("accept4"),
	ALLOW("getsockopt"),
	ALLOW("setsockopt"),
	ALLOW("getpeername"),
	ALLOW("getsockname"),
	ALLOW("shutdown"),
	ALLOW("close"),
	ALLOW_IF("fcntl", IS(1, F_GETFL)),
	ALLOW_IF("fcntl", IS(1, F_SETFL)),
	ALLOW_IF("fcntl", IS(1, F_GETFD)),
	ALLOW_IF("fcntl", IS(1, F_SETFD)),
	ALLOW_IF("ioctl", IS(1, FIONBIO)),
	ALLOW_IF("ioctl", IS(1, FIONREAD)),
	/* memory, which is never executable, and the process itself */
	ALLOW("brk"),
	{.name = "mmap",
	 .action = SECCOMP_RET_ALLOW,
	 .nconds = 2,
	 .conds = {BITS(2, PROT_EXEC, 0), BITS(3, MAP_ANONYMOUS, MAP_ANONYMOUS)}},
	/* the record of what was refused (net_log.h) */
	{.name = "mmap",
	 .action = SECCOMP_RET_ALLOW,
	 .nconds = 2,
	 .conds = {IS(2, PROT_READ | PROT_WRITE), IS(3, MAP_SHARED)}},
	ALLOW_IF("mprotect", BITS(2, PROT_EXEC, 0)),
	ALLOW("munmap"),
	ALLOW("mremap"),
	ALLOW("madvise"),
	ALLOW("futex"),
	ALLOW("clock_gettime"),
	ALLOW("getrandom"),
	ALLOW("exit"),
	ALLOW("exit_group"),
	ALLOW("rt_sigreturn"),
	ALLOW("restart_syscall"),
	ALLOW("getpid"),
	ALLOW("gettid"),
	/* there are none */
	NO_FILE("open"),
	NO_FILE("openat"),
	NO_FILE("stat"),
	NO_FILE("newfstatat"),
	NO_FILE("statx"),
	NO_FILE("readlink"),
	NO_FILE("access"),
};

int filter_load(struct err *e)
{
	return seccomp_self_rules(rules, ARRAY_SIZE(rules), e);
}
