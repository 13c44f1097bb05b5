/*
 * network_lease.c - how containers come to a network: its holder found or started, addresses asked for.
 *
 * Whoever wants addresses takes the lock networks/NAME.lock, connects, and starts a holder where none listens.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "network_int.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/svc/network.h"

char *network_file(const char *name, const char *suffix)
{
	return xasprintf("%s.%s", name, suffix);
}

void network_socket_address(int dirfd, const char *name, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%.63s.sock", dirfd, name);
}

int network_open_lock(int dirfd, const char *name, struct err *e)
{
	autofree char *file = network_file(name, "lock");
	int fd = openat(dirfd, file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? err_sys(e, errno, "network %s: lock", name) : fd;
}

static int start_holder(const struct store *s, const char *name, struct err *e)
{
	int pair[2];
	struct proc_child child = PROC_CHILD_NONE;
	int r = sync_pair(pair, e);
	if (r < 0)
		return r;
	char *argv[] = {
		(char *)(uintptr_t) "rl",   (char *)(uintptr_t) "--root", s->root, (char *)(uintptr_t) "network",
		(char *)(uintptr_t) "hold", (char *)(uintptr_t)name,	  NULL};
	r = proc_spawn(
		&(struct proc_spawn){
			.path = "/proc/self/exe", .argv = argv, .fds = &pair[1], .nfds = 1, .new_session = true},
		&child, e);
	close(pair[1]);
	if (r >= 0)
		r = proc_wait_ok(&child, "the network's holder", e);
	if (r >= 0)
		r = sync_expect(pair[0], "the network's holder", NETWORK_STEP_READY, NULL, e);
	close(pair[0]);
	return r;
}

/* s NULL: a holder that is not there is not started. */
static int connect_holder(const struct store *s, int dirfd, const char *name, struct err *e)
{
	struct sockaddr_un a;
	network_socket_address(dirfd, name, &a);
	for (int started = 0;; started++) {
		autofd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return err_sys(e, errno, "socket");
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
			return take_fd(&fd);
		if (!s || started || (errno != ENOENT && errno != ECONNREFUSED))
			return err_sys(e, errno, "the network's holder");
		int r = start_holder(s, name, e);
		if (r < 0)
			return r;
	}
}

int network_lease(const struct store *s, struct net_lease *lease, int *ret_conn, struct err *e)
{
	const char *name = lease->network;
	autofree char *file = network_file(name, "json");
	autofd int dir = store_dir(s, "networks", e);
	if (dir < 0)
		return dir;
	if (faccessat(dir, file, F_OK, 0) < 0) {
		err_set(e, ENOENT, "there is no network '%s'", name);
		return err_hint(e, "make it with: rl network create %s", name);
	}
	autofd int lock = network_open_lock(dir, name, e);
	int r = lock < 0 ? lock : io_lock(lock, true, e);
	autofd int conn = r < 0 ? r : connect_holder(s, dir, name, e);
	if (conn < 0)
		return err_ctx(e, "network %s", name);
	autofree struct sync_msg *msg = xmalloc(sizeof(*msg));
	r = sync_send(conn, NET_HOLD_LEASE, lease, sizeof(*lease), NULL, 0, e);
	if (r >= 0)
		r = sync_expect(conn, "the network's holder", NET_HOLD_LEASE, msg, e);
	if (r >= 0 && msg->len != sizeof(*lease))
		r = err_set(e, EPROTO, "its holder is of another version of rl");
	if (r < 0)
		return err_ctx(e, "network %s", name);
	memcpy(lease, msg->data, sizeof(*lease));
	*ret_conn = take_fd(&conn);
	return 0;
}

/* One request to a holder that is there, and its answer. */
static int ask_holder(const struct store *s, const char *name, uint32_t step, const void *data, size_t len,
		      struct err *e)
{
	autofd int dir = store_dir(s, "networks", e);
	autofd int lock = dir < 0 ? dir : network_open_lock(dir, name, e);
	int r = lock < 0 ? lock : io_lock(lock, true, e);
	autofd int conn = r < 0 ? r : connect_holder(NULL, dir, name, e);
	r = conn < 0 ? conn : sync_send(conn, step, data, len, NULL, 0, e);
	if (r >= 0)
		r = sync_expect(conn, "the network's holder", step, NULL, e);
	return r < 0 ? err_ctx(e, "network %s", name) : 0;
}

int network_unplug(const struct store *s, const char *name, const uint8_t mac[NET_MAC_LEN], struct err *e)
{
	struct net_lease which = {0};
	memcpy(which.host.mac, mac, NET_MAC_LEN);
	return ask_holder(s, name, NET_HOLD_UNPLUG, &which, sizeof(which), e);
}

int network_publish(const struct store *s, const char *name, const uint8_t mac[NET_MAC_LEN],
		    const struct net_ports *ports, struct err *e)
{
	if (!network_is_hosts())
		return 0;
	autofree struct net_hold_ports *p = xcalloc(1, sizeof(*p));
	memcpy(p->mac, mac, NET_MAC_LEN);
	p->count = RL_MIN(ports->count, (size_t)NET_HOLD_PORTS_MAX);
	for (size_t i = 0; i < p->count; i++)
		p->items[i] = ports->items[i];
	return ask_holder(s, name, NET_HOLD_PORTS, p, sizeof(*p), e);
}

int network_rights(int conn, const struct net_rights *rights, int log_fd, struct err *e)
{
	int r = sync_send(conn, NET_HOLD_RIGHTS, rights, sizeof(*rights), &log_fd, log_fd >= 0, e);
	return r < 0 ? r : sync_expect(conn, "the network's holder", NET_HOLD_RIGHTS, NULL, e);
}
