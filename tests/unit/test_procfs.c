/* links: kern base */
/* What a descriptor of procfs opens, and what it refuses. */
#include "rl/kern/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/vfs.h>

#include "rl/base/mem.h"
#include "rl/kern/probe.h"
#include "tap.h"

int main(void)
{
	struct err e = ERR_INIT;
	char text[64] = "";
	char want[32];
	tap_plan_later();
	autofd int proc = procfs_outer(&e);
	tap_must(proc >= 0);

	autofd int stat = procfs_open(proc, "self/stat", O_RDONLY, &e);
	tap_ok(stat >= 0, "a file of our own process is opened");
	tap_ok(fcntl(stat, F_GETFD) & FD_CLOEXEC, "close-on-exec");
	tap_ok(read(stat, text, sizeof(text) - 1) > 0, "and readable");
	snprintf(want, sizeof(want), "%d (", getpid());
	tap_ok(strncmp(text, want, strlen(want)) == 0, "\"self\" is us");

	autofd int link = procfs_open(proc, "self/cwd/etc", O_PATH, &e);
	tap_ok(link < 0, "a link inside procfs is not followed");
	err_clear(&e);
	autofd int up = procfs_open(proc, "../etc/passwd", O_RDONLY, &e);
	tap_ok(up < 0 && e.text[0], "nothing above procfs is reached");
	err_clear(&e);
	tap_is_int(procfs_write(proc, "sys/no/such/name", "1", &e), -ENOENT, "a missing file is -ENOENT");
	tap_has(e.text, "sys/no/such/name", "and named in the error");

	tap_ok(probe_sysctl("kernel/pid_max", -7) > 0, "a sysctl that is a number is read");
	tap_is_int(probe_sysctl("kernel/no_such_name", -7), -7, "one that is missing gives what the caller said");
	tap_is_int(probe_sysctl("kernel/ostype", -7), -7, "so does one that is no number");
	tap_ok(probe_status("Seccomp") >= 0, "a decimal field of our status is read");
	tap_ok(probe_status("CapBnd") >= 0, "a hexadecimal one too");
	tap_is_int(probe_status("NoSuchField"), -1, "a missing field cannot be told");
	return tap_done();
}
