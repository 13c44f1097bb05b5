# fast-path.sh - for tests of the fast path; sourced after tap.sh in a network namespace of the test's own. "The host" is
# that namespace; the world outside are addresses on its loopback device. Skips the file where there is no fast path.
#
#     FAST=(--network slirp,fast)              what `fast` adds to its options; may be empty
#     fast [OPTION...] -- COMMAND...           a command in a container that has the host's Python and the helpers in /lab
. "$HELPERS/network-tests.sh"
host_up
mount --bind "$T/resolv.conf" "$(realpath /etc/resolv.conf)"
if rl run --rm --network slirp,fast busybox true 2>&1 | grep -q "no fast path"; then
	skip_all "this kernel's Landlock has no rules for TCP"
fi
PYTHON=(-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$HELPERS:/lab:ro" -v /etc/alternatives:/etc/alternatives:ro)
FAST=()
fast() {
	local options=() count
	split_at_dashes "$@" && shift $count
	timeout -k 5 60 rl run -i --rm -q "${FAST[@]}" "${options[@]}" "${PYTHON[@]}" busybox "$@" 2>&1
}
