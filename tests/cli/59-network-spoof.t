#!/bin/bash
# deadline: 240
# What a container does to its neighbours on a network, as an ordinary user: taken addresses, forged sources, floods.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_HOST_NS:-}" ]; then
	RL_TEST_HOST_NS=1 exec unshare -Urn bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/network-tests.sh"
host_up
command -v nft >/dev/null || [ -x /usr/sbin/nft ] || { echo "Bail out! nftables is not installed"; exit 1; }
PYTHON=(-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$HELPERS:/lab:ro")
cat >"$T/hear.py" <<'P'
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.bind(("::", 7777))
print("hearing", flush=True)
while True:
    data, peer = s.recvfrom(100)
    print(data.decode(), peer[0], flush=True)
P
up() {
	rl run -q -d --name "$1" --network net "${PYTHON[@]}" -v "$T/hear.py:/hear.py:ro" "${@:2}" busybox \
		sh -c 'python3 /hear.py & exec python3 /lab/portlab.py serve 80 53/udp' >/dev/null &&
		wait_for "the server in $1" 60 sh -c "rl logs $1 2>&1 | grep -q ready && rl logs $1 2>&1 | grep -q hearing"
}
within() { timeout -k 5 60 rl exec "$@" 2>&1; }
ask() { within "$1" timeout 5 python3 /lab/portlab.py ask "${@:2}"; }
field() { rl inspect "$1" --format "{{.NetworkSettings.$2}}"; }
# attack ARGUMENTS: by the container "bad"
attack() { within bad python3 /lab/spoof.py "$@"; }
tell() { within "$1" python3 -c "import socket
s = socket.socket(socket.AF_INET6 if ':' in '$2' else socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b'$3', ('$2', 7777))"; }
# What "a" has heard. A last word through the same path comes after all that was sent before it.
WORD=0
heard() {
	WORD=$((WORD + 1))
	tell bad "$A" "word$WORD"
	wait_for "the last word" 20 sh -c "rl logs a 2>&1 | grep -q 'word$WORD '"
	rl logs a 2>&1
}
neighbour() { within a cat /proc/net/arp | awk -v a="$1" '$1 == a { print $4 }'; }

ok "a network" rl network create --subnet 10.77.1.0/24 --subnet fd77:1::/64 net
ok "two neighbours" sh -c : && up a && up b
ok "and a bad one, with the privileges containers have by default" up bad
A=$(field a IPAddress) B=$(field b IPAddress) A6=$(field a GlobalIPv6Address) B6=$(field b GlobalIPv6Address)
MAC_A=$(field a MacAddress) MAC_B=$(field b MacAddress)
like "they talk" "$(ask a "$B" 80)" "^tcp $A "
is "and know each other's hardware address" "$(neighbour "$B")" "$MAC_B"
like "in IPv6 too" "$(ask a "$B6" 80)" "^tcp $A6 "
tell bad "$A" hello
like "the bad one may speak for itself" "$(heard)" "hello ::ffff:$(field bad IPAddress)"
tell bad "$A6" hello6
like "in IPv6" "$(heard)" "hello6 $(field bad GlobalIPv6Address)"

# --- addresses taken
ok "it says that a neighbour's address is its own" attack arp "$B" "$A" "$MAC_A"
is "which nobody hears" "$(neighbour "$B")" "$MAC_B"
like "so the neighbour is reached" "$(ask a "$B" 80)" "^tcp $A "
ok "the same for an address that nobody has" attack arp 10.77.1.200 "$A" "$MAC_A"
is "is not heard either" "$(neighbour 10.77.1.200)" ""
ok "for the resolver's" attack arp 10.77.1.254 "$A" "$MAC_A"
like "which is asked as before" "$(ask a b 80)" "^tcp "
ok "and in IPv6" attack na "$B6" "$A6" "$MAC_A"
like "where the neighbour is reached too" "$(ask a "$B6" 80)" "^tcp $A6 "
ok "frames with a neighbour's hardware address" attack mac "$MAC_B" "$MAC_A"
like "lead nothing astray" "$(ask a "$B" 80)" "^tcp $A "

# --- sources forged
ok "datagrams in a neighbour's name" attack udp "$B" 4000 "$A" 7777 "$MAC_A"
ok "with its hardware address too" attack udp "$B" 4000 "$A" 7777 "$MAC_A" "$MAC_B"
ok "in the resolver's name" attack udp 10.77.1.254 53 "$A" 7777 "$MAC_A"
ok "in the name of somebody in the world" attack udp 192.0.2.7 53 "$A" 7777 "$MAC_A"
ok "in IPv6" attack udp6 "$B6" 4000 "$A6" 7777 "$MAC_A"
unlike "none of them is heard" "$(heard)" forged
ok "with its own address they would be" attack udp "$(field bad IPAddress)" 4000 "$A" 7777 "$MAC_A"
like "for the attack is a real one" "$(heard)" forged
unlike "an address it takes by itself is of no use" "$(rl run --rm -q --network net --cap-add NET_ADMIN "${PYTHON[@]}" busybox sh -c "
	ip addr add 10.77.1.99/24 dev eth0; timeout 3 python3 /lab/portlab.py ask $A 80 10.77.1.99")" '^tcp'

# --- floods
within bad python3 /lab/spoof.py flood 6 >"$T/sent" &
flood=$!
failures=0
for i in 1 2 3 4 5 6; do
	[[ $(ask a "$B" 80) =~ ^tcp ]] || failures=$((failures + 1))
	[[ $(ask a b 80) =~ ^tcp ]] || failures=$((failures + 1))
done
is "in a flood of broadcasts, fragments and half-open connections neighbours and names are reached" $failures 0
server accept "$T/log" $WORLD 80
is "and the world outside" "$(within a python3 /lab/netlab.py fetch $WORLD 80)" 14
wait $flood
ok "and a flood it was" [ "$(cat "$T/sent")" -gt 5000 ]

# --- half-open connections to outside, more than one program may have descriptors for
server full $WORLD 7101
netd=$(pgrep -x -u 0 rl-netd | while read -r p; do grep -q '^NoNewPrivs:.1' /proc/$p/status && echo $p; done)
memory() { awk '/^RssAnon/ {print $2}' "/proc/$netd/status"; }
is "one rl-netd is there" "$(wc -w <<<"$netd")" 1
gateway=52:55:0a:4d:01:01 # rl-netd has 10.77.1.1
is "one container begins 40,000 connections that nobody answers" "$(attack half $WORLD "$gateway" 40000)" sent
taken=$(ls "/proc/$netd/fd" | wc -l)
ok "but it gets half of the descriptors there are at most" test "$taken" -gt 1000 -a "$taken" -lt 9000 || diag "$taken"
failures=0
for i in 1 2 3 4 5; do
	[ "$(within a python3 /lab/netlab.py fetch $WORLD 80)" = 14 ] || failures=$((failures + 1))
	[[ $(ask a b 80) =~ ^tcp ]] || failures=$((failures + 1))
done
is "its neighbours reach the world and each other all the same" $failures 0
[ "${RL_TEST_FLAVOUR:-}" = asan ] || ok "rl-netd's memory is bounded" test "$(memory)" -lt 262144
diag "rl-netd has $(memory) kB, $(ls /proc/$netd/fd | wc -l) descriptors"
rl rm -fa >/dev/null 2>&1
ok "the holder goes" wait_for "the holder" 30 sh -c "! ls $RL_ROOT/networks/*.sock"
done_testing
