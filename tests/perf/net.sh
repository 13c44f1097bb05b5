#!/bin/bash
# net.sh BUILD [RUNS [SECONDS]] - throughput and processor cost of the user-mode network, beside slirp4netns.
#
# "The host" is a network namespace of this script's own with a server on a non-loopback address; every program gets
# the same MTU (65520) and one iperf3 stream. Runs are interleaved, so that what else the machine does hits all alike.
# Output: one line per program and direction (median, spread, processor seconds of the helper per gigabyte), then the
# ratios the bars are about. Needs root for the TAP rung where /dev/net/tun is root's.
#
# The fast path (rl run --network slirp,fast) is measured in turn with the same programs on the host, each in a session of
# its own as a container is: the scheduler shares the processors between sessions. Set-up is the median of 1,000 connects.
set -u
build=$(realpath "${1:?build directory}")
runs=${2:-7}
seconds=${3:-3}
export RL_LIBEXEC=$build/libexec/rl
export RL_ROOT
netrun=$build/tests/helpers/netrun
server=10.9.9.1

if [ "${NET_SH_INSIDE:-}" != 1 ]; then
	NET_SH_INSIDE=1 exec unshare -n "$0" "$@"
fi

work=$(mktemp -d)
RL_ROOT=$work/store
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

fast() {
	"$build/bin/rl" run --rm -q --network slirp,fast -v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro \
		-v "$work:/work:ro" busybox "$@"
}
cat >"$work/setup.py" <<'PY'
import ctypes, socket, struct, sys, time
from statistics import median
connect = ctypes.CDLL(None).connect
address = struct.pack("H", socket.AF_INET) + struct.pack("!H4s8x", 80, socket.inet_aton(sys.argv[1]))
times = []
for _ in range(1000):
    s = socket.socket()
    fd, before = s.fileno(), time.perf_counter()
    if connect(fd, address, 16):
        sys.exit("connect failed")
    times.append(time.perf_counter() - before)
    s.close()
print(median(times) * 1e6)
PY
python3 -c '
import socket, sys
s = socket.socket()
s.bind((sys.argv[1], 80))
s.listen(4096)
while True:
    s.accept()[0].close()' $server &
accept_pid=$!

# measure_fast host|fast: throughput both ways and the time of a connect
measure_fast() {
	local how=(setsid -w) direction reverse
	[ "$1" = host ] || how=(fast)
	for direction in up down; do
		reverse=
		[ $direction = up ] || reverse=-R
		"${how[@]}" iperf3 -J -c $server -t "$seconds" $reverse | python3 -c '
import json, sys
print(json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"] / 1e9)' >>"$work/path.$1.$direction"
	done
	local script=$work/setup.py
	[ "$1" = host ] || script=/work/setup.py
	"${how[@]}" python3 "$script" $server >>"$work/path.$1.setup"
}
for ((i = 0; i < runs; i++)); do
	measure_fast host
	measure_fast fast
done
kill $accept_pid
python3 - "$work" <<'PY'
import sys
from statistics import median
def figures(who, what):
    return sorted(float(line) for line in open(f"{sys.argv[1]}/path.{who}.{what}"))
for direction in ("up", "down"):
    host, fast = figures("host", direction), figures("fast", direction)
    print(f"fast path    {direction:5} {median(fast):6.2f} Gbit/s  ({fast[0]:.2f} to {fast[-1]:.2f}, {len(fast)} runs)"
          f"  host {median(host):.2f} ({host[0]:.2f} to {host[-1]:.2f})  ratio {median(fast) / median(host):.2f} (bar 0.90)")
host, fast = figures("host", "setup"), figures("fast", "setup")
pairs = list(zip(*([float(line) for line in open(f"{sys.argv[1]}/path.{who}.setup")] for who in ("fast", "host"))))
print(f"fast path    connect {median(fast):.1f} ({fast[0]:.1f} to {fast[-1]:.1f}) us, host {median(host):.1f} "
      f"({host[0]:.1f} to {host[-1]:.1f}) us: {median(f - h for f, h in pairs):.1f} us more (bar 60)")
PY
[ "${NET_SH_ONLY:-}" = fast ] && exit

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
