#!/bin/bash
# deadline: 400
# Networks with names as root: a bridge and veth pairs in the host's namespace. "The host" is a network namespace of the
# test's own, with two neighbours behind links of their own; nothing of the machine's network is touched.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_HOST_NS:-}" ]; then
	RL_TEST_HOST_NS=1 exec unshare -nm bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
LAB=$HELPERS/portlab.py
PYTHON=(-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$HELPERS:/lab:ro")
lab() { timeout 60 python3 "$LAB" "$@"; }
mkdir -p /run/netns && mount -t tmpfs none /run/netns

# neighbour NAME LINK HOST-ADDRESS: a namespace behind a link; $NAME is its process
neighbour() {
	unshare -n sleep 1000 &
	printf -v "$1" %s $!
	local pid=$! subnet=${3%.*}
	on_finish eval "kill $pid"
	wait_for "the namespace $1" 10 sh -c "[ \"\$(readlink /proc/$pid/ns/net)\" != \"\$(readlink /proc/self/ns/net)\" ]"
	ip link add "$2" type veth peer name eth0 netns "$pid"
	ip address add "$3/24" dev "$2"
	ip link set "$2" up
	nsenter -t "$pid" -n sh -c "ip link set lo up; ip address add $subnet.2/24 dev eth0; ip link set eth0 up"
}
at() {
	local pid=$1
	shift
	[ "$1" = lab ] && set -- python3 "$LAB" "${@:2}"
	timeout 60 nsenter -t "$pid" -n "$@"
}
ip link set lo up
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 # a new namespace begins as the machine is
sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
neighbour FAR up0 10.8.0.1
neighbour OTHER up1 10.6.0.1
ip address add 2001:db8:8::1/64 dev up0 nodad
at $FAR ip address add 2001:db8:8::2/64 dev eth0 nodad
ip route add default via 10.8.0.2
ip -6 route add default via 2001:db8:8::2
at $FAR ip route add 10.6.0.0/24 via 10.8.0.1
at $OTHER ip route add 10.8.0.0/24 via 10.6.0.1
# up NAME OPTIONS...: a server on 80/tcp and 53/udp
up() {
	local name=$1
	shift
	rl run -q -d --name "$name" "${PYTHON[@]}" "$@" busybox python3 /lab/portlab.py serve 80 53/udp >/dev/null &&
		wait_for "the server in $name" 60 sh -c "rl logs $name 2>&1 | grep -q ready"
}
serve_at() {
	if [ "$1" = host ]; then
		python3 "$LAB" serve "${@:2}" >"$T/serve.$1" 2>&1 &
	else
		nsenter -t "$1" -n python3 "$LAB" serve "${@:2}" >"$T/serve.$1" 2>&1 &
	fi
	on_finish eval "kill $!"
	wait_for "the server" 30 grep -q ready "$T/serve.$1"
}
within() { timeout -k 5 60 rl exec "$@" 2>&1; }
ask() { within "$1" timeout 4 python3 /lab/portlab.py ask "${@:2}"; }
address() { rl inspect "$1" --format '{{.NetworkSettings.IPAddress}}'; }
links() { ip -o link show | sed 's/^[0-9]*: \([^:@]*\).*/\1/' | sort | xargs; }
tables() { nft list tables | sort | xargs; }
forwarding() { cat /proc/sys/net/ipv4/conf/{up0,up1,all}/forwarding | xargs; }
before="$(links); $(tables); $(forwarding)"
serve_at $FAR 80 53/udp
serve_at $OTHER 80
serve_at host 81

# --- one network
ok "a network" rl network create --subnet 10.89.7.0/24 --ipv6 net
is "is nothing but a record as long as nobody is on it" "$(links); $(tables); $(forwarding)" "$before"
ok "a server on it" up a --network net -p 8080:80 -p 10.8.0.1:9000:80 -p 5353:53/udp
ok "another" up b --network net
like "the bridge is the host's, with an address" "$(ip -o -4 address show type bridge)" 'inet 10\.89\.7\.1/24'
like "containers reach each other by name" "$(ask a b 80)" "^tcp (10\.89\.7\.|fd)"
like "both ways" "$(ask b a 80)" "^tcp (10\.89\.7\.|fd)"
is "and by address, as themselves" "$(ask a "$(address b)" 80 | cut -d' ' -f2)" "$(address a)"
is "the host reaches a container" "$(lab ask "$(address a)" 80 | cut -d' ' -f2)" 10.89.7.1
is "a container reaches the host" "$(ask a 10.89.7.1 81 | cut -d' ' -f2)" "$(address a)"
is "a container reaches the world with the host's address" "$(ask a 10.8.0.2 80 | cut -d' ' -f2)" 10.8.0.1
is "with datagrams too" "$(within a timeout 4 python3 /lab/portlab.py askudp 10.8.0.2 53 | cut -d' ' -f2)" 10.8.0.1
is "on every link there is a route for" "$(ask a 10.6.0.2 80 | cut -d' ' -f2)" 10.6.0.1
is "over IPv6 too" "$(ask a 2001:db8:8::2 80 | cut -d' ' -f2)" 2001:db8:8::1
ok "ping works out" within a ping -c1 -W5 10.8.0.2
ok "and in" ping -c1 -W5 "$(address a)"
is "a published port shows who calls" "$(at $FAR lab ask 10.8.0.1 8080 10.8.0.2 45671)" "tcp 10.8.0.2 45671"
is "on one address too" "$(at $FAR lab ask 10.8.0.1 9000 10.8.0.2 45672)" "tcp 10.8.0.2 45672"
is "by datagram" "$(at $FAR lab askudp 10.8.0.1 5353 10.8.0.2 45673)" "udp 10.8.0.2 45673"
is "over IPv6" "$(at $FAR lab ask 2001:db8:8::1 8080 2001:db8:8::2 45674)" "tcp 2001:db8:8::2 45674"
like "the host's packets for it are rules" "$(nft list ruleset)" '8080 : 10\.89\.7\.'
like "the host itself reaches it" "$(lab ask 10.8.0.1 8080)" '^tcp 10\.8\.0\.1 '
like "on its loopback too, and is never seen as loopback" "$(lab ask 127.0.0.1 8080)" '^tcp 10\.89\.7\.1 '
is "a container of the network does, as itself" "$(ask b 10.8.0.1 8080 | cut -d' ' -f2)" "$(address b)"
ok "a port is added while it runs" rl port add a 8081:80
is "which is reached" "$(at $FAR lab ask 10.8.0.1 8081 10.8.0.2 45675)" "tcp 10.8.0.2 45675"
ok "and withdrawn" rl port rm a 8081:80
unlike "after which it is not" "$(at $FAR lab ask 10.8.0.1 8081)" ^tcp

# --- what is not allowed
is "the machine as a whole does not forward" "$(cat /proc/sys/net/ipv4/ip_forward)" 0
not_ok "it is no router for its neighbours" at $FAR timeout 3 python3 -c 'import socket
try: socket.create_connection(("10.6.0.2", 80), 2)
except OSError: raise SystemExit(1)'
at $FAR ip route add 10.89.0.0/16 via 10.8.0.1
not_ok "what is not published is not reached from outside" at $FAR timeout 3 python3 -c "import socket
try: socket.create_connection(('$(address b)', 80), 2)
except OSError: raise SystemExit(1)"
ok "a second network" rl network create --subnet 10.89.8.0/24 net2
ok "with a server" up c --network net2 -p 8082:80
unlike "networks are apart" "$(ask a "$(address c)" 80)" ^tcp
unlike "in names too" "$(ask a c 80)" ^tcp
like "what the other publishes is reached" "$(ask a 10.8.0.1 8082)" ^tcp
ok "a container may be put on both" rl network connect net2 a
like "and then reaches both" "$(ask a c 80; ask a b 80)" '^tcp .*[[:space:]]tcp '
ok "and leaves" rl network disconnect net2 a
ok "an internal network" rl network create --internal inside
ok "with two containers" sh -c "rl run -q -d --name i --network inside ${PYTHON[*]} busybox sleep 1000"
unlike "has no way out" "$(ask i 10.8.0.2 80)" ^tcp
ok "though the container has no route anyway, with one it is stopped too" \
	sh -c 'rl run --rm -q --network inside --cap-add NET_ADMIN busybox sh -c "
	ip route add default via \$(ip -4 -o addr show eth0 | sed \"s/.*inet \([0-9.]*\)\.[0-9]*\/.*/\1.1/\"); ! ping -c1 -W2 10.8.0.2"'

ok "a container that may reach one address only" sh -c "rl run -q -d --name w --network net --cap-add NET_ADMIN --allow-net 10.8.0.2 ${PYTHON[*]} busybox sleep 1000"
is "reaches it" "$(ask w 10.8.0.2 80 | cut -d' ' -f2)" 10.8.0.1
unlike "but no other" "$(ask w 10.6.0.2 80)" ^tcp
unlike "and not the host" "$(ask w 10.89.7.1 81)" ^tcp
unlike "not by a route of its own either" "$(within w sh -c 'ip route del default; ip route add default via 10.89.7.1; timeout 4 python3 /lab/portlab.py ask 10.6.0.2 80')" ^tcp

# --- ip netns
is "a container's namespace is shown to ip netns" "$(rl network ns a)" /run/netns/a
like "which lists it" "$(ip netns list)" '(^|[[:space:]])a( |$)'
like "and enters it" "$(ip netns exec a ip -4 address)" "$(address a)"
ok "it is taken away" rl network ns -d a
is "and gone" "$(ls /run/netns)" ""
ok "shown again" rl network ns b
ok "it goes with the container" sh -c "rl rm -f b && wait" && is "altogether" "$(ls /run/netns)" ""

# --- the user-mode network
is "--network slirp works as root" "$(rl run --rm -q --network slirp "${PYTHON[@]}" busybox python3 /lab/portlab.py ask 10.8.0.2 80 | cut -d' ' -f2)" 10.8.0.1

# --- no trace
rl rm -fa >/dev/null
gone() { [ "$(links); $(tables); $(forwarding)" = "$before" ]; }
ok "when the last container has gone nothing is left" wait_for "the end" 30 gone || diag "$(links); $(tables); $(forwarding)"
sysctl -qw net.ipv4.ip_forward=1
sysctl -qw net.ipv6.conf.all.forwarding=1
ok "where the machine forwards already" up a --network net
is "networks work as well" "$(ask a 10.8.0.2 80 | cut -d' ' -f2)" 10.8.0.1
is "in IPv6 by the host itself" "$(ask a 2001:db8:8::2 80 | cut -d' ' -f2)" 2001:db8:8::1
rl rm -fa >/dev/null
ok "and it is left as it was" wait_for "the end" 30 sh -c "! ip link show type bridge | grep -q rl-" &&
	is "forwarding" "$(forwarding)" "1 1 1"
sysctl -qw net.ipv4.ip_forward=0
sysctl -qw net.ipv6.conf.all.forwarding=0
ok "a holder that is killed" sh -c "rl run -d --name k --network net busybox sleep 1000 && rl exec k true"
pkill -KILL -f "$RL_ROOT network hold" 2>/dev/null
isnt "leaves things behind" "$(links); $(tables); $(forwarding)" "$before"
ok "which go with the network" rl network rm -f net
is "altogether" "$(links); $(tables); $(forwarding)" "$before"

# --- beside a firewall
nft -f - <<'N'
table inet filter {
	chain input {
		type filter hook input priority 0; policy drop;
		iif lo accept
		ct state established,related accept
		tcp dport 8090 accept
		icmp type echo-request accept
		meta l4proto icmpv6 accept
	}
	chain forward { type filter hook forward priority 0; policy drop; }
}
N
rules=$(nft list table inet filter)
ok "beside a firewall that lets nothing through" up f --network net2 -p 8090:80 -p 8091:80
ok "a container has a neighbour" up g --network net2
like "which it reaches by name" "$(ask f g 80)" ^tcp
is "it reaches the world" "$(ask f 10.8.0.2 80 | cut -d' ' -f2)" 10.8.0.1
like "the host reaches it" "$(lab ask "$(address f)" 80)" ^tcp
is "a port that the firewall opens is reached, with the caller's address" "$(at $FAR lab ask 10.8.0.1 8090 10.8.0.2 45681)" "tcp 10.8.0.2 45681"
unlike "one that it does not open is not" "$(at $FAR timeout 3 python3 "$LAB" ask 10.8.0.1 8091)" ^tcp
is "nothing is forwarded for it" "$(forwarding)" "0 0 0"
is "the firewall's rules are as they were" "$(nft list table inet filter)" "$rules"
rl rm -fa >/dev/null
nft delete table inet filter
ok "and again nothing is left" wait_for "the end" 30 gone
# A firewall that drops by rule, its policies say accept; in both spellings.
# strict NAME PORT: what must work beside it, published on PORT, and what it says
strict() {
	local how=$1 port=$2 hint
	ok "$how: a container starts" up h --network net2 -p "$port:80"
	rl run -q -d --name h2 --network net2 "${PYTHON[@]}" busybox sleep 1000 >/dev/null
	is "$how: it reaches the world" "$(ask h 10.8.0.2 80 | cut -d' ' -f2)" 10.8.0.1
	is "$how: with datagrams too" "$(within h timeout 4 python3 /lab/portlab.py askudp 10.8.0.2 53 | cut -d' ' -f2)" 10.8.0.1
	like "$how: a neighbour by name" "$(ask h2 h 80)" ^tcp
	like "$how: the host reaches it" "$(lab ask "$(address h)" 80)" ^tcp
	unlike "$how: its port is closed to the world" "$(at $FAR timeout 3 python3 "$LAB" ask 10.8.0.1 "$port")" ^tcp
	hint=$(rl run --rm --network net2 -p "1$port:80" busybox true 2>&1 | sed -n 's/.*opens the first: //p')
	like "$how: which is said, with the rule that opens it" "$hint" "1$port"
	ok "$how: that rule" sh -c "${hint//1$port/$port}"
	is "$how: does open it" "$(at $FAR lab ask 10.8.0.1 "$port" 10.8.0.2 45691)" "tcp 10.8.0.2 45691"
	is "$how: nothing is forwarded" "$(forwarding)" "0 0 0"
	rl rm -fa >/dev/null
}
nft -f - <<'N'
table inet wall {
	chain in { type filter hook input priority 0; policy accept;
		iif lo accept
		ct state established,related accept
		meta l4proto { icmp, icmpv6 } accept
		jump rest
	}
	chain through { type filter hook forward priority 0; policy accept; reject with icmpx admin-prohibited; }
	chain rest { iifname "up*" drop; }
}
N
strict "a firewall of nftables that drops by rule" 8095
nft delete table inet wall
if command -v iptables-nft >/dev/null; then
	iptables() { iptables-nft "$@"; }
	iptables -A INPUT -i lo -j ACCEPT
	iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
	iptables -A INPUT -p icmp -j ACCEPT
	iptables -A INPUT -i up0 -j REJECT
	iptables -A FORWARD -j REJECT
	strict "one of iptables that rejects by rule" 8096
	iptables -F && iptables -P FORWARD DROP
	iptables -P INPUT DROP
	iptables -A INPUT -i lo -j ACCEPT
	iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
	iptables -A INPUT -i rl-+ -j ACCEPT
	strict "one of iptables that drops by policy" 8097
	nft delete table ip filter
else
	skip "a firewall of iptables that rejects by rule" "iptables is not installed"
fi
nft -f - <<'N'
table inet wall {
	chain through { type filter hook forward priority 0; policy accept; ct state invalid drop; iifname "nosuch" accept; }
}
N
ok "beside a firewall that only drops invalid connections" up h --network net2 -p 8098:80
is "the host takes the packets out itself" "$(ask h 10.8.0.2 80 | cut -d' ' -f2)" 10.8.0.1
like "and its rules lead the port in" "$(nft list ruleset)" '8098 : '
rl rm -fa >/dev/null
nft delete table inet wall
ok "and after all of them nothing is left" wait_for "the end" 30 gone || diag "$(links); $(tables); $(forwarding)"
must_fail "a bridge that somebody else has is not taken" --stderr "there is an interface up0 already" sh -c \
	"rl network create -o bridge=up0 theirs && rl run --rm --network theirs busybox true"
like "and is left alone" "$(links)" up0
ok "a bridge may have a name" rl network create -o com.docker.network.bridge.name=br-mine mine
like "and has it" "$(rl run --rm -q --network mine busybox true; rl run -q -d --name m --network mine busybox sleep 1000 >/dev/null; links)" br-mine
rl rm -fa >/dev/null
rl network prune -f >/dev/null

# --- the exercises: two containers on a bridge, and the host with one, step by step by hand
ok "two containers without a network" sh -c "for i in A B; do rl run -q -d --name \$i --network none ${PYTHON[*]} busybox sleep 1000 && rl network ns \$i; done"
ok "a bridge" sh -c "ip link add dev br1 type bridge && ip link set br1 up"
for i in A B; do
	[ $i = A ] && n=1 || n=2
	ok "a veth pair with one end on the bridge, the other in container $i" sh -ec "
		ip link add name veth${i}1 mtu 1500 type veth peer name veth${i}2 mtu 1500
		ip link set veth${i}1 master br1
		ip link set veth${i}1 up
		ip link set veth${i}2 netns $i
		ip netns exec $i ip link set veth${i}2 name eth1
		ip netns exec $i ip addr add 192.168.1.$n/24 dev eth1
		ip netns exec $i ip link set eth1 up"
done
rl exec -d A python3 /lab/portlab.py serve 1234 >/dev/null
ok "they talk to each other" wait_for "the server in A" 30 sh -c "rl exec B python3 /lab/portlab.py ask 192.168.1.1 1234 | grep '^tcp 192.168.1.2 '"
ok "the bridge gets an address and the host a route" sh -c "ip addr add 192.168.2.1/24 dev br1 && ip route add 192.168.1.0/24 dev br1 src 192.168.2.1"
ok "the container a route back" ip netns exec A ip route add 192.168.2.0/24 dev eth1
is "the host talks to the container" "$(lab ask 192.168.1.1 1234 | cut -d' ' -f2)" 192.168.2.1
serve_at host 1235
is "and the container to the host" "$(ask A 192.168.2.1 1235 | cut -d' ' -f2)" 192.168.1.1
rl rm -fa >/dev/null
ip link del br1
ok "the pairs go with the containers" wait_for "the pairs" 30 gone || diag "$(links)"
done_testing
