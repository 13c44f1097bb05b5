#include "rl/kern/landlock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tap.h"

static socklen_t abstract_name(struct sockaddr_un *a)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	int n = snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "rl-test-landlock-%d", (int)getppid());
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static int restricted(void *arg)
{
	unsigned wanted = *(unsigned *)arg;
	struct err e = ERR_INIT;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (landlock_restrict(wanted, &e) != (int)wanted)
		return 1;
	struct sockaddr_un a;
	socklen_t len = abstract_name(&a);
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool refused = connect(s, (struct sockaddr *)&a, len) < 0 && errno == EPERM;
	if (refused != ((wanted & LANDLOCK_WANT_SCOPE_SOCKETS) != 0))
		return 2;
	refused = kill(getppid(), 0) < 0 && errno == EPERM;
	if (refused != ((wanted & LANDLOCK_WANT_SCOPE_SIGNALS) != 0))
		return 3;
	int t = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	refused = bind(t, (struct sockaddr *)&in, sizeof(in)) < 0 && errno == EACCES;
	if (refused != ((wanted & LANDLOCK_WANT_DENY_TCP) != 0))
		return 4;
	return 0;
}

int main(void)
{
	tap_plan_later();
	tap_diag("Landlock ABI %d", landlock_abi());
	/* The children look for the socket by the pid of their parent, which is us. */
	struct sockaddr_un a;
	memset(&a, 0, sizeof(a));
	a.sun_family = AF_UNIX;
	int n = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "rl-test-landlock-%d", (int)getpid());
	int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	tap_ok(bind(server, (struct sockaddr *)&a,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0 &&
		       listen(server, 5) == 0,
	       "an abstract socket listens outside");
	static const struct {
		unsigned wanted;
		const char *sentence;
	} cases[] = {
		{0, "nothing wanted restricts nothing"},
		{LANDLOCK_WANT_SCOPE_SOCKETS, "abstract sockets of outside are closed, signals and TCP are not"},
		{LANDLOCK_WANT_SCOPE_SOCKETS | LANDLOCK_WANT_SCOPE_SIGNALS, "signals to outside are refused too"},
		{LANDLOCK_WANT_DENY_TCP, "TCP is refused, and nothing else"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned wanted = cases[i].wanted;
		if (landlock_supported(wanted) != wanted)
			tap_skip("this kernel's Landlock is too old", cases[i].sentence);
		else
			tap_is_int(tap_child_status(restricted, &wanted), 0, cases[i].sentence);
	}
	close(server);
	return tap_done();
}
