#!/bin/bash
# The properties that the OCI runtime-tools' validation programs demand, one group a program, as root (tests/helpers/
# oci-validation.sh); the differences from a full pass are rows of tests/data/oci-validation.txt.
# deadline: 240
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/oci.sh"
. "$HELPERS/oci-validation.sh"
on_finish 'for i in $(oci list -q); do oci delete -f "$i"; done; rmdir /sys/fs/cgroup/*/rl-test-val/relative /sys/fs/cgroup/*/rl-test-val /sys/fs/cgroup/*/rl-test-own 2>/dev/null'
oci_bundle b
# shellcheck disable=SC2046
programs $(oci_programs root)
rmdir /sys/fs/cgroup/*/rl-test-val/relative /sys/fs/cgroup/*/rl-test-val 2>/dev/null
is "nothing is left of all of them" "$(ls state; find /sys/fs/cgroup -name 'rl-test-*')" ""
done_testing
