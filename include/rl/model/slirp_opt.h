/*
 * slirp_opt.h - the text behind `--network slirp:`, as data. The one place that knows its grammar: the option table
 * checks with it what was typed, and the network engine applies the result (net_slirp_parse).
 *
 * KEY=VALUE pairs separated by commas, with the names people know from slirp4netns: mtu=, cidr=, enable_ipv6=,
 * allow_host_loopback=, outbound_addr=, outbound_addr6=, port_handler=; and `fast`, which needs no value. Unknown keys and values that are not valid are
 * -EINVAL and named. Addresses are read with inet_pton, so that "0177.1" and friends are refused.
 */
#ifndef RL_MODEL_SLIRP_OPT_H
#define RL_MODEL_SLIRP_OPT_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"

enum { SLIRP_OPT_MTU_MIN = 576, SLIRP_OPT_MTU_MIN6 = 1280, SLIRP_OPT_MTU_MAX = 65520 };

struct slirp_opt {
	unsigned mtu; /* 0: not said */
	bool cidr_given;
	uint32_t network; /* host order */
	unsigned prefix;
	bool fast;		 /* connections on sockets of the host */
	int enable_ipv6;	 /* -1 not said, 0, 1 */
	int allow_host_loopback; /* -1 not said, 0, 1 */
	char outbound_addr[64];	 /* address or interface name, or "" */
	char outbound_addr6[64];
};

/* NULL or "" says nothing. */
int slirp_opt_parse(const char *text, struct slirp_opt *ret, struct err *e) RL_CHECK;

#endif
