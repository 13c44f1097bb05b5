#!/bin/bash
# Containers as a person uses them all day: made, started, stopped, listed, renamed, removed; in both kinds of id map.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
N="--network none"
# Several seconds at most, never a fixed time: until the command succeeds.
eventually() {
	local i
	for ((i = 0; i < 1200; i++)); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.05
	done
	return 1
}
status_is() { [ "$(rl inspect -f '{{.State.Status}}' "$1")" = "$2" ]; }
logs_have() { rl logs "$1" 2>&1 | grep -q "$2"; }
ready_times() { [ "$(rl logs "$1" 2>&1 | grep -c ready)" = "$2" ]; }
catcher='trap "exit 7" TERM; echo ready; while :; do sleep 0.05; done'

life() {
	local how=$1 id
	id=$(rl run -d $N --name old busybox sh -c "$catcher")
	like "$how: run -d prints an id" "$id" '^[0-9a-f]{64}$'
	eventually logs_have old ready
	like "$how: ps lists it" "$(rl ps --format '{{.ID}} {{.Names}} {{.Status}}')" "^${id:0:12} old Up "
	is "$how: a prefix of the id is enough" "$(rl inspect -f '{{.Name}}' "${id:0:6}")" /old
	must_fail "$how: a name can be used once" --status 125 --stderr 'in use' rl create --name old busybox
	must_fail "$how: a running container is not removed" --status 125 --stderr 'running' rl rm old
	is "$how: stop prints the name" "$(rl stop old)" old
	is "$how: the exit status is kept" "$(rl inspect -f '{{.State.ExitCode}} {{.State.Running}}' old)" "7 false"
	is "$how: stopping a stopped one is no error" "$(rl stop old)" old
	is "$how: start prints the name" "$(rl start old)" old
	ok "$how: it runs again" eventually status_is old running
	eventually ready_times old 2
	pid=$(rl inspect -f '{{.State.Pid}}' old)
	is "$how: restart prints the name" "$(rl restart -t 1 old)" old
	isnt "$how: and it is another process" "$(rl inspect -f '{{.State.Pid}}' old)" "$pid"
	eventually ready_times old 3
	ok "$how: kill sends a signal" rl kill -s TERM old
	is "$how: wait prints the exit status" "$(rl wait old)" 7
	ok "$how: rename" rl rename old new
	is "$how: the new name is listed" "$(rl ps -a --format '{{.Names}}')" new
	must_fail "$how: the old one is gone" --status 125 --stderr 'no container' rl start old
	ok "$how: the name is free again" rl create --name old $N busybox true
	is "$how: rm prints names" "$(rl rm old new | tr '\n' ' ')" "old new "
	is "$how: nothing is left" "$(rl ps -aq)" ""
	is "$how: created files belong to the container" "$(rl run $N --name f busybox sh -c 'adduser -D -u 77 x 2>/dev/null; echo hi >/f; echo $((1+1))'; rl start -a f)" "2
2"
	is "$how: start runs on the same files" "$(rl create --name g $N busybox sh -c 'echo x >>/f; wc -l </f' >/dev/null; rl start -a g; rl start -a g)" "1
2"
	ok "$how: rm" rl rm f g
	rl run -d --rm $N --name h busybox sh -c 'sleep 0.3; exit 3' >/dev/null
	is "$how: wait knows the status of one that is removed at its end" "$(rl wait h)" 3
	ok "$how: --rm leaves nothing" eventually test -z "$(rl ps -aq)"
	rl run -d $N --name k busybox sleep 1000 >/dev/null
	is "$how: rm -f of a running one" "$(rl rm -f k)" k
	is "$how: removing what does not exist is no error with -f" "$(rl rm -f k)" ""
}
life subordinate
RL_IDMAP=single life single

# --- --rm: what a killed run left goes at the next run, what waits to be started stays
rl create --rm --name later $N busybox echo later >/dev/null
rl run --rm $N --name lost busybox sleep 1000 &
lost=$!
eventually sh -c 'rl ps --format "{{.Names}}" | grep -qx lost'
kill -9 $lost
wait $lost 2>/dev/null
ok "what a killed run --rm left is gone after another run" eventually sh -c "rl run --rm $N busybox true; ! rl ps -a --format '{{.Names}}' | grep -qx lost"
is "one that create --rm made is still there" "$(rl ps -a --format '{{.Names}}')" later
is "it starts, and is gone afterwards" "$(rl start -a later; rl ps -aq)" later

# --- creating
echo "FROM=env" >env
FOO=outer rl create --name c $N --env-file env -e FOO -e "BAR=b z" -l tier=web --hostname hh busybox sh -c 'echo $FROM $FOO $BAR $(hostname)' >/dev/null
is "a created container is listed as such" "$(rl ps -a --format '{{.Names}} {{.State}} {{.Status}}')" "c created Created"
is "variables are those of the creation" "$(FOO=later rl start -a c)" "env outer b z hh"
is "labels can be asked for" "$(rl ps -aq --filter label=tier=web | wc -l) $(rl ps -aq --filter label=tier=db | wc -l)" "1 0"
is "so can names, states and exit codes" "$(rl ps -aq --filter name=^c$ --filter status=exited --filter exited=0 | wc -l)" 1
must_fail "an unknown filter" --status 125 --stderr 'no filter' rl ps --filter nmae=c
for wrong in status=runing exited=never health=ill until=tomorrow; do
	must_fail "a value that a container cannot have, $wrong" --status 125 --stderr "'?${wrong#*=}'? is " rl ps -a --filter $wrong
done
is "a state of docker's that is not known here is none" "$(rl ps -aq --filter status=removing)" ""
is "--latest" "$(rl inspect -l -f '{{.Name}}')" /c
is "-q prints ids only" "$(rl ps -aq --no-trunc)" "$(rl inspect -f '{{.Id}}' c)"
is "--sort size is by what was written" "$(rl create --name big $N busybox true >/dev/null; echo 12345 >f; rl cp f big:/f; rl ps -a --sort size --format '{{.Names}}' | tr '\n' ' '; rl rm big >/dev/null)" "c big "
like "ps --watch shows it again" "$(timeout 5 rl ps -a -w 1 --noheading --format '{{.Names}}' | sed 2q | tr '\n' ' ')" '^c c $'
is "json is one array" "$(rl ps -a --format json | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["Names"])')" c
is "docker's inspect has what scripts use" "$(rl inspect c | python3 -c '
import json, sys
d = json.load(sys.stdin)[0]
for k in ("Id", "Name", "Created", "State", "Config", "HostConfig", "NetworkSettings", "Mounts", "Image"): d[k]
print(d["Config"]["Labels"]["tier"], d["HostConfig"]["RestartPolicy"]["Name"], d["State"]["ExitCode"])')" "web no 0"
rl rm c >/dev/null

# --- run's own options
ok "--cidfile and --pidfile" rl run -d $N --cidfile cid --pidfile pid --name p busybox sleep 1000
is "the id is in the one" "$(cat cid)" "$(rl inspect -f '{{.Id}}' p)"
is "the process in the other" "$(cat pid)" "$(rl inspect -f '{{.State.Pid}}' p)"
ok "rm --cidfile" rl rm -f --cidfile cid
rl run -d $N --name r busybox sleep 1000 >/dev/null
ok "--replace takes the place of the old one" rl run -d --replace --name r $N busybox sh -c 'sleep 1000; true'
like "there is one, the new one" "$(rl ps -a --no-trunc --format '{{.Command}}')" 'true"$'
rl rm -f r >/dev/null
must_fail "a missing command has its status also with -d" --status 127 rl run -d $N busybox nosuchcommand
must_fail "one that cannot be executed has its own" --status 126 rl run -d $N busybox /etc
is "a run that could not start leaves nothing" "$(rl ps -aq)" ""
rl run $N --name fg busybox sh -c 'exit 5'
is "a foreground run leaves a record" "$(rl ps -a --format '{{.Names}} {{.Status}}' | cut -d')' -f1)" "fg Exited (5"
ok "which can be removed" rl rm fg

# --- policies, limits
rl run -d $N --name pol --restart on-failure:2 busybox sh -c 'echo run; exit 1' >/dev/null
is "on-failure:2 ends after two restarts" "$(rl wait pol)$(rl logs pol | grep -c run)$(rl inspect -f '{{.RestartCount}}' pol)" "132"
rl rm pol >/dev/null
rl run -d $N --name alw --restart always busybox sh -c 'sleep 0.05' >/dev/null
ok "always restarts also after success" eventually sh -c '[ "$(rl inspect -f "{{.RestartCount}}" alw)" -ge 2 ]'
ok "stop holds against the policy" rl stop -t 1 alw
is "it stays stopped" "$(rl inspect -f '{{.State.Status}}' alw)" exited
ok "update changes the policy" rl update --restart no alw
is "and says so" "$(rl inspect -f '{{.HostConfig.RestartPolicy.Name}}' alw)" no
must_fail "prune asks, and needs a terminal for that" --status 125 --stderr 'container prune: there is no terminal.*-f' rl container prune
is "a no leaves it" "$(script -qec 'rl container prune' /dev/null <<<n | grep -c 'do not run?') $(rl ps -aq -f name=alw | wc -l)" "1 1"
is "prune -f removes it" "$(rl container prune -f | wc -l)" 1
rl run -d $N --name lim --timeout 1 busybox sleep 1000 >/dev/null
is "--timeout ends it" "$(rl wait lim)" 137
rl rm lim >/dev/null
rl run -d $N --name deaf busybox sh -c 'trap "" TERM; echo ready; while :; do sleep 0.05; done' >/dev/null
eventually logs_have deaf ready
SECONDS=0
rl stop -t 1 deaf >/dev/null
is "one that does not listen is killed" "$(rl inspect -f '{{.State.ExitCode}}' deaf) $((SECONDS < 8))" "137 1"
rl rm deaf >/dev/null

# --- what happens to the others
rl run -d $N --name o busybox sleep 1000 >/dev/null
kill -9 "$(rl inspect -f '{{.State.MonitorPid}}' o)"
ok "without its monitor a container still runs" status_is o running
ok "and can be stopped" rl stop -t 0 o
is "how it ended is not invented" "$(rl inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.ExitCodeKnown}}' o)" "exited -1 false"
ok "and started again" rl start o
sed -i 's/"boot_id":"[^"]*"/"boot_id":"00000000-0000-0000-0000-000000000000"/' "$RL_ROOT"/containers/*/state.json
is "after a reboot nothing runs" "$(rl ps -a --format '{{.State}}')" exited
for p in "$RL_ROOT"/containers/*/state.json; do sed -i "s/00000000-0000-0000-0000-000000000000/$(cat /proc/sys/kernel/random/boot_id)/" "$p"; done
ok "rm -f" rl rm -f o
rl create --name broken $N busybox true >/dev/null
id=$(rl inspect -f '{{.Id}}' broken)
echo '{"version":1' >"$RL_ROOT/containers/$id/config.json"
like "a damaged record is listed as such" "$(rl ps -a)" 'broken'
ok "and can be removed" rl rm -f "${id:0:12}"
is "nothing is left" "$(rl ps -aq)$(ls "$RL_ROOT/names")" ""
leftovers "no process or mount stays"
done_testing
