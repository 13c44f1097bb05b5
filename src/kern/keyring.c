#include "rl/kern/keyring.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rl/base/log.h"

int keyring_join_new(struct err *e)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) >= 0)
		return 0;
	if (errno == ENOSYS || errno == EPERM || errno == EOPNOTSUPP) {
		log_debug(LOG_SECURITY, "no keyrings here: %s", strerrorname_np(errno));
		return 0;
	}
	if (errno == EDQUOT) {
		err_sys(e, EDQUOT, "new session keyring");
		return err_hint(e, "kernel.keys.maxkeys (or maxbytes) is used up for this user: /proc/key-users");
	}
	return err_sys(e, errno, "new session keyring");
}
