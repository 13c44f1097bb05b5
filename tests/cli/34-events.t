#!/bin/bash
# deadline: 240
# Events: what happens is written down by whoever does it, kept within bounds, and read back or followed.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
both_id_modes
have python3 || skip_all "python3 is not installed"
N="--network none"
actions() { rl events --no-stream --format '{{.Action}}' "$@" | tr '\n' ' '; }

rl run --rm $N --name one busybox sh -c 'exit 3'
is "a foreground container" "$(actions --filter container=one)" "create start die remove "
is "with its exit code" "$(rl events --no-stream --filter event=die --format '{{.Name}} {{.ContainerExitCode}}')" "one 3"
id=$(rl run -d $N --name two --label team=a busybox sleep 10000)
rl exec two true
rl exec two sh -c 'exit 4'
rl exec -d two true
rl pause two >/dev/null
rl unpause two >/dev/null
rl rename two deux
rl kill -s USR1 deux >/dev/null
rl stop -t 0 deux >/dev/null
rl start deux >/dev/null
rl rm -f deux >/dev/null
is "a detached one, to its end" "$(actions --filter "container=${id:0:12}")" "create start exec exec_die exec exec_die exec pause unpause rename kill die stop start die remove "
is "the status of an exec" "$(rl events --no-stream --filter event=exec_die --filter "container=$id" --format '{{.ContainerExitCode}}' | tr '\n' ' ')" "0 4 "
is "the old name of one renamed" "$(rl events --no-stream --filter event=rename --format '{{.Attributes.oldName}} {{.Name}}')" "two deux"
is "the signal of a kill" "$(rl events --no-stream --filter event=kill --format '{{.Actor.Attributes.signal}}')" 10
rl run -d $N --name h --health-interval 50ms --health-cmd true busybox sleep 10000 >/dev/null
timeout 60 rl wait --condition healthy h >/dev/null
status() { [ "$(rl events --no-stream --filter event=health_status --format '{{.Attributes.health_status}}')" = healthy ]; }
ok "a change of health" wait_for "the event" 60 status
rl run -d $N --name r --restart on-failure:2 busybox false >/dev/null
timeout 60 rl wait r >/dev/null
is "every restart" "$(actions --filter container=r)" "create start die start die start die "
rl tag busybox mine:1
rl rmi mine:1 >/dev/null
is "images" "$(actions --filter type=image --filter image=mine)" "tag untag "

# --- selection ---
is "--filter label=" "$(rl events --no-stream --filter label=team=a --format '{{.Action}}' | sort -u | head -n 1)" create
is "docker's and podman's words are understood" "$(actions --filter event=died --filter container=one)$(actions --filter event=destroy --filter container=one)" "die remove "
is "--filter image=" "$(actions --filter image=busybox --filter container=one)" "create start die "
is "two of one name are alternatives" "$(actions --filter container=one --filter event=start --filter event=die)" "start die "
must_fail "a filter that is none is refused" --status 125 --stderr 'no filter' rl events --no-stream --filter colour=red
middle=$(rl events --no-stream --filter container=r --format '{{.timeNano}}' | head -n 1)
is "--since a time" "$(rl events --no-stream --since "$(date -u -d "@$((middle / 1000000000 + 1000))" +%FT%TZ)" | wc -l)" 0
is "--since so long ago" "$(actions --since 1h --filter container=one)" "create start die remove "
is "--until a time" "$(rl events --no-stream --until 1000000000 | wc -l)" 0
like "the line is docker's" "$(rl events --no-stream --filter container=one | head -n 1)" '^20[0-9-]+T[0-9:.]+Z container create [0-9a-f]{64} \(.*image=.*busybox.*name=one.*\)$'
is "json is one object a line" "$(rl events --no-stream --format json --filter container=one | python3 -c 'import json, sys; print(len([json.loads(l)["Actor"]["ID"] for l in sys.stdin]))')" 4

# --- following ---
rl events --filter type=container --format '{{.Action}} {{.Name}}' >followed &
follower=$!
seen() { rl kill -s WINCH h >/dev/null; grep -q 'kill h' followed; }
wait_for "the follower" 60 seen
rl run --rm $N --name live busybox true
ok "what happens is seen as it happens" wait_for "its end" 60 grep -q 'remove live' followed
is "in order" "$(grep live followed | tr '\n' ' ')" "create live start live die live remove live "
not_ok "and nothing that was before" grep -q one followed
kill $follower; wait $follower 2>/dev/null
ok "--until a time to come ends it" timeout 60 rl events --until +200ms
output_is "with --since the past comes first" "create one" sh -c 'timeout 60 rl events --since 1h --filter container=one --until +100ms --format "{{.Action}} {{.Name}}" | head -n 1'

# --- bounds and damage ---
log=$RL_ROOT/events/log
printf '{"time": 5, "type": "contai' >>"$log"
rl run --rm $N --name after busybox true
is "after a torn line one event at most is lost" "$(actions --filter container=after)" "start die remove "
printf 'garbage\n[1]\n{}\n\377\376\n{"time":"x"}\n' >>"$log"
ok "garbage in the file does no harm" rl events --no-stream
for i in $(seq 12000); do echo '{"time":1,"type":"container","action":"start","id":"x","attributes":{"name":"filler"}}'; done >>"$log"
rl events --format '{{.Action}} {{.Name}}' >followed &
follower=$!
seen2() { rl kill -s WINCH h >/dev/null; grep -q 'kill h' followed; }
wait_for "the follower" 60 seen2
rl run --rm $N --name rotated busybox true
ok "a full log is put aside" test -s "$RL_ROOT/events/log.1"
ok "the new one is small" test "$(stat -c %s "$log")" -lt 10000
ok "who follows goes over to it" wait_for "its end" 60 grep -q 'remove rotated' followed
kill $follower; wait $follower 2>/dev/null
is "and both are read" "$(actions --filter container=one --filter container=rotated | tr ' ' '\n' | grep -c remove)" 2
for i in $(seq 12000); do echo '{"time":1,"type":"container","action":"start","id":"x","attributes":{"name":"filler"}}'; done >>"$log"
rl run --rm $N --name again busybox true
is "two files are all there ever is" "$(ls "$RL_ROOT/events" | tr '\n' ' ')" "log log.1 "
chmod 500 "$RL_ROOT/events"; rm -f "$log"
ok "a log that cannot be written is no failure" rl run --rm $N busybox true
chmod 700 "$RL_ROOT/events"
for i in $(seq 60); do rl rename h h$i >/dev/null; rl rename h$i h >/dev/null & done; wait
torn=$(python3 - "$log" <<'P'
import json, sys
bad = 0
for l in open(sys.argv[1]):
    try: json.loads(l)
    except Exception: bad += 1
print(bad)
P
)
is "lines of many writers do not mix" "$torn" 0
rl rm -fa >/dev/null
leftovers "nothing is left running or mounted"
done_testing
