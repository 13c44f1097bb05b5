#!/bin/bash
# ports.sh BUILD [RUNS [SECONDS]] - published ports beside pasta's: throughput of one iperf3 stream in both directions, and
# 1,000 short HTTP requests, each with a connection of its own. Interleaved runs; medians and ratios. As an ordinary user.
# Then the memory of rl-portd with 10,000 idle connections (as many as the limit of descriptors allows).
set -u
build=$(realpath "${1:?build directory}")
runs=${2:-5}
seconds=${3:-2}
export PATH=$build/bin:$PATH
work=$(mktemp -d)
export RL_ROOT=$work/store
PIDS=()
cleanup() {
	kill "${PIDS[@]}" 2>/dev/null
	rl rm -fa >/dev/null 2>&1
	rm -rf "$work"
}
trap cleanup EXIT
helpers=$(cd "$(dirname "$0")/../helpers" && pwd)
lend=(-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$helpers:/lab:ro")
cat >"$work/http.py" <<'PY'
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", 8000))
s.listen(1024)
while True:
    c, _ = s.accept()
    c.recv(4096)
    c.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    c.close()
PY
cp "$work/http.py" "$work/get.py" && cat >"$work/get.py" <<'PY'
import socket, sys, time
start = time.monotonic()
for _ in range(1000):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.sendall(b"GET / HTTP/1.0\r\n\r\n")
    while s.recv(4096):
        pass
    s.close()
print(time.monotonic() - start)
PY
rl run -d --name perf -p 127.0.0.1:15201:5201 -p 127.0.0.1:18000:8000 -p 127.0.0.1:18080:80 "${lend[@]}" -v "$work:/work:ro" \
	busybox sh -c 'ulimit -n $(ulimit -Hn); iperf3 -s >/dev/null & python3 /lab/portlab.py serve 80 >/dev/null & exec python3 /work/http.py' >/dev/null || exit
pasta -f --config-net -t 127.0.0.1/15202:5201 -t 127.0.0.1/18001:8000 -- \
	sh -c "iperf3 -s >/dev/null 2>&1 & exec python3 $work/http.py" >/dev/null 2>&1 &
PIDS+=($!)
serves() {
	local end=$((SECONDS + 20))
	until timeout 3 iperf3 -c 127.0.0.1 -p "$1" -n 1K >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
	done
}
serves 15201 || { echo "rl's port does not answer"; exit 1; }
peers=(rl:15201:18000)
if serves 15202; then
	peers+=(pasta:15202:18001)
else
	echo "pasta's port does not answer on this machine: no comparison"
fi
rate() { timeout 60 iperf3 -J -c 127.0.0.1 -p "$1" -t "$seconds" $2 | python3 -c 'import json, sys
print(json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"] / 1e9)'; }
for ((i = 0; i < runs; i++)); do
	for who in "${peers[@]}"; do
		IFS=: read -r name stream http <<<"$who"
		rate "$stream" '' >>"$work/$name.in"
		rate "$stream" -R >>"$work/$name.out"
		timeout 60 python3 "$work/get.py" "$http" >>"$work/$name.http"
	done
done
python3 - "$work" <<'PY'
import sys
from statistics import median
def read(name):
    try:
        return sorted(float(x) for x in open(f"{sys.argv[1]}/{name}") if x.strip())
    except OSError:
        return []
for what, unit in (("in", "Gbit/s"), ("out", "Gbit/s"), ("http", "s for 1,000 requests")):
    ours, theirs = read(f"rl.{what}"), read(f"pasta.{what}")
    if not theirs:
        print(f"{what:5} rl {median(ours):.2f} [{ours[0]:.2f}..{ours[-1]:.2f}] {unit}")
        continue
    print(f"{what:5} rl {median(ours):.2f} [{ours[0]:.2f}..{ours[-1]:.2f}]  pasta {median(theirs):.2f} "
          f"[{theirs[0]:.2f}..{theirs[-1]:.2f}] {unit}  ratio {median(ours) / median(theirs):.2f}")
PY
# 10,000 idle connections; both ends of each and the two of rl-portd need descriptors
want=10000
mkfifo "$work/wait"
(ulimit -n "$(ulimit -Hn)"; python3 "$helpers/portlab.py" idle 127.0.0.1 18080 $want <"$work/wait" >"$work/idle" 2>&1) &
exec 7>"$work/wait"
end=$((SECONDS + 60))
until [ -s "$work/idle" ] || [ $SECONDS -gt $end ]; do :; done
pid=$(pgrep -n -u "$(id -u)" -x rl-portd)
echo "idle connections greeted: $(tail -n 1 "$work/idle"); rl-portd: $(awk '/^Rss(Anon|File)/ {printf "%s %s kB ", $1, $2}' "/proc/$pid/status")"
exec 7>&-
