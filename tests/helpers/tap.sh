# tap.sh - TAP for the command-line tests: one property per line, stated as a sentence. Source it first:
#
#     #!/bin/bash
#     . "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
#     ok "true succeeds in a container" rl run --rm busybox true
#     is "the command's output comes through" "$(rl run --rm busybox echo hi)" hi
#     must_fail "a missing image is refused" --status 125 --stderr 'no such image' rl run --rm nosuch true
#     done_testing
#
# What a test has: T, a directory of its own (removed at the end); RL_ROOT below it, so that nobody's real store is ever
# touched; `rl`, the binary under test, first in PATH, with the compiled helpers (tinit, enosys) behind it. The current
# directory is T. A test that is started by hand runs itself again through run-one, which gives it the same environment
# as in the suite: time limit, clean environment, nothing left running or mounted afterwards.
#
# ok, is, like ... return whether they passed. on_finish commands run at the end in reverse order.

if [ -z "${RL_TEST_GUARD:-}" ]; then
	exec "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/run-one" "$0"
fi
set -u
TAP_COUNT=0
TAP_FAILED=0
TAP_DONE=0
TAP_FINISH=()
TAP_STDERR=
# A refusal that takes longer than this is a hang.
TAP_TIMEOUT=$((60 * ${RL_TEST_SLOW:-1}))
HELPERS=$RL_TEST_HELPERS
T=$(mktemp -d "${TMPDIR:-/tmp}/XXXXXX") || { echo "Bail out! no temporary directory"; exit 1; }
export RL_ROOT=$T/store
cd "$T" || exit 1

diag() {
	local line
	while IFS= read -r line || [ -n "$line" ]; do printf '# %s\n' "$line"; done <<<"$*"
}

# tap_result STATUS SENTENCE: prints the line, returns the status.
tap_result() {
	local sentence=${2//#/.}
	TAP_COUNT=$((TAP_COUNT + 1))
	if [ "$1" = 0 ]; then
		printf 'ok %d - %s\n' "$TAP_COUNT" "$sentence"
		return 0
	fi
	printf 'not ok %d - %s\n' "$TAP_COUNT" "$sentence"
	diag "failed at ${BASH_SOURCE[2]##*/}:${BASH_LINENO[1]}"
	TAP_FAILED=$((TAP_FAILED + 1))
	return 1
}

pass() { tap_result 0 "$1"; }
fail() { tap_result 1 "$1"; }

# Shows a captured file as diagnostics, at most 40 lines of it.
tap_show() {
	[ -s "$2" ] || return 0
	diag "$1:"
	head -n 40 "$2" | cat -v | sed 's/^/#   /'
}

# True when the file has a report of a sanitizer or of a crash caught by libc.
tap_has_report() {
	grep -qE 'ERROR: (Address|Leak|Thread)Sanitizer|runtime error:|stack smashing detected|\*\*\* buffer overflow detected|Assertion .* failed' "$1"
}

# Run with the two outputs captured in T/.out and T/.err; functions of the test are limited by the file's deadline only.
tap_run() {
	if [ "$(type -t "$1")" = file ]; then
		timeout -k 5 "$TAP_TIMEOUT" "$@" >"$T/.out" 2>"$T/.err"
	else
		"$@" >"$T/.out" 2>"$T/.err"
	fi
}

# ok SENTENCE COMMAND...: the command succeeds. Its output is shown only when it does not.
ok() {
	local sentence=$1 status
	shift
	tap_run "$@"
	status=$?
	[ "$status" = 0 ] && ! tap_has_report "$T/.err"
	tap_result $? "$sentence" && return 0
	diag "command: $*"
	diag "status: $status"
	tap_show stdout "$T/.out"
	tap_show stderr "$T/.err"
	return 1
}

# not_ok SENTENCE COMMAND...: a test command (grep, [, a function) says no: status 1 exactly. For refusals of rl itself
# use must_fail.
not_ok() {
	local sentence=$1 status
	shift
	tap_run "$@"
	status=$?
	[ "$status" = 1 ]
	tap_result $? "$sentence" && return 0
	diag "command: $*"
	diag "status: $status where 1 was due"
	tap_show stdout "$T/.out"
	tap_show stderr "$T/.err"
	return 1
}

is() {
	[ "$2" = "$3" ]
	tap_result $? "$1" && return 0
	diag "     got: '$2'"
	diag "expected: '$3'"
	return 1
}

isnt() {
	[ "$2" != "$3" ]
	tap_result $? "$1" && return 0
	diag "got the unwanted: '$2'"
	return 1
}

# like SENTENCE TEXT REGEX (extended, as [[ =~ ]])
like() {
	[[ $2 =~ $3 ]]
	tap_result $? "$1" && return 0
	diag "      text: '$2'"
	diag "not like: '$3'"
	return 1
}

unlike() {
	! [[ $2 =~ $3 ]]
	tap_result $? "$1" && return 0
	diag "   text: '$2'"
	diag "is like: '$3'"
	return 1
}

# status_is SENTENCE N COMMAND...: the command ends with exactly this status and no crash report.
status_is() {
	local sentence=$1 want=$2 status
	shift 2
	tap_run "$@"
	status=$?
	[ "$status" = "$want" ] && ! tap_has_report "$T/.err"
	tap_result $? "$sentence" && return 0
	diag "command: $*"
	diag "status: $status where $want was due"
	tap_show stdout "$T/.out"
	tap_show stderr "$T/.err"
	return 1
}

# output_is SENTENCE WANT COMMAND...: the command succeeds and its standard output, last newline apart, is WANT.
output_is() {
	local sentence=$1 want=$2 got status
	shift 2
	tap_run "$@"
	status=$?
	got=$(cat "$T/.out")
	[ "$status" = 0 ] && [ "$got" = "$want" ] && ! tap_has_report "$T/.err"
	tap_result $? "$sentence" && return 0
	diag "command: $*"
	diag "status: $status"
	diag "     got: '$got'"
	diag "expected: '$want'"
	tap_show stderr "$T/.err"
	return 1
}

# must_fail SENTENCE [--status N] [--stderr REGEX] [--signal-ok] COMMAND...
# The command refuses: it ends by itself, in time, with a status that is not 0 and not that of a crash, and says why on
# standard error. Without --status any status but those of crashes and of the time limit will do, and something must
# have been said. The text of standard error stays in TAP_STDERR.
must_fail() {
	local sentence=$1 want= regex= status why=
	shift
	while :; do
		case $1 in
		--status) want=$2; shift 2 ;;
		--stderr) regex=$2; shift 2 ;;
		*) break ;;
		esac
	done
	tap_run "$@"
	status=$?
	TAP_STDERR=$(cat "$T/.err")
	if tap_has_report "$T/.err"; then
		why="crashed: a sanitizer or libc report"
	elif [ "$status" = 0 ]; then
		why="succeeded"
	elif [ -n "$want" ] && [ "$status" != "$want" ]; then
		why="status $status where $want was due"
	elif [ -z "$want" ]; then
		case $status in
		124) why="did not end within $TAP_TIMEOUT seconds" ;;
		132 | 134 | 135 | 136 | 139) why="crashed: signal $((status - 128))" ;;
		137) why="was killed, or did not end within $TAP_TIMEOUT seconds" ;;
		esac
		[ -z "$why" ] && [ -z "$TAP_STDERR" ] && why="said nothing"
	fi
	if [ -z "$why" ] && [ -n "$regex" ] && ! [[ $TAP_STDERR =~ $regex ]]; then
		why="the message is not like '$regex'"
	fi
	[ -z "$why" ]
	tap_result $? "$sentence" && return 0
	diag "command: $*"
	diag "it $why (status $status)"
	tap_show stdout "$T/.out"
	tap_show stderr "$T/.err"
	return 1
}

# skip SENTENCE REASON: one property that cannot be tried here. RL_TEST_STRICT=1 makes it a failure unless
# tests/skips.txt lists the reason.
skip() {
	TAP_COUNT=$((TAP_COUNT + 1))
	printf 'ok %d - %s # SKIP %s\n' "$TAP_COUNT" "${1//#/.}" "$2"
}

skip_all() {
	echo "1..0 # SKIP $1"
	TAP_DONE=1
	exit 0
}

# wait_for WHAT SECONDS COMMAND...: until the command succeeds. For conditions that give no event; returns 1, with a
# diagnostic, when the time is up.
wait_for() {
	local what=$1 end=$((${EPOCHREALTIME/[.,]/} + $2 * 1000000))
	shift 2
	until "$@" >/dev/null 2>&1; do
		if [ "${EPOCHREALTIME/[.,]/}" -gt "$end" ]; then
			diag "waited in vain for $what: $*"
			return 1
		fi
		read -r -t 0.02 _ <> <(:) || :
	done
}

on_finish() {
	TAP_FINISH+=("$*")
}

# The processes that belong to this test, without the test script itself: "PID ARGS" lines. run-one is the subreaper of
# everything the test started, so whoever descends from it is ours, however it detached.
test_processes() (
	me=$BASHPID
	ps -e -o pid=,ppid=,stat=,args= | awk -v guard="$RL_TEST_GUARD" -v self="$$" -v me="$me" '
		{ pid = $1; ppid[pid] = $2; stat[pid] = $3; $1 = $2 = $3 = ""; args[pid] = substr($0, 4) }
		function below(p, top,  n) {
			for (n = 0; n < 200 && p > 1; n++) {
				if (p == top) return 1
				p = ppid[p]
			}
			return 0
		}
		# The script, the subshells this runs in and what they started for it are the harness.
		function harness(p) { return p == guard || p == self || below(p, me) || below(me, p) }
		END { for (p in ppid) if (stat[p] !~ /^Z/ && below(p, guard) && !harness(p)) print p, args[p] }'
)

tap_nothing_left() {
	[ -z "$(test_processes)" ] && ! grep -qF " $T/" /proc/self/mountinfo
}

# leftovers SENTENCE: nothing of what the test started so far is still running or mounted (3 s of grace for processes
# that are just ending). run-one checks the same once more when the file ends.
leftovers() {
	wait_for "processes and mounts to be gone" 3 tap_nothing_left >/dev/null
	tap_nothing_left
	tap_result $? "$1" && return 0
	diag "$(test_processes)"
	diag "$(grep -F " $T/" /proc/self/mountinfo)"
	return 1
}

# remove_tree DIR: also what belongs to subordinate ids.
remove_tree() {
	chmod -R u+rwX "$1" 2>/dev/null
	rm -rf --one-file-system "$1" 2>/dev/null ||
		unshare --map-root-user --map-auto rm -rf --one-file-system "$1"
}

# have COMMAND...: all of them are installed.
have() {
	local c
	for c in "$@"; do command -v "$c" >/dev/null || return 1; done
}

# payload_rootfs DIR: a root file system with nothing but the static payload as /tinit (and /bin/sh-less dirs).
payload_rootfs() {
	mkdir -p "$1"/{bin,dev,etc,proc,sys,tmp,root} && cp "$(command -v tinit)" "$1/tinit" && chmod 755 "$1/tinit"
}

# payload_image NAME: imports that root file system under this name.
payload_image() {
	payload_rootfs "$T/.payload" && tar -C "$T/.payload" --owner=0 --group=0 --numeric-owner -cf "$T/.payload.tar" . &&
		rl import "$T/.payload.tar" "$1" >/dev/null
}

# both_id_modes: what follows runs twice, each time as a test of its own (T, store, clean-up), first with subordinate ids
# and then with one user id only. RL_TEST_ID_MODE says which it is: subordinate or single.
both_id_modes() {
	local mode line planned
	[ -z "${RL_TEST_ID_MODE:-}" ] || return 0
	for mode in subordinate single; do
		planned=
		while IFS= read -r line; do
			case $line in
			'1..0 # SKIP '*) planned=1 && skip "$mode: all of it" "${line#*SKIP }" ;;
			1..*) planned=1 ;;
			ok\ * | not\ ok\ *)
				TAP_COUNT=$((TAP_COUNT + 1))
				[[ $line = ok* ]] || TAP_FAILED=$((TAP_FAILED + 1))
				printf '%s - %s: %s\n' "${line%% - *}" "$mode" "${line#* - }"
				;;
			*) printf '%s\n' "$line" ;;
			esac
		done < <(
			export RL_TEST_ID_MODE=$mode
			[ "$mode" = single ] && export RL_IDMAP=single
			exec bash "$0"
		)
		# Without a plan it ended by accident; then this has none either.
		[ -n "$planned" ] || { diag "$mode: it did not come to its end"; exit 1; }
	done
	done_testing
}

done_testing() {
	TAP_DONE=1
	exit "$((TAP_FAILED > 0))"
}

tap_exit() {
	local status=$? i
	set +e
	for ((i = ${#TAP_FINISH[@]} - 1; i >= 0; i--)); do eval "${TAP_FINISH[i]}" >&2; done
	cd / || :
	if [ "${RL_TEST_KEEP:-}" = 1 ]; then
		diag "kept: $T"
	else
		remove_tree "$T" 2>/dev/null || diag "could not remove $T"
	fi
	# No plan when the script ended by accident: prove then says so.
	[ "$TAP_DONE" = 1 ] && [ "$TAP_COUNT" -gt 0 ] && echo "1..$TAP_COUNT"
	exit "$status"
}
trap tap_exit EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
