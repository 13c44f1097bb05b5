#!/bin/bash
# deadline: 240
# exec: another command in a running container, with the same restrictions as the first one.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
both_id_modes
have python3 || skip_all "python3 is not installed"
N="--network none"

rl run -d $N --name c -e FROM=run -w /tmp --ulimit nofile=200:300 busybox sleep 10000 >/dev/null
output_is "a command runs in it" hi rl exec c echo hi
status_is "its status comes through" 7 rl exec c sh -c 'exit 7'
status_is "128 + 9 for one that was killed" 137 rl exec c sh -c 'kill -9 $$'
must_fail "127 for one that is not there" --status 127 --stderr 'not found' rl exec c nosuch
must_fail "127 also by its path" --status 127 rl exec c /no/such
must_fail "126 for one that cannot be executed" --status 126 rl exec c /etc
must_fail "125 for a container that is not there" --status 125 --stderr "no container 'nosuch'" rl exec nosuch true
must_fail "125 without a command" --status 125 --stderr 'usage' rl exec c
ns() { for n in cgroup ipc mnt net pid user uts; do "$@" readlink /proc/${1:+self}/ns/$n; done; }
all_ns='for n in cgroup ipc mnt net pid user uts; do readlink /proc/$P/ns/$n; done'
is "it is in every namespace of the container" "$(rl exec -e P=self c sh -c "$all_ns")" "$(rl exec -e P=1 c sh -c "$all_ns")"
is "its process is a child of none inside" "$(rl exec c sh -c 'cut -d" " -f4 /proc/$$/stat')" 0

# --- what it is given ---
output_is "the container's environment" run rl exec c sh -c 'echo $FROM'
output_is "-e adds to it" "b run" rl exec -e A=b c sh -c 'echo $A $FROM'
output_is "-e NAME takes the caller's" mine env X=mine rl exec -e X c sh -c 'echo $X'
printf 'F=1\n# comment\nG=two words\n' >envs
output_is "--env-file reads a file, -e wins" "3 two words" rl exec --env-file envs -e F=3 c sh -c 'echo $F $G'
output_is "nothing else of the caller's environment" "" env LEAK=1 rl exec c sh -c 'env | grep LEAK; :'
output_is "the container's directory" /tmp rl exec c pwd
output_is "-w another" /etc rl exec -w /etc c pwd
must_fail "-w with a relative path is refused" --status 125 --stderr 'absolute' rl exec -w below c pwd
must_fail "-w one that is not there is refused" --status 126 --stderr 'working directory' rl exec -w /nope c true
output_is "resource limits are the container's" "200 300" rl exec c sh -c 'echo $(ulimit -Sn) $(ulimit -Hn)'
output_is "the umask too" 0022 rl exec c sh -c umask
output_is "without -i it reads nothing" "" sh -c 'echo x | rl exec c cat'
output_is "-i gives it standard input" x sh -c 'echo x | rl exec -i c cat'
is "standard output and error are kept apart" "$(rl exec c sh -c 'echo out; echo err >&2' 2>/dev/null)" out
is "200 MB pass unchanged" "$(head -c 200000000 /dev/zero | rl exec -i c cat | sha256sum)" "$(head -c 200000000 /dev/zero | sha256sum)"
output_is "no descriptor of ours is open in it" "" rl exec c sh -c 'for f in /proc/self/fd/*; do case $f in */[012]) ;; *) readlink $f;; esac; done; :'
exec 3<envs
output_is "--preserve-fds hands one on" "F=1" rl exec --preserve-fds 1 c sh -c 'head -n 1 <&3'
exec 3<&-
must_fail "--preserve-fds of one that is not open is refused" --status 125 --stderr 'descriptor 3' rl exec --preserve-fds 1 c true
output_is "-l is the container made last" /tmp rl exec -l pwd

# --- its rights ---
rights='grep -E "^(Cap|NoNewPrivs|Seccomp:)" /proc/$P/status'
is "capabilities, no_new_privs and filter are the first command's" "$(rl exec -e P=self c sh -c "$rights")" "$(rl exec -e P=1 c sh -c "$rights")"
must_fail "mount is refused as in the container" rl exec c mount -t tmpfs x /mnt
rl run -d $N --name d --cap-drop ALL --cap-add CHOWN --security-opt no-new-privileges=false busybox sleep 10000 >/dev/null
is "also where they were chosen" "$(rl exec -e P=self d sh -c "$rights")" "$(rl exec -e P=1 d sh -c "$rights")"
is "--privileged has every capability" "$(rl exec --privileged c sh -c 'grep CapEff /proc/self/status')" "$(rl run --rm $N --privileged busybox grep CapEff /proc/self/status)"
ok "--privileged may mount" rl exec --privileged c sh -c 'mount -t tmpfs x /mnt && umount /mnt'
if [ "${RL_IDMAP:-}" != single ]; then
	output_is "-u by number" "5:0" rl exec -u 5 c sh -c 'echo $(id -u):$(id -g)'
	output_is "-u with a group" "5:6" rl exec -u 5:6 c sh -c 'echo $(id -u):$(id -g)'
	output_is "-u another user has no capabilities in effect" 0000000000000000 rl exec -u 5 c sh -c 'sed -n "s/^CapEff:[[:space:]]*//p" /proc/self/status'
	must_fail "-u a name that is not there is refused" --status 125 --stderr "nobodyhere" rl exec -u nobodyhere c true
	rl run -d $N --name u -u 7:8 busybox sleep 10000 >/dev/null
	output_is "the container's user is the default" "7:8" rl exec u sh -c 'echo $(id -u):$(id -g)'
	output_is "root of it can be asked for" 0 rl exec -u 0 u id -u
	rl run -d $N --name k --userns keep-id busybox sleep 10000 >/dev/null
	output_is "a keep-id container is joined as its user" "$(id -u)" rl exec k id -u
fi
must_fail "-u with an unmapped number is refused" --status 125 --stderr 'not mapped' rl exec -u 4000000000 c true
cat >profile.json <<'P'
{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]}
P
rl run -d $N --name s --security-opt seccomp=profile.json busybox sleep 10000 >/dev/null
rm profile.json
must_fail "a profile of the container's own counts after its file is gone" --stderr 'Permission denied' rl exec s mkdir /x
must_fail "also with --privileged" --stderr 'Permission denied' rl exec --privileged s mkdir /x
rl run -d --network host --name h busybox sleep 10000 >/dev/null
output_is "a container with the host's network is joined" ok rl exec h echo ok
is "and its commands are in the host's network namespace" "$(rl exec h readlink /proc/self/ns/net)" "$(readlink /proc/self/ns/net)"
rl run -d $N --init --name i -e SECRETWORD=1 busybox sleep 10000 >/dev/null
output_is "a container with --init is joined" ok rl exec i echo ok
output_is "its reaper does not show how it was started" "" rl exec i sh -c 'tr -d "\0" </proc/1/cmdline'

# --- life ---
rl exec -d c sleep 4711
ok "-d leaves the command running" rl exec c sh -c 'ps | grep -q "[s]leep 4711"'
must_fail "-d says when there is no such command" --status 127 rl exec -d c nosuch
rl exec -i c sh -c 'trap "exit 42" TERM; echo ready; while :; do read -t 1 x; done' >sig.out </dev/null &
pid=$!
wait_for "the command" 60 grep -q ready sig.out
kill -TERM $pid
wait $pid
is "a signal is passed on" $? 42
rl exec c sleep 4712 &
pid=$!
wait_for "the command" 60 rl exec c sh -c 'ps | grep -q "[s]leep 4712"'
kill -TERM $pid
wait $pid
is "one that it does not catch ends it" $? 143
rl exec c sh -c 'trap "" HUP INT TERM; sleep 4713; sleep 4714' &
pid=$!
wait_for "the command" 60 rl exec c sh -c 'ps | grep -q "[s]leep 4713"'
kill -KILL $pid
wait $pid 2>/dev/null
ended() { ! rl exec c sh -c 'ps | grep -q "[t]rap"'; }
wait_for "its end" 60 ended
not_ok "when rl is killed, the command is" rl exec c sh -c 'ps | grep -q "[t]rap"'
rl run -d $N --name e busybox sleep 10000 >/dev/null
rl exec e sleep 10000 &
pid=$!
wait_for "the command" 60 rl exec e sh -c 'ps | grep -q "[s]leep 10000"'
rl kill e >/dev/null
wait $pid
is "the end of the container is its end" $? 137
must_fail "a container that does not run is refused" --status 125 --stderr 'not running' rl exec e true

# --- terminal ---
cat >drive.py <<'P'
import fcntl, os, pty, select, struct, sys, termios, time
events = sys.argv[1]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 33, 99, 0, 0))
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
def expect(text, limit=60):
    end = time.time() + limit
    while text.encode() not in seen:
        if time.time() > end or not pump(0.1):
            if text.encode() in seen: return
            print('MISSING', repr(text), 'in', repr(seen)); break
def send(text):
    os.write(fd, text.encode())
exec(events)
end = time.time() + 60
while time.time() < end and pump(0.2):
    pass
_, status = os.waitpid(pid, 0)
print(seen.decode(errors='replace').replace('\r', ''))
print('STATUS', os.waitstatus_to_exitcode(status))
P
drive() { timeout 100 python3 drive.py "$@" 2>&1; }
out=$(drive "expect('ready'); send('one\n'); expect('got-one'); send('\x03')" rl exec -it c sh -c 'trap "exit 9" INT; tty; stty size; echo TERM-$TERM; echo ready; read x; echo got-$x; while :; do sleep 0.1; done')
like "-it is a terminal of the container" "$out" '/dev/pts/[0-9]'
like "of our size" "$out" '33 99'
like "with TERM" "$out" 'TERM-xterm'
like "what is typed arrives" "$out" got-one
like "Ctrl-C is the program's" "$out" 'STATUS 9'
out=$(drive "expect('ready'); send('\x10\x11')" rl exec -it c sh -c 'echo ready; trap "" HUP; while :; do echo more; sleep 0.05; [ -e /tmp/enough ] && touch /tmp/went-on && exit; done')
like "ctrl-p ctrl-q leaves it" "$out" 'STATUS 0'
rl exec c touch /tmp/enough
ok "and it goes on, though nobody reads it" wait_for "the command" 60 rl exec c test -e /tmp/went-on
out=$(drive "expect('ready'); send('\x10\x11'); send('q\n')" rl exec -it --detach-keys '' c sh -c 'echo ready; read x; exit 4')
like "--detach-keys '' switches that off" "$out" 'STATUS 4'
must_fail "-it without a terminal is refused" --stderr 'needs a terminal' rl exec -it c true
rl exec -dt c sh -c 'test -t 0 && touch /tmp/dt'
ok "-dt has a terminal too" wait_for "the command" 60 rl exec c test -e /tmp/dt

# --- many at once ---
for i in {1..50}; do rl exec c sh -c "exit $i" & pids[i]=$!; done
bad=0
for i in {1..50}; do wait "${pids[i]}"; [ $? = "$i" ] || bad=$((bad + 1)); done
is "fifty at once each have their own status" $bad 0
rl rm -fa >/dev/null
leftovers "nothing is left running or mounted"
rl run -d --network none --cidfile cid busybox sleep 1000 >/dev/null
is "exec --cidfile" "$(rl exec --cidfile cid echo by id)" "by id"
must_fail "exec --cidfile of a file that is not there" --status 125 --stderr cidfile rl exec --cidfile nofile true
rl rm -f --cidfile cid >/dev/null
done_testing
