/* filter.c - the system calls rl-portd needs once it is locked in, and no others: anything else ends the process. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "portd.h"
#include "rl/base/mem.h"
#include "rl/kern/seccomp.h"

#define ALLOW(call)                                                                                                    \
	{                                                                                                              \
		.name = call, .action = SECCOMP_RET_ALLOW                                                              \
	}
#define BITS(index, mask, want)                                                                                        \
	{                                                                                                              \
		.arg = (index), .op = SECCOMP_OP_MASKED_EQ, .value = (mask), .value2 = (want)                          \
	}
#define IS(index, want) BITS(index, 0xffffffff, want)
#define ALLOW_IF(call, cond)                                                                                           \
	{                                                                                                              \
		.name = call, .action = SECCOMP_RET_ALLOW, .nconds = 1, .conds = {cond},                               \
	}
enum { TYPE_MASK = 0xf }; /* without SOCK_CLOEXEC and SOCK_NONBLOCK */
#define SOCKET(domain, type)                                                                                           \
	{                                                                                                              \
		.name = "socket", .action = SECCOMP_RET_ALLOW, .nconds = 3,                                            \
		.conds = {IS(0, domain), BITS(1, TYPE_MASK, type), IS(2, 0)},                                          \
	}

static const struct seccomp_rule rules[] = {
	ALLOW("read"),
	ALLOW("write"),
	ALLOW("splice"),
	ALLOW("pipe2"),
	ALLOW("recvfrom"),
	ALLOW("recvmsg"),
	ALLOW("sendto"),
	ALLOW("sendmsg"),
	ALLOW("epoll_wait"),
	ALLOW("epoll_pwait"),
	ALLOW("epoll_ctl"),
	SOCKET(AF_INET, SOCK_STREAM),
	SOCKET(AF_INET6, SOCK_STREAM),
	SOCKET(AF_INET, SOCK_DGRAM),
	SOCKET(AF_INET6, SOCK_DGRAM),
	ALLOW("connect"),
	ALLOW("bind"),
	ALLOW("accept4"),
	ALLOW("getsockopt"),
	ALLOW("setsockopt"),
	ALLOW("shutdown"),
	ALLOW("close"),
	ALLOW_IF("fcntl", IS(1, F_SETPIPE_SZ)),
	ALLOW_IF("fcntl", IS(1, F_DUPFD_CLOEXEC)),
	ALLOW_IF("fcntl", IS(1, F_GETFL)),
	ALLOW_IF("fcntl", IS(1, F_SETFL)),
	ALLOW_IF("fcntl", IS(1, F_GETFD)),
	ALLOW_IF("fcntl", IS(1, F_SETFD)),
	ALLOW("brk"),
	{.name = "mmap",
	 .action = SECCOMP_RET_ALLOW,
	 .nconds = 2,
	 .conds = {BITS(2, PROT_EXEC, 0), BITS(3, MAP_ANONYMOUS, MAP_ANONYMOUS)}},
	ALLOW_IF("mprotect", BITS(2, PROT_EXEC, 0)),
	ALLOW("munmap"),
	ALLOW("mremap"),
	ALLOW("madvise"),
	ALLOW("futex"),
	ALLOW("clock_gettime"),
	ALLOW("exit"),
	ALLOW("exit_group"),
	ALLOW("rt_sigreturn"),
	ALLOW("restart_syscall"),
	ALLOW("getpid"),
	ALLOW("gettid"),
};

int filter_load(struct err *e)
{
	return seccomp_self_rules(rules, ARRAY_SIZE(rules), e);
}
