#!/bin/bash
# deadline: 240
# Networks on a link of the host's own, as root: macvlan and ipvlan. "The host" is a network namespace of the test's own
# with a neighbour behind a link. A kernel without one of the two drivers refuses it by name, and that is tested then.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_HOST_NS:-}" ]; then
	RL_TEST_HOST_NS=1 exec unshare -nm bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
LAB=$HELPERS/portlab.py
PYTHON=(-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$HELPERS:/lab:ro")
lab() { timeout 60 python3 "$LAB" "$@"; }
unshare -n sleep 1000 &
FAR=$!
on_finish eval 'kill $FAR'
wait_for "the neighbour's namespace" 10 sh -c "[ \"\$(readlink /proc/$FAR/ns/net)\" != \"\$(readlink /proc/self/ns/net)\" ]"
far() {
	[ "$1" = lab ] && set -- python3 "$LAB" "${@:2}"
	timeout 60 nsenter -t $FAR -n "$@"
}
ip link set lo up
ip link add lan0 type veth peer name eth0 netns $FAR
ip address add 10.8.0.1/24 dev lan0
ip address add 2001:db8:8::1/64 dev lan0 nodad
ip link set lan0 up
far sh -c "ip link set lo up; ip address add 10.8.0.2/24 dev eth0; ip address add 2001:db8:8::2/64 dev eth0 nodad; ip link set eth0 up; ip address add 10.9.9.9/32 dev lo"
nsenter -t $FAR -n python3 "$LAB" serve 80 53/udp >"$T/far.log" 2>&1 &
on_finish eval "kill $!"
wait_for "the server there" 30 grep -q ready "$T/far.log"
printf 'nameserver 127.0.0.53\nnameserver 10.8.0.2\n' >"$T/resolv.conf"
mount --bind "$T/resolv.conf" "$(realpath /etc/resolv.conf)"
within() { timeout -k 5 60 rl exec "$@" 2>&1; }
ask() { within "$1" timeout 5 python3 /lab/portlab.py ask "${@:2}"; }
address() { rl inspect "$1" --format '{{.NetworkSettings.IPAddress}}'; }
look() { echo "$(ip -o link show | sed 's/^[0-9]*: \([^:@]*\).*/\1/' | sort | xargs); $(nft list tables | sort | xargs); $(cat /proc/sys/net/ipv4/conf/{lan0,all}/forwarding | xargs)"; }
before=$(look)
up() {
	local name=$1
	shift
	rl run -q -d --name "$name" "${PYTHON[@]}" "$@" busybox python3 /lab/portlab.py serve 80 53/udp >/dev/null &&
		wait_for "the server in $name" 60 sh -c "rl logs $name 2>&1 | grep -q ready"
}

# --- refused
new() { rl network create "$@"; }
must_fail "without a parent it is refused" --stderr "-o parent=" rl network create -d macvlan --subnet 10.8.0.0/24 x
must_fail "with one that is not there" --stderr "no interface nosuch0" rl network create -d macvlan -o parent=nosuch0 --subnet 10.8.0.0/24 x
must_fail "with a name that is none" --stderr "no name of an interface" rl network create -d macvlan -o parent=../x --subnet 10.8.0.0/24 x
must_fail "with a mode that does not exist" --stderr "bridge private vepa" rl network create -d macvlan -o parent=lan0 -o mode=l7 --subnet 10.8.0.0/24 x
must_fail "without a subnet" --stderr "needs --subnet" rl network create -d macvlan -o parent=lan0 x
must_fail "with --ipv6 and no subnet of it" --stderr "for IPv6" rl network create -d macvlan -o parent=lan0 --subnet 10.8.0.0/24 --ipv6 x
chmod 755 "$T" && must_fail "an ordinary user is told whom it is for" --stderr "root of the machine" \
	setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/nonexistent RL_ROOT=/tmp/rl-direct-$$ rl network create -d macvlan -o parent=lan0 --subnet 10.8.0.0/24 x
rm -rf "/tmp/rl-direct-$$"
is "and nothing was left by the trial" "$(look)" "$before"

# probe KIND: does the kernel have it?
has() { unshare -n sh -c "ip link add p0 type veth peer name p1 && ip link add q0 link p0 type $1" 2>/dev/null; }

# --- a driver
works() {
	local kind=$1
	ok "$kind: a network on a link" rl network create -d "$kind" -o parent=lan0 --subnet 10.8.0.0/24 --gateway 10.8.0.2 \
		--ip-range 10.8.0.64/26 --subnet 2001:db8:8::/64 --gateway 2001:db8:8::2 lan
	is "$kind: is nothing but a record" "$(look)" "$before"
	is "$kind: inspect says what it is" "$(rl network inspect lan --format '{{.Driver}} {{.Options.parent}} {{.DNSEnabled}}')" "$kind lan0 false"
	must_fail "$kind: an address outside is refused" --stderr "not in the subnet" rl run --rm -q --network lan --ip 10.9.0.5 busybox true
	ok "$kind: a server on it" up a --network lan --ip 10.8.0.50 --ip6 2001:db8:8::50
	ok "$kind: and a second" up b --network lan
	must_fail "$kind: an address in use is refused" --stderr "in use" rl run --rm -q --network lan --ip 10.8.0.50 busybox true
	like "$kind: an address of the range" "$(address b)" '^10\.8\.0\.(6[4-9]|7|8|9|1[01]|12[0-7])'
	is "$kind: the neighbour on the link reaches a container, as itself" "$(far lab ask 10.8.0.50 80 10.8.0.2 45671)" "tcp 10.8.0.2 45671"
	is "$kind: by datagram" "$(far lab askudp 10.8.0.50 53 10.8.0.2 45672)" "udp 10.8.0.2 45672"
	is "$kind: over IPv6" "$(far lab ask 2001:db8:8::50 80 2001:db8:8::2 45673)" "tcp 2001:db8:8::2 45673"
	is "$kind: a container reaches the neighbour with its own address" "$(ask a 10.8.0.2 80 | cut -d' ' -f2)" 10.8.0.50
	is "$kind: and what is behind the router" "$(ask a 10.9.9.9 80 | cut -d' ' -f2)" 10.8.0.50
	is "$kind: containers reach each other" "$(ask b 10.8.0.50 80 | cut -d' ' -f2)" "$(address b)"
	is "$kind: name servers are the host's, without those on its loopback" "$(within a grep nameserver /etc/resolv.conf)" "nameserver 10.8.0.2"
	is "$kind: --dns is taken" "$(rl run --rm -q --network lan --dns 10.8.0.7 busybox grep nameserver /etc/resolv.conf)" "nameserver 10.8.0.7"
	unlike "$kind: no name stands for a host that is not reached" "$(within a cat /etc/hosts)" 'host\.containers'
	must_fail "$kind: aliases are refused, for there is no resolver" --stderr "no aliases" rl run --rm -q --network lan --network-alias x busybox true
	must_fail "$kind: a policy is" --stderr "nothing of rl is between" rl run --rm -q --network lan --deny-net metadata busybox true
	must_fail "$kind: --host-access is" --stderr "nothing of rl is between" rl run --rm -q --network lan --host-access 80 busybox true
	is "$kind: the host has no device and no rule more" "$(look)" "$before"
	rl network create --subnet 10.89.9.0/24 app >/dev/null
	ok "$kind: a container on a bridge network too" up c --network app --network lan
	like "$kind: is found there by name" "$(rl run --rm -q --network app "${PYTHON[@]}" busybox python3 /lab/portlab.py ask c 80)" ^tcp
	is "$kind: and on the link by address" "$(far lab ask "$(rl inspect c --format '{{.NetworkSettings.Networks.lan.IPAddress}}')" 80 | cut -d' ' -f2)" 10.8.0.2
	ok "$kind: a running container is put on it" sh -c "rl run -q -d --name d --network none busybox sleep 1000 && rl network connect --ip 10.8.0.51 lan d"
	ok "$kind: and answers there" far ping -c1 -W5 10.8.0.51
	ok "$kind: it leaves" rl network disconnect lan d
	is "$kind: without a trace" "$(within d ls /sys/class/net | xargs)" lo
	ok "$kind: published ports lead in from the host's addresses" up p --network lan -p 10.8.0.1:8080:80
	like "$kind: for a client elsewhere" "$(far lab ask 10.8.0.1 8080)" '^tcp 10\.8\.0\.2 '
	must_fail "$kind: it is not removed while it is wanted" --stderr "is wanted" rl network rm lan
	ok "$kind: a container starts again with its address" rl restart -t 0 a
	is "$kind: the one asked for" "$(address a)" 10.8.0.50
	ok "$kind: with -f the containers go too" rl network rm -f lan
	rl rm -fa >/dev/null 2>&1
	rl network rm app >/dev/null
	gone() { [ "$(look)" = "$before" ]; }
	ok "$kind: nothing is left" wait_for "the end" 30 gone || diag "$(look)"
}
for kind in macvlan ipvlan; do
	if has $kind; then
		works $kind
	else
		must_fail "$kind, which this kernel does not have, is refused by name" --stderr "this kernel has no $kind" \
			rl network create -d $kind -o parent=lan0 --subnet 10.8.0.0/24 x
		status_is "$kind: no record is left" 1 rl network exists x
	fi
done
done_testing
