#!/bin/bash
# bench.sh BUILD [SECTION...] - `make bench`: what rl does beside what its peers do, in the same minutes.
#
# Sections: start oci network podman memory import throughput ports containers images build restricted emulate
# (default: all).
# Everything runs as an ordinary user (one made for this when root calls), from an installed tree. As root a mount
# namespace of our own gives the peers what this machine may lack and changes nothing outside: a cgroup file system of one
# version (crun refuses a mixture) and a /dev/net/tun that an ordinary user may open. Without root, rows whose peer does
# not work are said to be unmeasured. Every row is said as soon as it is there; the table comes at the end.
# BENCH_ROUNDS (default 15) is the number of interleaved rounds; BENCH_QUICK=1 is a short look without meaning.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:?usage: bench.sh BUILD [SECTION...]}" && pwd) || exit 2
shift
. "$top/tests/helpers/stage.sh"

if [ "$(id -u)" = 0 ] && [ "${BENCH_INSIDE:-}" != 1 ]; then
	BENCH_INSIDE=1 exec unshare --mount --propagation private "$0" "$build" "$@"
fi

finish() {
	local uid
	uid=$(id -u "${STAGE_USER:-nobody}")
	umount "$STAGE/dev" 2>/dev/null
	stage_close
	[ "$uid" = 0 ] || [ -z "$uid" ] || rm -rf "/tmp/containers-user-$uid" "/tmp/podman-run-$uid"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
stage_open || exit 1
make -s --no-print-directory -C "$top" install-files DESTDIR= PREFIX="$STAGE/prefix" \
	BUILDROOT="${build%/*}" FLAVOUR="${build##*/}" || exit 1

if [ "$(id -u)" = 0 ]; then
	mkdir "$STAGE/dev"
	mount -t tmpfs -o mode=755 bench "$STAGE/dev" && mknod "$STAGE/dev/tun" c 10 200 && chmod 666 "$STAGE/dev/tun" &&
		mount --bind "$STAGE/dev/tun" /dev/net/tun && umount "$STAGE/dev" # a mount below /var would split `run host`
	[ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] ||
		{ umount -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup; }
fi

export STAGE STAGE_USER STAGE_HOME BENCH_TOP="$top" BENCH_BUILD="$build"
mkdir -p "${build%/*}/bench"
BENCH_OUT=${build%/*}/bench python3 "$top/tests/perf/bench.py" "$@"
