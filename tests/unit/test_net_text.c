/* links: engine/net kern model base */
#include <arpa/inet.h>
#include <errno.h>

#include "rl/base/mem.h"
#include "rl/engine/net.h"
#include "tap.h"

static void check_resolv(struct net_resolv_opts o, const char *want, const char *sentence)
{
	struct err e = ERR_INIT;
	autostr struct str out = STR_INIT;
	tap_must(net_resolv_conf(&o, &out, &e) == 0);
	tap_is_str(out.buf, want, sentence);
}

static const char host[] = "# made by hand\n"
			   "domain old.example\n"
			   "nameserver 127.0.0.53\n"
			   "nameserver fe80::1%1\n"
			   " nameserver\t192.0.2.1 # a comment\n"
			   "search corp.example lab.example ; no comment in the middle\n"
			   "options edns0 ndots:2\n"
			   "sortlist 1.2.3.4\n"
			   "nameserver nonsense";

static void test_resolv(void)
{
	autostrv struct strv list = STRV_INIT;
	autostrv struct strv dot = STRV_INIT;
	struct err e = ERR_INIT;
	autostr struct str out = STR_INIT;
	check_resolv((struct net_resolv_opts){.host_text = host, .nameserver = "10.0.2.3"},
		     "search corp.example lab.example\nnameserver 10.0.2.3\noptions edns0 ndots:2\n",
		     "inside there is our resolver with the host's search list and options");
	check_resolv(
		(struct net_resolv_opts){.host_text = host},
		"search corp.example lab.example\nnameserver 127.0.0.53\nnameserver fe80::1%1\nnameserver 192.0.2.1\n"
		"options edns0 ndots:2\n",
		"without a resolver of ours the host's servers stay");
	check_resolv((struct net_resolv_opts){.nameserver = "10.0.2.3"}, "nameserver 10.0.2.3\n",
		     "a host without the file is no problem");
	strv_add(&list, "a.example");
	strv_add(&dot, ".");
	check_resolv(
		(struct net_resolv_opts){
			.host_text = host, .nameserver = "10.0.2.3", .search = &list, .options = &list},
		"search a.example\nnameserver 10.0.2.3\noptions a.example\n",
		"given search list and options replace the host's");
	check_resolv((struct net_resolv_opts){.host_text = host, .nameserver = "10.0.2.3", .search = &dot},
		     "nameserver 10.0.2.3\noptions edns0 ndots:2\n", "a search list of one dot means none");
	strv_add(&list, "x\nnameserver 6.6.6.6");
	tap_is_int(net_resolv_conf(&(struct net_resolv_opts){.nameserver = "10.0.2.3", .search = &list}, &out, &e),
		   -EINVAL, "a search word with a newline is refused");
	tap_is_str(out.buf, "", "and nothing is written");
}

static void test_servers(void)
{
	struct net_servers s;
	net_resolv_servers(host, &s);
	tap_ok(s.count == 3 && s.items[0].family == AF_INET && s.items[0].port == 53 &&
		       ntohl(s.items[0].addr.v4.s_addr) == 0x7f000035,
	       "the host's servers are found in order");
	tap_ok(s.items[1].family == AF_INET6 && s.items[1].scope == 1, "a link-local server keeps its interface");
	net_resolv_servers("# nothing\n", &s);
	tap_ok(s.count == 1 && ntohl(s.items[0].addr.v4.s_addr) == 0x7f000001,
	       "without servers it is 127.0.0.1, as in libc");
	autostr struct str many = STR_INIT;
	for (int i = 0; i < 50; i++)
		str_addf(&many, "nameserver 192.0.2.%d\n", i);
	net_resolv_servers(many.buf, &s);
	tap_is_int(s.count, NET_SERVERS_MAX, "a long list is cut");
}

static void check_hosts(struct net_hosts_opts o, const char *want, const char *sentence)
{
	struct err e = ERR_INIT;
	autostr struct str out = STR_INIT;
	tap_must(net_hosts_file(&o, &out, &e) == 0);
	tap_is_str(out.buf, want, sentence);
}

#define LOCALHOST "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"

static void test_hosts(void)
{
	autostrv struct strv add = STRV_INIT;
	check_hosts(
		(struct net_hosts_opts){
			.hostname = "web", .address = "10.0.2.100", .address6 = "fd00::100", .gateway = "10.0.2.2"},
		LOCALHOST "10.0.2.100\tweb\nfd00::100\tweb\n10.0.2.2\thost.containers.internal host.docker.internal\n",
		"a container's file has localhost, its own name and the host's");
	check_hosts((struct net_hosts_opts){.hostname = "web", .domainname = "example.org"},
		    LOCALHOST "127.0.0.1\tweb.example.org web\n", "without a network its name is 127.0.0.1's");
	strv_add(&add, "db:192.0.2.7");
	strv_add(&add, "a;b:[2001:db8::1]");
	strv_add(&add, "gw:host-gateway");
	strv_add(&add, "v6:2001:db8::2");
	strv_add(&add, "host.docker.internal:192.0.2.8");
	check_hosts((struct net_hosts_opts){.base_text = "192.0.2.99 x", .gateway = "10.0.2.2", .add_hosts = &add},
		    "192.0.2.99 x\n" LOCALHOST
		    "192.0.2.7\tdb\n2001:db8::1\ta b\n10.0.2.2\tgw\n2001:db8::2\tv6\n192.0.2.8\thost.docker.internal\n"
		    "10.0.2.2\thost.containers.internal\n",
		    "--add-host of every form is written, and a name the user set is not given twice");
	struct err e = ERR_INIT;
	autostr struct str out = STR_INIT;
	tap_is_int(net_hosts_file(&(struct net_hosts_opts){.add_hosts = &add}, &out, &e), -EINVAL,
		   "host-gateway without a gateway is refused");
	static const char *const bad[] = {"x",		 "x:",		":1.2.3.4",   "x:1.2.3",
					  "a b:1.2.3.4", "x\n:1.2.3.4", "a;:1.2.3.4", "x:[::1"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		tap_ok(net_check_add_host(bad[i], &e) < 0, "--add-host case %zu that is not NAME:ADDRESS is refused",
		       i);
	tap_ok(net_check_add_host("x=1.2.3.4", &e) == 0, "NAME=ADDRESS is accepted");
}

int main(void)
{
	tap_plan_later();
	test_resolv();
	test_servers();
	test_hosts();
	return tap_done();
}
