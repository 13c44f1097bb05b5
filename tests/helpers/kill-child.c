/*
 * kill-child.c - SIGKILL for one of the processes that a command makes, at one of its system calls.
 *
 *     kill-child count FILE COMMAND ARG... FILE gets one line for each process, in the order they were made: its system calls
 *     kill-child I N COMMAND ARG...        kill process I (0 is the command itself) before its Nth system call; status 1 if
 *                                          it did not come to that
 *
 * Waits for the command, not for what it leaves. strace counts calls, too, but cannot be told to do it in children only.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES_MAX = 1024 };

static struct {
	pid_t pid;
	long calls;
	bool inside; /* of a system call: the next stop is its end */
} seen[PROCESSES_MAX];
static int count;

static int index_of(pid_t pid)
{
	for (int i = 0; i < count; i++)
		if (seen[i].pid == pid)
			return i;
	if (count == PROCESSES_MAX) {
		fprintf(stderr, "kill-child: too many processes\n");
		exit(125);
	}
	seen[count].pid = pid;
	return count++;
}

static pid_t start(char **argv)
{
	int gate[2];
	char byte;
	if (pipe(gate) < 0)
		exit(125);
	pid_t pid = fork();
	if (pid == 0) {
		close(gate[1]);
		if (read(gate[0], &byte, 1) == 1)
			execvp(argv[0], argv);
		_exit(127);
	}
	close(gate[0]);
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
	if (pid < 0 || ptrace(PTRACE_SEIZE, pid, 0, options) < 0 || ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0 ||
	    write(gate[1], "x", 1) != 1) {
		fprintf(stderr, "kill-child: %s\n", strerror(errno));
		exit(125);
	}
	close(gate[1]);
	return pid;
}

/* One stop: what to deliver when it goes on. */
static int stopped(pid_t pid, int status, int victim, long when, bool *ret_killed)
{
	int sig = WSTOPSIG(status), event = status >> 16;
	int i = index_of(pid);
	if (sig == (SIGTRAP | 0x80)) {
		seen[i].inside = !seen[i].inside;
		if (seen[i].inside && ++seen[i].calls == when && i == victim) {
			kill(pid, SIGKILL);
			*ret_killed = true;
		}
		return 0;
	}
	if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
		unsigned long child = 0;
		if (ptrace(PTRACE_GETEVENTMSG, pid, 0, &child) == 0)
			index_of((pid_t)child);
	}
	return event ? 0 : sig;
}

int main(int argc, char **argv)
{
	bool counting = argc > 2 && strcmp(argv[1], "count") == 0;
	if (argc < 4)
		return 125;
	int victim = counting ? -1 : (int)strtol(argv[1], NULL, 10);
	long when = counting ? 0 : strtol(argv[2], NULL, 10);
	bool killed = false;
	pid_t command = start(argv + 3);
	index_of(command);
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0 || (pid == command && !WIFSTOPPED(status)))
			break;
		if (!WIFSTOPPED(status))
			continue;
		int sig = stopped(pid, status, victim, when, &killed);
		/* ESRCH: it was killed, by us or by somebody else. */
		(void)!ptrace(PTRACE_SYSCALL, pid, 0, (long)sig);
	}
	FILE *out = counting ? fopen(argv[2], "we") : NULL;
	for (int i = 0; i < count && out; i++)
		fprintf(out, "%ld\n", seen[i].calls);
	if (counting && (!out || fclose(out) != 0))
		return 125;
	return counting || killed ? 0 : 1;
}
