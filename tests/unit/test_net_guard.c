/* links: engine/net kern model base */
/* The second line behind the frame check: what rl-netd's own connect and sendto let through to the kernel. Included as
 * source, because a definition of connect is only the program's when it is in the program. */
#include "src/netd/guard.c"

#include <arpa/inet.h>

#include "tap.h"

static int try_connect(const char *address, uint16_t port)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	bool is4 = inet_pton(AF_INET, address, &a4.sin_addr) == 1;
	if (!is4)
		tap_must(inet_pton(AF_INET6, address, &a6.sin6_addr) == 1);
	int fd = socket(is4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	tap_must(fd >= 0);
	struct sockaddr *addr = is4 ? (void *)&a4 : (void *)&a6;
	socklen_t len = is4 ? sizeof(a4) : sizeof(a6);
	int connected = connect(fd, addr, len) < 0 ? errno : 0;
	int sent = sendto(fd, "x", 1, MSG_DONTWAIT, addr, len) < 0 ? errno : 0;
	close(fd);
	return connected == EPERM && sent == EPERM ? EPERM : 0;
}

static void set_access(enum net_host_access access, uint16_t port)
{
	static struct frame_policy p;
	p = (struct frame_policy){.host_access = access, .host_ports_count = 1, .host_ports = {port}};
	guard_init(&p);
}

int main(void)
{
	static const char *const closed[] = {"127.0.0.1", "127.0.0.53", "0.0.0.0",
					     "::",	  "::1",	"::ffff:127.0.0.1",
					     "224.0.0.1", "ff02::1",	"255.255.255.255"};
	tap_plan_later();
	set_access(NET_HOST_NONE, 0);
	for (size_t i = 0; i < ARRAY_SIZE(closed); i++)
		tap_ok(try_connect(closed[i], 9) == EPERM, "%s is refused", closed[i]);
	set_access(NET_HOST_PORTS, 9);
	tap_is_int(try_connect("127.0.0.1", 9), 0, "an opened port of the host's loopback is reached");
	tap_is_int(try_connect("127.0.0.1", 10), EPERM, "another is not");
	tap_is_int(try_connect("127.0.0.2", 9), EPERM, "nor is it at another loopback address");
	set_access(NET_HOST_ALL, 0);
	tap_is_int(try_connect("127.0.0.1", 10), 0, "with all access every port is");
	struct net_target only = {.family = AF_INET, .proto = IPPROTO_UDP, .port = 9, .address = {192, 0, 2, 1}};
	guard_only(&only);
	tap_is_int(try_connect("192.0.2.1", 9), 0, "the one target of a frame is reached");
	tap_is_int(try_connect("192.0.2.1", 10), EPERM, "another port of it is not");
	tap_is_int(try_connect("192.0.2.2", 9), EPERM, "nor another address");
	tap_is_int(try_connect("2001:db8::1", 9), EPERM, "nor one of another family");
	tap_is_int(try_connect("127.0.0.1", 9), EPERM, "nor loopback, open as it is");
	guard_only(NULL);
	tap_is_int(try_connect("192.0.2.2", 9), 0, "afterwards every address is");
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run/dbus/system_bus_socket"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	tap_ok(connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0 && errno == EPERM,
	       "no unix socket but the resolver's is reached");
	close(fd);
	return tap_done();
}
