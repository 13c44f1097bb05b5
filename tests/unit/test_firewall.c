#include "rl/base/mem.h"
#include "rl/engine/net_named.h"
#include "tap.h"

#define CHAIN(family, name, more)                                                                                      \
	"{\"chain\":{\"family\":\"" family "\",\"table\":\"t\",\"name\":\"" name "\"" more "}}"
#define BASE(family, name, hook, policy) CHAIN(family, name, ",\"hook\":\"" hook "\",\"policy\":\"" policy "\"")
#define RULE(family, chain, expr)                                                                                      \
	"{\"rule\":{\"family\":\"" family "\",\"table\":\"t\",\"chain\":\"" chain "\",\"expr\":[" expr "]}}"
#define MATCH	  "{\"match\":{\"op\":\"==\",\"left\":{\"meta\":{\"key\":\"iifname\"}},\"right\":\"eth0\"}},"
#define STATE(s)  "{\"match\":{\"op\":\"in\",\"left\":{\"ct\":{\"key\":\"state\"}},\"right\":\"" s "\"}},"
#define ALL(text) "{\"nftables\":[" text "]}"

struct ruleset {
	const char *what, *text;
	bool strict, strict6;
	const char *input;
};

int main(void)
{
	static const struct ruleset cases[] = {
		{"no rules", ALL(""), false, false, ""},
		{"a chain that accepts", ALL(BASE("inet", "c", "forward", "accept")), false, false, ""},
		{"a policy of dropping", ALL(BASE("inet", "c", "forward", "drop")), true, true, ""},
		{"one of input", ALL(BASE("ip", "INPUT", "input", "drop")), true, true, "ip t INPUT"},
		{"one of output", ALL(BASE("inet", "c", "output", "drop")), false, false, ""},
		{"one of IPv6", ALL(BASE("ip6", "c", "forward", "drop")), false, true, ""},
		{"one of a bridge", ALL(BASE("bridge", "c", "input", "drop")), true, true, ""},
		{"a last rule that drops",
		 ALL(BASE("inet", "c", "input", "accept") "," RULE("inet", "c", "{\"drop\":null}")), true, true,
		 "inet t c"},
		{"one that rejects",
		 ALL(BASE("inet", "c", "forward", "accept") "," RULE("inet", "c",
								     MATCH "{\"reject\":{\"type\":\"icmpx\"}}")),
		 true, true, ""},
		{"the target of iptables",
		 ALL(BASE("ip", "c", "forward",
			  "accept") "," RULE("ip", "c", "{\"xt\":{\"type\":\"target\",\"name\":\"REJECT\"}}")),
		 true, true, ""},
		{"invalid connections are dropped",
		 ALL(BASE("inet", "c", "forward", "accept") "," RULE("inet", "c", STATE("invalid") "{\"drop\":null}")),
		 false, false, ""},
		{"new ones are",
		 ALL(BASE("inet", "c", "forward", "accept") "," RULE("inet", "c", STATE("new") "{\"drop\":null}")),
		 true, true, ""},
		{"a rule that accepts",
		 ALL(BASE("inet", "c", "forward", "accept") "," RULE("inet", "c", MATCH "{\"accept\":null}")), false,
		 false, ""},
		{"a chain that nothing leads to drops",
		 ALL(BASE("inet", "c", "forward", "accept") "," CHAIN("inet", "d", "") "," RULE("inet", "d",
												"{\"drop\":null}")),
		 false, false, ""},
		{"a chain that is jumped to drops",
		 ALL(BASE("inet", "c", "forward", "accept") "," RULE(
			 "inet", "c",
			 "{\"jump\":{\"target\":\"d\"}}") "," CHAIN("inet", "d",
								    "") "," RULE("inet", "d",
										 "{\"goto\":{\"target\":\"e\"}"
										 "}") "," RULE("inet", "e",
											       "{\"drop\":"
											       "null}")),
		 true, true, ""},
		{"chains that go round",
		 ALL(BASE("inet", "c", "forward", "accept") "," RULE(
			 "inet", "c", "{\"jump\":{\"target\":\"d\"}}") "," RULE("inet", "d",
										"{\"jump\":{\"target\":\"c\"}}")),
		 false, false, ""},
		{"a map of verdicts with one that drops",
		 ALL(BASE("inet", "c", "forward",
			  "accept") "," RULE("inet", "c",
					     "{\"vmap\":{\"key\":{\"meta\":{\"key\":\"iifname\"}},\"data\":{\"set\":[["
					     "\"lo\",{\"accept\":null}],"
					     "[\"eth0\",{\"drop\":null}]]}}}")),
		 true, true, ""},
		{"a map of verdicts elsewhere",
		 ALL(BASE("inet", "c", "forward", "accept") "," RULE("inet", "c", "{\"vmap\":{\"data\":\"@m\"}}")),
		 true, true, ""},
		{"one of ours",
		 "{\"nftables\":[{\"chain\":{\"family\":\"inet\",\"table\":\"rl-1\",\"name\":\"c\",\"hook\":"
		 "\"forward\","
		 "\"policy\":\"drop\"}}]}",
		 false, false, ""},
		{"what cannot be read", "{", true, false, ""},
		{"nothing", "", true, false, ""},
	};
	tap_plan_later();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_firewall f = {0};
		net_firewall_judge(cases[i].text, &f);
		tap_ok(f.strict == cases[i].strict && f.strict6 == cases[i].strict6 && str_eq(f.input, cases[i].input),
		       "%s: %s", cases[i].what, cases[i].strict ? "packets may be dropped" : "nothing is in the way");
	}
	return tap_done();
}
