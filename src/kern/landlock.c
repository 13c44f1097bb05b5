#include "rl/kern/landlock.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/log.h"
#include "rl/base/mem.h"

/* Debian 12's headers end at ABI 2; the kernel takes any prefix of its struct whose missing rest is zero. */
struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

enum { SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0, ABI_WITH_SCOPES = 6 };

int landlock_abi(void)
{
	long v = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return v < 0 ? 0 : (int)v;
}

int landlock_scope_abstract(struct err *e)
{
	if (landlock_abi() < ABI_WITH_SCOPES) {
		log_warn("this kernel cannot close the host's abstract sockets to a container with the host's network");
		return 0;
	}
	struct ruleset_attr attr = {.scoped = SCOPE_ABSTRACT_UNIX_SOCKET};
	autofd int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0)
		return err_sys(e, errno, "landlock_create_ruleset");
	if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return err_sys(e, errno, "landlock_restrict_self");
	return 0;
}
