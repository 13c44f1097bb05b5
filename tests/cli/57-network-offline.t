#!/bin/bash
# deadline: 300
# Networks that come and go under running containers: started offline, a link that appears, changes its address, goes and
# comes back; a suspend. "The host" is a network namespace of the test's own that begins with nothing but lo, switched off.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_HOST_NS:-}" ]; then
	RL_TEST_HOST_NS=1 exec unshare -Urnm bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
LAB=$HELPERS/portlab.py
PYTHON=(-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$HELPERS:/lab:ro")
lab() { timeout 60 python3 "$LAB" "$@"; }
printf 'nameserver 10.8.0.2\n' >"$T/resolv.conf"
mount --bind "$T/resolv.conf" "$(realpath /etc/resolv.conf)"
within() { timeout -k 5 60 rl exec "$@" 2>&1; }
ask() { within "$1" timeout 10 python3 /lab/portlab.py ask "${@:2}"; }
is "the host is offline" "$(ip -o link | wc -l) $(ip route | wc -l) $(ip -br link show lo | awk '{print $2}')" "1 0 DOWN"

# --- started offline
up() {
	local name=$1
	shift
	rl run -q -d --name "$name" "${PYTHON[@]}" "$@" busybox python3 /lab/portlab.py serve 80 53/udp >/dev/null &&
		wait_for "the server in $name" 60 sh -c "rl logs $name 2>&1 | grep -q ready"
}
ok "a container with the default network starts" up slirp -p 8080:80
ok "a network is made" rl network create --ipv6 net
ok "containers on it start" up named --network net -p 8081:80
ok "a second one too" up other --network net
for c in slirp named; do
	is "$c: its interface is up with an address" "$(within $c ip -4 -o address show dev eth0 | wc -l)" 1
	like "$c: to connect fails at once" "$(ask $c 10.8.0.2 80)" 'unreachable|No route|refused'
done
like "neighbours on a network do not need the host to be online" "$(ask other named 80)" '^tcp '
like "over IPv6 neither" "$(ask other "$(rl inspect named --format '{{.NetworkSettings.GlobalIPv6Address}}')" 80)" '^tcp fd'
ok "lo comes up" ip link set lo up
like "the published port is there" "$(lab ask 127.0.0.1 8080)" '^tcp '
# Ours: others of the machine have no id here.
netds=$(pgrep -x -u 0 rl-netd | sort | xargs)

# --- a link
unshare -n sleep 1000 &
FAR=$!
on_finish eval 'kill $FAR'
wait_for "the far namespace" 10 sh -c "[ \"\$(readlink /proc/$FAR/ns/net)\" != \"\$(readlink /proc/self/ns/net)\" ]"
far() { timeout 60 nsenter -t $FAR -n "$@"; }
# link N: the host is at 10.8.0.N on a link of its own, with routes
link() {
	ip link add "up$1" type veth peer name eth0 netns $FAR
	ip address add "10.8.0.$1/24" dev "up$1"
	ip address add "2001:db8:8::$1/64" dev "up$1" nodad
	ip link set "up$1" up
	far sh -c "ip address add 10.8.0.2/24 dev eth0; ip address add 2001:db8:8::2/64 dev eth0 nodad; ip link set eth0 up"
	ip route add default via 10.8.0.2
	ip -6 route add default via 2001:db8:8::2
}
far sh -c "ip link set lo up; ip address add 10.9.9.9/32 dev lo; ip address add 2001:db8:9::9/128 dev lo nodad"
nsenter -t $FAR -n python3 "$LAB" serve 80 5353/udp >"$T/far.log" 2>&1 &
on_finish eval "kill $!"
wait_for "the server there" 30 grep -q ready "$T/far.log"
# reaches CONTAINER N: what stands behind the link sees the host's address there
reaches() {
	is "$1: $3" "$(ask "$1" 10.9.9.9 80 | cut -d' ' -f2)" "10.8.0.$2"
	is "$1: over IPv6 too" "$(ask "$1" 2001:db8:9::9 80 | cut -d' ' -f2)" "2001:db8:8::$2"
	is "$1: by datagram" "$(within "$1" timeout 10 python3 /lab/portlab.py askudp 10.8.0.2 5353 | cut -d' ' -f2)" "10.8.0.$2"
}
link 5
for c in slirp named; do reaches $c 5 "a link appears, and the world is reached"; done
nsenter -t $FAR -n python3 "$HELPERS/netlab.py" dns "$T/dns.log" 10.8.0.2 ok >"$T/dns.out" 2>&1 &
on_finish eval "kill $!"
wait_for "the name server there" 30 grep -q ready "$T/dns.out"
name() { within "$1" timeout 10 python3 -c 'import socket, sys; print(socket.gethostbyname(sys.argv[1]))' "$2"; }
is "names are asked of the server that the host has now" "$(name slirp one.example)" 192.0.2.80
is "on a network with a name too" "$(name named two.example)" 192.0.2.80
is "the published ports are reached over the new link" "$(far python3 "$LAB" ask 10.8.0.5 8080 10.8.0.2 45671; far python3 "$LAB" ask 10.8.0.5 8081 10.8.0.2 45672)" \
	"tcp 10.8.0.2 45671
tcp 10.8.0.2 45672"

# --- its address changes, as when another network is joined
within slirp python3 -c "
import socket
s = socket.create_connection(('10.9.9.9', 80), 10)
print(s.recv(100).decode().strip(), flush=True)
open('/connected', 'w').close()
s.settimeout(60)
try: print('ended' if not s.recv(100) else 'data')
except OSError as e: print('ended')" >"$T/kept" 2>&1 &
KEPT=$!
wait_for "the connection" 30 grep -q tcp "$T/kept"
ip link del up5
for c in slirp named; do like "$c: without the link nothing is reached, which is said at once" "$(ask $c 10.9.9.9 80)" 'unreachable|No route|refused'; done
link 7
for c in slirp named; do reaches $c 7 "with another link and another address it is"; done
printf 'nameserver 10.8.0.3\n' >"$T/new"
far ip address add 10.8.0.3/24 dev eth0
nsenter -t $FAR -n python3 "$HELPERS/netlab.py" dns "$T/dns3.log" 10.8.0.3 ok >"$T/dns3.out" 2>&1 &
on_finish eval "kill $!"
wait_for "the other name server" 30 grep -q ready "$T/dns3.out"
cat "$T/new" >"$T/resolv.conf"
is "with the network came another name server, which is asked" "$(name slirp three.example; grep -c three.example "$T/dns3.log")" "192.0.2.80
1"
ip address del 10.8.0.7/24 dev up7
ip address add 10.8.0.8/24 dev up7
ip route replace default via 10.8.0.2
is "an address that changes on the same link is followed" "$(ask slirp 10.9.9.9 80 | cut -d' ' -f2) $(ask named 10.9.9.9 80 | cut -d' ' -f2)" "10.8.0.8 10.8.0.8"

# --- suspend: everything of ours stands still for a while
for c in slirp named; do
	within $c python3 -c "
import socket, os, time
s = socket.create_connection(('10.9.9.9', 80), 10)
s.recv(100)
s.settimeout(60)
open('/before', 'w').close()
while not os.path.exists('/go'): time.sleep(0.05)
s.sendall(b'after the suspend')
print(s.recv(100).decode())" >"$T/live.$c" 2>&1 &
	wait_for "the connection of $c" 10 rl exec $c test -e /before
done
for p in $netds; do kill -STOP "$p"; done
ok "rl-netd stands still" sh -c "for p in $netds; do grep -q '^State:.[Tt]' /proc/\$p/status || exit 1; done"
timeout 20 rl exec slirp python3 -c "import socket
try: socket.create_connection(('10.9.9.9', 80), 2)
except OSError as e: print(e)" >"$T/still" 2>&1
like "and nothing gets out meanwhile" "$(cat "$T/still")" 'timed out'
for p in $netds; do kill -CONT "$p"; done
for c in slirp named; do
	rl exec $c touch /go
	ok "$c: after it a connection goes on" wait_for "the answer" 60 grep -q 'after the suspend' "$T/live.$c"
	is "$c: and new ones are made" "$(ask $c 10.9.9.9 80 | cut -d' ' -f2)" 10.8.0.8
done
is "nothing was restarted for all that" "$(pgrep -x -u 0 rl-netd | sort | xargs)" "$netds"
kill "$KEPT" 2>/dev/null
rl rm -fa >/dev/null 2>&1
done_testing
