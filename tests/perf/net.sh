#!/bin/bash
# net.sh BUILD [RUNS [SECONDS]] - throughput and processor cost of the user-mode network, beside slirp4netns.
#
# "The host" is a network namespace of this script's own with a server on a non-loopback address; every program gets
# the same MTU (65520) and one iperf3 stream. Runs are interleaved, so that what else the machine does hits all alike.
# Output: one line per program and direction (median, spread, processor seconds of the helper per gigabyte), then the
# ratios the bars are about. Needs root for the TAP rung where /dev/net/tun is root's.
set -u
build=$(realpath "${1:?build directory}")
runs=${2:-7}
seconds=${3:-3}
export RL_LIBEXEC=$build/libexec/rl
netrun=$build/tests/helpers/netrun
server=10.9.9.1

if [ "${NET_SH_INSIDE:-}" != 1 ]; then
	NET_SH_INSIDE=1 exec unshare -n "$0" "$@"
fi

work=$(mktemp -d)
cleanup() {
	kill "$server_pid" 2>/dev/null
	rm -rf "$work"
}
ip link set lo up
ip address add $server/32 dev lo
iperf3 -s -B $server >/dev/null 2>&1 &
server_pid=$!
trap cleanup EXIT
until iperf3 -c $server -n 1K >/dev/null 2>&1; do :; done

# measure NAME up|down: appends "Gbit/s cpu-seconds-per-GB" to its file
measure() {
	local reverse='' cpu
	[ "$2" = down ] && reverse=-R
	local client=(iperf3 -J -c $server -t "$seconds" $reverse)
	case $1 in
	slirp4netns)
		local ns helper before after
		unshare -Urn sleep 1000 &
		ns=$!
		until [ "$(readlink /proc/$ns/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done
		slirp4netns -c -m 65520 --disable-host-loopback --enable-sandbox --enable-seccomp -r 9 $ns tap0 \
			9>"$work/ready" >/dev/null 2>&1 &
		helper=$!
		until [ -s "$work/ready" ]; do :; done
		nsenter -t $ns -U -n --preserve-credentials "${client[@]}" >"$work/json"
		cpu=$(awk -v hz="$(getconf CLK_TCK)" '{print ($14 + $15) / hz}' /proc/$helper/stat)
		kill $helper $ns
		wait $helper $ns 2>/dev/null
		rm -f "$work/ready"
		;;
	tap) "$netrun" --cpu "${client[@]}" >"$work/json" 2>"$work/err" ;;
	packet) "$netrun" --cpu --packet "${client[@]}" >"$work/json" 2>"$work/err" ;;
	esac
	[ "$1" = slirp4netns ] || cpu=$(sed -n 's/^netd_cpu=//p' "$work/err")
	python3 - "$work/json" "$cpu" >>"$work/$1.$2" <<'PY'
import json, sys
end = json.load(open(sys.argv[1]))["end"]["sum_received"]
print(end["bits_per_second"] / 1e9, float(sys.argv[2]) / (end["bytes"] / 1e9))
PY
}

for ((i = 0; i < runs; i++)); do
	for direction in up down; do
		for name in slirp4netns tap packet; do
			measure $name $direction
		done
	done
done

python3 - "$work" <<'PY'
import sys
from statistics import median
speed, cpu = {}, {}
for direction in ("up", "down"):
    for name in ("slirp4netns", "tap", "packet"):
        rows = [tuple(map(float, line.split())) for line in open(f"{sys.argv[1]}/{name}.{direction}")]
        rates = sorted(r for r, _ in rows)
        key = name, direction
        speed[key], cpu[key] = median(rates), median(c for _, c in rows)
        print(f"{name:12} {direction:5} {speed[key]:6.2f} Gbit/s  ({rates[0]:.2f} to {rates[-1]:.2f}, {len(rates)} runs)"
              f"  {cpu[key]:.3f} CPU s/GB")
for direction in ("up", "down"):
    base, tap = ("slirp4netns", direction), ("tap", direction)
    print(f"ratio {direction:5} tap/slirp4netns {speed[tap] / speed[base]:.2f} (bar 1.00)"
          f"  packet/tap {speed['packet', direction] / speed[tap]:.2f} (bar 0.85)"
          f"  cpu tap/slirp4netns {cpu[tap] / cpu[base]:.2f} (bar 1.00)")
PY
