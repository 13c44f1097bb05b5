#!/bin/bash
# deadline: 240
# Looking at the processes of a container, and letting it stand still.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
both_id_modes
N="--network none"

rl run -d $N --name c busybox sh -c 'sleep 10001 & sleep 10002 & wait' >/dev/null
rl run -d $N --name other busybox sleep 10003 >/dev/null
wait_for "its processes" 60 sh -c '[ "$(rl top c comm | wc -l)" = 4 ]'
rl exec -d c sleep 10004
is "top lists every process, those of exec too" "$(rl top c args | grep -o '^sleep 100.*' | sort)" "$(printf 'sleep 1000%s\n' 1 2 4)"
like "its default columns are podman's" "$(rl top c | head -n 1)" '^USER +PID +PPID +%CPU +ELAPSED +TTY +TIME +COMMAND$'
is "numbers are the container's" "$(rl top c pid args | sed -n 's/^1 .*sh -c.*/first/p')" first
is "hpid is the host's" "$(rl top c pid hpid | awk '$1 == 1 {print $2}')" "$(rl inspect -f '{{.State.Pid}}' c)"
is "names are the container's" "$(rl top c user | sort -u | tr '\n' ' ')" "USER root "
like "-ef is understood" "$(rl top c -ef | head -n 1)" 'STIME'
like "aux is understood" "$(rl top c aux | head -n 1)" 'VSZ'
is "-eo pid,comm is understood" "$(rl top c -eo pid,comm | head -n 1 | tr -s ' ')" "PID COMMAND"
must_fail "a column that is none is refused" --status 125 --stderr 'did you mean' rl top c pids
rl run -d $N --init --name i busybox sleep 10005 >/dev/null
wait_for "its command" 60 sh -c 'rl top i comm | grep -q sleep'
is "a container with --init has its reaper and its command" "$(rl top i pid | tail -n +2 | tr '\n' ' ' | tr -s ' ')" "1 2 "
rl exec c sh -c 'exec -a "$(printf "evil\033[31m")" sleep 10006' 2>/dev/null &
evil=$!
unlike "control characters in a command line are not printed" "$(rl top c args)" $'\033'
kill $evil 2>/dev/null; wait $evil 2>/dev/null

# --- stats ---
rl exec -d c sh -c 'while :; do :; done'
busy=$(rl stats --no-stream --format '{{.CPUPerc}}' c)
like "stats shows the use of the processor" "$busy" '^[1-9][0-9]*\.[0-9]+%$'
like "its heading is docker's" "$(rl stats --no-stream | head -n 1)" 'CONTAINER ID +NAME +CPU % +MEM USAGE / LIMIT +MEM % +NET I/O +BLOCK I/O +PIDS'
is "every running container has a row" "$(rl stats --no-stream | wc -l)" 4
like "memory is that of its processes" "$(rl stats --no-stream --format '{{.MemUsage}}' c)" '^[0-9.]+(KiB|MiB) / [0-9.]+GiB$'
is "processes are counted" "$(rl stats --no-stream --format '{{.PIDs}}' c)" "$(rl top c | tail -n +2 | wc -l)"
is "json is an array" "$(rl stats --no-stream --format json c | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["Name"])')" c
rl create $N --name idle busybox true >/dev/null
is "-a shows those that do not run" "$(rl stats --no-stream -a --format '{{.Name}}' | sort | tr '\n' ' ')" "c i idle other "
rl rm idle >/dev/null
is "without --no-stream it goes on" "$(rl stats --format '{{.Name}}' c | head -n 2 | tr '\n' ' ')" "c c "
must_fail "one that is not there is refused" --status 125 rl stats --no-stream nosuch
rl exec c sh -c 'kill $(ps | grep "[w]hile" | awk "{print \$1}")'

# --- pause ---
states() { rl top "$1" state | tail -n +2 | sort -u | tr -d '\n '; }
output_is "pause succeeds" c rl pause c
is "every process stands still" "$(states c)" T
is "those of others do not" "$(states other)" S
is "ps says so" "$(rl ps --filter status=paused --format '{{.Names}} {{.State}}')" "c paused"
is "inspect says so" "$(rl inspect -f '{{.State.Paused}} {{.State.Running}}' c)" "true true"
must_fail "twice is refused" --stderr 'already paused' rl pause c
must_fail "exec in it is refused" --status 125 --stderr 'unpause' rl exec c true
output_is "unpause lets it go on" c rl unpause c
is "every process" "$(states c)" S
is "and ps forgets it" "$(rl ps -q --filter status=paused)" ""
must_fail "unpause of one that is not paused is refused" --stderr 'not paused' rl unpause c
rl pause other >/dev/null
ok "pause --all takes the others" rl pause --all
is "all are paused" "$(rl ps -q --filter status=paused | wc -l)" 3
ok "unpause --all" rl unpause --all
is "none is paused" "$(rl ps -q --filter status=paused | wc -l)" 0
rl run -d $N --name bomb busybox sh -c 'while :; do /bin/true; done' >/dev/null
ok "one that forks all the time can be paused" rl pause bomb
is "and nothing of it runs" "$(states bomb | tr -d Z)" T
ok "a paused container can be stopped" rl stop -t 2 bomb
rl pause c >/dev/null
ok "and removed" rl rm -f c
rl restart -t 0 other >/dev/null
is "a restart is not paused" "$(rl ps --filter name=other --format '{{.State}}')" running
rl stop -t 0 other >/dev/null
must_fail "one that does not run is refused" --stderr 'not running' rl pause other
must_fail "top of it as well" --stderr 'not running' rl top other
rl rm -fa >/dev/null
leftovers "nothing is left running or mounted"
done_testing
