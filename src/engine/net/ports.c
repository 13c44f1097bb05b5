/*
 * ports.c - published ports, the host's side: sockets bound, handed to rl-portd, changed while it serves.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rl/base/io.h"
#include "rl/base/log.h"
#include "rl/base/mem.h"
#include "rl/base/sync.h"
#include "rl/engine/net_ports_proto.h"

enum { BACKLOG = 4096, RANDOM_TRIES = 32 };

static const char peer[] = "rl-portd";

const char *net_port_proto_name(enum net_port_proto p)
{
	return p == NET_PORT_UDP ? "udp" : "tcp";
}

void net_port_address(const struct net_port *p, char ret[INET6_ADDRSTRLEN])
{
	if (!inet_ntop(p->family, &p->addr, ret, INET6_ADDRSTRLEN))
		ret[0] = '\0';
}

void net_ports_free(struct net_ports *p)
{
	for (size_t i = 0; i < p->count; i++)
		close_fd(&p->items[i].fd);
	free(p->items);
	*p = (struct net_ports){0};
}

static unsigned unprivileged_start(void)
{
	autostr struct str text = STR_INIT;
	if (io_read_file(AT_FDCWD, "/proc/sys/net/ipv4/ip_unprivileged_port_start", 64, &text, NULL) < 0)
		return 1024;
	return (unsigned)strtoul(text.buf, NULL, 10);
}

static int explain(const struct net_port *p, uint16_t port, int errnum, struct err *e)
{
	char address[INET6_ADDRSTRLEN];
	net_port_address(p, address);
	bool six = p->family == AF_INET6;
	err_sys(e, errnum, "publish %s%s%s:%u/%s", six ? "[" : "", address, six ? "]" : "", port,
		net_port_proto_name(p->proto));
	if (errnum == EADDRINUSE)
		return err_hint(e,
				"another program has this port; give a different one (-p %u:%u), or none (-p %u) and "
				"see 'rl port'",
				port < 1024    ? port + 8000
				: port < 65535 ? port + 1
					       : port - 1,
				p->inside, p->inside);
	if (errnum == EACCES)
		return err_hint(e,
				"ports below %u are root's here: use -p %u:%u, or as root: "
				"sysctl net.ipv4.ip_unprivileged_port_start=%u",
				unprivileged_start(), port + 8000, p->inside, port);
	if (errnum == EADDRNOTAVAIL)
		return err_hint(e, "%s is no address of this host; leave it out to publish on all of them", address);
	return -errnum;
}

static int open_socket(const struct net_port *p, uint16_t port)
{
	static const int on = 1;
	bool udp = p->proto == NET_PORT_UDP;
	autofd int fd = socket(p->family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = p->addr};
	bool is4 = p->family == AF_INET;
	memcpy(&a4.sin_addr, &p->addr, sizeof(a4.sin_addr));
	if (fd < 0)
		return -errno;
	if (!is4 && setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	if (!udp && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (udp && setsockopt(fd, is4 ? SOL_IP : SOL_IPV6, is4 ? IP_PKTINFO : IPV6_RECVPKTINFO, &on, sizeof(on)) < 0)
		return -errno;
	if (bind(fd, is4 ? (void *)&a4 : (void *)&a6, is4 ? sizeof(a4) : sizeof(a6)) < 0)
		return -errno;
	if (!udp && listen(fd, BACKLOG) < 0)
		return -errno;
	return take_fd(&fd);
}

static uint16_t port_of(int fd)
{
	/* The port stands at the same place in both families. */
	struct sockaddr_in6 a = {.sin6_family = AF_UNSPEC};
	socklen_t len = sizeof(a);
	if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return 0;
	return ntohs(a.sin6_port);
}

/* One socket in each of the families, all with the same port. -errno of the one that failed, which is in *failed. */
static int bind_all(struct net_port *sockets, size_t n, uint16_t port, size_t *failed)
{
	for (size_t i = 0; i < n; i++) {
		int fd = open_socket(&sockets[i], port);
		/* A host without IPv6 publishes what it has. */
		if (i && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL))
			continue;
		if (fd < 0) {
			for (size_t j = 0; j < i; j++)
				close_fd(&sockets[j].fd);
			*failed = i;
			return fd;
		}
		sockets[i].fd = fd;
		if (!port)
			port = port_of(fd);
		sockets[i].host = port;
	}
	return 0;
}

static int fill_address(const char *text, struct net_port *p, struct err *e)
{
	if (inet_pton(AF_INET, text, &p->addr) == 1)
		p->family = AF_INET;
	else if (inet_pton(AF_INET6, text, &p->addr) == 1)
		p->family = AF_INET6;
	else
		return err_set(e, EINVAL, "'%s' is not an IP address", text);
	return 0;
}

int net_ports_bind(const struct net_port_want *w, struct net_ports *p, struct err *e)
{
	struct net_port s[2] = {{.proto = w->proto, .family = AF_INET, .inside = w->inside, .fd = -1}};
	size_t n = w->address ? 1 : 2;
	size_t failed = 0;
	int r = w->address ? fill_address(w->address, &s[0], e) : 0;
	if (r < 0)
		return r;
	s[1] = (struct net_port){.proto = w->proto, .family = AF_INET6, .inside = w->inside, .fd = -1};
	/* A port the kernel chose for one family may be taken in the other. */
	unsigned last = w->host_first ? w->host_last : RANDOM_TRIES;
	unsigned port = w->host_first;
	for (unsigned i = w->host_first; i <= last; i++) {
		port = w->host_first ? i : 0;
		r = bind_all(s, n, (uint16_t)port, &failed);
		if (r != -EADDRINUSE)
			break;
	}
	if (r < 0 && w->host_last > w->host_first && r == -EADDRINUSE)
		return err_set(e, EADDRINUSE, "publish %u-%u/%s: no port of the range is free", w->host_first,
			       w->host_last, net_port_proto_name(w->proto));
	if (r < 0)
		return explain(&s[failed], (uint16_t)port, -r, e);
	p->items = xreallocarray(p->items, p->count + n, sizeof(*p->items));
	for (size_t i = 0; i < n; i++)
		if (s[i].fd >= 0)
			p->items[p->count++] = s[i];
	return 0;
}

/* ---- rl-portd ---- */

static int request(int sock, uint32_t step, const struct net_port *p, struct err *e)
{
	int r = sync_send(sock, step, p, sizeof(*p), &p->fd, step == PORTD_STEP_ADD ? 1 : 0, e);
	return r < 0 ? r : sync_expect(sock, peer, PORTD_STEP_DONE, NULL, e);
}

int net_portd_add(int conn, const struct net_port *p, struct err *e)
{
	return request(conn, PORTD_STEP_ADD, p, e);
}

int net_portd_remove(int conn, const struct net_port *p, struct err *e)
{
	return request(conn, PORTD_STEP_REMOVE, p, e);
}

int net_portd_move(int conn, const struct net_portd_config *c, struct err *e)
{
	int r = sync_send(conn, PORTD_STEP_CONFIG, c, sizeof(*c), NULL, 0, e);
	return r < 0 ? r : sync_expect(conn, peer, PORTD_STEP_DONE, NULL, e);
}

static int configure(int sock, const struct net_portd_config *c, const struct net_ports *p, int init_pidfd,
		     int control_fd, struct err *e)
{
	int fds[2] = {init_pidfd, control_fd};
	int r = sync_send(sock, PORTD_STEP_CONFIG, c, sizeof(*c), fds, control_fd >= 0 ? 2 : 1, e);
	if (r >= 0)
		r = sync_expect(sock, peer, PORTD_STEP_DONE, NULL, e);
	for (size_t i = 0; i < p->count && r >= 0; i++)
		r = net_portd_add(sock, &p->items[i], e);
	return r;
}

int net_portd_start(const struct net_portd_config *c, const struct net_ports *p, int init_pidfd, int control_fd,
		    struct proc_child *ret_child, struct err *e)
{
	struct proc_child child = PROC_CHILD_NONE;
	int pair[2];
	int r = sync_pair(pair, e);
	if (r < 0)
		return r;
	log_export();
	autofree char *path = xasprintf("%s/rl-portd", proc_libexec_dir());
	char *argv[] = {(char *)(uintptr_t)peer, NULL};
	r = proc_spawn(
		&(struct proc_spawn){.path = path, .argv = argv, .fds = &pair[1], .nfds = 1, .new_session = true},
		&child, e);
	close(pair[1]);
	if (r >= 0)
		r = configure(pair[0], c, p, init_pidfd, control_fd, e);
	close(pair[0]);
	if (r < 0) {
		proc_kill_wait(&child);
		return err_ctx(e, "published ports");
	}
	*ret_child = child;
	return 0;
}

void net_portd_stop(struct proc_child *child)
{
	proc_kill_wait(child);
}
