#!/bin/bash
# A system call that fails, in every verb that changes something: the verb succeeds all the same or ends with an error
# that says something, never with a crash or a hang; the store stays sound and the verb can be done again.
# RL_INJECT_PLACES (3) is how many of the calls of each kind are failed, spread over the verb's course; RL_FAULT_ONLY
# takes the scenarios whose names match it.
# deadline: 3600
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$(dirname "$0")/scenarios.sh"
have strace || skip_all "strace is not installed"
# strace takes newuidmap's privileges away, so one user id does.
export RL_IDMAP=single
prepare_scenarios
ok "an image that nothing below touches runs" whole
places=${RL_INJECT_PLACES:-3}
FAULTS=(
	openat:EMFILE openat:ENOSPC openat:EIO mkdirat:ENOSPC write:ENOSPC write:EIO write:EINTR read:EIO read:EINTR
	fsync:EIO renameat:EIO renameat2:ENOSPC linkat:ENOSPC symlinkat:ENOSPC ftruncate:ENOSPC mmap:ENOMEM clone3:ENOMEM
	clone:ENOMEM pipe2:EMFILE socketpair:EMFILE socket:EMFILE memfd_create:EMFILE epoll_create1:EMFILE dup:EMFILE
	fcntl:EMFILE poll:EINTR wait4:EINTR waitid:EINTR epoll_wait:EINTR mount:ENOMEM fsopen:ENOMEM getdents64:EIO
	sendmsg:EINTR recvmsg:EINTR connect:EINTR accept4:EINTR flock:EINTR
)
injected=0

# strace is nobody's parent here (-D): else it would wait for what a command leaves running, and the command's end with it.
traced() { timeout -k 5 60 strace -D -f -qq "$@" </dev/null; }

# Which of the wanted calls does the command make, and how often? "CALL COUNT" lines. What it leaves running is ended: that
# is when strace tells.
calls_of() {
	: >.calls
	traced -c -U name,calls -o .calls "$@" >/dev/null 2>&1
	rl pod rm -f xp >/dev/null 2>&1
	rl rm -fi xb xc >/dev/null 2>&1
	wait_for "the counts" 60 test -s .calls
	awk 'NF == 2 && $2 ~ /^[0-9]+$/ && $1 != "total" { print $1, $2 } NF == 2 && $1 ~ /^[0-9]+$/ { print $2, $1 }' .calls
}

# One command with one fault. Sets `why` where its end is not a clean one.
inject() {
	local call=$1 error=$2 n=$3 status
	traced -e trace="$call" -e "inject=$call:error=$error:when=$n" -o .trace "${@:4}" >.out 2>.err
	status=$?
	grep -q INJECTED .trace || return 0
	injected=$((injected + 1))
	case $status in
	0) return 0 ;;
	124) why="hangs" ;;
	132 | 134 | 135 | 136 | 139) why="crashes with status $status" ;;
	# What cannot be written cannot be read.
	*) [ -s .err ] || [ -s .out ] || grep -q 'write(2,.*INJECTED' .trace || why="ends with status $status and no word" ;;
	esac
	tap_has_report .err && why="$why, a report: $(head -3 .err)"
	[ -z "$why" ] || why="$call $error at $n: $why"
}

for scenario in "${SCENARIOS[@]}"; do
	IFS='|' read -r name before command <<<"$scenario"
	bash -c "$before" >/dev/null 2>&1
	eval "words=($command)"
	calls=$(calls_of "${words[@]}")
	bad= before_this=$injected
	for fault in "${FAULTS[@]}"; do
		call=${fault%:*}
		count=$(awk -v c="$call" '$1 == c { print $2 }' <<<"$calls")
		[ -n "$count" ] || continue
		for ((i = 1; i <= places && i <= count; i++)); do
			# Counted per process: the first few are where most processes are, some are late.
			n=$((i == places ? (count + 1) / 2 : i * i))
			# The first ones are the dynamic loader's, which crashes without any help of ours.
			[ "$call" != mmap ] || n=$((12 + i * i))
			bash -c "$before" >/dev/null 2>&1
			why=
			inject "$call" "${fault#*:}" $n "${words[@]}"
			rl system check -q >.check 2>&1 || why="$why; $fault at $n: the store is not sound: $(grep -v sound .check | head -2)"
			legal_states || why="$why; $fault at $n: a state that is none"
			[ -z "$why" ] || bad="$bad$why"$'\n'
		done
	done
	is "$name: every fault ends cleanly" "$bad" ""
	diag "$name: $((injected - before_this)) faults"
	bash -c "$before" >.before 2>&1
	ok "$name: works again" bash -c "$command" || diag "$(tail -3 .before)"
	ok "$name: what it did not touch runs" whole
done
diag "$injected faults"
ok "faults were injected" test $injected -ge $((20 * ${#SCENARIOS[@]}))
remove_all
is "every container can be removed" "$(rl ps -aq)" ""
ok "the deep look agrees" rl system check
leftovers "no process or mount stays"
done_testing
