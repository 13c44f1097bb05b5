#!/bin/bash
# Signals, Ctrl-C, and what happens to a container when rl is killed (decisions 19, 20).
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

# start NAME ARGS...: rl run in the background; its pid is in $PID, ready when the payload wrote "up" to NAME.
start() {
	out=$T/$1
	shift
	: >"$out"
	# A shell without job control starts background commands with INT and QUIT ignored, and so would rl.
	perl -e '$SIG{INT} = $SIG{QUIT} = "DEFAULT"; exec @ARGV' rl run --rm --network none "$@" >"$out" 2>&1 &
	PID=$!
	wait_for "the payload to be up" 20 grep -q up "$out"
}
finish() { wait "$PID"; STATUS=$?; }

start a busybox sh -c 'echo up; sleep 1000'
kill -TERM "$PID"; finish
is "TERM on a PID 1 that does not catch it ends the container: 143" "$STATUS" 143
start b busybox sh -c 'echo up; sleep 1000'
kill -INT "$PID"; finish
is "INT does the same: 130" "$STATUS" 130
start c busybox sh -c 'trap "echo caught; exit 7" TERM; echo up; while :; do sleep 0.1; done'
kill -TERM "$PID"; finish
is "a payload that catches TERM decides itself" "$STATUS" 7
like "and has seen it" "$(cat c)" caught
start d busybox sh -c 'trap "" HUP; echo up; sleep 0.5; exit 3'
kill -HUP "$PID"; finish
is "an ignored signal stays ignored" "$STATUS" 3
start e --init busybox sh -c 'echo up; sleep 1000'
kill -TERM "$PID"; finish
is "with --init the default action is the kernel's: 143" "$STATUS" 143
start f --sig-proxy=false busybox sh -c 'echo up; sleep 1; exit 4'
kill -TERM "$PID"; finish
is "--sig-proxy=false forwards nothing" "$STATUS" 4

start g busybox sh -c 'echo up; sleep 98761'
kill -KILL "$PID"; finish
ok "when rl is killed with SIGKILL its container is gone" wait_for "the payload to be gone" 5 sh -c '! pgrep -f "[s]leep 98761"'
ok "its directory is removed by a later run" sh -c 'rl run --rm --network none busybox true; test -z "$(ls "$RL_ROOT/containers")"'
start h --security-opt seccomp=unconfined busybox sh -c 'echo up; (sleep 98762 &) ; sleep 98762'
kill -KILL "$PID"; finish
ok "so are its background processes" wait_for "the payloads to be gone" 5 sh -c '! pgrep -f "[s]leep 98762"'
if payload_image payload >/dev/null 2>&1; then
	: >i
	rl run --rm --network none payload /tinit clear-pdeathsig >i 2>&1 &
	PID=$!
	wait_for "the payload to be up" 10 grep -q ready i
	kill -KILL "$PID"; finish
	ok "a payload that clears its parent-death signal dies all the same" wait_for "it to be gone" 5 sh -c '! pgrep -f "[t]init clear-pdeathsig"'
else
	fail "the static payload can be imported"
fi
start j busybox sh -c 'echo up; sleep 1000'
kill -TSTP "$PID"
ok "TSTP stops the whole container and rl" wait_for "both to be stopped" 5 sh -c "grep -q '^State:.T' /proc/$PID/status && pgrep -r T -f 'sleep 1000'"
kill -CONT "$PID"
ok "CONT lets both go on" wait_for "both to run" 5 sh -c "! grep -q '^State:.T' /proc/$PID/status && ! pgrep -r T -f 'sleep 1000'"
kill -TERM "$PID"; finish
is "and it still ends as it should" "$STATUS" 143
leftovers "nothing is left running or mounted"
done_testing
