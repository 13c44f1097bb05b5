#!/bin/bash
# deadline: 240
# Networks of a container that runs: one more, one less, as an ordinary user. "The host" is a network namespace of the
# test's own; what stands for the world outside are addresses on its loopback device.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_HOST_NS:-}" ]; then
	RL_TEST_HOST_NS=1 exec unshare -Urn bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/network-tests.sh"
host_up
PORTLAB=$HELPERS/portlab.py
PYTHON=(-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$HELPERS:/lab:ro")
# up NAME OPTIONS...: a server on 80/tcp and 53/udp
up() {
	local name=$1
	shift
	rl run -q -d --name "$name" "${PYTHON[@]}" "$@" busybox python3 /lab/portlab.py serve 80 53/udp >/dev/null &&
		wait_for "the server in $name" 60 sh -c "rl logs $name 2>&1 | grep -q ready"
}
# within NAME COMMAND...
within() { timeout -k 5 60 rl exec "$@" 2>&1; }
ask() { within "$1" python3 /lab/portlab.py ask "${@:2}"; }
interfaces() { within "$1" ls /sys/class/net | xargs; }
routes() { within "$1" python3 -c 'print(sum(l.split()[1] == "00000000" for l in open("/proc/net/route")))'; }

ok "two networks" sh -c 'rl network create one && rl network create --ipv6 two && rl network create --internal inside'
ok "a server on the first" up a --network one -p 10.9.9.1:8080:80
ok "one on the second" up b --network two
like "they do not know each other" "$(ask a b 80)" 'not known|failure|No address'

# --- one more
ok "a running container is put on one more network" rl network connect --alias extra --ip6 "$(rl network inspect two \
	--format '{{(index .IPAM.Config 1).Subnet}}' | sed 's,/64,42,')" two a
is "it has an interface for it" "$(interfaces a)" "eth0 eth1 lo"
like "it reaches the other by name" "$(ask a b 80)" '^tcp '
like "and is reached by its own name" "$(ask b a 80)" '^tcp '
like "and by the alias" "$(ask b extra 80)" '^tcp '
like "with the address that was asked for" "$(within b python3 -c 'import socket
print(socket.getaddrinfo("a", 80, socket.AF_INET6)[0][4][0])')" ':42$'
is "its default route is still one" "$(routes a)" 1
like "inspect shows both" "$(rl inspect a --format '{{json .NetworkSettings.Networks}}')" '"one":.*"two":'
like "with the alias" "$(rl inspect a --format '{{json .NetworkSettings.Networks.two.Aliases}}')" extra
like "network inspect shows the container" "$(rl network inspect two --format '{{json .Containers}}')" '"Name": ?"a"'
must_fail "the same network twice is refused" --stderr "already" rl network connect two a
must_fail "so is one that does not exist" --stderr "no network 'three'" rl network connect three a
must_fail "a container that does not exist" --stderr "no container" rl network connect two nobody
must_fail "an address that is none" --stderr "none of ip=" rl network connect --ip 1.2.3 inside a
must_fail "an address of another subnet" --stderr "not in the subnet" rl network connect --ip 10.1.2.3 inside a
is "a refused change leaves nothing" "$(interfaces a)" "eth0 eth1 lo"
must_fail "a network that a running container wants is not removed" --stderr "is wanted by" rl network rm two

# --- an internal one
ok "an internal network too" rl network connect inside a
ok "with a server there" up c --network inside
like "whose name is known" "$(ask a c 80)" '^tcp '
like "beside the others" "$(ask a b 80)" '^tcp '
is "the default route is not the internal one's" "$(routes a)" 1

# --- one less
ok "it leaves the first network, which had the default route" rl network disconnect one a
is "the interface is gone" "$(interfaces a)" "eth1 eth2 lo"
is "the next network has the default route" "$(routes a)" 1
server accept "$T/log" $WORLD 80
is "the way out is there" "$(within a python3 /lab/netlab.py fetch $WORLD 80)" 14
like "published ports lead to an address it has" "$(python3 "$PORTLAB" ask 10.9.9.1 8080)" '^tcp '
must_fail "a network it is not on cannot be left" --stderr "not on network one" rl network disconnect one a
ok "a network that nobody wants is removed" rl network rm one
ok "its address is given again" rl network connect --ip "$(rl inspect a --format '{{.NetworkSettings.Networks.inside.IPAddress}}' |
	sed 's/\.[0-9]*$/.77/')" inside b
ok "it leaves" rl network disconnect inside b
ok "and may come back with it" rl network connect --ip "$(rl inspect a --format '{{.NetworkSettings.Networks.inside.IPAddress}}' |
	sed 's/\.[0-9]*$/.77/')" inside b

# --- kept
was=$(rl inspect a --format '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.MacAddress}} {{end}}')
ok "it starts again" rl restart -t 1 a
is "with the addresses it had, so that neighbours find it at once" \
	"$(rl inspect a --format '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.MacAddress}} {{end}}')" "$was"
ok "and is found by its alias" wait_for "the server in a" 60 sh -c "rl exec b python3 /lab/portlab.py ask extra 80 | grep -q ^tcp"
is "on the networks it had" "$(rl inspect a --format '{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}')" "inside two "
like "its ports work" "$(python3 "$PORTLAB" ask 10.9.9.1 8080)" '^tcp '

# --- the others
ok "a container with the default network" up d
ok "is put on one with a name" rl network connect two d
like "reaches who is there" "$(ask d b 80)" '^tcp '
is "and the world through its own network" "$(within d python3 /lab/netlab.py fetch $WORLD 80)" 14
ok "it leaves" rl network disconnect two d
like "and knows the names no more" "$(ask d b 80)" 'not known|failure|No address'
ok "a stopped container is put on a network" sh -c 'rl stop -t 0 d && rl network connect two d && rl start d'
ok "and is there when it runs" wait_for "d" 60 sh -c "rl exec b python3 /lab/portlab.py ask d 80 | grep -q ^tcp"
ok "one without network gets one" sh -c 'rl run -d --name e --network none busybox sleep 1000 && rl network connect two e'
is "with an interface and a default route" "$(within e sh -c 'ls /sys/class/net | xargs; ip route | grep -c default' | xargs)" "eth0 lo 1"
ok "and loses it again" rl network disconnect two e
is "without a trace" "$(within e sh -c 'ls /sys/class/net | xargs')" lo
ok "a container with the host's network" rl run -d --name f --network host busybox sleep 1000
must_fail "is told why it cannot" --stderr "has the host's network" rl network connect two f
ok "one that shares another's" rl run -d --name g --network container:b busybox sleep 1000
must_fail "too" --stderr "not its own" rl network connect two g
ok "one that runs in the foreground" sh -c 'rl run --rm --name h --network two busybox sleep 1000 >/dev/null 2>&1 & 
	for i in $(seq 600); do rl network connect inside h 2>/dev/null && exit; sleep 0.1; done; exit 1'
is "is on both" "$(interfaces h)" "eth0 eth1 lo"
is "ten changes at once end well" "$(for i in 1 2 3 4 5; do rl network disconnect inside h 2>/dev/null & rl network connect inside h 2>/dev/null & done
	wait; rl network disconnect inside h 2>/dev/null; interfaces h)" "eth0 lo"
rl rm -fa >/dev/null 2>&1
ok "the holders go with the last container" wait_for "the holders" 30 sh -c "! ls $RL_ROOT/networks/*.sock"
done_testing
