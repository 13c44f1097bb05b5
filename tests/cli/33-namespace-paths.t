#!/bin/bash
# Namespaces named by a file: --pid, --ipc and --uts ns:PATH (--network's are in 56-network-files.t). Entering them takes
# root of the user namespace they belong to, which this test makes itself.
if [ -n "${RL_TEST_GUARD:-}" ] && [ -z "${RL_TEST_INSIDE:-}" ]; then
	RL_TEST_INSIDE=1 exec unshare -Urnm bash "$0"
fi
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
run() { timeout -k 5 60 rl run --rm -q --network none "$@" 2>&1; }
here() { readlink "/proc/$OTHER/ns/$1"; }

unshare -piuf --kill-child sh -c 'hostname elsewhere; exec sleep 10040' &
UNSHARE=$!
on_finish eval 'kill -KILL $UNSHARE'
sleeping() { OTHER=$(pgrep -xf 'sleep 10040') && [ -n "$OTHER" ]; }
wait_for "the other's namespaces" 60 sleeping
for n in pid ipc uts; do
	is "--$n ns:PATH is that namespace" "$(run --$n "ns:/proc/$OTHER/ns/$n" busybox readlink /proc/self/ns/$n)" "$(here $n)"
done
is "all of them at once, and a network's" "$(rl run --rm -q --pid ns:/proc/$OTHER/ns/pid --ipc ns:/proc/$OTHER/ns/ipc --uts ns:/proc/$OTHER/ns/uts --network ns:/proc/$OTHER/ns/net busybox sh -c 'for n in pid ipc uts net; do readlink /proc/self/ns/$n; done' | xargs)" \
	"$(here pid) $(here ipc) $(here uts) $(here net)"
isnt "the user namespace is the container's own" "$(run --pid ns:/proc/$OTHER/ns/pid busybox readlink /proc/self/ns/user)" "$(here user)"
touch "$T/uts" && mount --bind "/proc/$OTHER/ns/uts" "$T/uts"
is "a namespace that is mounted somewhere is named by that file" "$(run --uts "ns:$T/uts" busybox readlink /proc/self/ns/uts)" "$(here uts)"

# --- what belongs to them
is "/proc is that of the process namespace, with its first process" "$(run --pid ns:/proc/$OTHER/ns/pid busybox cat /proc/1/cmdline | tr '\0' ' ')" "sleep 10040 "
like "and cannot be written to: its processes may be the same user's" "$(run --pid ns:/proc/$OTHER/ns/pid busybox sh -c 'echo 5 >/proc/1/oom_score_adj')" 'Read-only'
is "what is hidden of /proc stays hidden" "$(run --pid ns:/proc/$OTHER/ns/pid busybox cat /proc/keys)" ""
queues() { nsenter -t "$OTHER" -i -m -- unshare -m sh -c "mkdir -p $T/mq && mount -t mqueue none $T/mq && ls $T/mq"; }
run --ipc ns:/proc/$OTHER/ns/ipc busybox touch /dev/mqueue/queue >/dev/null
is "/dev/mqueue is that of the ipc namespace" "$(queues)" queue
is "/dev/shm is the container's own" "$(run --ipc ns:/proc/$OTHER/ns/ipc busybox sh -c 'ls /dev/shm; grep -c " /dev/shm tmpfs" /proc/mounts')" 1
is "the host name is the other's, in the file and the environment too" "$(run --uts ns:/proc/$OTHER/ns/uts busybox sh -c 'echo $(hostname) $(cat /etc/hostname) $HOSTNAME')" "elsewhere elsewhere elsewhere"
like "nothing inside may change it" "$(run --uts ns:/proc/$OTHER/ns/uts --cap-add SYS_ADMIN busybox hostname mine)" 'not permitted'
is "a process of the other is out of reach" "$(run --pid ns:/proc/$OTHER/ns/pid -u 5 busybox kill -9 1 >/dev/null; cat /proc/$OTHER/comm)" sleep

# --- life
rl run -q -d --network none --name there --pid ns:/proc/$OTHER/ns/pid --uts "ns:$T/uts" busybox sh -c 'sleep 10041 & exec sleep 10042' >/dev/null
is "exec is in them too" "$(rl exec there sh -c 'readlink /proc/self/ns/pid; readlink /proc/self/ns/uts' | xargs)" "$(here pid) $(here uts)"
is "inspect says so" "$(rl inspect -f '{{.HostConfig.PidMode}} {{.HostConfig.UTSMode}}' there)" "ns:/proc/$OTHER/ns/pid ns:$T/uts"
both() { [ "$(rl top there args | grep -c 'sleep 1004[12]')" = 2 ]; }
ok "top shows its own processes" wait_for "both" 60 both
unlike "and no others" "$(rl top there args)" 10040
rl stop -t 0 there >/dev/null
is "its end is that of all its processes, and of no others" "$(pgrep -xf 'sleep 1004[012]' | xargs)" "$OTHER"
ok "it starts again there" rl start there
is "for the path stands in its record" "$(rl exec there readlink /proc/self/ns/pid)" "$(here pid)"
rl rm -f there >/dev/null

# --- refusals
for n in pid ipc uts; do
	must_fail "--$n with a path that is not there" --status 125 --stderr "--$n ns:.*No such file" rl run --rm --$n "ns:$T/nowhere" busybox true
	must_fail "--$n with a file that is no namespace" --status 125 --stderr "is no .* namespace" rl run --rm --$n ns:/etc/passwd busybox true
	must_fail "--$n with a namespace of another kind" --status 125 --stderr "is no .* namespace" rl run --rm --$n ns:/proc/$OTHER/ns/net busybox true
	must_fail "--$n with a relative path" --status 125 --stderr "absolute path" rl run --rm --$n ns:x busybox true
done
mkfifo fifo
must_fail "a fifo does not hang it" --status 125 --stderr "no process namespace" timeout 20 rl run --rm --pid "ns:$T/fifo" busybox true
touch above && mount --bind /proc/$OTHER/ns/pid above
must_fail "a process namespace above is none to enter" --status 125 --stderr "not below" \
	nsenter -t "$OTHER" -p unshare -pf --mount-proc rl run --rm --network none --pid "ns:$T/above" busybox true
must_fail "--hostname would change the other's" --status 125 --stderr hostname rl run --rm --uts "ns:$T/uts" --hostname x busybox true
rl run -q -d --network none --name c busybox sleep 10043 >/dev/null
must_fail "with a namespace of a container, whose user namespace has no rights there" --status 125 --stderr "container:NAME" rl run --rm --network container:c --pid ns:/proc/$OTHER/ns/pid busybox true
must_fail "who is not root there is told what it takes" --status 125 --stderr 'only root.*container:NAME' \
	unshare -U rl run --rm --network none --uts "ns:$T/uts" busybox true
rl rm -fa >/dev/null
is "nothing is left of what was refused" "$(rl ps -aq)" ""
kill -KILL "$UNSHARE"
ok "the namespaces are let go" wait_for "their end" 60 sh -c "! pgrep -xf 'sleep 10040'"
umount "$T/uts" "$T/above"
done_testing
