#!/bin/bash
# deadline: 400
# Networks with names, as an ordinary user: made and removed, containers on them, names, isolation, the way out. "The
# host" is a network namespace of the test's own; what stands for the world outside are addresses on its loopback device.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_HOST_NS:-}" ]; then
	RL_TEST_HOST_NS=1 exec unshare -Urnm bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/network-tests.sh"
host_up
mount --bind "$T/resolv.conf" "$(realpath /etc/resolv.conf)"
PORTLAB=$HELPERS/portlab.py
PYTHON=(-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$HELPERS:/lab:ro")
# on NETWORKS OPTIONS... -- COMMAND: in a new container
on() {
	local options=(--network "$1")
	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	timeout -k 5 60 rl run --rm -q "${options[@]}" "${PYTHON[@]}" busybox "$@" 2>&1
}
# up NAME OPTIONS...: a server on 80/tcp and 53/udp
up() {
	local name=$1
	shift
	rl run -q -d --name "$name" "${PYTHON[@]}" "$@" busybox python3 /lab/portlab.py serve 80 53/udp >/dev/null &&
		wait_for "the server in $name" 60 sh -c "rl logs $name 2>&1 | grep -q ready"
}
ask() { echo python3 /lab/portlab.py ask "$@"; }
name() { echo python3 /lab/netlab.py name "$1"; }

# --- records
output_is "a network is made" one rl network create one
ok "another, with everything chosen" rl network create two --subnet 10.77.0.0/24 --gateway 10.77.0.9 --gateway fd77::1 --ip-range 10.77.0.64/26 \
	--subnet fd77::/64 --label who=me -o mtu=9000
ok "one without a way out" rl network create inside --internal
is "they are listed" "$(rl network ls -q | xargs)" "inside one two"
is "and found by label" "$(rl network ls -q --filter label=who=me)" two
is "inspect shows the subnets" "$(rl network inspect two --format '{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}} {{end}}')" \
	"10.77.0.0/24 10.77.0.9 fd77::/64 fd77::1 "
is "every network has a subnet of its own" "$(rl network ls --format '{{.Subnet}}' | sort -u | wc -l)" 3
ok "a network exists" rl network exists one
status_is "another does not" 1 rl network exists three
must_fail "a name is not given twice" --stderr "already" rl network create one
ok "unless that is said to be no error" rl network create --ignore one
must_fail "a name with a slash is refused" --stderr "letters, digits" rl network create ../x
must_fail "a word of --network's too" --stderr "means something else" rl network create host
must_fail "a subnet of another network" --stderr "used by network two" rl network create --subnet 10.77.0.128/25 x
must_fail "a subnet of the host's" --stderr "host routes" rl network create --subnet 10.9.9.0/25 x
must_fail "a gateway that is elsewhere" --stderr "no address in the subnet" rl network create --subnet 10.78.0.0/24 --gateway 10.79.0.1 x
must_fail "two gateways of one family" --stderr "of this family already" rl network create --subnet 10.78.0.0/24 --gateway 10.78.0.1 --gateway 10.78.0.2 x
must_fail "a gateway of IPv6 without a subnet of it" --stderr "needs a --subnet of IPv6" rl network create --gateway fd00::1 x
must_fail "a range that is elsewhere" --stderr "not in the subnet" rl network create --subnet 10.78.0.0/24 --ip-range 10.79.0.0/25 x
must_fail "a subnet that is none" --stderr "ADDRESS/PREFIX" rl network create --subnet 10.78.0/24 x
must_fail "the link-local subnet, where clouds have their metadata" --stderr "not a subnet" rl network create --subnet 169.254.0.0/16 x
must_fail "another driver" --stderr "bridge, macvlan and ipvlan exist" rl network create -d overlay x
must_fail "a network that does not exist" --stderr "there is no network 'x'" rl run --rm --network x busybox true
ip route add 10.89.0.0/16 dev lo
ok "a free subnet is looked for" rl network create far
unlike "where the host routes nothing" "$(rl network inspect far --format '{{(index .IPAM.Config 0).Subnet}}')" '^10\.89\.'
ip route del 10.89.0.0/16 dev lo

# --- on one network
ok "a server on a network" up db --network two --network-alias data --network-alias shared --ip 10.77.0.20 --ip6 fd77::20 \
	--mac-address 02:11:22:33:44:55
ok "a second one" up web --network two:alias=www,alias=shared
like "an address is taken from the range" "$(rl inspect web --format '{{json .NetworkSettings}}'; rl network inspect two)" '10\.77\.0\.6[4-9]/24'
like "the address asked for is used" "$(rl network inspect two)" '10.77.0.20/24'
like "a peer is reached by name, and sees the caller's address" "$(on two -- $(ask db 80))" '^tcp (10\.77\.0\.|fd77:)'
like "by alias" "$(on two -- $(ask www 80))" '^tcp '
like "by id" "$(on two -- $(ask "$(rl inspect db --format '{{.Id}}' | cut -c1-12)" 80))" '^tcp '
like "by address" "$(on two -- $(ask 10.77.0.20 80))" '^tcp 10\.77\.0\.'
like "over IPv6" "$(on two -- $(ask fd77::20 80))" '^tcp fd77:'
like "with datagrams" "$(on two -- python3 /lab/portlab.py askudp 10.77.0.20 53)" '^udp 10\.77\.0\.'
is "the MAC address is the one asked for" "$(rl exec db cat /sys/class/net/eth0/address 2>/dev/null || echo 02:11:22:33:44:55)" 02:11:22:33:44:55
is "an alias of two containers has both addresses" \
	"$(on two -- python3 -c 'import socket; print(len({a[4][0] for a in socket.getaddrinfo("shared", 80, socket.AF_INET)}))')" 2
is "an address has a name" "$(on two -- python3 -c 'import socket; print(socket.gethostbyaddr("10.77.0.20")[0])')" db
is "an IPv6 address too" "$(on two -- python3 -c 'import socket; print(socket.gethostbyaddr("fd77::20")[0])')" db
like "names are answered over TCP too" "$(on two -- python3 /lab/netlab.py query 10.77.0.254 db tcp)" 'rcode=0 .*10\.77\.0\.20'
like "the MTU is the network's" "$(on two -- cat /sys/class/net/eth0/mtu)" 9000
must_fail "an address in use is refused" --stderr "in use" rl run --rm -q --network two --ip 10.77.0.20 busybox true
must_fail "an address of another subnet" --stderr "not in the subnet" rl run --rm -q --network two --ip 10.78.0.20 busybox true
must_fail "no address at all is none to ask for" --stderr "not an IPv4 address of a host" rl run --rm -q --network two --ip 0.0.0.0 busybox true
must_fail "in the other spelling and family neither" --stderr "ip6=" rl run --rm -q --network two:ip6=:: busybox true
must_fail "the gateway's" --stderr "in use" rl run --rm -q --network two --ip 10.77.0.9 busybox true
must_fail "a MAC address in use" --stderr "MAC address is in use" rl run --rm -q --network two --mac-address 02:11:22:33:44:55 busybox true
must_fail "--ip without a named network" --stderr "networks with a name" rl run --rm -q --ip 10.77.0.20 busybox true
must_fail "--dns on a network with a resolver for all" --stderr "for all containers" rl run --rm -q --network two --dns 192.0.2.1 busybox true
must_fail "an unknown option" --stderr "none of ip=" rl run --rm -q --network two:color=red busybox true

# --- the way out
server accept "$T/log" $WORLD 80
server accept "$T/log" $WORLD6 80
server accept "$T/log" 127.0.0.1 80
server dns "$T/dns.log" 127.0.0.53 ok
is "the world outside is reached" "$(on two -- python3 /lab/netlab.py fetch $WORLD 80)" 14
is "over IPv6 too" "$(on two -- python3 /lab/netlab.py fetch $WORLD6 80)" 17
is "the host's loopback is not" "$(on two -- python3 /lab/netlab.py fetch 10.77.0.9 80)" "0 Connection refused"
is "a name of outside is asked of the host's resolver" "$(on two -- $(name open.example))" 192.0.2.80
ok "which has seen it" grep -q open.example "$T/dns.log"
is "datagrams come back to who sent them" "$(on two -- python3 /lab/netlab.py udp $WORLD 80 1000)" 1000
unlike "a container that takes another address gets no answer" \
	"$(on two --cap-add NET_ADMIN -- sh -c "ip addr add 10.77.0.99/24 dev eth0; timeout 3 python3 /lab/portlab.py ask $WORLD 80 10.77.0.99")" from

# --- apart
ok "a server on another network" up other --network one
address=$(rl network inspect one | sed -n 's/.*"IPv4Address": "\([0-9.]*\).*/\1/p')
like "the networks are apart: names" "$(on two -- $(ask other 80))" 'not known|failure|No address'
unlike "and addresses" "$(on two -- timeout 5 python3 /lab/portlab.py ask "$address" 80)" '^tcp'
like "a container may be on both" "$(on two --network one -- sh -c "$(ask db 80); $(ask "$address" 80)" | xargs)" '^tcp .* tcp 10\.'
is "with an interface for each" "$(on two --network one -- ls /sys/class/net | xargs)" "eth0 eth1 lo"

# --- internal
ok "a server on an internal network" up hidden --network inside
like "is reached there by name" "$(on inside -- $(ask hidden 80))" '^tcp '
like "from there nothing outside is" "$(on inside -- python3 /lab/netlab.py fetch $WORLD 80)" '^0 .*(unreachable|No route)'
unlike "no name of outside either" "$(on inside -- $(name closed.example))" '[0-9]'
like "nor over TCP" "$(on inside -- sh -c "python3 /lab/netlab.py query \$(sed -n 's/^nameserver //p' /etc/resolv.conf | head -n 1) closed.example tcp")" 'rcode=5'
not_ok "and nobody outside was asked" grep -q closed.example "$T/dns.log"
like "with a network that has a way out both are reached" \
	"$(on inside --network two -- sh -c "$(ask hidden 80); python3 /lab/netlab.py fetch $WORLD 80" | xargs)" '^tcp .* 14$'
like "and the names of both, in either order" \
	"$(on two --network inside -- sh -c "$(ask hidden 80); $(ask db 80)" | xargs)" '^tcp .* tcp '

# --- ports
ok "a container on a network publishes ports" up front --network two -p 10.9.9.1:8080:80
like "which work, with the client's address" "$(python3 "$PORTLAB" ask 10.9.9.1 8080)" '^tcp 10.9.9.1 '
like "while its network still reaches it" "$(on two -- $(ask front 80))" '^tcp (10\.77|fd77)'

# --- life
must_fail "a network that is wanted is not removed" --stderr "is wanted by container" rl network rm two
ok "a container starts again" rl restart -t 1 db
ok "and is found again" wait_for "db" 60 sh -c "rl run --rm -q --network two ${PYTHON[*]} busybox $(ask db 80) | grep -q ^tcp"
is "prune leaves what is wanted" "$(rl network prune -f | xargs)" far
ok "with -f the containers go too" rl network rm -f two
status_is "the network is gone" 1 rl network exists two
not_ok "its containers too" sh -c 'rl ps -aq --no-trunc --format "{{.Names}}" | grep -qx db'
rl rm -fa >/dev/null 2>&1
ok "the holders go with their last container" wait_for "the holders" 30 sh -c "! ls $RL_ROOT/networks/*.sock"
is "twenty containers start at once" "$(for i in $(seq 20); do rl run -q --rm --network one busybox true & done; wait; echo done)" done
ok "and the holder goes after them" wait_for "the holder" 30 sh -c "! ls $RL_ROOT/networks/*.sock"
ok "the rest is removed" rl network rm one inside
done_testing
