#!/bin/bash
# deadline: 900
# Dockerfiles as people write them give the same files and the same config as with buildah; the differences are listed,
# with the reason, in tests/data/dockerfiles/corpus. Debian bases only where the root file system has been made already.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

have buildah || skip_all "buildah is not installed"
for cache in "${RL_TEST_CACHE:-}" /var/tmp/rl-test-cache "$HOME/.cache/rl-test"; do
	for tar in "$cache"/debian-*-small.tar.gz; do [ -r "$tar" ] && DEBIAN_TAR=$tar; done
done
export DEBIAN_TAR=${DEBIAN_TAR:-}
while IFS= read -r line; do
	text=${line#* - }
	case $line in
	"ok "*"# SKIP "*) skip "${text%% # SKIP*}" "${text##*# SKIP }" ;;
	"ok "*) pass "$text" ;;
	"not ok "*) fail "$text" ;;
	"Bail out"*) fail "the comparison can be made: $line" ;;
	"# "*) diag "${line#\# }" ;;
	esac
done < <("$HELPERS/build-compare" "$(dirname "$0")/../data/dockerfiles" 2>&1)
remove_tree "$T/peer"
done_testing
