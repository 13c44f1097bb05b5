#!/bin/bash
# rl-oci: SIGKILL at the system calls of every verb that changes a container, and many callers at once
# (tests/helpers/oci-killed.sh), as an ordinary user.
# deadline: 240
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/oci-killed.sh"
kill_verbs
many_at_once
done_testing
