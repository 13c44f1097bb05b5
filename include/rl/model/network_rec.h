/*
 * network_rec.h - a network with a name, as networks/NAME.json has it, and the options of `rl network create`.
 */
#ifndef RL_MODEL_NETWORK_REC_H
#define RL_MODEL_NETWORK_REC_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "rl/base/err.h"
#include "rl/base/json.h"
#include "rl/base/str.h"

enum { NETWORK_NAME_MAX = 63, NETWORK_FILE_MAX = 1 << 20 };

struct network_rec {
	char *name;
	char id[65];
	int64_t created; /* ns since 1970 */
	char *driver;	 /* "bridge", "macvlan", "ipvlan" */
	/* As text, checked: "10.89.0.0/24", "10.89.0.1", "" or NULL where there is none. */
	char *subnet, *gateway, *ip_range;
	char *subnet6, *gateway6;
	bool internal, disable_dns;
	struct strv labels, options; /* "key=value" */
};

/* The same as numbers, in host order. */
struct network_addrs {
	uint32_t network, gateway, first, last; /* first and last that containers get */
	unsigned prefix;
	bool ipv6;
	struct in6_addr network6, gateway6;
};

void network_rec_free(struct network_rec *n);
json_t *network_rec_to_json(const struct network_rec *n);
int network_rec_from_json(const json_t *doc, struct network_rec *ret, struct err *e) RL_CHECK;
/* Letters, digits, '_', '.', '-', beginning with a letter or digit, and none of the words --network has. */
int network_rec_check_name(const char *name, struct err *e) RL_CHECK;
/* Reads the texts; fills in the gateways (first address) where they are missing. -EINVAL names what is wrong. */
int network_rec_addrs(struct network_rec *n, struct network_addrs *ret, struct err *e) RL_CHECK;
/* May this be the first address of a subnet that hosts are in? In host order. */
bool network_has_hosts(uint32_t network);
/* "NET/PREFIX" of IPv4, host bits cleared. */
int network_parse_cidr(const char *text, uint32_t *ret_network, unsigned *ret_prefix, struct err *e) RL_CHECK;

#endif
