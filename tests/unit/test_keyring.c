#include "rl/kern/keyring.h"

#include <linux/keyctl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tap.h"

static long add_key(const char *name)
{
	return syscall(SYS_add_key, "user", name, "secret", 6, KEY_SPEC_SESSION_KEYRING);
}

static long find_key(const char *name)
{
	return syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", name, 0);
}

static int hides_keys(void *arg)
{
	struct err e = ERR_INIT;
	(void)arg;
	int r = keyring_new_session(&e);
	if (r == 0)
		return 77;
	if (r < 0 || add_key("rl-test") < 0 || find_key("rl-test") < 0)
		return 1;
	/* What a container started from here would do. */
	if (keyring_new_session(&e) != 1)
		return 2;
	return find_key("rl-test") < 0 ? 0 : 3;
}

int main(void)
{
	tap_plan_later();
	int status = tap_child_status(hides_keys, NULL);
	if (status == 77)
		tap_skip("no keyrings in this kernel", "a new session keyring hides the caller's keys");
	else
		tap_is_int(status, 0, "a new session keyring hides the caller's keys");
	return tap_done();
}
