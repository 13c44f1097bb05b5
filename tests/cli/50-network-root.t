#!/bin/bash
# deadline: 240
# The user-mode network on the TAP rung: /dev/net/tun is root's here, so a node of the test's own is used.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_HOST_NS:-}" ]; then
	RL_TEST_HOST_NS=1 exec unshare -n bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/network-tests.sh"
RUNG=(--tap-node)
host_up
test_connections
test_interface
test_loopback_closed
test_host_access
test_ping
test_offline
test_rude_peers
test_stalled_peers
test_floods
test_life
test_sandbox
done_testing
