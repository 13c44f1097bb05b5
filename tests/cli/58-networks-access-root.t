#!/bin/bash
# deadline: 300
# Networks of root's: each container's share of the host's loopback, ping in and out, names of a host whose resolver asks one
# server about some domains and another about the rest, the fast path that there is none of, and a firewall that comes while a
# network is in use. "The host" is a network namespace of the test's own with a neighbour behind a link.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_HOST_NS:-}" ]; then
	RL_TEST_HOST_NS=1 exec unshare -nm bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/network-tests.sh"
PORTLAB=$HELPERS/portlab.py
PYTHON=(-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$HELPERS:/lab:ro")
mkdir -p /run/netns && mount -t tmpfs none /run/netns
printf 'nameserver 127.0.0.53\n' >"$T/resolv.conf"
mount --bind "$T/resolv.conf" "$(realpath /etc/resolv.conf)"
ip link set lo up
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 # a new namespace begins as the machine is
sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
unshare -n sleep 1000 &
FAR=$!
on_finish eval 'kill $FAR'
wait_for "the far namespace" 10 sh -c "[ \"\$(readlink /proc/$FAR/ns/net)\" != \"\$(readlink /proc/self/ns/net)\" ]"
far() { timeout 60 nsenter -t $FAR -n "$@"; }
ip link add up0 type veth peer name eth0 netns $FAR
ip address add 10.8.0.1/24 dev up0
ip address add 2001:db8:8::1/64 dev up0 nodad
ip link set up0 up
far sh -c "ip link set lo up; ip address add 10.8.0.2/24 dev eth0; ip address add 2001:db8:8::2/64 dev eth0 nodad; ip link set eth0 up"
ip route add default via 10.8.0.2
ip -6 route add default via 2001:db8:8::2
nsenter -t $FAR -n python3 "$PORTLAB" serve 80 >"$T/far.log" 2>&1 &
on_finish eval "kill $!"
wait_for "the server there" 30 grep -q ready "$T/far.log"
on() { timeout -k 5 60 rl run --rm -q --network net "${PYTHON[@]}" "${@:2}" busybox python3 /lab/netlab.py $1 2>&1; }
up() { rl run -q -d --name "$1" --network net "${PYTHON[@]}" "${@:2}" busybox python3 /lab/portlab.py serve 80 >/dev/null; }
serves() { rl logs "$1" 2>&1 | grep -q ready; }
within() { timeout -k 5 60 rl exec "$1" python3 /lab/netlab.py "${@:2}" 2>&1; }
ask() { timeout -k 5 60 rl exec "$1" timeout 4 python3 /lab/portlab.py ask "${@:2}" 2>&1; }
field() { rl inspect "$1" --format "{{.NetworkSettings.$2}}"; }
refused="0 Connection refused"
ok "a network" rl network create --subnet 10.89.7.0/24 --subnet fd77::/64 net

# --- the host's loopback
server accept "$T/loop.log" 127.0.0.1 82 83
server accept "$T/loop.log" ::1 82
touch "$T/loop.log"
is "by default the host's loopback is closed" "$(on "fetch 10.89.7.1 82"; on "fetch fd77::1 82")" "$refused
$refused"
is "with --host-access none too" "$(on "fetch host.containers.internal 82" --host-access none)" "$refused"
is "and nobody has been there" "$(cat "$T/loop.log")" ""
is "a port is opened, at the host's name" "$(on "fetch host.containers.internal 82" --host-access 82)" 15
is "the others stay closed" "$(on "fetch host.containers.internal 83" --host-access 82)" "$refused"
is "several are" "$(on "fetch host.containers.internal 83" --host-access 82,83)" 15
is "all are" "$(on "fetch host.containers.internal 83" --host-access all)" 15
is "such a container still reaches the world" "$(on "fetch 10.8.0.2 80" --host-access 82 | cut -d' ' -f1 | grep -c '^[1-9]')" 1

# --- ping
ok "two containers" sh -c : && up a && up b --host-access 82
is "ping reaches the world" "$(within a ping 10.8.0.2)" reply
like "by rl-netd it is told at once where the host forbids it" "$(within a ping 2001:db8:8::2; within b ping 10.8.0.2)" 'denied.*No route'
sysctl -qw net.ipv4.ping_group_range="0 0"
is "and else passes: over IPv6" "$(within a ping 2001:db8:8::2)" reply
is "and with rights of its own" "$(within b ping 10.8.0.2; within b ping 2001:db8:8::2)" "reply
reply"
is "the gateway answers" "$(within a ping 10.89.7.1; within a ping fd77::1)" "reply
reply"
is "a neighbour does" "$(within a ping "$(field b IPAddress)"; within a ping "$(field b GlobalIPv6Address)")" "reply
reply"
ok "the host reaches a container" ping -c1 -W5 "$(field a IPAddress)"
ok "over IPv6" ping -c1 -W5 "$(field a GlobalIPv6Address)"
rl rm -f -t 0 a b >/dev/null

# --- split DNS
ip address add 10.9.9.61/32 dev lo
ip address add 10.9.9.62/32 dev lo
ip address add 10.9.9.63/32 dev lo
server names "$T/corp.log" 10.9.9.61 intra.corp.example=10.9.9.11
server names "$T/rest.log" 10.9.9.62 www.example=10.9.9.12
server names "$T/next.log" 10.9.9.63 www.example=10.9.9.13
server split "$T/split.log" 127.0.0.53 corp.example=10.9.9.61 .=10.9.9.62
finds() { [ "$(timeout -k 5 60 rl exec a python3 -c 'import socket, sys; print(socket.gethostbyname(sys.argv[1]))' "$1" 2>&1)" = "$2" ]; }
ok "a container" sh -c : && up a
ok "a domain of its own is asked of its own server" finds intra.corp.example 10.9.9.11
ok "the rest of the other" finds www.example 10.9.9.12
is "neither has seen the other's names" "$(grep -c www "$T/corp.log") $(grep -c intra "$T/rest.log")" "0 0"
echo "nameserver 10.9.9.63" >"$T/resolv.conf"
ok "when the host has another server, queries go there" wait_for "the other server" 20 finds www.example 10.9.9.13

# --- no fast path
like "a fast path is not given, which is said" "$(rl run --rm --network net,fast busybox true 2>&1)" \
	"no fast path on network net: root's networks are the kernel's own"
is "the container runs without" "$(timeout 60 rl run --rm -q --network net,fast "${PYTHON[@]}" busybox python3 /lab/portlab.py ask 10.8.0.2 80 2>/dev/null | cut -d' ' -f2)" \
	10.8.0.1

# --- a firewall that comes later
says() { rl run --rm --network net busybox true 2>&1; }
up c -p 8080:80
wait_for "the server" 30 serves c
is "nothing is said where there is no firewall" "$(says)" ""
is "the world is reached" "$(ask c 10.8.0.2 80 | cut -d' ' -f2)" 10.8.0.1
is "other rules of others are no firewall" "$(nft add table inet harmless; says)" ""
up d
nft -f - <<'N'
table inet late {
	chain input {
		type filter hook input priority 0; policy drop;
		iif lo accept
		ct state established,related accept
		tcp dport 8080 accept
		meta l4proto icmpv6 accept
	}
	chain forward { type filter hook forward priority 0; policy drop; }
}
N
rules=$(nft list table inet late)
said=$(says)
like "a container that comes after a firewall says that it may be in the way" "$said" \
	'network net: the host.s firewall \(inet late (forward|input)\) came after it'
like "and what helps" "$said" 'stop all that are on it'
is "in one line" "$(wc -l <<<"$said")" 1
rl run -d --name e --network net busybox sleep 1000 >/dev/null
ok "that of a detached one has it in its log" wait_for "the line" 30 sh -c "rl logs e 2>&1 | grep -q 'came after it'"
rl stop -t 0 c d e >/dev/null
rl rm -f -t 0 a >/dev/null
ok "when all have been stopped and one starts again" rl start c
ok "and has come up" wait_for "the server" 30 sh -c "[ \"\$(rl logs c 2>&1 | grep -c ready)\" -gt 1 ]"
is "the world is reached" "$(ask c 10.8.0.2 80 | cut -d' ' -f2)" 10.8.0.1
is "its port is, with the client's address" "$(far python3 "$PORTLAB" ask 10.8.0.1 8080 10.8.0.2 45671)" "tcp 10.8.0.2 45671"
is "the next one has nothing to say" "$(says)" ""
rl start d >/dev/null
like "and reaches its neighbour" "$(ask d c 80)" ^tcp
is "the firewall is as it was" "$(nft list table inet late)" "$rules"
nft delete table inet late
nft delete table inet harmless
rl rm -fa -t 0 >/dev/null 2>&1
ok "nothing is left" wait_for "the end" 30 sh -c '! nft list tables | grep -q rl- && ! ip -o link | grep -q rl-'
done_testing
