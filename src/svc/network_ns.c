/*
 * network_ns.c - network namespaces of containers where `ip netns` finds them.
 *
 * A symbolic link to /proc/PID/ns/net rather than a bind mount: the namespace does not outlive the container because of
 * it. PID is used again one day, so the link is removed when the container ends; the file "netns" in its directory says
 * that there is one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container_int.h"
#include "network_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/svc/network.h"

static const char directory[] = "/run/netns";
static const char marker[] = "netns";

static char *link_path(const char *name)
{
	return xasprintf("%s/%s", directory, name);
}

/* One of ours, or of a container that was killed: it leads to a process. A namespace that somebody keeps is no link. */
static bool is_link_to_process(const char *path)
{
	char target[64];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return false;
	target[n] = '\0';
	return str_after(target, "/proc/") && str_ends(target, "/ns/net");
}

void network_ns_end(int dirfd)
{
	autostr struct str name = STR_INIT;
	if (geteuid() != 0 || io_read_file(dirfd, marker, NAME_MAX, &name, NULL) < 0)
		return;
	autofree char *path = link_path(name.buf);
	if (!strchr(name.buf, '/') && is_link_to_process(path))
		(void)unlink(path);
	(void)unlinkat(dirfd, marker, 0);
}

static int make(const struct container_rec *rec, struct str *ret_path, struct err *e)
{
	const char *name = rec->config.name;
	autofree char *path = link_path(name);
	autofree char *target = xasprintf("/proc/%d/ns/net", (int)rec->state.init.pid);
	struct stat st;
	if (!container_rec_is_running(rec))
		return err_set(e, EINVAL, "container %s is not running", name);
	if (!(rec->state.join.namespaces & 1U << RT_NS_NET))
		return err_set(e, EINVAL, "container %s has the host's network", name);
	if (mkdir(directory, 0755) < 0 && errno != EEXIST)
		return err_sys(e, errno, "%s", directory);
	if (lstat(path, &st) == 0 && !is_link_to_process(path))
		return err_set(e, EEXIST, "%s: somebody else's namespace has this name", path);
	/* Written down first: what a crash leaves is removed when the container ends. */
	int r = io_write_file(rec->dirfd, marker, name, strlen(name), 0600, e);
	if (r < 0)
		return r;
	(void)unlink(path);
	if (symlink(target, path) < 0)
		return err_sys(e, errno, "%s", path);
	str_adds(ret_path, path);
	return 0;
}

int network_ns(const char *root, const char *container, bool remove, struct str *ret_path, struct err *e)
{
	struct store s;
	autorec struct container_rec rec = CONTAINER_REC_INIT;
	if (!network_is_hosts()) {
		err_set(e, EPERM, "%s is root's, and so is 'ip netns'", directory);
		return err_hint(e, "rl nsenter --net %s COMMAND does the same without", container);
	}
	int r = store_open(root, true, &s, e);
	if (r < 0)
		return r;
	r = container_store_find(&s, container, &rec, e);
	autofd int op = r == 0 ? container_rec_lock(&rec, e) : r;
	if (r == 0 && op < 0)
		r = op;
	if (r == 0 && remove)
		network_ns_end(rec.dirfd);
	else if (r == 0)
		r = make(&rec, ret_path, e);
	store_close(&s);
	return r;
}
