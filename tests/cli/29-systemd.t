#!/bin/bash
# Units of systemd: sound to systemd-analyze, and started, stopped and ended as systemd would do it.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
N="--network none"
field() { sed -n "s/^$2=//p" "$1"; }
verify() {
	# Units that exist on real machines only are none of ours.
	systemd-analyze --user --man=no verify "$1" 2>&1 | grep -F "$1" | grep -v 'network-online' >verify.out
	[ ! -s verify.out ] || { cat verify.out >&2; return 1; }
}
catcher='trap "exit 7" TERM; echo up; while :; do sleep 0.05; done'

rl create --name web --stop-timeout 20 $N busybox sh -c "$catcher" >/dev/null
rl generate systemd --name web >container-web.service
is "the unit starts the container that exists" "$(field container-web.service ExecStart | grep -c ' start --attach web$')" 1
is "it is told when the command runs" "$(field container-web.service Type)" notify
is "it has the container's patience and some more" "$(field container-web.service TimeoutStopSec)" 50
if command -v systemd-analyze >/dev/null; then
	ok "systemd-analyze finds nothing" verify ./container-web.service
else
	skip "systemd-analyze finds nothing" "no systemd-analyze"
fi
is "started and stopped: the status is the container's own" "$("$HELPERS/unit-run" container-web.service stop)" "ready
status 7"
is "and it is there for the next time" "$(rl inspect -f '{{.State.Status}}' web)" exited
is "SIGTERM to the main process ends it, too" "$("$HELPERS/unit-run" container-web.service term)" "ready
status 7"
is "without --name the id is used" "$(rl generate systemd web | grep -c "start --attach $(rl inspect -f '{{.Id}}' web)")" 1
is "--files" "$(rl generate systemd --files --name web)" "$T/container-web.service"
rl rm web >/dev/null

mkdir sub && (cd sub && echo 'it works' >page && rl create --name new -d=false -it --restart=on-failure:3 $N -v ./page:/page:ro -e 'A=b "c" $d 100%' --cidfile id \
	-l "x=a	b" busybox sh -c 'cat /page; echo "$A"; exit 3' >/dev/null)
rl generate systemd --new --name new --restart-policy always --restart-sec 5 --start-timeout 90 -t 4 -e 'X=y z$' --after db.service >container-new.service
rl rm new >/dev/null
is "--new runs a new container each time" "$(field container-new.service ExecStart | grep -oE ' run --rm --replace --name=new ')" " run --rm --replace --name=new "
is "without what belongs to a terminal or to rl's own restarts" "$(field container-new.service ExecStart | grep -cE -- '--(detach|interactive|tty|restart|cidfile)=')" 0
is "policy, times and relations are as asked for" "$(field container-new.service Restart) $(field container-new.service RestartSec) $(field container-new.service TimeoutStartSec) $(field container-new.service TimeoutStopSec) $(field container-new.service After | tail -1)" "always 5 90 34 db.service"
if command -v systemd-analyze >/dev/null; then
	ok "systemd-analyze finds nothing in it" verify ./container-new.service
else
	skip "systemd-analyze finds nothing in it" "no systemd-analyze"
fi
is "options come through all quoting, relative names from where they were typed" "$("$HELPERS/unit-run" container-new.service wait)" 'ready
it works
b "c" $d 100%
status 3'
is "nothing stays" "$(rl ps -aq)" ""
is "json" "$(rl create --name j $N busybox true >/dev/null; rl generate systemd --name --format json j | python3 -c 'import json,sys; d=json.load(sys.stdin); print(list(d), "ExecStart" in list(d.values())[0])')" "['container-j.service'] True"
must_fail "an unknown policy" --status 125 --stderr 'restart-policy' rl generate systemd --restart-policy sometimes j
must_fail "a prefix that is a path" --status 125 --stderr 'file' rl generate systemd --container-prefix ../x j
must_fail "a line break in a unit's name" --status 125 --stderr 'unit' rl generate systemd --after $'a.service\nExecStart=/bin/evil' j
must_fail "a container that removes itself needs --new" --status 125 --stderr '--new' sh -c 'rl create --rm --name k --network none busybox true >/dev/null; rl generate systemd k'
must_fail "a container that does not exist" --status 125 --stderr 'no container' rl generate systemd nope
done_testing
