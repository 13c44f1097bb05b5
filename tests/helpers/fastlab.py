#!/usr/bin/env python3
"""fastlab.py - inside a container with the fast path: what a program sees of it. One line per property, "ok TEXT" or
"not TEXT: WHY", and "done" at the end. Arguments: the address of the host's servers (accept on 80, nobody on 82, a full queue on 83) and groups of
checks: basic, shared, signals, closed, race, routes.
"""
import array
import ctypes
import errno
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

WORLD = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)


def check(text, good, why=""):
    print(f"{'ok' if good else 'not'} {text}{'' if good else f': {why}'}", flush=True)


def tcp(v6=False):
    return socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_STREAM)


def is_fast(s):
    return not s.getsockname()[0].startswith(("10.0.2.", "10.0.3.", "fd00:"))


def code(f):
    try:
        f()
        return "done"
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))


def basic():
    s = tcp()
    s.connect((WORLD, 80))
    check("a blocking connect is on a socket of the host", is_fast(s), s.getsockname())
    check("its peer is the one asked for", s.getpeername() == (WORLD, 80), s.getpeername())
    check("data comes", s.recv(100).startswith(b"from"))
    check("and then the end", s.recv(100) == b"")
    s = tcp()
    s.setblocking(False)
    r = s.connect_ex((WORLD, 80))
    select.select([], [s], [], 10)
    check("a non-blocking connect is in progress or done", r in (0, errno.EINPROGRESS), r)
    check("and then without error", s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and is_fast(s))
    r = s.connect_ex((WORLD, 80))
    check("once more it is done or connected", r in (0, errno.EISCONN), r)
    check("and connected from then on", s.connect_ex((WORLD, 80)) == errno.EISCONN)
    check("the descriptor is still non-blocking", not s.getblocking() and os.get_blocking(s.fileno()) is False)
    check("a refused port says so", code(lambda: tcp().connect((WORLD, 82))) == "ECONNREFUSED")
    s = tcp()
    s.setblocking(False)
    r = s.connect_ex((WORLD, 82))
    select.select([], [s], [], 10)
    check("also later", errno.ECONNREFUSED in (r, s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)), r)
    s = tcp()
    code(lambda: s.connect((WORLD, 82)))
    s.connect((WORLD, 80))
    check("a socket whose connect failed can be used again", s.recv(100).startswith(b"from"))
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
               (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77), (socket.IPPROTO_IP, socket.IP_TOS, 0x10),
               (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 4242), (socket.SOL_SOCKET, socket.SO_RCVLOWAT, 3)]
    s = tcp()
    for option in options:
        s.setsockopt(*option)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20000)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 9))
    s.set_inheritable(True)
    s.connect((WORLD, 80))
    got = [(level, name, s.getsockopt(level, name)) for level, name, _ in options]
    check("options are those that were set", got == options and is_fast(s), got)
    check("buffer sizes and lingering too", s.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 40000 and
          struct.unpack("ii", s.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)) == (1, 9))
    check("a descriptor that is inherited still is", s.get_inheritable())
    s = tcp()
    s.connect((WORLD, 80))
    check("one that is not is not", not s.get_inheritable())
    del s
    numbers, wrong = set(), 0
    for i in range(20):
        with tcp() as s:
            s.set_inheritable(bool(i & 1))
            s.connect((WORLD, 80))
            numbers.add(s.fileno())
            wrong += s.get_inheritable() != bool(i & 1) or not is_fast(s)
    check("twenty connections on one number are each as they were made", len(numbers) == 1 and not wrong, (numbers, wrong))
    server = tcp()
    server.bind(("127.0.0.1", 0))
    server.listen()
    s = tcp()
    s.connect(server.getsockname())
    check("the container's own loopback is its own", server.accept()[1] == s.getsockname())
    server = tcp()
    server.bind(("", 0))
    server.listen()
    own = next(a for a in (os.environ.get("OWN"), "10.0.2.100") if a)
    s = tcp()
    s.connect((own, server.getsockname()[1]))
    check("its own address too", server.accept()[1][0] == own)
    s = tcp(True)
    s.connect(("::ffff:" + WORLD, 80))
    check("an IPv4 address in its IPv6 form is fast", is_fast(s) and s.recv(100).startswith(b"from"), s.getsockname())
    s = tcp(True)
    s.connect(("2001:db8::1", 80))
    check("IPv6 is", is_fast(s) and s.recv(100).startswith(b"from"), s.getsockname())
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.settimeout(10)
    u.connect((WORLD, 80))
    u.send(b"x")
    check("datagrams go their way", u.recv(10) == b"x" and not is_fast(u))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("/tmp/unix")
    listener.listen()
    c = socket.socket(socket.AF_UNIX)
    c.connect("/tmp/unix")
    a = listener.accept()[0]
    pid = struct.unpack("3i", a.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    check("a unix socket's peer is this process", pid == os.getpid(), pid)
    check("a connect on no socket says so", libc.connect(0, b"\2\0", 2) == -1 and ctypes.get_errno() == errno.ENOTSOCK)
    check("on no descriptor too", libc.connect(99, b"\2\0", 2) == -1 and ctypes.get_errno() == errno.EBADF)
    s = tcp()
    check("an address that cannot be read is an error", libc.connect(s.fileno(), ctypes.c_void_p(8), 16) == -1 and
          ctypes.get_errno() == errno.EFAULT)


def shared():
    s = tcp()
    e = select.epoll()
    e.register(s, select.EPOLLOUT | select.EPOLLIN)
    s.setblocking(False)
    s.connect_ex((WORLD, 80))
    seen = 0
    while not seen & select.EPOLLIN:
        for _, events in e.poll(10):
            seen |= events
    check("a socket that epoll knows keeps its registration", s.recv(100).startswith(b"from"))
    check("and goes the slow way", not is_fast(s), s.getsockname())
    s = tcp()
    other = s.dup()
    s.connect((WORLD, 80))
    check("of a duplicated socket both work", other.recv(100).startswith(b"from") and not is_fast(s))
    s = tcp()
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(w)
        os.read(r, 1)
        os._exit(0 if s.recv(100).startswith(b"from") else 1)
    s.connect((WORLD, 80))
    os.write(w, b"x")
    check("a child that inherited the socket before has it", os.waitpid(pid, 0)[1] == 0 and not is_fast(s))
    s = tcp()
    s.connect((WORLD, 80))
    pid = os.fork()
    if pid == 0:
        os._exit(0 if s.recv(100).startswith(b"from") else 1)
    check("one that inherits it afterwards too", os.waitpid(pid, 0)[1] == 0 and is_fast(s))
    # As asio does: edges, asked for before the connect, and more of them after it.
    s = tcp()
    e = select.epoll()
    e.register(s, select.EPOLLIN | select.EPOLLPRI | select.EPOLLERR | select.EPOLLHUP | select.EPOLLET)
    s.setblocking(False)
    s.connect_ex((WORLD, 80))
    e.modify(s, select.EPOLLIN | select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP | select.EPOLLET)
    seen, got = 0, b""
    while not seen & select.EPOLLOUT or not got:
        for _, events in e.poll(10):
            seen |= events
        try:
            got = s.recv(100)
        except BlockingIOError:
            pass
    check("asio's order of calls gets its edges", got.startswith(b"from") and not s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    # A process that got it in a message.
    near, far = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        _, fds, _, _ = socket.recv_fds(far, 1, 1)
        far.send(b"x")
        far.recv(1)
        os._exit(0 if socket.socket(fileno=fds[0]).recv(100).startswith(b"from") else 1)
    s = tcp()
    socket.send_fds(near, [b"x"], [s.fileno()])
    near.recv(1)
    s.connect((WORLD, 80))
    near.send(b"x")
    check("a process that got the socket in a message has it", os.waitpid(pid, 0)[1] == 0 and not is_fast(s))
    # Tables of descriptors with gaps.
    os.dup2(os.open("/dev/null", os.O_RDONLY), 700)
    s = tcp()
    s.connect((WORLD, 80))
    check("a descriptor far behind the others is no obstacle", is_fast(s))
    s = tcp()
    os.dup2(s.fileno(), 900)
    s.connect((WORLD, 80))
    check("a duplicate far behind the others is found", not is_fast(s) and
          socket.socket(fileno=900).recv(100).startswith(b"from"))

    def one():
        s = tcp()
        s.connect((WORLD, 80))
        os._exit(0 if is_fast(s) else 1)

    good = 0
    for _ in range(100):
        pid = os.fork()
        if pid == 0:
            one()
        good += os.waitpid(pid, 0)[1] == 0
    check("a hundred processes one after the other are all fast", good == 100, good)
    s = tcp()
    s.bind(("", 45678))
    s.connect((WORLD, 80))
    check("a socket that was bound keeps its port", s.getsockname()[1] == 45678 and s.recv(100).startswith(b"from"))


def routes():
    """With CAP_NET_ADMIN: what was found out about a target holds only until its route changes."""
    def ip(*words):
        subprocess.run(["ip", *words], check=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})

    def is_fast_now():
        s = tcp()
        s.connect((WORLD, 80))
        return is_fast(s)

    check("a target behind the way out is fast", is_fast_now() and is_fast_now())
    ip("route", "add", "unreachable", WORLD)
    check("one that has no route any more cannot be reached", code(is_fast_now) == "EHOSTUNREACH", code(is_fast_now))
    ip("route", "del", "unreachable", WORLD)
    check("and is again when it has one", is_fast_now())
    ip("address", "add", WORLD, "dev", "lo")
    check("an address that has become the container's own is its own", code(is_fast_now) == "ECONNREFUSED")
    ip("address", "del", f"{WORLD}/32", "dev", "lo")
    check("and no longer when it is gone", is_fast_now())


def signals():
    def handler(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, handler)
    signal.alarm(1)
    try:
        tcp().connect((WORLD, 83))
        check("an alarm ends a connect that waits", False, "connected")
    except TimeoutError:
        check("an alarm ends a connect that waits", True)
    # Without a handler of Python's: the call itself says EINTR.
    libc.siginterrupt(signal.SIGALRM, 1)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        tcp().connect((WORLD, 83))
        os._exit(0)
    time.sleep(0.5)
    os.kill(pid, signal.SIGINT)
    check("an interrupt kills a program that connects", os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGINT)
    s = tcp()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 300000))
    check("SO_SNDTIMEO bounds it", code(lambda: s.connect((WORLD, 83))) == "EINPROGRESS")
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    bad = [r for r in (code(lambda: tcp().connect((WORLD, 80))) for _ in range(100)) if r != "done"]
    signal.setitimer(signal.ITIMER_REAL, 0)
    check("signals in between do no harm", not bad, bad)
    done = []

    def one():
        done.append(code(lambda: tcp().connect((WORLD, 80))))

    threads = [threading.Thread(target=one) for _ in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check("forty threads at once are all served", done == ["done"] * 40, done)
    t = threading.Thread(target=lambda: code(lambda: tcp().connect((WORLD, 83))), daemon=True)
    t.start()
    time.sleep(0.2)
    s = tcp()
    s.connect((WORLD, 80))
    check("one that waits keeps no other waiting", s.recv(100).startswith(b"from"))


def closed():
    check("the host's loopback is not the container's", code(lambda: tcp().connect(("127.0.0.1", 90))) == "ECONNREFUSED")
    check("nor 0.0.0.0", code(lambda: tcp().connect(("0.0.0.0", 90))) == "ECONNREFUSED")
    check("nor ::1", code(lambda: tcp(True).connect(("::1", 90))) == "ECONNREFUSED")
    check("nor its mapped form", code(lambda: tcp(True).connect(("::ffff:127.0.0.1", 90))) == "ECONNREFUSED")
    check("nor the gateway's", code(lambda: tcp().connect(("10.0.2.2", 90))) == "ECONNREFUSED")
    check("MSG_FASTOPEN is refused", code(lambda: tcp().sendto(b"x", 0x20000000, (WORLD, 80))) in ("EOPNOTSUPP", "ENOTSUP"))
    check("TCP_FASTOPEN_CONNECT is", code(lambda: tcp().setsockopt(6, 30, 1)) == "ENOPROTOOPT")
    check("MPTCP is", code(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)) == "EPROTONOSUPPORT")
    check("raw sockets are", code(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)) == "EPERM")
    check("io_uring is not there", libc.syscall(425, 1, 0) == -1 and ctypes.get_errno() in (errno.ENOSYS, errno.EPERM))
    s = tcp()
    s.connect((WORLD, 80))
    libc.connect(s.fileno(), b"\0" * 16, 16)  # AF_UNSPEC
    check("a socket of the host leads nowhere inside", code(lambda: s.connect(("127.0.0.1", 90))) == "ENETUNREACH")
    check("nor to the gateway", code(lambda: s.connect(("10.0.2.2", 90))) == "ENETUNREACH")
    check("it cannot be bound", code(lambda: s.bind(("", 0))) == "EINVAL")
    check("it cannot listen", code(lambda: s.listen()) == "EADDRINUSE")
    check("the ports it may have cannot be changed", code(lambda: s.setsockopt(0, 51, 0)) == "ENOPROTOOPT")


def race():
    """Other threads change the address, and put other descriptors in the place of the one that is looked at."""
    addresses = [struct.pack("!HH4s8x", 0, 80, socket.inet_aton(WORLD)), struct.pack("!HH4s8x", 0, 90, b"\x7f\0\0\1"),
                 struct.pack("!HH4s8x", 0, 90, socket.inet_aton(os.environ.get("GATEWAY", "10.0.2.2")))]
    addresses = [struct.pack("H", socket.AF_INET) + a[2:] for a in addresses]
    addresses += [b"\0" * 16, struct.pack("H", socket.AF_UNIX) + b"/nonexist\0\0\0\0\0"]
    memory = ctypes.create_string_buffer(16)
    place = tcp().detach()
    stop = []

    def rewrite():
        while not stop:
            for a in addresses:
                ctypes.memmove(memory, a, 16)

    def swap():
        while not stop:
            host, unix, fresh = tcp(), socket.socket(socket.AF_UNIX), tcp()
            code(lambda: host.connect((WORLD, 80)))
            for s in (unix, host, fresh, unix, host):
                os.dup2(s.fileno(), place)
            for s in (host, unix, fresh):
                s.close()

    threads = [threading.Thread(target=rewrite), threading.Thread(target=swap)]
    for t in threads:
        t.start()
    end = time.monotonic() + float(os.environ.get("RACE_SECONDS", "4"))
    tries, listening = 0, 0
    host = tcp()
    host.connect((WORLD, 80))
    netns = host.getsockopt(socket.SOL_SOCKET, 71, 8)
    while time.monotonic() < end:
        libc.connect(place, memory, 16)
        libc.listen(place, 5)
        libc.bind(place, memory, 16)
        with socket.socket(fileno=os.dup(place)) as s:
            listening += s.family == socket.AF_INET and s.getsockopt(socket.SOL_SOCKET, 71, 8) == netns and \
                s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        tries += 1
    stop.append(1)
    for t in threads:
        t.join()
    check("threads that race it end", tries > 10, tries)
    check("and never had a socket of the host that listens", not listening, listening)


for group in sys.argv[2:]:
    globals()[group]()
print("done", flush=True)
