#!/bin/bash
# deadline: 240
# Floods from outside against published ports, as an ordinary user: half-open connections, connections that say nothing,
# datagrams from thousands of sources. What they may take is bounded, and the container's other ports are served meanwhile. "The
# host" is a network namespace of the test's own with a second one, "far", behind a link.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_HOST_NS:-}" ]; then
	RL_TEST_HOST_NS=1 exec unshare -Urn bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
LAB=$HELPERS/portlab.py
PYTHON=(-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$HELPERS:/lab:ro")
unshare -n sleep 1000 &
FAR=$!
on_finish eval 'kill $FAR'
wait_for "the far namespace" 10 sh -c "[ \"\$(readlink /proc/$FAR/ns/net)\" != \"\$(readlink /proc/self/ns/net)\" ]"
far() { timeout 60 nsenter -t $FAR -n python3 "$@"; }
ip link set lo up
ip link add up0 type veth peer name far0 netns $FAR
ip address add 10.8.0.1/16 dev up0
ip link set up0 up
nsenter -t $FAR -n sh -c "ip link set lo up; ip address add 10.8.0.2/16 dev far0; ip link set far0 up"

# start LIMIT: a container with ports of both kinds, its rl-portd with so many descriptors at most
start() {
	(ulimit -n "$1" && exec rl run -d --name web "${PYTHON[@]}" -p 8080:80 -p 8081:81 -p 5353:53/udp -p 5354:54/udp busybox \
		python3 /lab/portlab.py serve 80 81 53/udp 54/udp) >/dev/null || return
	wait_for "the server" 60 sh -c "rl logs web 2>&1 | grep -q ready"
	PORTD=$(pgrep -x -u 0 rl-portd)
}
few_left() { [ "$(descriptors)" -lt 40 ]; }
memory() { awk '/^RssAnon/ {print $2}' "/proc/$PORTD/status"; }
descriptors() { ls "/proc/$PORTD/fd" | wc -l; }
# served: what an honest client finds on the ports that are not flooded
served() { echo "$(far "$LAB" ask 10.8.0.1 8081 | cut -d' ' -f2) $(far "$LAB" askudp 10.8.0.1 5354 | cut -d' ' -f2)"; }
# beside WHAT ARGUMENTS: a flood, and how often the other ports were not served meanwhile
beside() {
	local i failures=0
	far "$HELPERS/outflood.py" "$@" >"$T/sent" &
	for i in 1 2 3 4 5; do [ "$(served)" = "10.8.0.2 10.8.0.2" ] || failures=$((failures + 1)); done
	wait $!
	echo $failures
}

ok "a container with ports" start 1024
is "one rl-portd serves it" "$(wc -w <<<"$PORTD")" 1
is "its ports are served" "$(served)" "10.8.0.2 10.8.0.2"
before=$(memory)

# --- half-open connections
is "beside forty thousand connections that are begun and not finished the other ports are served" "$(beside syn 10.8.0.1 8080 40000)" 0
ok "and they were sent" test "$(cat "$T/sent")" -gt 20000
is "the port they were meant for is served too" "$(far "$LAB" ask 10.8.0.1 8080 | cut -d' ' -f2)" 10.8.0.2
ok "rl-portd has seen nothing of them" test "$(descriptors)" -lt 40 -a "$(memory)" -le $((before + 512)) ||
	diag "$(descriptors) descriptors, $(memory) kB"

# --- connections that say nothing, more than there are descriptors for
mkfifo "$T/hold"
far "$HELPERS/outflood.py" open 10.8.0.1 8080 900 <"$T/hold" >"$T/opened" &
HOLD=$!
exec 7>"$T/hold"
wait_for "the connections" 60 test -s "$T/opened"
diag "$(cat "$T/opened") of 900 were accepted, rl-portd has $(descriptors) descriptors"
is "beside nine hundred that say nothing the other ports are served" "$(served)" "10.8.0.2 10.8.0.2"
ok "a port is published meanwhile" rl port add web 8090:81
is "and served" "$(far "$LAB" ask 10.8.0.1 8090 | cut -d' ' -f2)" 10.8.0.2
[ "${RL_TEST_FLAVOUR:-}" = asan ] || ok "memory is bounded" test "$(memory)" -le $((before + 8192)) || diag "$(memory) kB"
exec 7>&-
wait $HOLD
ok "when they have gone their descriptors are given back" wait_for "rl-portd" 30 few_left || diag "$(descriptors)"
is "and the port is served" "$(far "$LAB" ask 10.8.0.1 8080 | cut -d' ' -f2)" 10.8.0.2
# --- datagrams
is "beside datagrams from forty thousand sources the other ports are served" "$(beside udp 10.8.0.1 5353 40000)" 0
ok "and they were sent" test "$(cat "$T/sent")" -gt 20000
is "the port they were meant for is served too" "$(far "$LAB" askudp 10.8.0.1 5353 | cut -d' ' -f2)" 10.8.0.2
[ "${RL_TEST_FLAVOUR:-}" = asan ] || ok "memory is bounded" test "$(memory)" -le $((before + 8192)) || diag "$(memory) kB"
ok "descriptors are" test "$(descriptors)" -le 1024 || diag "$(descriptors)"
rl rm -f -t 0 web >/dev/null
done_testing
