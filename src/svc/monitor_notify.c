/*
 * monitor_notify.c - --sdnotify=container and healthy: READY=1 later than the start.
 *
 * The payload gets a socket of ours, not systemd's: systemd asks which process sent a message, and one inside the
 * container is none it knows. What comes is taken apart, and only lines that say something about the service go on;
 * MAINPID= and descriptors do not. They go to whoever systemd takes for the main process: the rl that is attached since
 * the start, else this monitor, which the starting rl has named.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "monitor_int.h"
#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/notify.h"

/* A payload that says much to somebody who does not listen must not fill our memory. */
enum { MESSAGE_MAX = 4096, KEPT_MAX = 16 * 1024, ALWAYS_SENT = 64 };

static const struct monitor_client *starter(const struct monitor *m)
{
	for (size_t i = 0; i < MONITOR_CLIENTS_MAX; i++)
		if (m->clients[i].fd >= 0 && (m->clients[i].flags & ATTACH_STARTER))
			return &m->clients[i];
	return NULL;
}

static void tell(struct monitor *m, const char *text)
{
	const struct monitor_client *from = starter(m);
	if (from && (from->flags & ATTACH_WANTS_OUTPUT)) {
		if (!from->head || m->notify_count++ < ALWAYS_SENT)
			monitor_send(m, ATTACH_STARTER, ATTACH_NOTIFY, text, strlen(text));
	} else if (from && m->notify_kept.len < KEPT_MAX) /* it has not yet said that we are the main process */
		str_addf(&m->notify_kept, "%s%s", m->notify_kept.len ? "\n" : "", text);
	else if (!from)
		notify_send(text);
}

void monitor_notify_resume(struct monitor *m)
{
	if (!m->notify_kept.len || starter(m))
		return;
	notify_send(m->notify_kept.buf);
	str_cut(&m->notify_kept, 0);
}

static bool goes_on(const char *line)
{
	static const char *const words[] = {"READY=1", "RELOADING=1", "STOPPING=1",	      "MONOTONIC_USEC=",
					    "STATUS=", "ERRNO=",      "EXTEND_TIMEOUT_USEC=", "WATCHDOG=1"};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_after(line, words[i]))
			return true;
	return false;
}

static int on_message(void *arg, uint32_t events, struct err *e)
{
	struct monitor *m = arg;
	char text[MESSAGE_MAX];
	autostrv struct strv lines = STRV_INIT;
	autostr struct str out = STR_INIT;
	(void)events;
	(void)e;
	/* A descriptor that comes along is closed by the kernel: no room is given for it. */
	ssize_t n = recv(m->notify_fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	strv_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.count; i++)
		if (goes_on(lines.items[i]))
			str_addf(&out, "%s%s", out.len ? "\n" : "", lines.items[i]);
	if (out.len)
		tell(m, out.buf);
	return 0;
}

int monitor_notify_open(struct monitor *m, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (m->c->o->sdnotify != SDNOTIFY_CONTAINER)
		return 0;
	autofd int dir = io_open_dir(m->c->dirfd, CONTAINER_NOTIFY_DIR, true, 0755, e);
	if (dir < 0)
		return dir;
	if (fchmod(dir, 0755) < 0)
		return err_sys(e, errno, "--sdnotify");
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/" CONTAINER_NOTIFY_SOCKET, dir);
	unlinkat(dir, CONTAINER_NOTIFY_SOCKET, 0);
	autofd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, errno, "socket");
	/* Whoever the payload becomes may write; only the container can see that name. */
	if (bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 || fchmodat(dir, CONTAINER_NOTIFY_SOCKET, 0666, 0) < 0)
		return err_sys(e, errno, "--sdnotify");
	int r = event_add(&m->loop, &m->notify_src, fd, EPOLLIN, on_message, m, e);
	if (r == 0)
		m->notify_fd = take_fd(&fd);
	return r;
}

void monitor_notify_ready(struct monitor *m)
{
	if (m->c->o->sdnotify == SDNOTIFY_HEALTHY)
		tell(m, "READY=1");
}
