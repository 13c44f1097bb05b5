#include "rl/kern/landlock.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/mem.h"

/* The kernel's structure of ABI 6 and its bits; the headers of the build may know only the first member. */
struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

enum {
	NET_BIND_TCP = 1 << 0,
	NET_CONNECT_TCP = 1 << 1,
	SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0,
	SCOPE_SIGNAL = 1 << 1,
	FS_EXECUTE = 1 << 0,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_MAKE_BLOCK = 1 << 11,
	FS_BITS_OF_ABI_2 = 14, /* the last is REFER: link and rename between directories */
	ABI_OF_REFER = 2,
	ABI_OF_TRUNCATE = 3,
	ABI_OF_NET = 4,
	ABI_OF_SCOPE = 6,
};

int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return abi < 0 ? 0 : (int)abi;
}

unsigned landlock_supported(unsigned wanted)
{
	int abi = landlock_abi();
	unsigned can = 0;
	if (abi >= ABI_OF_NET)
		can |= LANDLOCK_WANT_DENY_TCP;
	if (abi >= ABI_OF_SCOPE)
		can |= LANDLOCK_WANT_SCOPE_SOCKETS | LANDLOCK_WANT_SCOPE_SIGNALS;
	return wanted & can;
}

int landlock_restrict(unsigned wanted, struct err *e)
{
	unsigned can = landlock_supported(wanted);
	if (!can)
		return 0;
	struct ruleset_attr attr = {0};
	if (can & LANDLOCK_WANT_DENY_TCP)
		attr.handled_access_net = NET_BIND_TCP | NET_CONNECT_TCP; /* handled, and no rule allows any port */
	if (can & LANDLOCK_WANT_SCOPE_SOCKETS)
		attr.scoped |= SCOPE_ABSTRACT_UNIX_SOCKET;
	if (can & LANDLOCK_WANT_SCOPE_SIGNALS)
		attr.scoped |= SCOPE_SIGNAL;
	/* A kernel of ABI 4 refuses a longer structure only if the part it does not know is not zero. */
	autofd int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0)
		return err_sys(e, errno, "make a Landlock ruleset");
	if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return err_sys(e, errno, "apply the Landlock ruleset");
	return (int)can;
}

int landlock_restrict_files(const struct landlock_place *places, size_t n, struct err *e)
{
	int abi = landlock_abi();
	if (abi < ABI_OF_REFER)
		return 0;
	unsigned bits = abi >= ABI_OF_TRUNCATE ? FS_BITS_OF_ABI_2 + 1 : FS_BITS_OF_ABI_2;
	const uint64_t all = ((uint64_t)1 << bits) - 1;
	const struct ruleset_attr attr = {.handled_access_fs = all};
	autofd int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0)
		return err_sys(e, errno, "make a Landlock ruleset");
	for (size_t i = 0; i < n; i++) {
		const struct landlock_path_beneath_attr rule = {
			.allowed_access = places[i].writable ? all & ~(uint64_t)(FS_EXECUTE | FS_MAKE_BLOCK)
							     : FS_READ_FILE | FS_READ_DIR,
			.parent_fd = places[i].fd,
		};
		if (syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
			return err_sys(e, errno, "add a directory to the Landlock ruleset");
	}
	if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return err_sys(e, errno, "apply the Landlock ruleset");
	return 1;
}
