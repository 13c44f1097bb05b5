#!/bin/bash
# Limits where nothing is delegated: what a container asks for is enforced some other way or named, never dropped in
# silence. The cgroup rungs are tested in 60-limits-root.t (v1 and v2 directories) and tests/vm (systemd).
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

run() { rl run --rm --network none "$@"; }
first_line() { head -n 1 "$T/.err"; }
# A program that holds N MiB of memory it has written to: shell variables of busybox.
grow() { echo "x=\$(head -c $(($1 << 20)) /dev/zero | tr '\\0' x); echo grown \${#x}"; }

if grep -q '^0::/.*\(user@\|rl-\)' /proc/self/cgroup || [ -w /sys/fs/cgroup/cgroup.procs ]; then
	skip_all "cgroups are delegated to this user: the rungs without them cannot be seen"
fi

# The seeds' demonstration: a program that grows past 100 MB in a 100 MB container is killed, and the host goes on.
status_is "a program that grows past 100 MB in a container of 100 MB is killed: 137" 137 \
	run -m 100m busybox sh -c "$(grow 400)"
like "standard error says that it was its memory, with the limit" "$(cat .err)" 'killed: it used more than its 100MiB of memory'
ok "the host stays usable: the next container runs" run busybox true
output_is "a program below the limit is left alone" "grown $((20 << 20))" run -m 100m busybox sh -c "$(grow 20)"
like "one line names what is not enforced, and why" "$(cat .err)" 'warning: --memory is watched by sampling only \(.+\)'
ok "a detached container runs into its limit" rl run -d --name eater --network none -m 100m busybox sh -c "$(grow 400)"
output_is "wait gives 137" 137 rl wait eater
output_is "inspect says OOMKilled" true rl inspect -f '{{.State.OOMKilled}}' eater
like "and the reason" "$(rl inspect -f '{{.State.Error}}' eater)" 'used more than its 100MiB'
ok "update lowers the limit of a container" rl update -m 64m eater
output_is "which the record has then" $((64 << 20)) rl inspect -f '{{.HostConfig.Memory}}' eater
ok "and the container is removed" rl rm eater
ok "a container without a limit runs" rl run -d --name later --network none busybox sh -c "sleep 1000 & wait"
ok "a limit is given to it while it runs" rl update -m 80m later
like "stats shows it, though no control group has it" "$(rl stats --no-stream later)" ' / 80MiB '
ok "the watch of a running container follows" rl update -m 1m later
output_is "so that one below what it uses ends it" 137 rl wait later
rl rm -f later >/dev/null 2>&1

# several processes share pages: they are not counted twice
output_is "memory that forked processes share counts once" done run -m 64m busybox sh -c \
	'x=$(head -c 10485760 /dev/zero | tr "\0" x); for i in 1 2 3 4 5 6 7 8 9 10 11 12; do (sleep 2; true) & done; wait; echo done'

must_fail "--require-limits refuses where a limit is not enforced" --status 125 --stderr '--cpus.*--require-limits' \
	run --cpus 1 --require-limits busybox true
like "with the remedy" "$TAP_STDERR" 'hint: .*rl doctor'
ok "what is not enforced is named" run --cpus 1 --cpu-shares 100 --cpuset-cpus 0 --blkio-weight 100 busybox true
like "every option by its own name" "$(cat .err)" 'not enforced: --cpus, --cpu-shares, --cpuset-cpus, --blkio-weight '
is "in one line" "$(wc -l <.err)" 1
output_is "-q is silent about it" "" run -q --cpus 1 busybox true
is "on standard error too" "$(cat .err)" ""

export RL_IDMAP=single
out=$(run --pids-limit 20 busybox sh -c 'n=0; while [ $n -lt 40 ]; do sleep 2 & n=$((n+1)); done; wait' 2>&1)
like "with one user id, --pids-limit holds by a resource limit" "$out" "can't fork"
like "which is said" "$out" 'RLIMIT_NPROC'
unset RL_IDMAP

# values
must_fail "a size that is none is refused" --status 125 --stderr "--memory: 'lots'" run -m lots busybox true
must_fail "a few bytes of memory are a mistake" --status 125 --stderr 'so little memory' run -m 64 busybox true
must_fail "--memory-swap without --memory is refused" --status 125 --stderr 'together' run --memory-swap 1g busybox true
must_fail "--memory-swap below --memory is refused" --status 125 --stderr 'less than' run -m 1g --memory-swap 512m busybox true
must_fail "--cpus and --cpu-quota exclude each other" --status 125 --stderr 'same limit' run --cpus 1 --cpu-quota 5000 busybox true
must_fail "--cpus 0.001 is too little" --status 125 --stderr '0.01' run --cpus 0.001 busybox true
must_fail "--cpuset-cpus takes a list" --status 125 --stderr 'list' run --cpuset-cpus 3-1 busybox true
must_fail "--blkio-weight has its range" --status 125 --stderr '10 to 1000' run --blkio-weight 5 busybox true
must_fail "--device-read-bps names a device" --status 125 --stderr 'DEVICE:RATE' run --device-read-bps 10m busybox true
must_fail "and one that is a disk" --status 125 --stderr 'block device' run --device-read-bps /dev/null:10m busybox true
must_fail "--cgroup-conf takes a file of the cgroup, no path" --status 125 --stderr 'FILE=VALUE' run --cgroup-conf ../x=1 busybox true
must_fail "--cgroup-parent cannot climb" --status 125 --stderr 'slice' run --cgroup-parent a/../../b busybox true
must_fail "--cgroup-parent that cannot be used is an error, not a warning" --status 125 --stderr '--cgroup-parent /x' \
	run --cgroup-parent /x busybox true
must_fail "--cgroups=split that cannot be had is an error, not a warning" --status 125 --stderr '--cgroups=split: ' \
	run --cgroups split busybox true
must_fail "update without anything to change says so" --status 125 --stderr 'nothing to change' rl update nosuch
leftovers "nothing is left"
done_testing
