#!/bin/bash
# deadline: 240
# Health checks: run by the monitor inside the container, their states, and what follows from them.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
both_id_modes
N="--network none"
fast="--health-interval 100ms --health-retries 2"
health() { rl inspect -f '{{.State.Health.Status}}' "$1"; }

rl run -d $N --name c $fast --health-cmd 'test -e /ok && echo fine || { echo bad; exit 3; }' busybox sleep 10000 >/dev/null
is "a new container is starting" "$(rl ps --format '{{.Status}}' | grep -o '(health: starting)\|(healthy)\|(unhealthy)' | head -n 1)" "(health: starting)"
ok "failures make it unhealthy" timeout 60 rl wait --condition unhealthy c
like "ps says so" "$(rl ps --format '{{.Status}}')" '\(unhealthy\)'
is "inspect has the exit code of the check" "$(rl inspect -f '{{(index .State.Health.Log 0).ExitCode}}' c)" 3
is "and what it said" "$(rl inspect -f '{{(index .State.Health.Log 0).Output}}' c | head -n 1)" bad
like "and how many failed in a row" "$(rl inspect -f '{{.State.Health.FailingStreak}}' c)" '^([2-9]|[1-9][0-9]+)$'
rl exec c touch /ok
ok "a success makes it healthy" timeout 60 rl wait --condition healthy c
is "the streak is over" "$(rl inspect -f '{{.State.Health.FailingStreak}}' c)" 0
is "ps --filter health= finds it" "$(rl ps --filter health=healthy --format '{{.Names}}')" c
full() { [ "$(rl inspect -f '{{len .State.Health.Log}}' c)" = 5 ]; }
ok "the last five are kept" wait_for "five of them" 60 full
rl exec c rm /ok

# --- by hand ---
rl run -d $N --name hand --health-interval disable --health-retries 1 --health-cmd 'echo hello; test -e /ok' busybox sleep 10000 >/dev/null
status_is "healthcheck run of one that fails" 1 rl healthcheck run hand
is "counts" "$(health hand)" unhealthy
rl exec hand touch /ok
output_is "healthcheck run prints what the check says" hello rl healthcheck run hand
is "and counts too" "$(health hand)" healthy
is "with --health-interval disable nothing else runs" "$(rl inspect -f '{{len .State.Health.Log}}' hand)" 2
output_is "-q prints nothing" "" rl healthcheck run -q hand
for i in 1 2 3 4; do rl healthcheck run -q hand & done
wait
is "several at once are no trouble" "$(health hand)" healthy
rl run -d $N --name none busybox sleep 10000 >/dev/null
must_fail "a container without a check is refused" --status 125 --stderr 'no health check' rl healthcheck run none
rl stop -t 0 hand >/dev/null
must_fail "one that does not run is refused" --status 125 --stderr 'not running' rl healthcheck run hand

# --- how it runs ---
rl run -d $N --name j $fast --health-cmd '["id", "-u"]' --cap-drop ALL busybox sleep 10000 >/dev/null
ok "a check can be a JSON array" timeout 60 rl wait --condition healthy j
is "and runs in the container" "$(rl inspect -f '{{(index .State.Health.Log 0).Output}}' j)" 0
rl run -d $N --name rights $fast --cap-drop ALL --health-cmd 'grep CapBnd /proc/self/status' busybox sleep 10000 >/dev/null
ok "it has the container's rights" timeout 60 rl wait --condition healthy rights
like "and no more" "$(rl inspect -f '{{(index .State.Health.Log 0).Output}}' rights)" 'CapBnd:.*0000000000000000'
rl run -d $N --name i --init $fast --health-cmd true busybox sleep 10000 >/dev/null
ok "it works with --init" timeout 60 rl wait --condition healthy i
rl run -d $N --name slow $fast --health-timeout 200ms --health-cmd 'echo begun; sleep 10007 & sleep 10007' busybox sleep 10000 >/dev/null
ok "one that takes too long has failed" timeout 60 rl wait --condition unhealthy slow
like "and says so" "$(rl inspect -f '{{(index .State.Health.Log 0).Output}}' slow)" 'begun.*exceeded timeout'
few() { [ "$(rl top slow args | grep -c '^sleep 10007')" -le 2 ]; }
ok "its processes are killed" wait_for "their end" 60 few
rl run -d $N --name miss $fast --health-cmd '["/nosuch"]' busybox sleep 10000 >/dev/null
ok "one that cannot be executed has failed" timeout 60 rl wait --condition unhealthy miss
like "with the reason" "$(rl inspect -f '{{(index .State.Health.Log 0).Output}}' miss)" 'nosuch'
rl run -d $N --name loud $fast --health-cmd 'yes | head -c 1000000' busybox sleep 10000 >/dev/null
ok "one that says much is healthy" timeout 60 rl wait --condition healthy loud
is "4096 bytes of it are kept" "$(rl inspect -f '{{(index .State.Health.Log 0).Output}}' loud | head -c 4097 | wc -c)" 4097
rl rm -fa >/dev/null

# --- the start period ---
rl run -d $N --name s --health-interval 1h --health-retries 1 --health-start-period 1h --health-start-interval 50ms --health-cmd 'test -e /ok' busybox sleep 10000 >/dev/null
three() { [ "$(rl inspect -f '{{len .State.Health.Log}}' s)" -ge 3 ]; }
ok "in the start period checks come at the start interval" wait_for "three checks" 60 three
is "and failures do not count" "$(health s)" starting
rl exec s touch /ok
ok "the first success ends it" timeout 60 rl wait --condition healthy s
is "inspect has the interval" "$(rl inspect -f '{{.Config.Healthcheck.StartInterval}}' s)" 50000000
rl pause s >/dev/null
must_fail "a paused container is not checked" --status 1 --stderr '' sh -c 'rl healthcheck run s; s=$?; echo failed >&2; exit $s'
rl rm -fa >/dev/null

# --- what follows ---
rl run -d $N --name k $fast --health-cmd false --health-on-failure kill busybox sleep 10000 >/dev/null
output_is "--health-on-failure kill kills" 137 timeout 60 rl wait k
rl run -d $N --name st $fast --health-cmd false --health-on-failure stop --restart always busybox sh -c 'trap "exit 4" TERM; while :; do sleep 0.1; done' >/dev/null
output_is "stop asks it to end, and it is not restarted" 4 timeout 60 rl wait st
is "stopped for good" "$(rl ps -a --filter name=st --format '{{.State}}')" exited
rl run -d $N --name r $fast --health-cmd 'test -e /tmp/ok' --health-on-failure restart busybox sh -c 'n=$(cat /n 2>/dev/null || echo 0); echo $((n + 1)) >/n; [ "$n" = 0 ] || touch /tmp/ok; trap "exit 0" TERM; while :; do sleep 0.1; done' >/dev/null
ok "restart starts it again" timeout 60 rl wait --condition healthy r
is "once" "$(rl exec r cat /n)" 2

# --- the image's check ---
rl run -d $N --name no $fast --health-cmd false --no-healthcheck busybox sleep 10000 >/dev/null
is "--no-healthcheck switches checks off" "$(rl inspect -f '{{json .State.Health}}' no)" null
rl rm -fa >/dev/null
leftovers "nothing is left running or mounted"

# --- a check that comes first ---
rl run -d $N --name su $fast --health-cmd 'touch /regular' --health-startup-cmd 'test -e /up' --health-startup-interval 100ms --health-startup-success 2 busybox sleep 10000 >/dev/null
tried() { [ "$(rl inspect -f '{{len .State.Health.Log}}' "$1")" -ge 3 ]; }
ok "the startup check is tried again" wait_for "three tries" 60 tried su
is "meanwhile the container is starting, and the other check does not run" "$(health su) $(rl exec su ls /regular 2>/dev/null)" "starting "
rl exec su touch /up
ok "after it has succeeded the other one decides" timeout 60 rl wait --condition healthy su
ok "which has run" rl exec su ls /regular
rl run -d $N --name again $fast --health-cmd true --health-startup-cmd false --health-startup-interval 50ms --health-startup-retries 2 --stop-timeout 0 busybox sleep 10000 >/dev/null
first=$(rl inspect -f '{{.State.StartedAt}}' again)
started_again() { [ "$(rl inspect -f '{{.State.StartedAt}}' again)" != "$first" ]; }
ok "after so many failures the container is started again" wait_for "another start" 60 started_again
rl rm -f su again >/dev/null
must_fail "it needs a check that it comes before" --status 125 --stderr 'no check' rl create $N --health-startup-cmd true busybox true
done_testing
