# network-tests.sh - the user-mode network from both sides. Sourced by tests/cli/50-network*.t after tap.sh, in a network
# namespace of the test's own, which is "the host": servers on its loopback and on addresses that stand for the world
# outside. RUNG holds netrun's options for the device to use.
export RL_LIBEXEC=${RL_LIBEXEC:-$RL_TEST_PREFIX/libexec/rl}
LAB=$HELPERS/netlab.py
WORLD=10.9.9.1
WORLD6=2001:db8::1
PIDS=()

# server NAME ARGS...: a server of netlab.py in the background, once it is ready.
server() {
	local fifo=$T/fifo.$RANDOM
	mkfifo "$fifo"
	python3 "$LAB" "$@" >"$fifo" 2>>"$T/servers.err" &
	PIDS+=($!)
	read -r <"$fifo" || diag "$* did not start: $(cat "$T/servers.err")"
	rm -f "$fifo"
	SERVER=$!
}
stop_server() {
	kill "$SERVER" 2>/dev/null
	wait "$SERVER" 2>/dev/null
}
stop_servers() { kill "${PIDS[@]}" 2>/dev/null; }
on_finish stop_servers

lab() { python3 "$LAB" "$@"; }
# split_at_dashes OPTION... -- COMMAND...: the caller's `options` get what is before the dashes, and `count` how many words
# to shift to the command.
split_at_dashes() {
	options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	count=$((${#options[@]} + 1))
}
# inside [netrun options] -- COMMAND: in the container
inside() {
	local options=() count
	split_at_dashes "$@" && shift $count
	timeout -k 5 60 netrun "${RUNG[@]}" --resolv "$T/resolv.conf" "${options[@]}" "$@"
}
export LAB

host_up() {
	ip link set lo up
	ip address add $WORLD/24 dev lo # on lo: every address of the subnet is the host's
	ip address add $WORLD6/128 dev lo nodad
	ip route add default dev lo
	ip -6 route add default dev lo 2>/dev/null
	echo "nameserver 127.0.0.53" >"$T/resolv.conf"
}

test_connections() {
	server accept "$T/log" $WORLD 80
	server accept "$T/log" $WORLD6 80
	output_is "TCP reaches a server outside" 14 inside -- python3 "$LAB" fetch $WORLD 80
	output_is "TCP over IPv6 does" 17 inside -- python3 "$LAB" fetch $WORLD6 80
	output_is "UDP is answered" 1000 inside -- python3 "$LAB" udp $WORLD 80 1000
	output_is "UDP over IPv6 is" 1000 inside -- python3 "$LAB" udp $WORLD6 80 1000
	output_is "a datagram of 65 kB in fragments is" 65507 inside -- python3 "$LAB" udp $WORLD 80 65507
	output_is "with an MTU of 1500 a datagram in many fragments is" 30000 \
		inside --opts mtu=1500 -- python3 "$LAB" udp $WORLD 80 30000
	output_is "a port where nobody listens is refused" "0 Connection refused" inside -- python3 "$LAB" fetch $WORLD 81
	output_is "the interface is ready when the command starts: a first packet is answered at once" 14 \
		inside -- python3 "$LAB" fetch $WORLD 80
	output_is "without IPv6 there is none" "0 Network is unreachable" \
		inside --opts enable_ipv6=false -- python3 "$LAB" fetch $WORLD6 80
	output_is "connections leave from the address asked for" "from 10.9.9.7" inside --opts outbound_addr=10.9.9.7 -- \
		python3 -c "import socket; print(socket.create_connection(('$WORLD', 80)).recv(99).decode().strip())"
}

test_interface() {
	like "the MTU is 65520" "$(inside -- ip link show dev eth0)" "mtu 65520"
	like "and can be chosen" "$(inside --opts mtu=9000 -- ip link show dev eth0)" "mtu 9000"
	like "the subnet can be chosen" "$(inside --opts cidr=192.168.77.0/24 -- ip -4 addr show dev eth0)" "192.168.77.100/24"
	like "loopback is up inside" "$(inside -- ip link show dev lo)" "LOWER_UP"
	is "unprivileged programs may bind low ports" "$(inside -- cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" 0
	unlike "the address is not tentative" "$(inside -- ip -6 addr show dev eth0)" tentative
	ip route add 10.0.2.0/24 dev lo
	like "where the host has a route to the default subnet another one is used" \
		"$(inside -- ip -4 addr show dev eth0)" "10.0.3.100/24"
	ip route del 10.0.2.0/24 dev lo
}

# Frames as only CAP_NET_RAW can make them, to servers on the host's loopback (decision 1).
test_loopback_closed() {
	local targets=() address kind result
	server accept "$T/loop.log" 127.0.0.1 80
	server accept "$T/loop.log" 127.0.0.53 80
	server accept "$T/loop.log" ::1 80
	for address in 127.0.0.1 127.0.0.53 127.255.255.254 0.0.0.0 0.1.2.3 255.255.255.255 224.0.0.1 10.0.2.255 ::1 :: \
		::127.0.0.1 ::ffff:127.0.0.1 ::ffff:0.0.0.0 64:ff9b::127.0.0.1 fe80::1 ff02::1; do
		for kind in tcp udp; do targets+=("$kind/$address/80"); done
	done
	result=$(inside --stats -- python3 "$LAB" raw eth0 own "${targets[@]}" +tcp/$WORLD/80 +tcp/$WORLD6/80 2>"$T/stats")
	is "frames to loopback, unspecified, mapped, multicast and broadcast addresses get no answer" \
		"$(grep -c silence <<<"$result")" "${#targets[@]}"
	is "while the same frames to addresses outside do" "$(grep -c answer <<<"$result")" 2
	not_ok "no server on the host's loopback has seen anything" test -s "$T/loop.log"
	like "each was counted" "$(cat "$T/stats")" " dest=${#targets[@]} "
	result=$(inside --host-access all -- python3 "$LAB" raw eth0 own tcp/127.0.0.1/80 tcp/::1/80)
	is "not even with all host access" "$(grep -c silence <<<"$result")" 2
	result=$(inside --stats -- python3 "$LAB" raw eth0 02:00:00:00:00:99 tcp/$WORLD/80 2>"$T/stats")
	like "a frame from another MAC is dropped" "$result" silence
	result=$(inside --stats -- python3 "$LAB" raw eth0 own tcp/$WORLD/80/10.0.2.7 tcp/$WORLD/80/127.0.0.1 \
		tcp/$WORLD6/80/fd00::7 udp/$WORLD/80/0.0.0.0 2>"$T/stats")
	is "frames from other addresses are dropped" "$(grep -c silence <<<"$result")" 4
	like "and counted" "$(cat "$T/stats")" " source=4 "
}

test_host_access() {
	output_is "the gateway's ports are closed by default" "0 Connection refused" inside -- python3 "$LAB" fetch 10.0.2.2 80
	output_is "over IPv6 too" "0 Connection refused" inside -- python3 "$LAB" fetch fd00::2 80
	output_is "UDP too" "Connection refused" inside -- python3 "$LAB" udp 10.0.2.2 80 10
	not_ok "and nobody has been there" test -s "$T/loop.log"
	output_is "allow_host_loopback opens them" 15 inside --opts allow_host_loopback=true -- python3 "$LAB" fetch 10.0.2.2 80
	output_is "over IPv6 too" 9 inside --host-access all -- python3 "$LAB" fetch fd00::2 80
	output_is "one port can be opened" 15 inside --host-access 80 -- python3 "$LAB" fetch 10.0.2.2 80
	output_is "beside it the others stay closed" "0 Connection refused" inside --host-access 81 -- python3 "$LAB" fetch 10.0.2.2 80
	mkdir -p "$T/files"
	output_is "host.containers.internal is the host" 15 inside --host-access 80 --files "$T/files" -- \
		python3 "$LAB" fetch host.containers.internal 80
	output_is "host.docker.internal is too" 15 inside --host-access 80 --files "$T/files" -- \
		python3 "$LAB" fetch host.docker.internal 80
}

test_ping() {
	# A new network namespace begins with an empty range.
	output_is "where the host forbids it, ping is told so at once" "No route to host" inside -- python3 "$LAB" ping $WORLD
	echo "0 0" >/proc/sys/net/ipv4/ping_group_range
	output_is "ping reaches an address outside" reply inside -- python3 "$LAB" ping $WORLD
	output_is "over IPv6 too" reply inside -- python3 "$LAB" ping $WORLD6
	output_is "ping reaches the gateway" reply inside -- python3 "$LAB" ping 10.0.2.2
}

test_offline() {
	ip route del default dev lo
	ip -6 route del default dev lo
	output_is "without a route the network starts all the same" 14 inside -- python3 "$LAB" fetch $WORLD 80
	like "a connection fails at once" "$(inside -- python3 "$LAB" fetch 192.0.2.1 80)" "unreachable|No route"
	output_is "ping is told that there is no way" "Network is unreachable" inside -- python3 "$LAB" ping 192.0.2.1
	ip route add default dev lo
	ip -6 route add default dev lo
}

# A peer that goes away at any moment must not take rl-netd with it (decision 29).
test_rude_peers() {
	local how port=7000 count
	for how in reset close half; do
		for count in 0 1 1000 200000; do
			port=$((port + 1))
			server flood $WORLD $port $count $how
		done
	done
	ok "peers that reset, close and half-close at many points leave the network working" inside -- python3 - <<PY
import socket, struct
world = "$WORLD"
for port in range(7001, 7013):
    for read in (0, 1, 999, 1000, 65536):
        for how in ("close", "reset", "shutdown"):
            got = 0
            try:
                s = socket.create_connection((world, port), 10)
                while got < read:
                    data = s.recv(read - got)
                    if not data:
                        break
                    got += len(data)
                if how == "reset":
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                elif how == "shutdown":
                    s.shutdown(socket.SHUT_WR)
                s.send(b"late") if how != "shutdown" else None
                s.close()
            except OSError:
                pass
assert socket.create_connection((world, 80)).recv(100).startswith(b"from")
PY
	ok "a peer that resets at every byte of a transfer too" inside -- python3 - <<PY
import socket, struct
for n in range(300):
    try:
        with socket.create_connection(("$WORLD", 7001 + n % 12), 10) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.sendall(b"x" * n)
    except OSError:
        pass
assert socket.create_connection(("$WORLD", 80)).recv(100).startswith(b"from")
PY
}

# netd_of PID: rl-netd's worker, a child of netrun's
netd_of() { pgrep -P "$1" -x rl-netd | while read -r p; do grep -q '^NoNewPrivs:.1' "/proc/$p/status" && echo "$p"; done; }

# long_run: netrun with a command that waits; its pid in RUN, the worker's in NETD
long_run() {
	netrun "${RUNG[@]}" --resolv "$T/resolv.conf" sleep 1000 &
	RUN=$!
	wait_for "the sandboxed rl-netd" 10 sh -c "for p in \$(pgrep -P $RUN -x rl-netd); do grep -q '^NoNewPrivs:.1' /proc/\$p/status && exit 0; done; exit 1"
	NETD=$(netd_of $RUN)
}

test_life() {
	local status
	long_run
	status=$(cat "/proc/$NETD/status")
	like "rl-netd has no capabilities" "$(grep ^Cap <<<"$status" | cut -f2 | sort -u | xargs)" "^0000000000000000$"
	# The sanitizers need calls of their own; that build has no filter.
	[ "${RL_TEST_FLAVOUR:-}" = asan ] ||
		ok "its system calls are filtered" wait_for "the filter" 5 grep -q "^Seccomp:.2" "/proc/$NETD/status"
	ok "there is one process of it" wait_for "the launcher to be reaped" 5 sh -c "test \$(pgrep -P $RUN -x rl-netd | wc -l) = 1"
	kill -KILL $RUN
	wait $RUN 2>/dev/null
	ok "when its owner is killed it ends" wait_for "rl-netd to end" 10 sh -c "! kill -0 $NETD || grep -q '^State:.Z' /proc/$NETD/status"
	long_run
	kill -KILL "$NETD"
	pkill -TERM -P $RUN -x sleep
	wait $RUN
	is "when it is killed the container goes on and its own status counts" $? 143
	RL_LIBEXEC=/nonexistent must_fail "without rl-netd the error names it" --stderr "rl-netd: No such file" \
		netrun "${RUNG[@]}" true
	must_fail "an outbound interface that does not exist is an error" --stderr "outbound address nosuch0" \
		netrun "${RUNG[@]}" --opts outbound_addr=nosuch0 true
	must_fail "so is an address that is not the host's" --stderr "outbound address 192.0.2.9: Cannot assign" \
		netrun "${RUNG[@]}" --opts outbound_addr=192.0.2.9 true
	ok "an interface's name stands for its address" netrun "${RUNG[@]}" --opts outbound_addr=lo true
}

# Peers that never answer, never read or never send: whoever talks to others does not notice.
test_stalled_peers() {
	server accept "$T/log" $WORLD 80
	server full $WORLD 7101
	server flood $WORLD 7102 100000000 half
	output_is "beside peers that stall every other connection is served" "200 answered" inside -- python3 -c '
import os, socket, threading, time
world = "10.9.9.1"
kept = []
def connect(port, blocking):
    s = socket.socket()
    s.setblocking(blocking)
    try:
        s.connect((world, port))
    except OSError:
        pass
    kept.append(s)
    return s
for _ in range(100):
    connect(7101, False)  # never answered
for _ in range(20):
    connect(7102, True)   # sends a lot, is not read
for _ in range(20):
    s = connect(7102, True)
    s.setblocking(False)
    try:
        while True:
            s.send(b"x" * 65536)  # is not read either
    except OSError:
        pass
answered = 0
for _ in range(200):
    with socket.create_connection((world, 80), 10) as s:
        answered += s.recv(100).startswith(b"from")
print(answered, "answered")'
	output_is "a datagram still comes back" 1000 inside -- python3 "$LAB" udp $WORLD 80 1000
	stop_server
}

few_descriptors() { [ "$(ls "/proc/$NETD/fd" | wc -l)" -lt 32 ]; }

# A container that opens whatever it can: names are still answered, and what it took is given back. RL_TEST_CONNECTIONS=1000000
# is the whole way; by default it is a piece of it.
test_floods() {
	local before room=16384 connections=${RL_TEST_CONNECTIONS:-3000}
	server dns "$T/dns.log" 127.0.0.53 ok
	server accept "$T/log" $WORLD 90
	output_is "with sockets for twenty thousand UDP ports a name is still answered" \
		"id-ok rcode=0 tc=0 answers=1 192.0.2.80" inside -- python3 -c 'import os, socket, subprocess
for port in range(20000, 40000):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("", port))
        s.sendto(b"x", ("10.9.9.1", 9))
print(subprocess.check_output(["python3", os.environ["LAB"], "query", "10.0.2.3", "example.org"]).decode().strip())'
	cat >"$T/many.py" <<-'PY'
		import socket
		def run(count):
		    for _ in range(count):
		        try:
		            socket.create_connection(("10.9.9.1", 90), 5).recv(100)
		        except OSError:
		            pass
		import sys
		run(1000)
		print("warm", flush=True)
		input()
		run(int(sys.argv[1]))
		print("done", flush=True)
		input()
	PY
	mkfifo "$T/in" "$T/out"
	# The address sanitizer keeps what is freed, 256 MB of it unless told otherwise.
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:quarantine_size_mb=1:allocator_release_to_os_interval_ms=500 \
		netrun "${RUNG[@]}" --resolv "$T/resolv.conf" python3 "$T/many.py" "$connections" <"$T/in" >"$T/out" &
	RUN=$!
	exec 7>"$T/in" 8<"$T/out"
	read -r -u 8
	NETD=$(netd_of $RUN)
	before=$(awk '/^RssAnon/ {print $2}' "/proc/$NETD/status")
	# At rest first: what the first thousand have left behind in the heap must not cost those that follow.
	[ "${RL_TEST_FLAVOUR:-}" = asan ] || wait_for "the first to be forgotten" 40 few_descriptors
	echo >&7
	read -r -u 8
	# libslirp keeps the buffers of a closed connection for ten seconds, two pages at least, unless it is told to let go.
	# The sanitizer's shadow of each is touched as a whole.
	[ "${RL_TEST_FLAVOUR:-}" = asan ] && room=98304
	ok "while they come and go memory is bounded" test "$(awk '/^RssAnon/ {print $2}' "/proc/$NETD/status")" -le $((before + room))
	[ "${RL_TEST_FLAVOUR:-}" = asan ] ||
		ok "at every moment, the program itself included" test "$(awk '/^VmHWM/ {print $2}' "/proc/$NETD/status")" -le 32768 ||
		diag "$(grep -E '^VmHWM|^Rss' "/proc/$NETD/status")"
	ok "$connections connections later its memory is what it was" \
		wait_for "memory to be given back" 40 sh -c "test \$(awk '/^RssAnon/ {print \$2}' /proc/$NETD/status) -le $((before + 300))"
	echo >&7
	exec 7>&- 8<&-
	wait $RUN
}

test_sandbox() {
	local ns
	long_run
	for ns in user mnt pid ipc uts cgroup; do
		isnt "rl-netd has its own $ns namespace" "$(readlink /proc/$NETD/ns/$ns)" "$(readlink /proc/self/ns/$ns)"
	done
	is "it stays in the host's network namespace" "$(readlink /proc/$NETD/ns/net)" "$(readlink /proc/self/ns/net)"
	is "its root has nothing but the resolver's socket" "$(ls -A /proc/$NETD/root/)" dns
	must_fail "its root cannot be written" --stderr "Read-only" touch /proc/$NETD/root/x
	is "it holds null, its owner's socket, the device and its own listener" \
		"$(for fd in /proc/$NETD/fd/*; do readlink "$fd" | sed 's/:.*//'; done | LC_ALL=C sort | uniq -c | xargs)" \
		"1 /dev/net/tun 3 /dev/null 2 socket"
	like "it is no member of the caller's session" "$(ps -o sid= -p $NETD)" "^ *$(ps -o pgid= -p $NETD)$"
	kill $RUN
	wait $RUN 2>/dev/null
}
