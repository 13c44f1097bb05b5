#!/bin/bash
# Restart policies: growing pauses, and what starts again after a reboot and what does not.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
have python3 || skip_all "python3 is not installed"
N="--network none"

policies() {
	local how=$1
	# --- the pause before a restart doubles, and no restart comes too early
	rl run -d $N --name back --restart on-failure:4 busybox false >/dev/null
	timeout 60 rl wait back >/dev/null
	is "$how: no restart comes before its pause of 100 ms, 200 ms, 400 ms, 800 ms is over" "$(rl events --no-stream --filter container=back --format '{{.Action}} {{.TimeNano}}' | python3 -c '
import sys
rows = [l.split() for l in sys.stdin]
starts = [int(t) for a, t in rows if a == "start"]
ends = [int(t) for a, t in rows if a == "die"]
print([int(s - e >= ms * 900000) for s, e, ms in zip(starts[1:], ends, (100, 200, 400, 800))])')" "[1, 1, 1, 1]"
	rl rm back >/dev/null

	# --- another boot: the records say a boot id that is not this one's
	for p in no on-failure always unless-stopped; do rl run -d $N --name "$p" --restart $p busybox sleep 1000 >/dev/null; done
	rl run -d $N --name stopped --restart unless-stopped busybox sleep 1000 >/dev/null
	rl run -d $N --name stopped-always --restart always busybox sleep 1000 >/dev/null
	rl stop -t 0 stopped stopped-always >/dev/null
	# As a crash of the machine leaves it: nothing had time to say anything.
	for p in $(rl inspect -f '{{.State.MonitorPid}} {{.State.Pid}}' no on-failure always unless-stopped); do kill -9 "$p"; done
	sed -i 's/"boot_id":"[^"]*"/"boot_id":"00000000-0000-0000-0000-000000000000"/' store/containers/*/state.json
	is "$how: after a reboot nothing runs" "$(rl ps -q)" ""
	is "$how: what ran is listed as ended, how is not known" "$(rl inspect -f '{{.State.Status}} {{.State.ExitCodeKnown}}' always)" "exited false"
	is "$how: what shall run is found: always, and unless-stopped that nobody has stopped" "$(rl ps -a --filter should-start-on-boot=true --format '{{.Names}}' | sort | tr '\n' ' ')" "always stopped-always unless-stopped "
	ok "$how: start takes the same filter" rl start --filter should-start-on-boot=true
	is "$how: these run" "$(rl ps --format '{{.Names}}' | sort | tr '\n' ' ')" "always stopped-always unless-stopped "
	is "$how: the others do not" "$(rl ps -a --filter status=exited --format '{{.Names}}' | sort | tr '\n' ' ')" "no on-failure stopped "
	ok "$how: a second start of them is no error" rl start --filter should-start-on-boot=true
	kill -TERM "$(rl inspect -f '{{.State.MonitorPid}}' unless-stopped)"
	timeout 60 rl wait unless-stopped >/dev/null
	is "$how: one that a shutdown has ended is not one that somebody stopped" "$(rl ps -a --filter should-start-on-boot=true --filter name=^unless-stopped$ --format '{{.Names}} {{.State}}')" "unless-stopped exited"
	rl rm -fa >/dev/null
	leftovers "$how: no process or mount stays"
}
policies subordinate
RL_IDMAP=single policies single
unit=$RL_TEST_PREFIX/share/rl/systemd/rl-restart.service
if command -v systemd-analyze >/dev/null && [ -f "$unit" ]; then
	is "the unit that does it at boot is sound" "$(systemd-analyze --user --man=no verify "$unit" 2>&1 | grep -F rl-restart | grep -v 'not executable')" ""
else
	skip "the unit that does it at boot is sound" "no systemd-analyze"
fi
done_testing
