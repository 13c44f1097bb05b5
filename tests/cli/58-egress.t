#!/bin/bash
# deadline: 300
# --allow-net and --deny-net as an ordinary user: addresses, ports, names through the resolver, the record of it. "The
# host" is a network namespace of the test's own; the world outside are addresses on its loopback device.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_HOST_NS:-}" ]; then
	RL_TEST_HOST_NS=1 exec unshare -Urnm bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/network-tests.sh"
host_up
mount --bind "$T/resolv.conf" "$(realpath /etc/resolv.conf)"
ip address add 2001:db8::2/128 dev lo nodad
ip address add 169.254.169.254/32 dev lo
PYTHON=(-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$HELPERS:/lab:ro")
# what OPTIONS... -- COMMAND: in a new container
what() {
	local options=() count
	split_at_dashes "$@" && shift $count
	timeout -k 5 60 rl run --rm -q "${options[@]}" "${PYTHON[@]}" busybox "$@" 2>&1
}
py() { echo python3 /lab/netlab.py "$@"; }
# open NAME PORT: look the name up as programs do, connect, print how that went
cat >"$T/open.py" <<'PY'
import socket, sys
for target in sys.argv[1:]:
    name, port = target.split(",")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
            s.settimeout(20)
            s.connect((name, int(port)))
            print("reached", s.getpeername()[0])
    except OSError as e:
        print(e.strerror or e)
PY
PYTHON+=(-v "$T/open.py:/open.py:ro")
open() { echo python3 /open.py "$@"; }

server accept "$T/log" 0.0.0.0 80 81
server accept "$T/log" 2001:db8::1 80
server accept "$T/log" 2001:db8::2 80
server names "$T/names.log" 127.0.0.53 good.example=10.9.9.11 good.example=2001:db8::1 www.good.example=@cdn.example \
	cdn.example=10.9.9.12 bad.example=10.9.9.14 via.example=@bad.example rebind.example=169.254.169.254 \
	other.example=10.9.9.16
server names "$T/evil.log" 10.9.9.53 other.example=10.9.9.16 good.example=10.9.9.18

refused="0 Connection refused"

# --- addresses
output_is "what is on the list is reached" 14 what --allow-net 10.9.9.1:80 -- $(py fetch 10.9.9.1 80)
output_is "another port of it is refused at once" "$refused" what --allow-net 10.9.9.1:80 -- $(py fetch 10.9.9.1 81)
output_is "another address is" "$refused" what --allow-net 10.9.9.1:80 -- $(py fetch 10.9.9.2 80)
output_is "IPv6 is judged as well" "$refused" what --allow-net 2001:db8::2 -- $(py fetch 2001:db8::1 80)
output_is "and reached where it is listed" 17 what --allow-net 2001:db8::1/128 -- $(py fetch 2001:db8::1 80)
output_is "a datagram is refused with an error" "No route to host" what --allow-net 10.9.9.1 -- $(py udp 10.9.9.2 80 9)
output_is "over IPv6 too" "Permission denied" what --allow-net 10.9.9.1 -- $(py udp 2001:db8::1 80 9)
output_is "one that may go is answered" 9 what --allow-net 10.9.9.1 -- $(py udp 10.9.9.1 80 9)
output_is "one in fragments is judged when it is whole" 30000 \
	what --network slirp:mtu=1500 --allow-net 10.9.9.1 -- $(py udp 10.9.9.1 80 30000)
output_is "and refused" "No route to host" \
	what --network slirp:mtu=1500 --allow-net 10.9.9.1 -- $(py udp 10.9.9.2 80 30000)
like "an echo request is refused" "$(what --allow-net 10.9.9.1 -- $(py ping 10.9.9.2))" "No route to host"
output_is "a deny list alone leaves the rest open" 14 what --deny-net 10.9.9.2 -- $(py fetch 10.9.9.1 80)
output_is "and closes what is on it" "$refused" what --deny-net 10.9.9.0/30 -- $(py fetch 10.9.9.2 80)
output_is "it wins over the other list" "$refused" \
	what --allow-net 10.9.9.0/24 --deny-net 10.9.9.2 -- $(py fetch 10.9.9.2 80)
output_is "metadata addresses have a name" "$refused" what --deny-net metadata -- $(py fetch 169.254.169.254 80)
output_is "without it they are reached" "reached 169.254.169.254" what -- $(open 169.254.169.254,80)
output_is "--host-access is a permission of its own" "reached 10.0.2.2" \
	what --allow-net 10.9.9.1 --host-access 80 -- $(open 10.0.2.2,80)
rl run -q -d --name published --allow-net 192.0.2.1 -p 10.9.9.1:8085:80 "${PYTHON[@]}" busybox \
	python3 /lab/portlab.py serve 80 >/dev/null
wait_for "the server" 30 sh -c "rl logs published 2>&1 | grep -q ready"
like "a published port works beside a list that allows nothing" \
	"$(python3 "$HELPERS/portlab.py" ask 10.9.9.1 8085)" "^tcp 10.9.9.1"
rl rm -f -t 0 published >/dev/null

# --- names
output_is "an allowed name is looked up and reached, at its ports" "reached 10.9.9.11
Connection refused" what --allow-net good.example:80 -- $(open good.example,80 good.example,81)
output_is "over IPv6 as well" "reached 2001:db8::1" what --allow-net good.example -- python3 -c "
import socket
a = socket.getaddrinfo('good.example', 80, socket.AF_INET6, socket.SOCK_STREAM)[0][4]
print('reached', socket.create_connection(a[:2]).getpeername()[0])"
output_is "its address is not, before it was looked up" "Connection refused" \
	what --allow-net good.example -- $(open 10.9.9.11,80)
like "a name that is not on the list is not looked up" \
	"$(what --allow-net good.example -- $(open other.example,80))" "resolution"
not_ok "and the host's resolver never hears of it" grep -q other.example "$T/names.log"
like "the answer says refused" "$(what --allow-net good.example -- $(py query 10.0.2.3 other.example))" "rcode=5"
like "over TCP too" "$(what --allow-net good.example -- $(py query 10.0.2.3 other.example tcp))" "rcode=5"
output_is "what TCP answers is known as well" "id-ok rcode=0 tc=0 answers=1 10.9.9.11
reached 10.9.9.11" what --allow-net good.example -- sh -c "$(py query 10.0.2.3 good.example tcp); $(open 10.9.9.11,80)"
output_is "aliases lead to the address" "reached 10.9.9.12" what --allow-net '*.good.example' -- $(open www.good.example,80)
like "the name above a wildcard is not below it" \
	"$(what --allow-net '*.good.example' -- $(open good.example,80))" "resolution"
like "an alias to a denied name is refused" "$(what --deny-net bad.example -- $(open via.example,80))" "resolution"
like "so is the name" "$(what --deny-net bad.example -- $(open bad.example,80))" "resolution"
output_is "others are not" "reached 10.9.9.16" what --deny-net bad.example -- $(open other.example,80)
output_is "a name never opens a metadata address" "Connection refused" \
	what --allow-net rebind.example -- $(open rebind.example,80)
output_is "another name server cannot be asked where there is an allow list" "No route to host" \
	what --allow-net good.example -- python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20); s.connect(('10.9.9.53', 53))
try: s.send(b'x' * 20); print(s.recv(100))
except OSError as e: print(e.strerror or e)"
output_is "nor where a name is denied" "Connection refused" what --deny-net bad.example -- $(open 10.9.9.53,53)
output_is "it can where only metadata is" "reached 10.9.9.53" what --deny-net metadata -- $(open 10.9.9.53,53)
ok "what another name server would say is no way round: it was never asked" test ! -e "$T/evil.log"
output_is "a name of --add-host is allowed by its name" "reached 10.9.9.15" \
	what --allow-net two.example:80 --add-host two.example:10.9.9.15 -- $(open two.example,80)
output_is "at its ports only" "Connection refused" \
	what --allow-net two.example:80 --add-host two.example:10.9.9.15 -- $(open two.example,81)
output_is "raw frames are judged too" "tcp/10.9.9.2/80 reset
udp/10.9.9.2/80 silence
+tcp/10.9.9.1/80 answer" what --cap-add NET_RAW --allow-net 10.9.9.1 -e RL_TEST_ADDRESS=10.0.2.100 -e RL_TEST_GATEWAY=10.0.2.2 -- \
	$(py raw eth0 own tcp/10.9.9.2/80 udp/10.9.9.2/80 +tcp/10.9.9.1/80)

# --- the record
rl run -q --name noted --allow-net good.example:80,10.9.9.1 "${PYTHON[@]}" busybox \
	sh -c "$(open good.example,80 good.example,81 10.9.9.2,80 10.9.9.2,80 10.9.9.1,80 other.example,80); $(py udp 10.9.9.3 9 9); $(py ping 10.9.9.4)" >/dev/null 2>&1
columns='{{.Protocol}} {{.Address}} {{.Port}} {{.Name}} {{.Verdict}}'
is "refusals are listed with the name and the number" "$(rl netlog --format "$columns" noted | sort)" \
	"dns   other.example refused
icmp 10.9.9.4   refused
tcp 10.9.9.11 81 good.example refused
tcp 10.9.9.2 80  refused
udp 10.9.9.3 9  refused"
is "twice is one line" "$(rl netlog --format '{{.Address}} {{.Count}}' noted | grep '10.9.9.2 ')" "10.9.9.2 2"
is "--all has what was allowed" "$(rl netlog -a --format "$columns" noted | grep allowed | sort)" \
	"tcp 10.9.9.1 80  allowed
tcp 10.9.9.11 80 good.example allowed"
like "a table is the default" "$(rl netlog noted | head -1)" "^TIME +PROTOCOL +ADDRESS +PORT +NAME +VERDICT +TRIES"
is "json is an array" "$(rl netlog --format json noted | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" 5
like "the times are times" "$(rl netlog --format '{{.Time}} {{.First}}' noted | head -1)" "^20..-..-..T..:..:..Z 20..-..-"
is "the file has its size from the start" "$(stat -c %s "$RL_ROOT"/containers/*/netlog-slirp | sort -u | wc -l)" 1
rl rm noted >/dev/null
rl run -q -d --name busy --allow-net 192.0.2.0/24 "${PYTHON[@]}" busybox python3 -c '
import socket, time
for i in range(1000):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b"x", (f"10.9.{i % 250 + 1}.{i // 250 + 1}", 9))
    s.close()
print("sent", flush=True)
time.sleep(1000)' >/dev/null
wait_for "the flood" 30 sh -c "rl logs busy 2>&1 | grep -q sent"
wait_for "the record to be full" 20 sh -c '[ "$(rl netlog -n busy 2>/dev/null | wc -l)" -ge 190 ]'
ok "a flood of targets leaves a record of bounded length" sh -c '[ "$(rl netlog -n busy 2>/dev/null | wc -l)" -le 192 ]'
like "that says so" "$(rl netlog busy 2>&1 >/dev/null)" "lines had to make room"
rl rm -f -t 0 busy >/dev/null
rl run -q --name plain busybox true
must_fail "a container without a policy has no record" --stderr "no policy of its own" rl netlog plain
must_fail "nor has one that is not there" --stderr "nosuch" rl netlog nosuch

# --- what cannot be
must_fail "a malformed network is refused" --stderr "bits beyond the prefix" rl run --rm --allow-net 10.0.0.1/8 busybox true
must_fail "a policy on the host's network is" --stderr "not the container's own" rl run --rm --network host --deny-net metadata busybox true
must_fail "on none" --stderr "leads nowhere" rl run --rm --network none --allow-net 10.0.0.1 busybox true
must_fail "on another container's" --stderr "not the container's own" rl run --rm --network container:plain --allow-net 10.0.0.1 busybox true
ok "a RUN of a build obeys one too" sh -c "printf 'FROM busybox\nRUN ! nc -w 5 10.9.9.2 80 </dev/null && nc -w 5 10.9.9.1 80 </dev/null | grep from\n' >Dockerfile &&
	rl build -q --allow-net 10.9.9.1 . >/dev/null"

# --- networks with a name
rl network create shared --ipv6 >/dev/null
rl run -q -d --name open --network shared "${PYTHON[@]}" busybox sleep 1000 >/dev/null
rl run -q -d --name closed --network shared --allow-net good.example:80 "${PYTHON[@]}" busybox sleep 1000 >/dev/null
inside_open() { rl exec open busybox "$@"; }
mac=$(inside_open cat /sys/class/net/eth0/address)
address=$(inside_open ip -4 address show dev eth0 | sed -n 's|.*inet \([0-9.]*\)/.*|\1|p')
gateway=$(inside_open ip -4 route | sed -n 's/default via \([0-9.]*\).*/\1/p')
output_is "each container has its own policy: without one all is open" "reached 10.9.9.2" rl exec open $(open 10.9.9.2,80)
output_is "with one what is not listed is closed" "Connection refused" rl exec closed $(open 10.9.9.2,80)
like "names too" "$(rl exec closed $(open other.example,80))" "resolution"
like "over TCP" "$(rl exec closed sh -c "$(py query '$(sed -n "s/nameserver //p" /etc/resolv.conf)' other.example tcp)")" "rcode=5"
like "while the neighbour asks freely over TCP" \
	"$(rl exec open sh -c "$(py query '$(sed -n "s/nameserver //p" /etc/resolv.conf)' other.example tcp)")" "rcode=0"
like "and the listed name is reached" "$(rl exec closed $(open good.example,80))" "reached"
is "the neighbour is reached by name: a policy is about the way out" \
	"$(rl exec closed python3 -c "import socket; print(socket.gethostbyname('open'))")" \
	"$address"
is "a record is kept here as well" "$(rl netlog --format '{{.Address}} {{.Port}}' closed | grep 10.9.9.2)" "10.9.9.2 80"
rl rm -f -t 0 closed >/dev/null

# One that may not tries it under the neighbour's MAC and address.
cat >"$T/spoof.py" <<'PY'
import socket, sys, os
sys.path.insert(0, "/lab")
import netlab
mac, address, gateway = sys.argv[1:4]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("eth0", 0))
head = bytes([0x52, 0x55]) + socket.inet_aton(gateway) + bytes.fromhex(mac.replace(":", ""))
for i in range(20):
    s.send(head + netlab.packet(address, "10.9.9.2", "udp", 81, 30000 + i))
# What was sent is judged before this comes back.
own = netlab.packet(os.environ["OWN"], gateway, "icmp", 1, 77)
s.settimeout(10)
s.send(head[:6] + s.getsockname()[4] + own)
while True:
    frame = s.recv(70000)
    if frame[23] == 1 and frame[34] == 0:
        break
print("sent")
PY
: >"$T/log"
spoof() {
	rl run -q --rm --network shared --ip "${address%.*}.77" -e "OWN=${address%.*}.77" --cap-add NET_RAW "$@" "${PYTHON[@]}" \
		-v "$T/spoof.py:/spoof.py:ro" busybox python3 /spoof.py "$mac" "$address" "$gateway"
}
output_is "a container with a policy sends under a neighbour's MAC" sent spoof --allow-net 192.0.2.1
not_ok "and nothing of it gets out" grep -q "udp 0.0.0.0 81" "$T/log"
output_is "without a policy it may not either" sent spoof
not_ok "and nothing gets out" grep -q "udp 0.0.0.0 81" "$T/log"
as_itself() { mac=02:00:00:00:77:77 address=${address%.*}.77 && spoof --mac-address $mac; }
output_is "as itself it may" sent as_itself
ok "for the frames are good ones" wait_for "the datagrams" 10 grep -q "udp 0.0.0.0 81" "$T/log"
output_is "on a shared network --host-access is each container's own" "reached $gateway" \
	what --network shared --host-access 80 -- $(open "$gateway,80")
output_is "other ports stay closed" "Connection refused" what --network shared --host-access 80 -- $(open "$gateway,81")
output_is "and the neighbours' too" "Connection refused" rl exec open $(open "$gateway,80")
rl network create --internal island >/dev/null
rl network create later >/dev/null
rl run -q -d --name moving --network island --allow-net good.example:80 "${PYTHON[@]}" busybox sleep 1000 >/dev/null
rl network connect later moving
output_is "a network that is connected later has the policy too" "Connection refused" rl exec moving $(open 10.9.9.2,80)
like "and a record" "$(rl netlog --format '{{.Address}} {{.Port}}' moving)" "10.9.9.2 80"
rl rm -f -t 0 open plain moving >/dev/null
done_testing
