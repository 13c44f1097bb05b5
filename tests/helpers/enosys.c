/*
 * enosys [--errno NAME] CALL[,CALL...] COMMAND... - run a command for which some system calls do not exist.
 *
 * For the fallback paths: what rl does on a kernel, or under a filter, that lacks a call. NAME is ENOSYS (default),
 * EPERM, EACCES, EINVAL, ENOSPC or ENOMEM. The filter holds for every descendant. It needs no_new_privs unless we are
 * root, and with that newuidmap gets no privileges: an ordinary user's tests with it see the single-uid map.
 */
/* links: ; libs: -lseccomp */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int errno_by_name(const char *name)
{
	static const struct {
		const char *name;
		int value;
	} known[] = {
		{"ENOSYS", ENOSYS}, {"EPERM", EPERM},	{"EACCES", EACCES},
		{"EINVAL", EINVAL}, {"ENOSPC", ENOSPC}, {"ENOMEM", ENOMEM},
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].name, name) == 0)
			return known[i].value;
	return -1;
}

static int fail(const char *what, int errnum)
{
	fprintf(stderr, "enosys: %s: %s\n", what, strerror(errnum));
	return 125;
}

int main(int argc, char **argv)
{
	int errnum = ENOSYS;
	int at = 1;
	if (argc > 3 && strcmp(argv[1], "--errno") == 0) {
		errnum = errno_by_name(argv[2]);
		at = 3;
	}
	if (argc < at + 2 || errnum < 0) {
		fprintf(stderr, "usage: enosys [--errno NAME] CALL[,CALL...] COMMAND...\n");
		return 125;
	}
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter)
		return fail("filter", ENOMEM);
	if (geteuid() == 0)
		seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
	for (char *save = NULL, *name = strtok_r(argv[at], ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		int number = seccomp_syscall_resolve_name(name);
		if (number == __NR_SCMP_ERROR)
			return fail(name, ENOENT);
		int r = seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)errnum), number, 0);
		if (r < 0)
			return fail(name, -r);
	}
	int r = seccomp_load(filter);
	if (r < 0)
		return fail("load", -r);
	seccomp_release(filter);
	execvp(argv[at + 1], argv + at + 1);
	return fail(argv[at + 1], errno);
}
