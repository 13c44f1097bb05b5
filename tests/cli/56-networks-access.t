#!/bin/bash
# deadline: 300
# Networks with names as an ordinary user: each container's share of the host's loopback, ping, and names of a host whose
# resolver asks one server about some domains and another about the rest. "The host" is a network namespace of the test's own;
# the world outside are addresses on its loopback device.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_HOST_NS:-}" ]; then
	RL_TEST_HOST_NS=1 exec unshare -Urnm bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/network-tests.sh"
host_up
mount --bind "$T/resolv.conf" "$(realpath /etc/resolv.conf)"
PYTHON=(-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$HELPERS:/lab:ro")
on() { timeout -k 5 60 rl run --rm -q --network net "${PYTHON[@]}" "${@:2}" busybox python3 /lab/netlab.py $1 2>&1; }
up() { rl run -q -d --name "$1" --network net "${PYTHON[@]}" "${@:2}" busybox sleep 1000 >/dev/null; }
within() { timeout -k 5 60 rl exec "$1" python3 /lab/netlab.py "${@:2}" 2>&1; }
refused="0 Connection refused"
ok "a network" rl network create --subnet 10.77.0.0/24 --gateway 10.77.0.1 --subnet fd77::/64 --gateway fd77::1 net

# --- the host's loopback
server accept "$T/loop.log" 127.0.0.1 80 81
server accept "$T/loop.log" ::1 80
touch "$T/loop.log"
is "by default the host's loopback is closed" "$(on "fetch 10.77.0.1 80"; on "fetch fd77::1 80"; on "udp 10.77.0.1 80 9")" "$refused
$refused
Connection refused"
is "with --host-access none too" "$(on "fetch 10.77.0.1 80" --host-access none)" "$refused"
is "and nobody has been there" "$(cat "$T/loop.log")" ""
is "a port is opened" "$(on "fetch 10.77.0.1 80" --host-access 80)" 15
is "over IPv6 too" "$(on "fetch fd77::1 80" --host-access 80)" 9
is "for datagrams too" "$(on "udp 10.77.0.1 80 9" --host-access 80)" 9
is "by the host's name" "$(on "fetch host.containers.internal 80" --host-access 80)" 15
is "the others stay closed" "$(on "fetch 10.77.0.1 81" --host-access 80)" "$refused"
is "several ports are" "$(on "fetch 10.77.0.1 81" --host-access 80,81)" 15
is "all are" "$(on "fetch 10.77.0.1 81" --host-access all)" 15
ok "of two containers at a time" up trusted --host-access 80
ok "one may" up other
is "and is let in" "$(within trusted fetch 10.77.0.1 80)" 15
is "while its neighbour is not" "$(within other fetch 10.77.0.1 80)" "$refused"
is "nor in the trusted one's name" "$(rl run --rm -q --network net --cap-add NET_ADMIN "${PYTHON[@]}" busybox sh -c "
	ip addr add $(rl inspect trusted --format '{{.NetworkSettings.IPAddress}}')/24 dev eth0
	timeout 5 python3 /lab/portlab.py ask 10.77.0.1 80 $(rl inspect trusted --format '{{.NetworkSettings.IPAddress}}') | grep -c from")" 0

# --- ping
is "where the host forbids it, ping is told so at once" "$(within other ping $WORLD)" "No route to host"
echo "0 0" >/proc/sys/net/ipv4/ping_group_range
is "ping reaches the world" "$(within other ping $WORLD)" reply
is "over IPv6" "$(within other ping $WORLD6)" reply
is "the gateway" "$(within other ping 10.77.0.1)" reply
is "a neighbour" "$(within other ping "$(rl inspect trusted --format '{{.NetworkSettings.IPAddress}}')")" reply
is "over IPv6" "$(within other ping "$(rl inspect trusted --format '{{.NetworkSettings.GlobalIPv6Address}}')")" reply
rl rm -f -t 0 trusted other >/dev/null

# --- split DNS
server names "$T/corp.log" 10.9.9.61 intra.corp.example=10.9.9.11
server names "$T/rest.log" 10.9.9.62 www.example=10.9.9.12
server names "$T/next.log" 10.9.9.63 www.example=10.9.9.13
server split "$T/split.log" 127.0.0.53 corp.example=10.9.9.61 .=10.9.9.62
SPLIT=$SERVER
name() { timeout -k 5 60 rl exec "$1" python3 -c 'import socket, sys
try: print(socket.gethostbyname(sys.argv[1]))
except OSError as e: print("unknown")' "$2" 2>&1; }
ok "a container on the network" up named
ok "one on the default network" rl run -q -d --name slirp "${PYTHON[@]}" busybox sleep 1000
for c in named slirp; do
	is "$c: a domain of its own is asked of its own server" "$(name $c intra.corp.example)" 10.9.9.11
	is "$c: the rest of the other" "$(name $c www.example)" 10.9.9.12
	is "$c: what neither has is unknown" "$(name $c no.corp.example)" unknown
done
is "neither server has seen the other's names" "$(grep -c www "$T/corp.log") $(grep -c intra "$T/rest.log")" "0 0"
like "over TCP as well" "$(within named query 10.77.0.254 intra.corp.example tcp)" "rcode=0 .* 10.9.9.11"
# finds CONTAINER NAME ADDRESS: a busy machine may take a moment to tell rl-netd
finds() { [ "$(name "$1" "$2")" = "$3" ]; }
echo "nameserver 10.9.9.63" >"$T/resolv.conf"
for c in named slirp; do
	ok "$c: when the host has another server, queries go there" wait_for "the other server" 20 finds $c www.example 10.9.9.13
done
echo "nameserver 127.0.0.53" >"$T/resolv.conf"
for c in named slirp; do ok "$c: and back" wait_for "the first" 20 finds $c intra.corp.example 10.9.9.11; done
kill "$SPLIT"
wait "$SPLIT" 2>/dev/null
before=$(wc -l <"$T/next.log")
for c in named slirp; do is "$c: without its resolver names are unknown" "$(name $c www.example)" unknown; done
is "and nobody else is asked" "$(wc -l <"$T/next.log")" "$before"
server split "$T/split.log" 127.0.0.53 corp.example=10.9.9.61 .=10.9.9.63
for c in named slirp; do is "$c: a resolver that comes back with other servers is asked" "$(name $c www.example)" 10.9.9.13; done
rl rm -fa >/dev/null 2>&1
ok "the holder goes" wait_for "the holder" 30 sh -c "! ls $RL_ROOT/networks/*.sock"
done_testing
