#!/bin/bash
# deadline: 240
# Units of systemd: sound to systemd-analyze, and started, stopped and ended as systemd would do it.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
both_id_modes
have python3 || skip_all "python3 is not installed"
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

# --- who says that it is ready
cat >told.py <<'P'
import os, signal, socket, subprocess, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
if os.path.exists("sock"): os.unlink("sock")
s.bind("sock")
s.settimeout(60)
p = subprocess.Popen(sys.argv[2:], env=dict(os.environ, NOTIFY_SOCKET=os.getcwd() + "/sock"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
out = p.stdout.readline().decode().strip()
main = p.pid
for _ in range(int(sys.argv[1])):
    text, control, _, _ = s.recvmsg(4096, 64)
    sender = int.from_bytes(control[0][2][:4], "little")
    text = text.decode()
    print("main" if sender == main else "another", " ".join("MAINPID" if l.startswith("MAINPID=") else l for l in text.split("\n")))
    for l in text.split("\n"):
        if l.startswith("MAINPID="): main = int(l[8:])
s.settimeout(0.5)
try: print("more", s.recv(4096))
except socket.timeout: pass
p.wait(60)
if p.pid != main:
    rl = subprocess.run(["rl", "rm", "-f", out], stdout=subprocess.DEVNULL)
P
cp "$(command -v tinit)" tinit && chmod 755 tinit
told() { timeout 100 python3 told.py "$@"; }
is "conmon: rl says it when the command runs" "$(told 1 rl run --rm $N busybox echo hi)" "main READY=1"
is "a detached container: the monitor becomes the main process" "$(told 1 rl run -d --name d1 $N busybox sleep 1000)" "main READY=1 MAINPID"
is "ignore: nobody does" "$(told 0 rl run --rm --sdnotify ignore $N busybox echo hi)" ""
is "container: the command does, and only what concerns the service is passed on" "$(told 1 rl run --rm --sdnotify container -v "$T/tinit:/tinit:ro" $N busybox sh -c 'echo begun; /tinit notify "STATUS=up
MAINPID=1
READY=1
FDSTORE=1"')" "main STATUS=up READY=1"
is "detached, it is the monitor that passes it on" "$(told 2 rl run -d --name d2 --sdnotify container -v "$T/tinit:/tinit:ro" $N busybox sh -c '/tinit notify READY=1; sleep 1000')" "main MAINPID
main READY=1"
is "as another user, too" "$(told 1 rl run --rm --sdnotify container -u 1000 -v "$T/tinit:/tinit:ro" $N busybox sh -c 'echo begun; /tinit notify READY=1')" "main READY=1"
is "healthy: the first check that succeeds does" "$(told 2 rl run -d --name d3 --sdnotify healthy --health-cmd 'test -e /up' --health-interval 100ms $N busybox sh -c 'sleep 0.5; touch /up; sleep 1000')" "main MAINPID
main READY=1"
rl create --name n --sdnotify container -v "$T/tinit:/tinit:ro" $N busybox sh -c 'trap "exit 7" TERM; /tinit notify READY=1; echo up; while :; do sleep 0.05; done' >/dev/null
rl generate systemd --name n >container-n.service
is "a generated unit is ready when the command says so, and stops as before" "$("$HELPERS/unit-run" container-n.service stop)" "ready
status 7"
must_fail "an unknown word" --status 125 --stderr 'sdnotify' rl create --sdnotify never $N busybox true
rl rm -fa >/dev/null
leftovers "nothing is left running or mounted"
done_testing
