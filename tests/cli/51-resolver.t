#!/bin/bash
# deadline: 240
# rl-netd's name server.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_HOST_NS:-}" ]; then
	RL_TEST_HOST_NS=1 exec unshare -Urn bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/network-tests.sh"
. "$HELPERS/resolver-tests.sh"
RUNG=(--packet)
host_up
test_resolver
test_resolver_failover
test_resolver_follows
done_testing
