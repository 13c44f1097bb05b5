#include "rl/engine/procs.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

static bool has(const struct procs_list *l, pid_t pid)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->items[i].pid == pid)
			return true;
	return false;
}

int main(void)
{
	struct err e = ERR_INIT;
	struct procs_list l;
	int ready[2];
	char byte;
	tap_plan_later();
	(void)!pipe(ready);
	pid_t first = fork();
	if (first == 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			_exit(1);
		pid_t child = fork();
		if (child == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || unshare(CLONE_NEWNS) < 0))
			_exit(1);
		(void)!write(ready[1], child ? "1" : "2", 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	(void)!(read(ready[0], &byte, 1) == 1 && read(ready[0], &byte, 1) == 1);
	tap_is_int(procs_of(first, &l, &e), 0, "the processes of a process in its own mount namespace are listed");
	tap_is_int((long)l.count, 2, "they are itself and its child, which has made namespaces of its own");
	tap_ok(has(&l, first) && !has(&l, getpid()), "we are not among them");
	/* On a busy machine it has perhaps not come from its write to its pause. */
	for (int i = 0; i < 10000 && l.count && l.items[0].state != 'S'; i++) {
		procs_free(&l);
		usleep(1000);
		(void)!procs_of(first, &l, &e);
	}
	tap_ok(l.count && l.items[0].state == 'S', "a waiting process sleeps");
	struct procs_status s;
	tap_is_int(procs_status(first, procs_depth(first), &s, &e), 0, "its status is read");
	tap_is_int(s.inside, first, "its number inside is the same without a pid namespace");
	tap_is_int(s.ruid, getuid(), "its user is the host's number");
	procs_free(&l);
	tap_is_int(procs_of(getpid(), &l, &e), 0, "our own processes are listed");
	tap_ok(has(&l, first) && has(&l, getpid()), "with the children");
	tap_ok(!has(&l, getppid()), "and not everybody who shares our mount namespace");
	procs_free(&l);
	char ns[PROCS_NS_SIZE] = "";
	char own[PROCS_NS_SIZE] = "";
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)first);
	tap_ok(readlink(path, ns, sizeof(ns) - 1) > 0 && readlink("/proc/self/ns/mnt", own, sizeof(own) - 1) > 0,
	       "the two mount namespaces have names");
	tap_is_int(procs_kill_rest(own, &e), 0, "our own is left alone");
	tap_ok(kill(first, 0) == 0, "also what else was there");
	tap_is_int(procs_kill_rest(ns, &e), 0, "what is in the other is killed");
	waitpid(first, NULL, 0);
	tap_is_int(procs_of(first, &l, &e), -ESRCH, "one that is gone is an error");
	close(ready[0]);
	return tap_done();
}
