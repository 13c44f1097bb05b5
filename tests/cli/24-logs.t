#!/bin/bash
# deadline: 240
# Logs of detached containers: exact bytes, streams, times, tails, following, rotation; and attach.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
both_id_modes
N="--network none"
done_with() { rl wait "$1" >/dev/null; }

rl run -d $N --name a busybox sh -c 'echo out; echo err >&2; sleep 0.1; printf partial; sleep 0.1; echo " line"' >/dev/null
done_with a
is "standard output goes to standard output" "$(rl logs a 2>/dev/null)" "out
partial line"
is "standard error to standard error" "$(rl logs a 2>&1 >/dev/null)" err
is "the last line" "$(rl logs -n 1 a 2>/dev/null)" "partial line"
like "times" "$(rl logs -t a 2>/dev/null | head -1)" '^20[0-9-]*T[0-9:]*\.[0-9]{9}Z out$'
is "nothing is older than now" "$(rl logs --since 0s a 2>&1)" ""
is "a day is a time" "$(rl logs --since 2020-01-02 a 2>&1)" "$(rl logs a 2>&1)"
is "so is one of the clock on the wall" "$(rl logs --until 2020-01-02T03:04:05 a 2>&1)" ""
last=$(rl logs -t --tail 1 a 2>&1 | cut -d' ' -f1)
is "the time that logs -t printed is one to go on from, with its fraction" "$(rl logs -t --since "$last" a 2>&1 | cut -d' ' -f1 | sort -u)" "$last"
must_fail "what is no time is refused, and both forms are shown" --status 125 --stderr "'soon' is neither a duration nor a time.*10m.*2026" rl logs --since soon a
is "everything is older than in an hour" "$(rl logs --until 2100-01-01T00:00:00Z a 2>/dev/null | wc -l)" 2
file=$(rl inspect -f '{{.LogPath}}' a)
is "the file is what docker writes" "$(python3 -c '
import json, sys
print("".join(json.loads(l)["log"] for l in open(sys.argv[1]) if json.loads(l)["stream"] == "stdout"), end="")' "$file")" "out
partial line"

head -c 300000 /dev/urandom >random
for driver in json-file k8s-file; do
	rl run -d $N --rm=false --log-driver $driver -v "$T/random:/r:ro" --name "b-$driver" busybox cat /r >/dev/null
	done_with "b-$driver"
	rl logs "b-$driver" >copy
	ok "$driver keeps every byte" cmp random copy
done
rl run -d $N --log-driver none --name none busybox echo x >/dev/null
done_with none
must_fail "no log is said to be none" --status 125 --stderr 'has no log' rl logs none

rl run -d $N --name rot --log-opt max-size=20k --log-opt max-file=3 busybox sh -c 'i=0; while [ $i -lt 5000 ]; do echo "line $i"; i=$((i+1)); done' >/dev/null
done_with rot
size=$(cat "$(dirname "$(rl inspect -f '{{.LogPath}}' rot)")"/container.log* | wc -c)
ok "rotation bounds the log ($size bytes)" test "$size" -le 61440
is "the end of the output is kept" "$(rl logs -n 1 rot)" "line 4999"

rl run -d $N --name f busybox sh -c 'for i in 1 2 3 4 5; do echo "n$i"; sleep 0.1; done' >/dev/null
is "logs -f shows what comes and ends with the container" "$(timeout 20 rl logs -f f | tr '\n' ' ')" "n1 n2 n3 n4 n5 "
rl run -d $N --name dots busybox sh -c 'echo first; for i in 1 2 3; do printf .; usleep 50000; done; echo done' >/dev/null
rl wait dots >/dev/null
is "a line that came in parts is one line of the tail" "$(rl logs -n 1 dots)" "...done"
is "in a color of its own for each" "$(rl logs --color -n 1 f a 2>/dev/null | head -2 | sed -n 'l;q')" '\033[31mf |\033[0m n5$'
is "several containers, with their names" "$(rl logs --names -n 1 f a 2>/dev/null)" "f | n5
a | partial line"
rl run -d $N --name slow busybox sh -c 'sleep 0.3; echo late; sleep 1000' >/dev/null
is "a follower of a quiet container is served, and ends when nobody reads it any more" "$( (timeout 60 rl logs -f slow; echo $? >.status) | head -1; cat .status)" "late
141"

# --- attach
rl run -di $N --name cat busybox sh -c 'while read x; do echo "got $x"; done; echo end' >/dev/null
is "what is typed reaches the command, and its output us" "$( (echo one; sleep 0.3) | timeout 20 rl attach cat | head -2)" "got one
end"
is "a start with -ai is a pipe" "$(printf 'x\ny\n' | timeout 20 rl start -ai cat)" "got x
got y
end"
rl run -d $N --name st busybox sh -c 'sleep 0.4; echo bye; exit 9' >/dev/null
out=$(timeout 20 rl attach st)
is "attach ends as the container does" "$? $out" "9 bye"
must_fail "nothing to attach to" --status 125 --stderr 'not running' rl attach st

# A log at full speed: everything is there, however much faster the container is than the disk.
rl run -d $N --name big busybox sh -c 'yes 0123456789012345678901234567890123456789012345678901234567890 | head -c 30000000' >/dev/null
done_with big
is "30 MB at full speed are all there" "$(rl logs big | wc -c)" 30000000
rl rm -fa >/dev/null
is "nothing is left" "$(rl ps -aq)$(ls "$RL_ROOT/names")" ""
leftovers "no process or mount stays"

# --- what --log-opt attaches
rl run -d $N --name det -l tier=web -l team=a -e MODE=x --log-opt tag=T --log-opt labels=tier,none --log-opt env=MODE busybox echo line >/dev/null
done_with det
is "--details shows tag, labels and variables that were asked for" "$(rl logs --details det)" "tag=T,tier=web,MODE=x line"
is "not without --details" "$(rl logs det)" line

# --- a log in another place
mkdir logs
rl run -d $N --name elsewhere --log-opt path=logs/app.log --log-opt max-size=20k --log-opt max-file=2 busybox sh -c 'i=0; while [ $i -lt 1000 ]; do echo "line $i"; i=$((i+1)); done; sleep 0.3; echo last' >/dev/null
is "--log-opt path= is followed there" "$(timeout 60 rl logs -f -n 1 elsewhere | tail -n 1)" last
is "inspect names the file" "$(rl inspect -f '{{.LogPath}}' elsewhere)" "$T/logs/app.log"
is "it is rotated there" "$(ls logs | tr '\n' ' ')" "app.log app.log.1 "
is "others can read it" "$(jq -r .log logs/app.log 2>/dev/null | grep . | tail -n 1 || tail -n 1 logs/app.log | grep -o last)" last
is "and nothing is in the container's directory" "$(ls store/containers/*/container.log* 2>/dev/null | grep -c "$(rl inspect -f '{{.Id}}' elsewhere)")" 0
rl rm elsewhere >/dev/null
ok "it stays when the container is removed" test -s logs/app.log
must_fail "a directory that does not exist is an error of the start" --status 125 --stderr 'path=' rl run -d $N --log-opt path=nowhere/x.log busybox true
is "which leaves nothing" "$(rl ps -aq --filter status=created)" ""
rl run -d $N --name q busybox sh -c 'echo one; sleep 1000' >/dev/null
is "logs -f --until a time to come ends then, though nothing is written" "$(timeout 60 rl logs -f --until "$(date -u -d '+2 seconds' +%FT%TZ)" q; echo $?)" "one
0"
is "--until a time that is over ends at once" "$(timeout 60 rl logs -f --until 1s q >/dev/null; echo $?)" 0
rl rm -f q >/dev/null

# --- the journal: one of our own, where /run can be another
must_fail "without a journal journald is refused, by name" --status 125 --stderr 'no journal' sh -c 'test ! -S /run/systemd/journal/socket || { echo "no journal: there is one here" >&2; exit 125; }; rl run -d --network none --log-driver journald busybox true'
cat >journal.py <<'END'
import os, socket, struct, subprocess, sys
os.makedirs("/run/systemd/journal")
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/run/systemd/journal/socket")
s.settimeout(30)
os.environ["RL_ROOT"] = sys.argv[1]
os.environ["RL_IDMAP"] = "single"
rl = ["rl", "run", "-d", "-q", "--network", "none", "--name", "j", "--log-driver", "journald", "--log-opt", "tag=mine", "busybox"]
r = subprocess.run(rl + ["sh", "-c", r"echo out; printf 'e\001r' >&2"], capture_output=True, text=True)
print(r.stderr, end="")
for _ in range(2):
    data = s.recv(65536)
    head, rest = data.split(b"MESSAGE\n", 1) if b"PARTIAL" not in data else data.split(b"=true\nMESSAGE\n", 1)
    n = struct.unpack("<Q", rest[:8])[0]
    fields = dict(l.split(b"=", 1) for l in head.split(b"\n") if b"=" in l)
    print(fields[b"PRIORITY"].decode(), fields[b"CONTAINER_NAME"].decode(), fields[b"SYSLOG_IDENTIFIER"].decode(), repr(rest[8:8 + n]))
subprocess.run(["rl", "wait", "j"], capture_output=True)
print(subprocess.run(["rl", "logs", "j"], capture_output=True, text=True).stdout, end="")
subprocess.run(["rl", "rm", "-f", "j"], capture_output=True)
END
if unshare -rm true 2>/dev/null; then
	is "journald gets every line, with its stream, name and tag, and rl logs shows it as well" "$(unshare -rm sh -c "mount -t tmpfs none /run && exec python3 journal.py $T/store-j" 2>&1 | LC_ALL=C sort)" "$(printf '%s\n' "3 j mine b'e\\x01r'" "6 j mine b'out'" out | LC_ALL=C sort)"
else
	skip "journald gets every line" "no user and mount namespace"
fi
done_testing
