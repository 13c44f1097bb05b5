#!/bin/bash
# Pods: containers that share network, ipc and host name, held by a process without an image.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
N="--network none"
ns() { rl inspect -f '{{.State.Pid}}' "$1" | { read -r p; readlink "/proc/$p/ns/$2"; }; }
pid_of() { rl pod inspect -f '{{.Pid}}' "$1"; }
ended() { ! [ -d "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; }

pods() {
	local how=$1 holder
	like "$how: create prints an id" "$(rl pod create $N --label a=b web)" '^[0-9a-f]{64}$'
	is "$how: nothing runs yet" "$(rl pod ps --format '{{.Name}} {{.Status}} {{.NumberOfContainers}} {{.Labels}}')" "web Created 0 a=b"
	must_fail "$how: a name is used once" --status 125 --stderr 'in use' rl pod create $N web
	rl run -d --pod web --name one busybox sleep 1000 >/dev/null
	rl run -d --pod web --name two busybox sleep 1000 >/dev/null
	is "$how: a container starts its pod" "$(rl pod inspect -f '{{.State}} {{.NumContainers}} {{.Hostname}}' web)" "Running 2 web"
	is "$how: network, ipc and host name are shared" "$(ns one net) $(ns one ipc) $(ns one uts)" "$(ns two net) $(ns two ipc) $(ns two uts)"
	rl exec one sh -c 'echo shm >/dev/shm/x'
	is "$how: and /dev/shm" "$(rl exec two cat /dev/shm/x)" shm
	is "$how: ps shows the pod and can be asked for it" "$(rl ps --filter pod=web --sort names --format '{{.Names}}' | tr '\n' ' ')$(rl ps -p --filter name=one | grep -c "$(rl pod ps -q | cut -c1-12)")" "one two 1"
	isnt "$how: processes and mounts are not" "$(ns one pid) $(ns one mnt)" "$(ns two pid) $(ns two mnt)"
	is "$how: they are the holder's" "$(ns one net)" "$(readlink /proc/"$(pid_of web)"/ns/net)"
	is "$how: the host name is the pod's" "$(rl exec one hostname)" web
	(echo hi | timeout 60 rl exec -i one nc -l -p 7000) &
	is "$how: what one binds on loopback the other reaches" "$(rl exec two sh -c 'for i in $(seq 100); do nc 127.0.0.1 7000 </dev/null 2>/dev/null && break; sleep 0.1; done')" hi
	wait $!
	is "$how: the holder executes nothing and has no descriptor" "$(ls /proc/"$(pid_of web)"/fd 2>/dev/null | wc -l)" 0
	is "$how: it has no capability" "$(sed -n 's/^CapBnd:.//p;s/^CapEff:.//p' /proc/"$(pid_of web)"/status | sort -u)" 0000000000000000
	is "$how: ps shows containers, not holders" "$(rl ps --format '{{.Names}}' | sort | tr '\n' ' ')" "one two "
	is "$how: names of the containers" "$(rl pod ps --format '{{.ContainerNames}}' | tr ',' '\n' | sort | tr '\n' ' ')" "one two "
	rl stop -t 0 two >/dev/null
	is "$how: one that is stopped makes it degraded" "$(rl pod ps --format '{{.Status}}')" Degraded
	ok "$how: start starts the rest" rl pod start web
	is "$how: all run" "$(rl pod ps --format '{{.Status}}')" Running
	is "$how: still in one network" "$(ns one net)" "$(ns two net)"
	must_fail "$how: a pod with running containers is not removed" --status 125 --stderr 'is running' rl pod rm web
	must_fail "$how: rl rm is not for pods" --status 125 --stderr 'pod rm' rl rm -f web
	holder=$(pid_of web)
	is "$how: stop" "$(rl pod stop -t 0 web)" web
	ok "$how: the holder is gone" ended "$holder"
	is "$how: nothing runs" "$(rl ps -q; rl pod ps --format '{{.Status}}')" Exited
	ok "$how: a container of it starts it again" rl start one
	is "$how: in a network of the new holder" "$(ns one net)" "$(readlink /proc/"$(pid_of web)"/ns/net)"
	is "$how: rm -f takes the containers along" "$(rl pod rm -f web)" web
	is "$how: nothing is left" "$(rl ps -aq)$(rl pod ps -q)$(ls "$RL_ROOT/containers")" ""
}
pods subordinate
RL_IDMAP=single pods single

# --- run --pod new:
rl run -d --pod new:fresh $N --name inner busybox sleep 1000 >/dev/null
is "new: makes the pod" "$(rl pod ps --format '{{.Name}} {{.NumberOfContainers}}')" "fresh 1"
ok "the pod's network option was the pod's" test "$(rl exec inner ip link 2>/dev/null | grep -c ': lo')" = 1
is "run --rm in a pod" "$(rl run --rm --pod fresh busybox hostname)" fresh
must_fail "a network of its own" --status 125 --stderr "pod's" rl run --rm --pod fresh --network none busybox true
must_fail "ports of its own" --status 125 --stderr "pod's" rl run --rm --pod fresh -p 80 busybox true
must_fail "a host name of its own" --status 125 --stderr "pod's" rl run --rm --pod fresh --hostname x busybox true
must_fail "a pod that does not exist" --status 125 --stderr "no pod 'fesh'" rl run --rm --pod fesh busybox true
must_fail "a container is no pod" --status 125 --stderr "no pod 'inner'" rl run --rm --pod inner busybox true
must_fail "another id map" --status 125 --stderr 'user namespace' rl run --rm --pod fresh --userns nomap busybox true
must_fail "--infra=false" --status 125 --stderr 'holder' rl pod create --infra=false x
must_fail "an infra image" --status 125 --stderr 'no image' rl pod create --infra-image pause x
must_fail "the holder's pid namespace is nobody else's" --status 125 --stderr 'share pid' rl pod create --share net,pid x
must_fail "not by the back door either" --status 125 --stderr 'cannot be shared' rl run --rm --pid container:fresh busybox true
rl pod create $N --share net --name shared >/dev/null
rl run -d --pod shared --name s1 busybox sleep 1001 >/dev/null
rl run -d --pod shared --name s2 busybox sleep 1002 >/dev/null
is "only what is asked for is shared" "$(ns s1 net)" "$(ns s2 net)"
isnt "the host name is not then" "$(ns s1 uts)" "$(ns s2 uts)"
is "exists" "$(rl pod exists shared; echo $?) $(rl pod exists nope; echo $?)" "0 1"
is "kill ends all" "$(rl pod kill shared)" shared
is "nothing of it runs" "$(rl ps -q --filter name=^s | wc -l)" 0
is "prune takes it, and leaves what runs" "$(rl pod prune -f | wc -l) $(rl pod ps --format '{{.Name}}')" "1 fresh"
monitor=$(python3 -c 'import json,glob,sys
for f in glob.glob(sys.argv[1] + "/containers/*/state.json"):
    d = json.load(open(f))
    c = json.load(open(f.replace("state", "config")))
    if c["options"].get("holder"): print(d["monitor_pid"])' "$RL_ROOT")
holder=$(pid_of fresh)
kill -9 "$monitor"
is "a pod whose monitor was killed is listed truly" "$(rl pod ps --format '{{.Status}}')" Running
ok "and removed" rl pod rm -f fresh
ok "with its holder" ended "$holder"
is "--replace" "$(rl pod create $N r >/dev/null; rl create --pod r --name m busybox true >/dev/null; rl pod create --replace $N --name r | wc -c; rl pod ps --format '{{.Name}} {{.NumberOfContainers}}')" "65
r 0"
rl network create one >/dev/null
rl network create two >/dev/null
ok "a pod on two networks, with an address on the first" rl pod create --network one --network two:alias=twin \
	--ip "$(rl network inspect one --format '{{(index .IPAM.Config 0).Subnet}}' | sed 's,0/24,77,')" --network-alias lead --name both
rl run -d --pod both --name b1 busybox sleep 1003 >/dev/null
is "its containers have an interface for each" "$(rl exec b1 sh -c 'ls /sys/class/net' | xargs)" "eth0 eth1 lo"
like "the address is there" "$(rl exec b1 ip -4 address show dev eth0)" '\.77/24'
for n in one two; do
	like "network $n knows the pod's name" "$(rl run --rm -q --network $n busybox nslookup both 2>&1)" 'Address.*10\.'
done
like "and the alias it has there" "$(rl run --rm -q --network one busybox nslookup lead 2>&1)" 'Address.*\.77'
like "each its own" "$(rl run --rm -q --network two busybox nslookup twin 2>&1)" 'Address.*10\.'
ok "new: takes every --network along" rl run -d --pod new:pair --network one --network two --name b2 busybox sleep 1004
is "to the pod" "$(rl exec b2 sh -c 'ls /sys/class/net' | xargs)" "eth0 eth1 lo"
rl run -d --network one --network two --name b3 busybox sleep 1005 >/dev/null
is "ps finds a container by its second network and names both" \
	"$(rl ps -a --filter network=two --format '{{.Names}} {{.Networks}}')" "b3 one,two"
rl rm -f -t 0 b3 >/dev/null
must_fail "a network is not given twice" --status 125 --stderr 'given twice' rl pod create --network one --network one:alias=x no
rl pod rm -f both pair >/dev/null
is "create --pod does not start it" "$(rl create --pod r --name later busybox true >/dev/null; rl pod ps --format '{{.Status}}')" Created
is "start does" "$(rl start -a later; rl pod ps --format '{{.Status}}')" Degraded
is "rm -fa leaves pods to pod rm" "$(rl rm -fa >/dev/null; rl pod ps --format '{{.NumberOfContainers}}')" 0
is "pod rm -fa leaves nothing" "$(rl pod rm -fa | wc -l; ls "$RL_ROOT/containers")" 1
done_testing
