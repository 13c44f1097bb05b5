/*
 * net_egress.h - the policy of one container at work: what names have opened, which datagram flows go on, what is noted.
 *
 * Model: net_policy.h judges addresses and names; here is what lies between them. Every answer that is given to the
 * container is looked through, and its addresses are remembered under the name that was asked for, as long as the answer
 * says and EGRESS_GRACE_MS longer, because programs use addresses a little longer than they may. A connection to an
 * address that no item of the list names is allowed when one of these names is on the list with that port.
 *
 * TCP is judged at its first segment only, so what is open stays open. A datagram flow (source port, address, port) that
 * was allowed stays so until it was quiet for EGRESS_FLOW_MS.
 *
 * Pure but for net_log: time is an argument. Memory is fixed: EGRESS_KNOWN addresses, of which the one that ends first
 * makes room. A container can only fill its own table.
 */
#ifndef RL_ENGINE_NET_EGRESS_H
#define RL_ENGINE_NET_EGRESS_H

#include "rl/engine/net_log.h"
#include "rl/model/net_policy.h"

enum {
	EGRESS_GRACE_MS = 120 * 1000,
	EGRESS_TTL_MAX_S = 24 * 3600,
	EGRESS_FLOW_MS = 120 * 1000,
	EGRESS_KNOWN = 512,
	EGRESS_FLOWS = 256,
};

struct egress;

/* `log` may be NULL; it is unmapped with the egress. */
struct egress *egress_new(const struct net_policy *p, struct net_log *log);
void egress_free(struct egress *g);

/* May this query (checked by dns_check_query) be forwarded? */
bool egress_may_ask(struct egress *g, const uint8_t *query);
/* The answer to one that was: remember its addresses. False: it goes through a name that is denied and must not be
 * given to the container. */
bool egress_learn(struct egress *g, const uint8_t *answer, size_t len, int64_t now_ms);
/* A first segment, a datagram, or an echo request to outside the container's network. */
bool egress_allows(struct egress *g, const struct net_target *t, uint16_t sport, int64_t now_ms);

#endif
