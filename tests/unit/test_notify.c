/* Readiness goes to the socket a service manager names, and nowhere else. */
#include "rl/base/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tap.h"

/* What arrived, "" for nothing. */
static const char *received(int fd)
{
	static char text[64];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

int main(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char name[64];
	tap_plan_later();
	snprintf(name, sizeof(name), "@rl-test-notify-%d", (int)getpid());
	memcpy(a.sun_path, name, strlen(name));
	a.sun_path[0] = '\0';
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	if (!tap_ok(bind(fd, (struct sockaddr *)&a, len) == 0, "a socket is there"))
		return tap_done();
	unsetenv("NOTIFY_SOCKET");
	notify_ready(0);
	tap_is_str(received(fd), "", "without the variable nothing is sent");
	setenv("NOTIFY_SOCKET", name, 1);
	notify_ready(0);
	tap_is_str(received(fd), "READY=1", "with it readiness is told");
	notify_ready(42);
	tap_is_str(received(fd), "READY=1\nMAINPID=42", "and whose the main process is");
	setenv("NOTIFY_SOCKET", "relative", 1);
	notify_ready(0);
	tap_is_str(received(fd), "", "a name that is no address is ignored");
	close(fd);
	return tap_done();
}
