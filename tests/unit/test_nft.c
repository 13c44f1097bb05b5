#include "rl/kern/nft.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rl/base/mem.h"
#include "rl/kern/idmap.h"
#include "tap.h"

static void element(struct nft_element *x, const char *set, const char *address, uint16_t port)
{
	struct in_addr a;
	uint16_t p = htons(port);
	*x = (struct nft_element){.family = NFPROTO_INET, .table = "t", .set = set};
	inet_pton(AF_INET, address, &a);
	nft_put(x->key, &x->key_len, &a, sizeof(a));
	nft_put(x->key, &x->key_len, &p, sizeof(p));
}

static int change(int sock, const struct nft_element *x, bool add)
{
	struct err e = ERR_INIT;
	struct nft_batch *b = xcalloc(1, sizeof(*b));
	nft_begin(b);
	nft_element(b, x, add);
	int r = nft_commit(sock, b, &e);
	free(b);
	return r;
}

/* Returns where it failed. */
static int in_own_namespace(void *arg)
{
	static const char table[] = "table inet t {\n set s { type ipv4_addr . inet_service; }\n"
				    " map m { type ipv4_addr . inet_service : ipv4_addr . inet_service; }\n"
				    " chain c { type filter hook input priority 0; policy drop; }\n}\n";
	struct err e = ERR_INIT;
	struct nft_element x;
	struct in_addr to = {htonl(0x0a000001)};
	autostr struct str chains = STR_INIT;
	(void)arg;
	if (nft_run(table, &e) < 0)
		return 1;
	int sock = nft_open(&e);
	if (sock < 0)
		return 2;
	element(&x, "s", "10.0.0.1", 80);
	if (change(sock, &x, true) < 0)
		return 3;
	if (nft_run("delete element inet t s { 10.0.0.1 . 80 }\n", &e) < 0)
		return 4; /* nft sees the very element */
	if (change(sock, &x, false) >= 0)
		return 5; /* gone: an error, and the socket is of use afterwards */
	element(&x, "m", "10.0.0.2", 53);
	nft_put(x.data, &x.data_len, &to, sizeof(to));
	nft_put(x.data, &x.data_len, &(uint16_t){htons(54)}, sizeof(uint16_t));
	if (change(sock, &x, true) < 0)
		return 6;
	if (nft_run("delete element inet t m { 10.0.0.2 . 53 : 10.0.0.1 . 54 }\n", &e) < 0)
		return 7;
	if (nft_list_rules(&chains, &e) < 0 || !strstr(chains.buf, "\"policy\": \"drop\""))
		return 8;
	if (nft_run("add table inet u\nadd chain inet nowhere x\n", &e) != -EIO || !*e.text)
		return 9;
	return nft_run("delete table inet u\n", &e) < 0 ? 0 : 10; /* all or nothing */
}

/* Returns where it failed. */
static int watched(void *arg)
{
	struct err e = ERR_INIT;
	(void)arg;
	int watch = nft_watch(&e);
	if (watch < 0)
		return 1;
	if (nft_has_changed(watch, "rl-"))
		return 2;
	if (nft_run("table inet rl-x {\n set s { type ipv4_addr; }\n chain c { type filter hook input priority 0; "
		    "}\n}\n"
		    "add element inet rl-x s { 10.0.0.1 }\nadd rule inet rl-x c drop\n",
		    &e) < 0 ||
	    nft_has_changed(watch, "rl-"))
		return 3; /* ours */
	if (nft_run("table ip other { chain c { type filter hook forward priority 0; }\n}\n", &e) < 0 ||
	    !nft_has_changed(watch, "rl-") || nft_has_changed(watch, "rl-"))
		return 4; /* once */
	if (nft_run("add rule ip other c drop\n", &e) < 0 || !nft_has_changed(watch, "rl-"))
		return 5;
	if (nft_run("delete table ip other\n", &e) < 0 || !nft_has_changed(watch, "rl-"))
		return 6;
	if (nft_run("table ip rl { }\n", &e) < 0 || !nft_has_changed(watch, "rl-"))
		return 7; /* a name that is a part of ours */
	int small = 1;
	if (setsockopt(watch, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) < 0)
		return 8;
	autostr struct str many = STR_INIT;
	for (int i = 0; i < 200; i++)
		str_addf(&many, "add chain inet rl-x c%d\n", i);
	if (nft_run(many.buf, &e) < 0 || !nft_has_changed(watch, "rl-"))
		return 9; /* what did not fit may have been anybody's */
	return nft_has_changed(watch, "rl-") ? 10 : 0;
}

static void test_bounds(void)
{
	struct nft_element x = {.key_len = 0};
	struct err e = ERR_INIT;
	unsigned char part[20] = {1};
	for (int i = 0; i < 5; i++)
		nft_put(x.key, &x.key_len, part, sizeof(part));
	tap_ok(x.key_len == 40, "a key that is full takes no more");
	struct nft_batch *b = xcalloc(1, sizeof(*b));
	element(&x, "s", "10.0.0.1", 80);
	nft_begin(b);
	for (int i = 0; i < 1000; i++)
		nft_element(b, &x, true);
	tap_ok(nft_commit(-1, b, &e) == -E2BIG, "a batch that is too long is refused, not cut");
	nft_begin(b);
	tap_ok(nft_commit(-1, b, &e) == 0, "an empty one has nothing to send");
	free(b);
}

static void in_namespace(int (*what)(void *), const char *property)
{
	struct err e = ERR_INIT;
	struct idmap map;
	struct proc_child c;
	int r = idmap_detect(true, &map, &e);
	if (r == 0)
		r = userns_spawn(&map, CLONE_NEWNET, what, NULL, &c, &e);
	if (r == 0)
		r = proc_wait(&c, "child", &e);
	if (!tap_ok(r == 0, "%s", property))
		tap_diag("failed at %d %s", r, e.text);
}

int main(void)
{
	tap_plan_later();
	test_bounds();
	if (access("/usr/sbin/nft", X_OK) < 0) {
		tap_skip("nft is not installed", "elements are those that nft sees");
		tap_skip("nft is not installed", "changes of others' tables are heard of, our own are not");
		return tap_done();
	}
	in_namespace(in_own_namespace, "elements are those that nft sees");
	in_namespace(watched, "changes of others' tables are heard of, our own are not");
	return tap_done();
}
