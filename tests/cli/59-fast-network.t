#!/bin/bash
# deadline: 300
# --network NAME,fast as an ordinary user: outside by sockets of the host, everything else on the network as ever, and no
# more to be reached than without. "The host" is a network namespace of the test's own; the world outside are addresses
# on its loopback device.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_HOST_NS:-}" ]; then
	RL_TEST_HOST_NS=1 exec unshare -Urnm bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/fast-path.sh"
group() {
	local line='' last=''
	while IFS= read -r line; do
		last=$line
		case $line in
		"ok "*) pass "${line#ok }" ;;
		done) ;;
		*) fail "$line" ;;
		esac
	done
	[ "$last" = done ] || fail "the checks came to their end"
}
server accept "$T/log" 0.0.0.0 80 81
server accept "$T/log" 2001:db8::1 80
server accept "$T/loop.log" 127.0.0.1 90
server accept "$T/loop.log" ::1 90
server full 10.9.9.1 83
server names "$T/names.log" 127.0.0.53 good.example=10.9.9.11
ok "a network is made" rl network create --subnet 10.0.3.0/24 --ipv6 --subnet fd00:3::/64 near
ok "one that is internal" rl network create --internal shut
ok "and another" rl network create other

group < <(fast --network near,fast,ip=10.0.3.50 -e OWN=10.0.3.50 -e GATEWAY=10.0.3.1 -- python3 /lab/fastlab.py $WORLD basic shared signals race)

# --- what stays closed
where='import socket, sys
for name in sys.argv[1:]:
    host, port = name.rsplit(",", 1)
    try:
        s = socket.create_connection((host, int(port)), 20)
        print("slow" if s.getsockname()[0].startswith(("10.0.3.", "fd00:3:")) else "fast")
    except OSError as e:
        print(e.strerror or e)'
output_is "the host's loopback is closed, and the gateway is no way to it" "Connection refused
Connection refused
Connection refused
Connection refused" fast --network near,fast -- python3 -c "$where" 127.0.0.1,90 ::1,90 ::ffff:127.0.0.1,90 10.0.3.1,90
not_ok "the host's loopback never saw a connection" test -s "$T/loop.log"
output_is "an address on the allow list is fast, others are refused" "fast
Connection refused
Connection refused" fast --network near,fast --allow-net 10.9.9.1:80 -- python3 -c "$where" 10.9.9.1,80 10.9.9.1,81 10.9.9.2,80
output_is "a name on it is reached" "slow" fast --network near,fast --allow-net good.example -- python3 -c "$where" good.example,80
output_is "what the deny list leaves is fast" "fast
Connection refused" fast --network near,fast --deny-net 10.9.9.2 -- python3 -c "$where" 10.9.9.1,80 10.9.9.2,80
must_fail "an internal network is none that could be fast" --stderr "not the way out" rl run --rm -q --network shut,fast busybox true
must_fail "nor is the second of two" --stderr "not the way out" rl run --rm -q --network near --network other,fast busybox true
output_is "with an internal one before it the first that leads outside is" "fast" \
	fast --network shut --network near,fast -- python3 -c "$where" 10.9.9.1,80
like "an internal network alone has no way out for anybody" "$(fast --network shut -- python3 -c "$where" 10.9.9.1,80)" \
	"nreachable"
output_is "fast=false is the usual way" "slow" fast --network near:fast=false -- python3 -c "$where" 10.9.9.1,80
must_fail "another value is refused" --stderr "fast" rl run --rm -q --network near:fast=maybe busybox true

# --- with the rest
rl run -q -d --name web --network near,fast,alias=www -p 10.9.9.1:8085:80 "${PYTHON[@]}" busybox \
	python3 /lab/portlab.py serve 80 >/dev/null
wait_for "the server" 30 sh -c "rl logs web 2>&1 | grep -q ready"
rl run -q -d --name neighbour --network near "${PYTHON[@]}" busybox python3 /lab/portlab.py serve 80 >/dev/null
wait_for "the neighbour" 30 sh -c "rl logs neighbour 2>&1 | grep -q ready"
like "a published port leads to a server of such a container" "$(python3 "$HELPERS/portlab.py" ask 10.9.9.1 8085)" "^tcp 10.9.9.1"
like "a sibling without it reaches it by its name" "$(rl exec neighbour python3 /lab/portlab.py ask www 80)" "^tcp 10\.0\.3\."
like "and is reached" "$(rl exec web python3 /lab/portlab.py ask neighbour 80)" "^tcp 10\.0\.3\."
is "a command that joins has the fast path" "$(rl exec web python3 -c "$where" 10.9.9.1,80)" fast
must_fail "a running container is not taken from its fast network" --stderr "stop it first" rl network disconnect near web
rl stop -t 0 web >/dev/null
ok "a stopped one is" rl network disconnect near web
rl rm -f -t 0 web neighbour >/dev/null
done_testing
