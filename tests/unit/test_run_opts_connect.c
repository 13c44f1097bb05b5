#include "rl/base/mem.h"
#include "rl/model/run_opts.h"
#include "tap.h"

static bool connected(struct run_opts *o, const char *text)
{
	struct err e = ERR_INIT;
	return run_opts_connect(o, text, &e) == 0;
}

static bool disconnected(struct run_opts *o, const char *name)
{
	struct err e = ERR_INIT;
	return run_opts_disconnect(o, name, &e) == 0;
}

static void test_order(void)
{
	struct run_opts o;
	struct err e = ERR_INIT;
	run_opts_init(&o);
	tap_ok(run_opts_network(&o, "one:alias=x", &e) == 0 && run_opts_ip(&o, "10.0.0.5", &e) == 0 &&
		       run_opts_network_alias(&o, "y", &e) == 0 && run_opts_check(&o, &e) == 0,
	       "a container on one network, with an address there");
	tap_ok(o.networks.count == 1 && str_eq(o.networks.items[0], "one:ip=10.0.0.5,alias=x,alias=y") && !o.ip &&
		       !o.network_aliases.count,
	       "what --ip and --network-alias say stands with the network");
	tap_ok(connected(&o, "two:ip=10.1.0.7") && connected(&o, "three") && !connected(&o, "two"),
	       "two more are added, none twice");
	tap_ok(run_opts_wants_network(&o, "two") && !run_opts_wants_network(&o, "tw") &&
		       !run_opts_wants_network(&o, "twos"),
	       "names are compared as a whole");
	tap_ok(!disconnected(&o, "four"), "what it is not on cannot go");
	tap_ok(disconnected(&o, "one") && o.networks.count == 2 && str_eq(o.networks.items[0], "two:ip=10.1.0.7"),
	       "when the first goes the second takes its place, with its options");
	tap_ok(disconnected(&o, "three") && disconnected(&o, "two") && o.network.kind == NETWORK_NONE,
	       "without any there is none");
	tap_ok(connected(&o, "two") && o.network.kind == NETWORK_NAMED && str_eq(o.networks.items[0], "two"),
	       "and one can come back");
	tap_ok(run_opts_network(&o, "two", &e) < 0, "--network with one name twice is refused");
	run_opts_free(&o);
}

static void test_fast(void)
{
	struct run_opts o;
	struct named_opt n;
	struct err e = ERR_INIT;
	run_opts_init(&o);
	tap_ok(run_opts_network(&o, "one", &e) == 0 && !run_opts_fast_network(&o), "a network is not fast unasked");
	tap_ok(run_opts_network(&o, "two,fast,ip=10.0.0.5", &e) == 0 &&
		       str_eq(o.networks.items[1], "two:fast,ip=10.0.0.5"),
	       "a comma behind the name is as good as a colon");
	autofree char *name = run_opts_fast_network(&o);
	tap_ok(name && str_eq(name, "two"), "the fast one is found");
	tap_ok(run_opts_parse_named("two:ip=10.0.0.5,fast", &n, &e) == 0 && n.fast, "and so is what it says");
	autofree char *text = run_opts_named_text(&n);
	tap_ok(str_eq(text, "two:ip=10.0.0.5,fast"), "which can be written again");
	run_opts_free_named(&n);
	tap_ok(run_opts_parse_named("two:fast=maybe", &n, &e) < 0, "a value that is neither is refused");
	run_opts_free(&o);
}

static void test_kinds(void)
{
	struct err e = ERR_INIT;
	static const struct {
		const char *network;
		bool may;
	} cases[] = {{"slirp", true}, {"none", true}, {"host", false}, {"container:x", false}, {"ns:/x", false}};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct run_opts o;
		run_opts_init(&o);
		tap_ok(run_opts_network(&o, cases[i].network, &e) == 0 && connected(&o, "one") == cases[i].may,
		       "--network %s %s be added to", cases[i].network, cases[i].may ? "can" : "cannot");
		run_opts_free(&o);
	}
}

int main(void)
{
	tap_plan_later();
	test_order();
	test_fast();
	test_kinds();
	return tap_done();
}
