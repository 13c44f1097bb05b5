#!/bin/bash
# deadline: 240
# Namespaces of another container: shared by a new one, shown, and entered from the host.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
both_id_modes
N="--network none"
ns() { rl inspect -f "{{.Namespaces.$2}}" "$1"; }
spaces='for n in cgroup ipc mnt net pid user uts; do echo $n $(readlink /proc/self/ns/$n); done'

rl run -d $N --name x --hostname xhost busybox sleep 10000 >/dev/null
theirs=$(rl exec x sh -c "$spaces")
shared() { join <(echo "$theirs") <(echo "$1") | awk '$2 == $3 {print $1}' | sort | tr '\n' ' '; }
is "a container by itself shares nothing" "$(shared "$(rl run --rm $N busybox sh -c "$spaces")")" ""
is "--network container: shares the network and the user namespace that owns it" "$(shared "$(rl run --rm --network container:x busybox sh -c "$spaces")")" "net user "
is "--pid container:" "$(shared "$(rl run --rm $N --pid container:x busybox sh -c "$spaces")")" "pid user "
is "--ipc container:" "$(shared "$(rl run --rm $N --ipc container:x busybox sh -c "$spaces")")" "ipc user "
rl exec x sh -c 'echo theirs >/dev/shm/x'
is "with it goes /dev/shm, both ways" "$(rl run --rm $N --ipc container:x busybox sh -c 'cat /dev/shm/x; echo ours >/dev/shm/y'; rl exec x cat /dev/shm/y)" "theirs
ours"
like "without set-user-ID, devices and programs" "$(rl run --rm $N --ipc container:x busybox grep ' /dev/shm ' /proc/mounts)" 'nosuid,nodev,noexec'
is "one that is asked for is one's own" "$(rl run --rm $N --ipc container:x --tmpfs /dev/shm busybox ls /dev/shm)" ""
is "by itself a container has its own" "$(rl run --rm $N busybox ls /dev/shm)" ""
is "--uts container:" "$(shared "$(rl run --rm $N --uts container:x busybox sh -c "$spaces")")" "user uts "
is "all four" "$(shared "$(rl run --rm --network container:x --pid container:x --ipc container:x --uts container:x busybox sh -c "$spaces")")" "ipc net pid user uts "
output_is "processes of a shared pid namespace see each other" 1 rl run --rm $N --pid container:x busybox sh -c 'grep -c "^sleep" /proc/1/comm'
output_is "a shared uts namespace has the other's name" "xhost xhost xhost" rl run --rm $N --uts container:x busybox sh -c 'echo $(hostname) $(cat /etc/hostname) $HOSTNAME'
must_fail "--hostname would change it: refused" --status 125 --stderr hostname rl run --rm $N --uts container:x --hostname other busybox true
ok "a port of one is loopback of the other" sh -c 'rl exec -d x sh -c "echo hello | nc -l -p 7000 127.0.0.1"; for i in $(seq 100); do [ "$(rl run --rm --network container:x busybox nc 127.0.0.1 7000 </dev/null)" = hello ] && exit 0; done; exit 1'
output_is "sysfs shows the shared network" lo rl run --rm --network container:x busybox ls /sys/class/net
rl exec x sh -c 'echo 10.9.9.9 marker >>/etc/hosts'
output_is "hosts is the other's" 1 rl run --rm --network container:x busybox grep -c marker /etc/hosts
output_is "the exit status comes through" 9 sh -c 'rl run --rm $0 --pid container:x busybox sh -c "exit 9"; echo $?' "--network=none"
output_is "a signal ends one that does not catch it" 143 sh -c 'rl run --rm --network none --pid container:x busybox sleep 10008 & wait_pid=$!; until rl exec x ps | grep -q "[s]leep 10008"; do :; done; kill -TERM $wait_pid; wait $wait_pid; echo $?'

rl run --rm $N --pid container:x busybox sh -c 'sleep 10030 & setsid sleep 10031 & exit 0'
output_is "what it leaves in a shared pid namespace is killed" "" rl exec x sh -c 'ps | grep "[s]leep 1003"; :'
rl run -d --rm $N --pid host --name hp busybox sh -c 'sleep 10032 & setsid sleep 10033 & sleep 10034' >/dev/null
wait_for "its processes" 60 sh -c 'test $(pgrep -cf "^sleep 1003[234]") = 3'
rl stop -t 0 hp >/dev/null
is "also in the host's" "$(pgrep -cf '^sleep 1003')" 0

# --- life ---
rl run -d --network container:x --pid container:x --name y busybox sleep 10009 >/dev/null
is "a detached one shares as well" "$(ns y net) $(ns y pid)" "$(ns x net) $(ns x pid)"
is "exec enters what it shares" "$(shared "$(rl exec y sh -c "$spaces")")" "net pid user "
is "and has its own root" "$(rl exec y sh -c 'touch /only-y; ls /only-y'; rl exec x ls /only-y 2>/dev/null)" "/only-y"
is "inspect names the other by its id" "$(rl inspect -f '{{.HostConfig.NetworkMode}} {{.HostConfig.PidMode}}' y)" "container:$(rl inspect -f '{{.Id}}' x) container:$(rl inspect -f '{{.Id}}' x)"
is "top shows its own processes only" "$(rl top y args | tail -n +2)" "sleep 10009"
rl rename x xx
ok "a rename of the other changes nothing" rl restart -t 0 y
rl pause y >/dev/null
is "pause stops its own processes only" "$(rl top xx pid state | awk '$1 == 1 {print $2}')" S
rl unpause y >/dev/null
rl run -d --network container:y --name w busybox sleep 10010 >/dev/null
is "sharing goes on from one that shares" "$(ns w net)" "$(ns xx net)"
rl run --rm --network container:w --ipc container:xx busybox true
is "two others with the same user namespace can be named" $? 0
rl run -d $N --name stranger busybox sleep 10011 >/dev/null
must_fail "two with different ones cannot" --status 125 --stderr 'user namespace' rl run --rm --network container:stranger --ipc container:xx busybox true
rl stop -t 0 xx >/dev/null
ended() { [ -z "$(rl ps -q --filter name='^y$')" ]; }
ok "the end of the owner of a pid namespace is the end of all in it" wait_for "its end" 60 ended
must_fail "it cannot be started without the other" --status 125 --stderr 'not running' rl start y
rl start xx >/dev/null
ok "with it, it can" rl start y
is "and shares the new namespaces" "$(ns y net) $(ns y pid)" "$(ns xx net) $(ns xx pid)"

# --- refusals ---
must_fail "another that is not there" --status 125 --stderr "no container 'nosuch'" rl run --rm --network container:nosuch busybox true
must_fail "a mode of --userns that maps other ids" --status 125 --stderr 'user namespace' rl run --rm --network container:xx --userns keep-id:uid=5 busybox true
must_fail "--dns with the network of another" --status 125 --stderr '--dns' rl run --rm --network container:xx --dns 1.1.1.1 busybox true
is "nothing is left of refused ones" "$(rl ps -aq | wc -l)" 4
if [ "${RL_IDMAP:-}" != single ]; then
	rl run -d $N --name k --userns keep-id busybox sleep 10012 >/dev/null
	output_is "--userns follows from the other" "$(id -u)" rl run --rm --network container:k busybox id -u
fi

# --- what is shown ---
is "inspect shows a namespace as the kernel does" "$(ns xx pid)" "$(readlink /proc/$(rl inspect -f '{{.State.Pid}}' xx)/ns/pid)"
rl run -d $N --init --name i busybox sleep 10013 >/dev/null
isnt "also of a container with --init" "$(ns i net)" "<no value>"
is "ps --ns has a row for each" "$(rl ps --ns --noheading | wc -l)" "$(rl ps -q | wc -l)"
is "with the inode" "$(rl ps --ns --filter name=xx --format '{{.net}}')" "$(ns xx net | tr -dc 0-9)"
# --- a command of the host in them ---
host() { readlink "/proc/self/ns/$1"; }
of() { rl nsenter xx "--$1" -- readlink "/proc/self/ns/$1"; }
for n in net uts ipc user; do is "nsenter --$n" "$(of $n)" "$(ns xx $n)"; done
is "the host's program sees the host's files" "$(rl nsenter xx --net -- cat /etc/hostname)" "$(cat /etc/hostname)"
is "other namespaces stay the host's" "$(rl nsenter xx --net -- readlink /proc/self/ns/uts)" "$(host uts)"
is "it has the privileges that are needed" "$(rl nsenter xx --net -- sh -c 'grep CapEff /proc/self/status' | tr -d '\t')" "$(rl run --rm $N --privileged busybox grep CapEff /proc/self/status | tr -d '\t')"
output_is "--mnt is the container's root" /only-y rl nsenter y --mnt -- ls /only-y
is "--pid: it is a process of the container" "$(rl nsenter xx --pid --mnt -- sh -c 'readlink /proc/self/ns/pid')" "$(ns xx pid)"
is "--all is all" "$(rl nsenter xx --all -- sh -c 'for n in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$n; done' | sort)" "$(for n in cgroup ipc mnt net pid user uts; do ns xx $n; done | sort)"
output_is "a container with --init is entered" "$(ns i net)" rl nsenter i --net -- readlink /proc/self/ns/net
status_is "the status comes through" 6 rl nsenter xx --net -- sh -c 'exit 6'
must_fail "127 for a command that is not there" --status 127 rl nsenter xx --net -- /no/such
must_fail "no namespace is refused" --status 125 --stderr 'for example' rl nsenter xx -- true
if [ "${RL_IDMAP:-}" != single ]; then
	output_is "the caller stays the caller in a keep-id container" "$(id -u)" rl nsenter k --net -- id -u
fi
output_is "an environment variable comes along" yes env COMES=yes rl nsenter xx --uts -- sh -c 'echo $COMES'
rl nsenter xx --net -- sleep 10020 &
pid=$!
sleeping() { pgrep -f '^sleep 10020$'; }
wait_for "the command" 60 sleeping
kill -KILL $pid; wait $pid 2>/dev/null
gone() { ! pgrep -f '^sleep 10020$'; }
ok "it ends with rl" wait_for "its end" 60 gone
rl rm -fa >/dev/null
leftovers "nothing is left running or mounted"
done_testing
