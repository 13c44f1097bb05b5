#!/bin/bash
# rl-oci: SIGKILL at the system calls of the processes that its verbs make (tests/helpers/oci-killed.sh), as an ordinary user.
# deadline: 240
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/oci-killed.sh"
kill_children
done_testing
