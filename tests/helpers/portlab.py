#!/usr/bin/env python3
"""portlab.py - servers and clients for the tests of published ports and networks.

Servers (print "ready", run until killed). A connection or datagram is answered with "tcp ADDR PORT" or "udp ADDR PORT" of
the peer as the server sees it, then a connection is echoed until it ends.
    serve PORT[/udp]...               on all addresses of both families
Clients:
    ask ADDR PORT [SOURCE [SPORT]]    connect, print the first line
    askudp ADDR PORT [SOURCE [SPORT]] send a datagram, print the answer
    echo ADDR PORT BYTES              send BYTES both ways at the same time, compare digests, end one direction first
    idle ADDR PORT COUNT              open COUNT connections, print the number that were greeted, wait for a line
    reset ADDR PORT                   connect, read the first line, reset
    big ADDR PORT LENGTH              send a datagram of LENGTH bytes, print the length of the second answer
"""
import hashlib
import selectors
import socket
import struct
import sys
import threading


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def plain(address):
    return address[7:] if address.startswith("::ffff:") else address


def serve(*ports):
    sel = selectors.DefaultSelector()

    def accept(listener):
        c, peer = listener.accept()
        c.setblocking(False)
        c.setsockopt(socket.SOL_TCP, socket.TCP_NODELAY, 1)
        state = {"out": f"tcp {plain(peer[0])} {peer[1]}\n".encode(), "ended": False}
        sel.register(c, selectors.EVENT_READ | selectors.EVENT_WRITE, lambda s: talk(s, state))

    def talk(c, state):
        try:
            if not state["ended"] and len(state["out"]) < 1 << 20:
                try:
                    data = c.recv(1 << 18)
                    state["out"] += data
                    state["ended"] = not data
                except BlockingIOError:
                    pass
            if state["out"]:
                try:
                    state["out"] = state["out"][c.send(state["out"]):]
                except BlockingIOError:
                    pass
            if state["ended"] and not state["out"]:
                raise OSError
            events = (0 if state["ended"] else selectors.EVENT_READ) | (selectors.EVENT_WRITE if state["out"] else 0)
            sel.modify(c, events, lambda s: talk(s, state))
        except OSError:
            sel.unregister(c)
            c.close()

    def datagram(s):
        data, peer = s.recvfrom(70000)
        s.sendto(f"udp {plain(peer[0])} {peer[1]}".encode(), peer)
        if len(data) > 100:
            s.sendto(data, peer)

    for port in ports:
        udp = port.endswith("/udp")
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("::", int(port.split("/")[0])))
        if not udp:
            s.listen(4096)
        sel.register(s, selectors.EVENT_READ, datagram if udp else accept)
    print("ready", flush=True)
    while True:
        for key, _ in sel.select():
            key.data(key.fileobj)


def client(kind, address, port, source=None, sport="0"):
    s = socket.socket(family(address), kind)
    s.settimeout(30)
    if source or sport != "0":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((source or "", int(sport)))
    s.connect((address, int(port)))
    return s


def ask(*args):
    try:
        with client(socket.SOCK_STREAM, *args) as s:
            print(s.makefile().readline().strip() or "nothing")
    except OSError as e:
        print(e.strerror or e)


def askudp(*args):
    with client(socket.SOCK_DGRAM, *args) as s:
        s.settimeout(2)
        for _ in range(10):  # a datagram may be lost
            try:
                s.send(b"?")
                print(s.recv(1000).decode())
                return
            except socket.timeout:
                pass
            except OSError as e:
                print(e.strerror)
                return
    print("silence")


def echo(address, port, count):
    count = int(count)
    with client(socket.SOCK_STREAM, address, port) as s:
        f = s.makefile("rb")
        f.readline()
        block = bytes(range(256)) * 1024
        sent = hashlib.sha256()

        def push():
            left = count
            while left:
                data = block[:min(left, len(block))]
                sent.update(data)
                s.sendall(data)
                left -= len(data)
            s.shutdown(socket.SHUT_WR)

        t = threading.Thread(target=push)
        t.start()
        got, n = hashlib.sha256(), 0
        while data := f.read1(1 << 18):
            got.update(data)
            n += len(data)
        t.join()
    print(n, "same" if got.digest() == sent.digest() else "different")


def idle(address, port, count):
    sockets, greeted = [], 0
    for _ in range(int(count)):
        s = socket.socket(family(address), socket.SOCK_STREAM)
        s.settimeout(60)
        s.connect((address, int(port)))
        sockets.append(s)
    for s in sockets:
        greeted += s.recv(100).startswith(b"tcp ")
    print(greeted, flush=True)
    sys.stdin.readline()


def reset(address, port):
    s = client(socket.SOCK_STREAM, address, port)
    s.recv(100)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def big(address, port, length):
    with client(socket.SOCK_DGRAM, address, port) as s:
        s.settimeout(5)
        for _ in range(5):
            try:
                s.send(b"x" * int(length))
                s.recv(100)
                print(len(s.recv(70000)))
                return
            except socket.timeout:
                pass
    print("silence")


if __name__ == "__main__":
    {"serve": serve, "ask": ask, "askudp": lambda *a: askudp(*a), "echo": echo, "idle": idle, "reset": reset,
     "big": big}[sys.argv[1]](*sys.argv[2:])
