#!/bin/bash
# deadline: 240
# The user-mode network on the AF_PACKET rung, as an ordinary user has it where /dev/net/tun is closed.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_HOST_NS:-}" ]; then
	RL_TEST_HOST_NS=1 exec unshare -Urn bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/network-tests.sh"
RUNG=(--packet)
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
done_testing
