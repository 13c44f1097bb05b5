#!/bin/bash
# deadline: 300
# Networks that are somebody else's (ns:PATH, container:NAME), and the files by which names are found: hosts and
# resolv.conf. "The host" is a network namespace of the test's own.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_HOST_NS:-}" ]; then
	RL_TEST_HOST_NS=1 exec unshare -Urnm bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/network-tests.sh"
host_up
mount --bind "$T/resolv.conf" "$(realpath /etc/resolv.conf)"
PYTHON=(-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro -v "$HELPERS:/lab:ro")
run() { timeout -k 5 60 rl run --rm -q "$@" 2>&1; }
hosts() { run "$@" busybox cat /etc/hosts; }
resolv() { run "$@" busybox cat /etc/resolv.conf; }

# --- a namespace with a name
unshare -n sleep 1000 &
OTHER=$!
on_finish eval 'kill $OTHER'
wait_for "the other namespace" 10 sh -c "[ \"\$(readlink /proc/$OTHER/ns/net)\" != \"\$(readlink /proc/self/ns/net)\" ]"
nsenter -t $OTHER -n sh -c 'ip link set lo up; ip address add 10.66.6.6/32 dev lo'
touch "$T/netns" && mount --bind /proc/$OTHER/ns/net "$T/netns"
is "--network ns:PATH is that namespace" "$(run --network "ns:$T/netns" busybox readlink /proc/self/ns/net)" "$(readlink /proc/$OTHER/ns/net)"
like "with its addresses" "$(run --network "ns:$T/netns" busybox ip -4 address show dev lo)" '10\.66\.6\.6/32'
is "a process's will do as well" "$(run --network ns:/proc/$OTHER/ns/net busybox readlink /proc/self/ns/net)" "$(readlink /proc/$OTHER/ns/net)"
like "nothing inside may change it" "$(run --network "ns:$T/netns" --cap-add NET_ADMIN busybox ip address add 10.66.6.7/32 dev lo)" 'not permitted'
rl run -q -d --name there --network "ns:$T/netns" "${PYTHON[@]}" busybox python3 /lab/portlab.py serve 8080 >/dev/null
wait_for "the server there" 60 sh -c "rl logs there 2>&1 | grep -q ready"
like "a server inside is reached from there" "$(nsenter -t $OTHER -n python3 "$HELPERS/portlab.py" ask 10.66.6.6 8080)" '^tcp '
is "exec is in it too" "$(rl exec there readlink /proc/self/ns/net)" "$(readlink /proc/$OTHER/ns/net)"
ok "it starts again there" rl restart -t 0 there
is "for the path stands in its record" "$(rl exec there readlink /proc/self/ns/net)" "$(readlink /proc/$OTHER/ns/net)"
like "inspect says so" "$(rl inspect -f '{{.HostConfig.NetworkMode}}' there)" '^ns'
rl rm -f -t 0 there >/dev/null
must_fail "a path that is not there is refused" --status 125 --stderr "No such file" rl run --rm --network "ns:$T/nowhere" busybox true
must_fail "so is a file that is no namespace" --status 125 --stderr "no network namespace" rl run --rm --network "ns:$T/resolv.conf" busybox true
must_fail "and a namespace of another kind" --status 125 --stderr "no network namespace" rl run --rm --network ns:/proc/$OTHER/ns/uts busybox true
must_fail "a relative path" --status 125 --stderr "absolute path" rl run --rm --network ns:netns busybox true
must_fail "a fifo does not hang it" --status 125 --stderr "no network namespace" sh -c "mkfifo $T/fifo; exec timeout 20 rl run --rm --network ns:$T/fifo busybox true"
must_fail "-p with it is refused: the ports are not the container's" --status 125 --stderr "somebody else's" rl run --rm -p 80 --network "ns:$T/netns" busybox true

# An ordinary user in a user namespace without rights, and the namespace of a sibling.
unshare -Urn sleep 1000 &
SIBLING=$!
on_finish eval 'kill $SIBLING'
wait_for "the sibling" 10 sh -c "[ \"\$(readlink /proc/$SIBLING/ns/user)\" != \"\$(readlink /proc/self/ns/user)\" ] && grep -q ' 0 ' /proc/$SIBLING/uid_map"
plain() { setpriv --bounding-set=-all --inh-caps=-all --no-new-privs rl run --rm "$@" busybox true; }
must_fail "one of somebody else's is refused with the reason and what helps" --status 125 --stderr "only root of the user namespace" \
	--stderr "nsenter -t PID -U" plain --network "ns:$T/netns"
must_fail "the host's own with the word for it" --status 125 --stderr '"host" in the place' plain --network ns:/proc/self/ns/net
ok "what the hint says works" nsenter -t $SIBLING -U --preserve-credentials rl run --rm -q --network ns:/proc/$SIBLING/ns/net busybox true
like "a sibling's may not be entered even by root of another user namespace" \
	"$(unshare -Ur rl run --rm -q --network ns:/proc/$SIBLING/ns/net busybox true 2>&1)" 'Permission denied|only root of the user namespace'

# --- another container's
rl network create net >/dev/null
rl run -q -d --name lead --network net --add-host given:192.0.2.4 "${PYTHON[@]}" busybox python3 /lab/portlab.py serve 80 >/dev/null
wait_for "the server in lead" 60 sh -c "rl logs lead 2>&1 | grep -q ready"
address=$(rl inspect -f '{{.NetworkSettings.IPAddress}}' lead)
like "--network container:NAME has the other's address" "$(run --network container:lead busybox ip -4 address show dev eth0)" "$address/"
like "reaches it on loopback" "$(run --network container:lead "${PYTHON[@]}" busybox python3 /lab/portlab.py ask 127.0.0.1 80)" '^tcp 127'
like "and has its hosts file" "$(hosts --network container:lead)" '192\.0\.2\.4[[:space:]]given'
for o in "--dns 1.2.3.4" "--add-host a:1.2.3.4" "--hosts-file x" "--host-access all"; do
	must_fail "${o% *} with it is refused" --status 125 --stderr "${o%% *}" rl run --rm --network container:lead $o busybox true
done

# --- hosts
printf '192.0.2.1 base.example\n192.0.2.2 unterminated' >base
like "--hosts-file comes first, a line that does not end included" "$(hosts --hosts-file base | head -n 3 | xargs)" \
	'^192.0.2.1 base.example 192.0.2.2 unterminated 127.0.0.1 localhost'
like "then what --add-host says" "$(hosts --hosts-file base --add-host a:192.0.2.3)" $'\n192\.0\.2\.3\ta\n'
is "a name of it is found" "$(run --hosts-file base "${PYTHON[@]}" busybox python3 -c 'import socket; print(socket.gethostbyname("base.example"))')" 192.0.2.1
rl create -q --name later --hosts-file base busybox cat /etc/hosts >/dev/null
echo '192.0.2.9 changed.example' >base
like "it is read when the container starts" "$(cd / && rl start -a later)" changed.example
must_fail "one that is not there is refused" --status 125 --stderr "hosts-file" rl run --rm --hosts-file nowhere busybox true
must_fail "a directory too" --status 125 --stderr "hosts-file" rl run --rm --hosts-file / busybox true
must_fail "the image's" --status 125 --stderr "no-hosts" rl run --rm --hosts-file image busybox true
is "none is the default" "$(hosts --hosts-file none --hostname h)" "$(hosts --hostname h)"
printf 'FROM busybox\nADD base /etc/hosts\n' >Dockerfile
mkdir ctx && printf '192.0.2.77 image.example\n' >ctx/base && ok "an image with a file of its own" rl build -q -f Dockerfile -t own ctx
is "--no-hosts leaves it" "$(run --no-hosts own cat /etc/hosts)" "192.0.2.77 image.example"
unlike "without, it is ours" "$(run own cat /etc/hosts)" image.example
must_fail "--no-hosts and --add-host exclude each other" --status 125 --stderr "no-hosts" rl run --rm --no-hosts --add-host a:1.2.3.4 busybox true
like "host-gateway is the way to the host: the user-mode network" "$(hosts --add-host gw:host-gateway)" $'10\.0\.[0-9]+\.2\tgw'
gateway=$(rl network inspect net --format '{{(index .IPAM.Config 0).Gateway}}')
like "a network with a name" "$(hosts --network net --add-host gw:host-gateway)" "${gateway//./\\.}"$'\tgw'
like "the host's network" "$(hosts --network host --add-host gw:host-gateway)" $'127\.0\.0\.1\tgw'
must_fail "without a network there is none" --status 125 --stderr "no gateway" rl run --rm --network none --add-host gw:host-gateway busybox true
server accept "$T/log" 127.0.0.1 80
is "what it leads to is the host, where that is allowed" \
	"$(run --host-access 80 --add-host gw:host-gateway "${PYTHON[@]}" busybox python3 /lab/netlab.py fetch gw 80)" 15
is "on a network with a name too" \
	"$(run --network net --host-access 80 --add-host gw:host-gateway "${PYTHON[@]}" busybox python3 /lab/netlab.py fetch gw 80)" 15

# --- resolv.conf
printf 'search host.example\nnameserver 127.0.0.53\noptions edns0\n' >"$T/resolv.conf"
like "the search list is the host's" "$(resolv)" 'search host\.example'
like "--dns-search replaces it" "$(resolv --dns-search a.example --dns-search b.example)" 'search a\.example b\.example'
unlike "a point empties it" "$(resolv --dns-search .)" search
like "options are the host's" "$(resolv)" 'options edns0'
like "--dns-opt replaces them" "$(resolv --dns-opt ndots:3 --dns-option timeout:1)" 'options ndots:3 timeout:1$'
is "there is one name server, ours" "$(resolv | grep nameserver)" "nameserver 10.0.2.3"
like "on a network with a name too, with the options" "$(resolv --network net --dns-opt ndots:5 --dns-search c.example)" 'search c\.example.nameserver 10\.[0-9.]+.options ndots:5$'
like "and without a network the host's, which can do no harm" "$(resolv --network none)" 'nameserver'
must_fail "a line smuggled into an option is refused" --status 125 --stderr "not an option" rl run --rm --dns-opt $'a\nnameserver 1.2.3.4' busybox true
must_fail "into a domain" --status 125 --stderr "not a domain" rl run --rm --dns-search $'a\nnameserver 1.2.3.4' busybox true
must_fail "into a host name" --status 125 --stderr "not a host name" rl run --rm --add-host $'a\n1.2.3.4 b:5.6.7.8' busybox true
rl rm -fa >/dev/null 2>&1
ok "the holders go" wait_for "the holders" 30 sh -c "! ls $RL_ROOT/networks/*.sock"
done_testing
