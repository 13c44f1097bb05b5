#!/bin/bash
# deadline: 240
# Leaving a terminal and coming back; what happens when rl is killed; restarts seen from a terminal.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
both_id_modes
have python3 || skip_all "python3 is not installed"
N="--network none"

cat >drive.py <<'P'
import os, pty, select, sys, time
events = sys.argv[1]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
seen = b''
def pump(t):
    global seen
    r, _, _ = select.select([fd], [], [], t)
    if r:
        try:
            d = os.read(fd, 65536)
        except OSError:
            return False
        if not d:
            return False
        seen += d
    return True
def expect(text, limit=20):
    end = time.time() + limit
    while text.encode() not in seen:
        if time.time() > end or not pump(0.1):
            if text.encode() in seen: return
            print('MISSING', repr(text), 'in', repr(seen)); break
def send(text):
    os.write(fd, text.encode())
exec(events)
end = time.time() + 20
while time.time() < end and pump(0.2):
    pass
_, status = os.waitpid(pid, 0)
print(seen.decode(errors='replace').replace('\r', ''))
print('STATUS', os.waitstatus_to_exitcode(status))
P
drive() { timeout 60 python3 drive.py "$@" 2>&1; }
gone() { [ -z "$(rl ps -q)" ]; }
eventually() {
	local i
	for ((i = 0; i < 100; i++)); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.05
	done
	return 1
}

out=$(drive "expect('ready'); send('\x10\x11')" rl run -it $N --name t busybox sh -c 'echo ready; while read x; do echo "got-$x"; [ "$x" = quit ] && exit 6; done')
like "ctrl-p ctrl-q leaves a container, with success" "$out" 'STATUS 0'
is "it goes on" "$(rl ps --format '{{.Names}}')" t
out=$(drive "send('again\n'); expect('got-again'); send('\x10\x11')" rl attach t)
like "attach comes back to it" "$out" 'got-again'
like "and leaves again" "$out" 'STATUS 0'
out=$(drive "send('\x10x\n'); expect('got-'); send('quit\n')" rl attach t)
like "half the keys are passed on" "$out" 'got-.*x'
like "the end of the container is the end of attach" "$out" 'STATUS 6'
is "its output is in the log too" "$(rl logs t | tr -d '\r' | grep -c got-again)" 1
rl rm t >/dev/null
out=$(drive "expect('ready'); send('\x01')" rl run -it --rm $N --detach-keys ctrl-a --name k busybox sh -c 'echo ready; sleep 1000')
like "other keys can be chosen" "$out" 'STATUS 0'
rl rm -f k >/dev/null

# decision 20, with a terminal: rl is the owner until it detaches.
cat >killed.py <<'P'
import os, pty, signal, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp('rl', ['rl', 'run', '-it', '--network', 'none', '--name', 'own', 'busybox', 'sh', '-c', 'echo ready; sleep 1000'])
seen = b''
while b'ready' not in seen:
    seen += os.read(fd, 4096)
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
P
python3 killed.py
ok "a container in the foreground dies with a killed rl" eventually gone
is "and its end is recorded" "$(rl inspect -f '{{.State.ExitCode}}' own)" 137
rl rm own >/dev/null

# The close of an inotify descriptor waits for a grace period of the kernel, 10 to 40 ms.
if have strace; then
	rl run -d --name polled $N busybox sleep 1000 >/dev/null
	strace -f -e trace=inotify_init1 -o calls rl rm -f polled >/dev/null 2>&1
	is "an rm -f waits for the end by pidfds, without inotify" "$(rl ps -aq | wc -l) $(grep -c inotify_init1 calls)" "0 0"
else
	skip "an rm -f waits for the end by pidfds, without inotify" "strace is not installed"
fi
# The directory is made when the child is there already: what is refused then must leave as little as what is refused before.
rl run -d --name taken $N busybox sleep 1000 >/dev/null
for how in "-d" "--rm" "-d --rm"; do
	must_fail "run $how with a name in use is refused" --status 125 --stderr 'the name taken is in use' \
		rl run $how --name taken $N busybox true
done
is "and leaves nothing" "$(ls -A "$RL_ROOT/containers" | wc -l) $(ls "$RL_ROOT/names")" "1 taken"
monitor=$(pgrep -u "$(id -u)" -x rl-monitor | head -n 1)
# A user's own rl runs from a sealed copy.
is "a monitor has given the tables of its command line back" \
	"$(awk '/ ---p .*(\/rl|\/memfd:rl \(deleted\))$/ { on = 1; next } on && /^Rss:/ { print $2; exit }' "/proc/$monitor/smaps")" 0
text=$(readlink "$RL_ROOT/names/taken")
ok "the text of a name fits into an inode of ext4" test "${#text}" -lt 60
ln -sfn "$(ls "$RL_ROOT/containers")" "$RL_ROOT/names/taken"
is "a name as stores had it before is understood" "$(rl inspect -f '{{.Name}}' taken)" "$(rl inspect -f '{{.Name}}' "$(rl ps -q)")"
rl rm -f taken >/dev/null
is "and goes with its container" "$(ls "$RL_ROOT/names")" ""
leftovers "no process or mount stays"
done_testing
