#!/bin/bash
# A terminal for the container: allocated inside, sized before the command starts, restored afterwards.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
have python3 || skip_all "python3 is not installed"

# drive ROWS COLS SCRIPT-OF-EVENTS -- COMMAND...: runs the command on a pty of that size; events are python.
cat >drive.py <<'P'
import fcntl, os, pty, select, signal, struct, sys, termios, time
rows, cols, events = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[4], sys.argv[4:])
def size(r, c):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', r, c, 0, 0))
size(rows, cols)
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
def running(text, limit=20):
    # the payload has been executed: its command line is there
    end = time.time() + limit
    while time.time() < end:
        pump(0.02)
        for p in os.listdir('/proc'):
            try:
                if p.isdigit() and open('/proc/%s/cmdline' % p, 'rb').read() == text.replace(' ', '\0').encode() + b'\0': return
            except OSError: pass
    print('NOT RUNNING', text)
def send(text):
    os.write(fd, text.encode())
before = termios.tcgetattr(fd)
exec(events)
end = time.time() + 20
while time.time() < end and pump(0.2):
    pass
_, status = os.waitpid(pid, 0)
print(seen.decode(errors='replace').replace('\r', ''))
print('STATUS', os.waitstatus_to_exitcode(status))
P
drive() { python3 drive.py "$@" 2>&1; }
term="rl run --rm --network none -it busybox"

like "the size is right from the first byte" "$(drive 33 77 '' $term stty size)" '33 77'
like "standard input is a terminal" "$(drive 24 80 '' $term tty)" '/dev/pts/0'
like "/dev/console is there" "$(drive 24 80 '' $term sh -c 'test -c /dev/console && echo console')" console
like "a resize is followed" "$(drive 24 80 "expect('ready'); size(50, 111); send('\n')" $term sh -c 'echo ready; read x; sleep 0.3; stty size')" '50 111'
like "the status comes through" "$(drive 24 80 '' $term sh -c 'exit 9')" 'STATUS 9'
cat >many.py <<'P'
import os, pty, sys
bad = 0
for i in range(60):
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(sys.argv[1], sys.argv[1:])
    try:
        while os.read(fd, 4096):
            pass
    except OSError:
        pass
    bad += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 9
    os.close(fd)
print(bad)
P
is "every time, however soon the command ends" "$(python3 many.py $term sh -c 'exit 9')" 0
like "typed text reaches the command" "$(drive 24 80 "expect('ready'); send('hello\n')" $term sh -c 'echo ready; read x; echo got-\$x')" 'got-'
like "Ctrl-C ends a PID 1 that does not catch it" "$(drive 24 80 "running('sleep 98763'); send('\x03')" $term sleep 98763)" 'STATUS 130'
like "Ctrl-C is the program's where it is caught" "$(drive 24 80 "expect('ready'); send('\x03')" $term sh -c 'trap "exit 5" INT; echo ready; while :; do sleep 0.1; done')" 'STATUS 5'
like "Ctrl-D ends a reader" "$(drive 24 80 "expect('ready'); send('\x04')" $term sh -c 'echo ready; cat; exit 6')" 'STATUS 6'
like "TERM is set" "$(drive 24 80 '' $term sh -c 'echo T-$TERM')" 'T-xterm'
like "our terminal's mode is restored" "$(drive 24 80 '' sh -c "a=\$(stty -g); $term true; test \"\$a\" = \"\$(stty -g)\" && echo same")" same
like "also after the command was killed" "$(drive 24 80 '' sh -c "a=\$(stty -g); $term sh -c 'kill -9 \$\$; exit'; test \"\$a\" = \"\$(stty -g)\" && echo same")" same
leftovers "nothing is left running or mounted"
done_testing
