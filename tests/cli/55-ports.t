#!/bin/bash
# deadline: 300
# Published ports, as an ordinary user: what is bound, what is refused, who the payload sees, what is freed. "The host" is
# a network namespace of the test's own with a second one, "far", behind a link.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_HOST_NS:-}" ]; then
	RL_TEST_HOST_NS=1 exec unshare -Urn bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
LAB=$HELPERS/portlab.py
# The image's busybox has no server that says whom it sees: the host's Python is lent to it.
PYTHON=(-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$HELPERS:/lab:ro")
lab() { timeout 60 python3 "$LAB" "$@"; }

unshare -n sleep 1000 &
FAR=$!
on_finish eval 'kill $FAR'
wait_for "the far namespace" 10 sh -c "[ \"\$(readlink /proc/$FAR/ns/net)\" != \"\$(readlink /proc/self/ns/net)\" ]"
far() {
	[ "$1" = lab ] && set -- python3 "$LAB" "${@:2}"
	timeout 60 nsenter -t $FAR -n "$@"
}
ip link set lo up
ip link add up0 type veth peer name far0 netns $FAR
ip address add 10.8.0.1/24 dev up0
ip address add 2001:db8:8::1/64 dev up0 nodad
ip link set up0 up
far ip link set lo up
far ip address add 10.8.0.2/24 dev far0
far ip address add 2001:db8:8::2/64 dev far0 nodad
far ip link set far0 up

# start NAME OPTIONS...: a container that serves 80/tcp and 53/udp, ready
start() {
	local name=$1
	shift
	rl run -d --name "$name" "${PYTHON[@]}" "$@" busybox python3 /lab/portlab.py serve 80 53/udp >"$T/$name.id" || return
	wait_for "the server in $name" 60 sh -c "rl logs $name 2>&1 | grep -q ready"
}

ok "a container with published ports starts" start web -p 8080:80 -p 127.0.0.1:8081:80 -p '[::1]:8082:80' \
	-p 5353:53/udp -p 10.8.0.1:9000-9002:80-82 -p 80
is "rl port lists them" "$(rl port web | grep -v '80/tcp -> .*:[0-9]\{5\}$' | sort | xargs)" \
	"53/udp -> 0.0.0.0:5353 53/udp -> [::]:5353 80/tcp -> 0.0.0.0:8080 80/tcp -> 10.8.0.1:9000 80/tcp -> 127.0.0.1:8081 80/tcp -> [::1]:8082 80/tcp -> [::]:8080 81/tcp -> 10.8.0.1:9001 82/tcp -> 10.8.0.1:9002"
random=$(rl port web 80 | sed -n 's/0.0.0.0:\([0-9]\{5\}\)$/\1/p')
like "a port without one of the host gets a free one, the same in both families" "$(rl port web 80)" "\[::\]:$random"
like "ps shows them" "$(rl ps)" "0.0.0.0:8080->80/tcp"
is "inspect does" "$(rl inspect --format '{{(index (index .NetworkSettings.Ports "53/udp") 0).HostPort}}' web)" 5353
must_fail "a port that is not published is not shown" --stderr "does not publish" rl port web 99

# --- whom the payload sees
is "a client elsewhere appears with its own address and port" "$(far lab ask 10.8.0.1 8080 10.8.0.2 45671)" \
	"tcp 10.8.0.2 45671"
is "over IPv6 too" "$(far lab ask 2001:db8:8::1 8080 2001:db8:8::2 45672)" "tcp 2001:db8:8::2 45672"
is "its datagrams too" "$(far lab askudp 10.8.0.1 5353 10.8.0.2 45673)" "udp 10.8.0.2 45673"
is "over IPv6 too" "$(far lab askudp 2001:db8:8::1 5353 2001:db8:8::2 45674)" "udp 2001:db8:8::2 45674"
is "the same client may come again from the same port" "$(far lab ask 10.8.0.1 8080 10.8.0.2 45671 | cut -d' ' -f2)" 10.8.0.2
is "the random port works" "$(far lab ask 10.8.0.1 "$random" | cut -d' ' -f2)" 10.8.0.2
like "a client on the host appears with the address it used" "$(lab ask 10.8.0.1 8080)" "^tcp 10.8.0.1 "
like "one on the host's loopback as the gateway, never as loopback" "$(lab ask 127.0.0.1 8080)" "^tcp 10\.0\.[0-9]+\.2 "
like "over IPv6 too" "$(lab ask ::1 8082)" "^tcp fd00:.*:2 "
like "its datagrams too" "$(lab askudp 127.0.0.1 5353)" "^udp 10\.0\.[0-9]+\.2 "
is "an address that was not asked for does not answer" "$(far lab ask 10.8.0.1 8081)" "Connection refused"
is "a port of a range leads to its own port" "$(far lab ask 10.8.0.1 9000 | cut -d' ' -f2)" 10.8.0.2
is "a port nobody serves inside ends at once" "$(far lab ask 10.8.0.1 9001 | sed 's/Connection reset by peer/nothing/')" nothing
is "a datagram of 60 kB is answered" "$(far lab big 10.8.0.1 5353 60000)" 60000

# --- data
is "200 MB go both ways at once, unchanged, and one direction ends first" "$(far lab echo 10.8.0.1 8080 200000000)" \
	"200000000 same"
ok "a client that resets harms nobody" far lab reset 10.8.0.1 8080
is "the next one is served" "$(far lab ask 10.8.0.1 8080 | cut -d' ' -f2)" 10.8.0.2

# --- live
ok "a port is published while the container runs" rl port add web 8090:80
is "and works" "$(far lab ask 10.8.0.1 8090 | cut -d' ' -f2)" 10.8.0.2
like "and is listed" "$(rl port web 80)" "0.0.0.0:8090"
must_fail "one that is taken is refused with the reason" --stderr "8090/tcp: Address already in use" rl port add web 8090:80
ok "it is withdrawn" rl port rm web 8090:80
is "and closed" "$(far lab ask 10.8.0.1 8090)" "Connection refused"
must_fail "withdrawing it again says so" --stderr "does not publish" rl port rm web 8090:80
ok "a container started without ports" start bare
ok "gets one too" rl port add bare 10.8.0.1:8091:80
is "which works" "$(far lab ask 10.8.0.1 8091 | cut -d' ' -f2)" 10.8.0.2
ok "a datagram port too" rl port add bare 8092:53/udp
is "which works" "$(far lab askudp 10.8.0.1 8092 | cut -d' ' -f2)" 10.8.0.2

# --- refused
must_fail "a port in use is refused before anything starts" --stderr "0.0.0.0:8080/tcp: Address already in use" \
	--stderr "rl port" rl run --rm -p 8080:80 busybox sh -c "echo started >$T/started"
not_ok "nothing has started" test -e "$T/started"
must_fail "an address that is not the host's too" --stderr "no address of this host" rl run --rm -p 10.1.1.1:8100:80 busybox true
must_fail "colliding ports" --stderr "want the same port" rl run --rm -p 8100:80 -p 127.0.0.1:8100:81 busybox true
must_fail "overlapping ranges" --stderr "want the same port" rl run --rm -p 8100-8105:80-85 -p 8105:90 busybox true
must_fail "a range that ends before it begins" --stderr "ends before it begins" rl run --rm -p 8105-8100:80-85 busybox true
must_fail "ranges of different length" --stderr "different length" rl run --rm -p 8100-8105:80-81 busybox true
must_fail "a port above 65535" --stderr "1 to 65535" rl run --rm -p 65536:80 busybox true
must_fail "port 0 inside" --stderr "1 to 65535" rl run --rm -p 80:0 busybox true
must_fail "a range that begins with it" --stderr "1 to 65535" rl run --rm -p 0-5:80 busybox true
must_fail "a range that goes beyond the last port" --stderr "1 to 65535" rl run --rm -p 65530-65540:80-90 busybox true
must_fail "an address and nothing else" --stderr "1 to 65535" rl run --rm -p 127.0.0.1:: busybox true
is "a refusal is one line" "$(rl run --rm -p 8105-8100:80-85 busybox true 2>&1 | wc -l)" 1
must_fail "an unknown protocol" --stderr "tcp or udp" rl run --rm -p 80:80/icmp busybox true
must_fail "a name for an address" --stderr "not an IPv4 address" rl run --rm -p localhost:80:80 busybox true
like "with the host's network they have no effect, which is said" "$(rl run --rm --network host -p 8100:80 busybox true 2>&1)" \
	"no effect"
like "without a network too" "$(rl run --rm --network none -p 8100:80 busybox true 2>&1)" "no effect"
is "a range of the host's for one port takes the first that is free" \
	"$(rl run -d --name pick -p 8080-8085:80 busybox sleep 1000 >/dev/null; rl port pick | head -n 1)" \
	"80/tcp -> 0.0.0.0:8083"

is "0 for the host's port means any, as nothing does" "$(rl run -d --name any -p 0:80 -p 127.0.0.1:0:81 -p 127.0.0.1::82 -p 10.8.0.1::83/udp \
	busybox sleep 1000 >/dev/null; rl port any | sed 's/[0-9]\{4,5\}$/N/' | sort | xargs)" \
	"80/tcp -> 0.0.0.0:N 80/tcp -> [::]:N 81/tcp -> 127.0.0.1:N 82/tcp -> 127.0.0.1:N 83/udp -> 10.8.0.1:N"
is "a range for one port leaves the one that another names" "$(rl run -d --name both -p 8086-8089:80 -p 8086:81 busybox sleep 1000 >/dev/null
	rl port both | grep 0.0.0.0 | sort | xargs)" "80/tcp -> 0.0.0.0:8087 81/tcp -> 0.0.0.0:8086"
rl rm -f any both >/dev/null

# --- freed
is "in the foreground the port is there while the command runs" \
	"$(rl run --rm "${PYTHON[@]}" -p 8110:80 busybox sh -c 'python3 /lab/portlab.py serve 80 & sleep 3' & \
	wait_for "the port" 30 sh -c "python3 $LAB ask 127.0.0.1 8110 | grep -q tcp" && lab ask 127.0.0.1 8110 | cut -d' ' -f1; wait)" \
	"ready
tcp"
is "and free afterwards" "$(lab ask 127.0.0.1 8110)" "Connection refused"
ok "a command that ends at once is no failure" rl run --rm -p 8110:80 busybox true
ok "a stopped container" rl stop -t 1 web
is "frees its ports" "$(lab ask 127.0.0.1 8080)" "Connection refused"
is "and lists none" "$(rl port web)" ""
ok "it starts again" rl start web
ok "with its ports" wait_for "the server" 60 sh -c "python3 $LAB ask 127.0.0.1 8080 | grep -q tcp"
ok "a restart" rl restart -t 1 web
ok "has them too" wait_for "the server" 60 sh -c "python3 $LAB ask 127.0.0.1 8080 | grep -q tcp"
rl rm -f web >"$T/out" 2>&1
ok "a policy's restart" rl run -d --name again --restart always -p 8120:80 "${PYTHON[@]}" busybox \
	sh -c 'python3 /lab/portlab.py serve 80 & sleep 1'
ok "binds them anew" wait_for "a second run" 60 sh -c "[ \"\$(rl inspect --format '{{.RestartCount}}' again)\" -gt 0 ] && \
	python3 $LAB ask 127.0.0.1 8120 | grep -q tcp"
ok "rm -f of running containers" rl rm -f again bare pick
is "frees their ports" "$(lab ask 127.0.0.1 8120) $(lab ask 10.8.0.1 8091)" "Connection refused Connection refused"

# --- -P
ok "exposed ports are published on request" rl run -d --name exposed -P --expose 80 --expose 53/udp busybox sleep 1000
is "each on a free port" "$(rl port exposed | cut -d' ' -f1 | sort | uniq -c | xargs)" "2 53/udp 2 80/tcp"
rl rm -f exposed >/dev/null
rl run -d --name exposed -P -p 8130:81 --expose 80-82 busybox sleep 1000 >/dev/null
is "of an exposed range those that are published already are not published twice" \
	"$(rl port exposed | cut -d' ' -f1 | sort | uniq -c | xargs)" "2 80/tcp 2 81/tcp 2 82/tcp"
rl rm -f exposed >/dev/null

done_testing
