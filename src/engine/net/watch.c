/*
 * watch.c - see watch.h.
 *
 * /etc/resolv.conf is a file that editors rename over, a symlink into /run that a resolver replaces, or a path through
 * directories that appear with a VPN. So the path is walked by hand, and for every step the directory is watched for
 * that one name: each symlink on the way, each directory below, and the file itself. An event for a name that was on
 * the way leads to a new walk, new watches and a new reading; events for other names in busy directories (/run, /etc)
 * cost one comparison. After new watches are set the file is read again, so a change between walk and watch is seen.
 *
 * Where inotify is refused (its per-user limit is small and shared), a timer looks every few seconds instead.
 */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/engine/net_proto.h"

enum {
	STEPS_MAX = 64,	   /* names on the way, all symlinks expanded */
	LINKS_MAX = 40,	   /* as the kernel */
	TEXT_MAX = 64 * 1024,
	FALLBACK_SECONDS = 5,
	DIR_EVENTS = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB |
		     IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_ONLYDIR,
	FILE_EVENTS = IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT,
};

struct step {
	int wd;
	char *name; /* NULL: the file itself */
};

struct net_watch {
	int epoll_fd, inotify_fd, timer_fd, control_fd;
	bool follow;
	char path[NET_PATH_SIZE];
	struct net_servers sent;
	size_t count;
	struct step steps[STEPS_MAX];
};

/* ---- the walk ---- */

static void forget_steps(struct net_watch *w)
{
	for (size_t i = 0; i < w->count; i++) {
		(void)inotify_rm_watch(w->inotify_fd, w->steps[i].wd); /* shared descriptors: the second time fails */
		free(w->steps[i].name);
	}
	w->count = 0;
}

static bool add_step(struct net_watch *w, const char *path, const char *name, uint32_t events)
{
	if (w->count == STEPS_MAX)
		return true;
	int wd = inotify_add_watch(w->inotify_fd, path, events);
	if (wd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES;
	w->steps[w->count++] = (struct step){.wd = wd, .name = name ? xstrdup(name) : NULL};
	return true;
}

/* One name of the rest: watch it in `dir`, then move on into it or to where it points. `dir` and `rest` are replaced.
 * Returns 1 to go on, 0 at the end, -errno when watching is impossible. */
static int walk_one(struct net_watch *w, char **dir, char **rest, int *links)
{
	char *p = *rest;
	while (*p == '/')
		p++;
	size_t n = strcspn(p, "/");
	if (n == 0)
		return 0;
	autofree char *name = xstrndup(p, n);
	autofree char *after = xstrdup(p + n);
	autofree char *full = xasprintf("%s/%s", str_eq(*dir, "/") ? "" : *dir, name);
	struct stat st;
	if (!add_step(w, *dir, name, DIR_EVENTS))
		return -errno;
	if (lstat(full, &st) < 0)
		return 0;
	char *new_rest;
	if (S_ISLNK(st.st_mode)) {
		char target[PATH_MAX];
		ssize_t len = readlink(full, target, sizeof(target) - 1);
		if (len <= 0 || ++*links > LINKS_MAX)
			return 0;
		target[len] = '\0';
		new_rest = xasprintf("%s/%s", target, after);
		if (target[0] == '/') {
			free(*dir);
			*dir = xstrdup("/");
		}
	} else {
		/* ".." is followed by the kernel from here; the watch is on the right directory all the same. */
		new_rest = xstrdup(after);
		free(*dir);
		*dir = take_ptr(&full);
	}
	free(*rest);
	*rest = new_rest;
	return S_ISLNK(st.st_mode) || S_ISDIR(st.st_mode);
}

static int walk(struct net_watch *w)
{
	autofree char *dir = xstrdup("/");
	autofree char *rest = xstrdup(w->path);
	int links = 0;
	int r;
	forget_steps(w);
	do
		r = walk_one(w, &dir, &rest, &links);
	while (r > 0);
	if (r == 0 && !add_step(w, w->path, NULL, FILE_EVENTS))
		r = -errno;
	return r;
}

/* ---- what rl-netd is told ---- */

static void send_servers(struct net_watch *w)
{
	struct net_servers now;
	autostr struct str text = STR_INIT;
	if (io_read_file(AT_FDCWD, w->path, TEXT_MAX, &text, NULL) < 0)
		str_cut(&text, 0); /* gone for a moment, or for good: the default server, as libc does */
	net_resolv_servers(text.buf, &now);
	if (memcmp(&now, &w->sent, sizeof(now)) == 0)
		return;
	if (sync_send(w->control_fd, NETD_STEP_SERVERS, &now, sizeof(now), NULL, 0, NULL) < 0)
		return; /* dead: the control socket says so */
	w->sent = now;
	log_debug(LOG_NET, "%zu name servers sent", now.count);
}

static int start_timer(struct net_watch *w, struct err *e)
{
	struct itimerspec every = {.it_interval.tv_sec = FALLBACK_SECONDS, .it_value.tv_sec = FALLBACK_SECONDS};
	struct epoll_event event = {.events = EPOLLIN};
	w->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (w->timer_fd < 0 || timerfd_settime(w->timer_fd, 0, &every, NULL) < 0 ||
	    epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->timer_fd, &event) < 0)
		return err_sys(e, errno, "timer for resolv.conf");
	return 0;
}

static int start_following(struct net_watch *w, struct err *e)
{
	struct epoll_event event = {.events = EPOLLIN};
	w->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->inotify_fd >= 0 && walk(w) >= 0 && epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->inotify_fd, &event) >= 0)
		return 0;
	log_debug(LOG_NET, "inotify: %s; looking at %s every %d s", strerror(errno), w->path, FALLBACK_SECONDS);
	forget_steps(w);
	close_fd(&w->inotify_fd);
	return start_timer(w, e);
}

int net_watch_new(int control_fd, const struct net_slirp_opts *o, struct net_watch **ret, struct err *e)
{
	struct net_watch *w = xcalloc(1, sizeof(*w));
	w->inotify_fd = w->timer_fd = -1;
	w->control_fd = control_fd;
	w->follow = o->dns_servers.count == 0;
	memcpy(w->path, o->resolv_path, sizeof(w->path));
	w->path[sizeof(w->path) - 1] = '\0';
	struct epoll_event event = {.events = EPOLLIN};
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	int r = 0;
	if (w->epoll_fd < 0 || epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, control_fd, &event) < 0)
		r = err_sys(e, errno, "watch rl-netd");
	if (r >= 0 && w->follow)
		r = start_following(w, e);
	if (r < 0) {
		net_watch_free(w);
		return r;
	}
	if (w->follow)
		send_servers(w);
	*ret = w;
	return 0;
}

int net_watch_fd(const struct net_watch *w)
{
	return w->epoll_fd;
}

static bool is_on_the_way(const struct net_watch *w, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW)
		return true;
	if (event->mask & IN_IGNORED)
		return false; /* of a watch we removed, or announced by DELETE_SELF */
	for (size_t i = 0; i < w->count; i++) {
		if (w->steps[i].wd != event->wd)
			continue;
		if (event->len == 0 || !w->steps[i].name || str_eq(w->steps[i].name, event->name))
			return true;
	}
	return false;
}

void net_watch_handle(struct net_watch *w)
{
	_Alignas(struct inotify_event) char buf[4096];
	bool changed = false;
	uint64_t ticks;
	ssize_t n;
	if (w->timer_fd >= 0 && read(w->timer_fd, &ticks, sizeof(ticks)) > 0)
		changed = true;
	while (w->inotify_fd >= 0 && (n = read(w->inotify_fd, buf, sizeof(buf))) > 0) {
		const struct inotify_event *event;
		for (char *p = buf; p < buf + n; p += sizeof(*event) + event->len) {
			event = (const void *)p;
			changed |= is_on_the_way(w, event);
		}
	}
	if (!changed)
		return;
	if (w->inotify_fd >= 0 && walk(w) < 0)
		log_debug(LOG_NET, "cannot watch %s any more", w->path);
	send_servers(w);
}

void net_watch_ignore_control(struct net_watch *w)
{
	(void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->control_fd, NULL);
}

void net_watch_free(struct net_watch *w)
{
	if (!w)
		return;
	forget_steps(w);
	close_fd(&w->epoll_fd);
	close_fd(&w->inotify_fd);
	close_fd(&w->timer_fd);
	free(w);
}
