#!/bin/bash
# Dockerfiles as people write them give the same files and the same config as with buildah; the differences are listed,
# with the reason, in tests/data/dockerfiles/corpus. Debian bases only where the root file system has been made already.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

have buildah || skip_all "buildah is not installed"
for cache in "${RL_TEST_CACHE:-}" /var/tmp/rl-test-cache "$HOME/.cache/rl-test"; do
	for tar in "$cache"/debian-*-small.tar.gz; do [ -r "$tar" ] && DEBIAN_TAR=$tar; done
done
export DEBIAN_TAR=${DEBIAN_TAR:-}
TAP_DONE=1
"$HELPERS/build-compare" "$(dirname "$0")/../data/dockerfiles"
status=$?
remove_tree "$T/peer"
exit $status
