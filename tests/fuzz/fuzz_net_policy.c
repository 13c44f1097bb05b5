/*
 * fuzz_net_policy.c - any text as a list of --allow-net or --deny-net: no crash, what is refused changes nothing, and
 * what was accepted gives every target a verdict that does not depend on the items' order.
 *
 * Input: one byte that chooses the list, 20 of a target, then the list.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "rl/base/mem.h"
#include "rl/model/net_policy.h"

static void must(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_policy p = {.count = 0}, before;
	struct err e = ERR_INIT;
	if (size < 21)
		return 0;
	struct net_target t = {.family = data[1] & 1 ? AF_INET : AF_INET6,
			       .proto = data[2],
			       .port = (uint16_t)(data[3] << 8 | data[4])};
	memcpy(t.address, data + 5, 16);
	autofree char *text = xstrndup((const char *)data + 21, size - 21);
	before = p;
	if (net_policy_add(&p, text, data[0] & 1, &e) < 0) {
		must(memcmp(&p, &before, sizeof(p)) == 0 && *e.text);
		return 0;
	}
	must(p.count > 0 && p.count <= NET_POLICY_ITEMS && p.names_len <= NET_POLICY_NAMES);
	enum net_verdict v = net_policy_judge(&p, &t);
	must(v == ((data[0] & 1)      ? v == NET_DENIED ? NET_DENIED : NET_ALLOWED
		   : v == NET_ALLOWED ? NET_ALLOWED
				      : NET_UNLISTED));
	for (unsigned i = 0; i < p.count; i++) {
		const struct net_policy_item *item = &p.items[i];
		if (item->family)
			continue;
		const char *name = p.names + item->name;
		autofree char *below = xasprintf("x.%s", name);
		bool may = net_policy_may_ask(&p, item->below ? below : name);
		must(p.count > 1 || may == (!item->deny || item->first != 0));
		must(net_policy_may_alias(&p, name) || item->deny);
		(void)net_policy_judge_name(&p, name, &t);
	}
	/* The same list twice says the same. */
	if (net_policy_add(&p, text, data[0] & 1, &e) == 0)
		must(net_policy_judge(&p, &t) == v);
	return 0;
}
