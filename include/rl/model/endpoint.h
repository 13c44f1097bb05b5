/*
 * endpoint.h - one attachment of a container to a network, as its record keeps it: a line of words, KEY=VALUE.
 *
 * Written when the container has started (state.json, "networks"), read by inspect, ps, port and network inspect.
 * Members that do not apply are "". Unknown keys are skipped.
 */
#ifndef RL_MODEL_ENDPOINT_H
#define RL_MODEL_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "rl/base/str.h"

struct endpoint {
	char network[128]; /* "slirp", or the name of the network */
	char interface[16];
	char mac[18];
	char address[16], gateway[16];
	unsigned prefix;
	char address6[46], gateway6[46];
	unsigned prefix6;
	char dns[16];  /* the network's resolver */
	bool internal; /* no way out, and its resolver knows the network's names only */
};

void endpoint_text(const struct endpoint *p, struct str *out);
/* False when there is no network in it. */
bool endpoint_parse(const char *text, struct endpoint *ret);
/* The MAC address as bytes; false when there is none. */
bool endpoint_mac(const struct endpoint *p, uint8_t ret[6]);

#endif
