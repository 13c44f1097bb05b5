/*
 * container_netlog.h - what a container with an egress policy tried to reach.
 *
 * One file per network in the container's directory (rl/engine/net_log.h), written by that network's rl-netd while the
 * container runs; it stays when the container has ended and goes with it.
 */
#ifndef RL_SVC_CONTAINER_NETLOG_H
#define RL_SVC_CONTAINER_NETLOG_H

#include <stdbool.h>

#include "rl/base/err.h"
#include "rl/base/json.h"

#define CONTAINER_NETLOG_PREFIX "netlog-" /* and the network's name, or "slirp" */

/* The refusals (`all`: and what was allowed), oldest first, as rows with Time, First, Protocol, Address, Port, Name, Verdict
 * and Count. -ENOENT: the container has no policy and nothing was ever noted. `ret_lost`: tries that made room for others. */
int container_netlog(const char *root, const char *name, bool all, json_t **ret_rows, uint64_t *ret_lost,
		     struct err *e) RL_CHECK;

#endif
