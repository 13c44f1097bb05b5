#!/bin/bash
# deadline: 240
# Two faults at once: the record of a container is damaged, its monitor is dead, and its processes live. They are found
# by what is mounted in them, ended when the container is removed, and never mistaken for others.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
N="--network none"
gone() { ! pgrep -xf "$1"; }
dir() { echo "$RL_ROOT/containers/$(rl inspect -f '{{.Id}}' "$1")"; }
orphan() { kill -KILL "$(rl inspect -f '{{.State.MonitorPid}}' "$1")"; }
damage() { # NAME FAULT: config, state, both or gone
	local d
	d=$(dir "$1") && orphan "$1"
	case $2 in
	config) echo '{"version":1' >"$d/config.json" ;;
	state) truncate -s 40 "$d/state.json" ;;
	both) head -c 300 /dev/urandom >"$d/config.json" && : >"$d/state.json" ;;
	gone) rm "$d/state.json" ;;
	esac
	id=${d##*/}
}

double() {
	local how=$1 fault
	rl run -d $N --name other busybox sleep 10051 >/dev/null
	for fault in config state both gone; do
		rl run -d $N --name victim busybox sh -c 'setsid sleep 10053 & exec sleep 10052' >/dev/null
		wait_for "its processes" 60 pgrep -xf 'sleep 10053' || fail "no process"
		damage victim $fault
		like "$how, $fault: ps -a says that a process runs" "$(rl ps -a --no-trunc | grep "^$id")" "process $(pgrep -xf 'sleep 1005[23]' | head -n 1) runs"
		must_fail "$how, $fault: rm alone refuses" --status 125 --stderr 'rm -f' rl rm "$id"
		ok "$how, $fault: rm -f removes it" rl rm -f "$id"
		is "$how, $fault: its processes have ended by then, no other has" "$(pgrep -xf 'sleep 1005[123]' | xargs)" "$(pgrep -xf 'sleep 10051')"
		is "$how, $fault: nothing of it is left" "$(rl ps -aq --no-trunc | grep "$id"; ls "$RL_ROOT/names")" other
	done
	is "$how: the other one is as it was" "$(rl inspect -f '{{.State.Status}}' other)" running

	rl run -d --network none --name lead busybox sleep 10054 >/dev/null
	rl run -d --network container:lead --name guest busybox sleep 10055 >/dev/null
	damage lead both
	ok "$how: one whose network is shared is removed" rl rm -f "$id"
	ok "$how: its process has ended" gone 'sleep 10054'
	is "$how: who has its hosts file mounted runs on" "$(rl inspect -f '{{.State.Status}}' guest)" running
	rl rm -f guest >/dev/null

	rl run -d $N --pid host --name host busybox sh -c 'setsid sleep 10057 & exec sleep 10056' >/dev/null
	wait_for "its processes" 60 pgrep -xf 'sleep 10057'
	damage host both
	ok "$how: one in the host's process namespace is removed" rl rm -f "$id"
	ok "$how: with all its processes, though the first one's end is not theirs" gone 'sleep 1005[67]'

	# Its own files are gone as well: it cannot be told from one that shares its network.
	rl run -d $N --name doubtful busybox sleep 10058 >/dev/null
	damage doubtful both
	rm "$RL_ROOT/containers/$id/hostname"
	pid=$(pgrep -xf 'sleep 10058')
	must_fail "$how: what cannot be known is not ended but told" --status 125 --stderr "process $pid may be .*kill -KILL $pid" rl rm -f "$id"
	is "$how: it runs and is listed" "$(pgrep -xf 'sleep 10058') $(rl ps -a --no-trunc | grep -c "$id.*process $pid runs")" "$pid 1"
	kill -KILL "$pid"
	wait_for "its end" 60 gone 'sleep 10058'
	ok "$how: after its end the container is removed" rl rm -f "$id"

	# A copy of the store with the same ids: no process has files of the copy.
	cp -a "$RL_ROOT" copy 2>/dev/null
	for d in copy/containers/*; do : >"$d/config.json"; : >"$d/state.json"; done
	ok "$how: a damaged copy of the store is removed" rl --root "$T/copy" rm -f "$(basename "$(dir other)")"
	is "$how: the original runs" "$(rl inspect -f '{{.State.Status}}' other)" running
	chmod -R u+rwX copy; remove_tree copy

	damage other state
	ok "$how: rm -fa removes damaged ones too" rl rm -fa
	is "$how: and nothing is left" "$(rl ps -aq)$(ls "$RL_ROOT/names")" ""
	rl run -d $N --name last busybox sleep 10059 >/dev/null
	damage last state
	ok "$how: so does system reset" rl system reset -f
	is "$how: with its processes" "$(pgrep -xf 'sleep 10059')" ""
	leftovers "$how: no process or mount stays"
}
double subordinate
RL_IDMAP=single double single
done_testing
