#include "rl/kern/keyring.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int keyring_new_session(struct err *e)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) >= 0)
		return 1;
	if (errno == ENOSYS || errno == EPERM)
		return 0;
	return err_sys(e, errno, "make a new session keyring");
}
