/* links: engine/net kern model base */
#include "rl/engine/net_ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include "rl/base/mem.h"
#include "tap.h"

int main(void)
{
	struct net_ports p = {0};
	struct err e = ERR_INIT;
	struct net_port_want w = {.proto = NET_PORT_TCP, .address = "127.0.0.1", .inside = 80};
	char address[INET6_ADDRSTRLEN];
	tap_plan_later();
	tap_ok(net_ports_bind(&w, &p, &e) == 0 && p.count == 1 && p.items[0].host, "a free port is found: %s", e.text);
	net_port_address(&p.items[0], address);
	tap_is_str(address, "127.0.0.1", "its address is the one asked for");
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(p.items[0].host)};
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	autofd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	tap_ok(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0, "it listens at once");
	w.host_first = w.host_last = p.items[0].host;
	tap_is_int(net_ports_bind(&w, &p, &e), -EADDRINUSE, "a port that is taken is refused");
	tap_ok(*e.hint && p.count == 1, "with a remedy, and nothing is added");
	w.proto = NET_PORT_UDP;
	tap_ok(net_ports_bind(&w, &p, NULL) == 0, "the same port for datagrams is another one");
	w.proto = NET_PORT_TCP;
	w.address = "192.0.2.77";
	tap_is_int(net_ports_bind(&w, &p, &e), -EADDRNOTAVAIL, "an address of another host is refused");
	w.address = "localhost";
	tap_is_int(net_ports_bind(&w, &p, NULL), -EINVAL, "a name is no address");
	w = (struct net_port_want){.proto = NET_PORT_TCP, .inside = 80};
	size_t before = p.count;
	tap_ok(net_ports_bind(&w, &p, NULL) == 0 && p.count > before, "without an address every family is bound");
	bool same = true;
	for (size_t i = before; i < p.count; i++)
		same &= p.items[i].host == p.items[before].host;
	tap_ok(same, "to the same port");
	net_ports_free(&p);
	tap_ok(p.count == 0 && !p.items, "all of it is closed");
	return tap_done();
}
