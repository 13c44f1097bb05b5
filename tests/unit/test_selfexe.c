/* The protection of the running binary, tried on this test program itself: it goes through the copy and reports from
 * there. The parent is a child of the harness because selfexe_protect may replace the program. */
#include "rl/kern/selfexe.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "rl/base/mem.h"
#include "tap.h"

enum { IN_FILE = 10, IN_COPY = 11, COPY_IS_WRITABLE = 12, NO_HELPERS = 13, FAILED = 14 };

/* Runs in whatever selfexe_protect left us in. */
static int report(char **argv)
{
	struct err e = ERR_INIT;
	char link[256] = "";
	if (selfexe_protect(argv, &e) < 0)
		return FAILED;
	if (readlink("/proc/self/exe", link, sizeof(link) - 1) < 0)
		return FAILED;
	if (strncmp(link, "/memfd:", 7) != 0)
		return IN_FILE;
	autofd int again = open("/proc/self/exe", O_RDWR | O_CLOEXEC);
	if (again >= 0 && write(again, "x", 1) >= 0)
		return COPY_IS_WRITABLE;
	return getenv("RL_LIBEXEC") && getenv("RL_SHARE") ? IN_COPY : NO_HELPERS;
}

static int run_child(void *arg)
{
	char program[] = "/proc/self/exe";
	char option[] = "--report";
	char *argv[] = {program, option, NULL};
	if (arg && setresuid(65534, 65534, 65534) < 0)
		return FAILED;
	execv(argv[0], argv);
	return errno == EACCES ? IN_FILE : FAILED;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--report") == 0)
		return report(argv);
	tap_plan_later();
	struct stat st;
	tap_must(stat("/proc/self/exe", &st) == 0);
	bool ours = geteuid() == 0 || st.st_uid == geteuid() || (st.st_mode & 022);
	tap_is_int(tap_child_status(run_child, NULL), ours ? IN_COPY : IN_FILE,
		   "a binary that the caller owns is left for a sealed copy, any other is not");
	if (geteuid() == 0 && !(st.st_mode & 022))
		tap_is_int(tap_child_status(run_child, &st), IN_FILE,
			   "root's binary, run by somebody else, is not copied");
	else
		tap_skip("needs root, and a binary only root may write",
			 "root's binary, run by somebody else, is not copied");
	return tap_done();
}
