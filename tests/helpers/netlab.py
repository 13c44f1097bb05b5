#!/usr/bin/env python3
"""netlab.py - servers and clients for the network tests; each command does one thing and prints one line per result.

Host side (they print "ready" once they can be used, and run until killed):
    accept LOG ADDR PORT...           TCP servers that write "ADDR PORT" to LOG for each connection, and UDP on the same
                                      ports that writes "udp ADDR PORT" for each datagram and answers it
    dns LOG ADDR MODE                 a name server on port 53, UDP and TCP, that logs "udp NAME" or "tcp NAME"; MODE:
                                      ok, servfail, silent, truncate (UDP only says TC), forge (a wrong id, a wrong name
                                      and then the right answer), big (a 3 kB answer), closetcp
    names LOG ADDR RECORD...          a name server on port 53, UDP and TCP, that knows these: NAME=ADDRESS, NAME=ADDRESS/TTL,
                                      NAME=@ALIAS; the rest does not exist
    split LOG ADDR ROUTE...           a name server on port 53, UDP and TCP, that passes queries on and logs as dns does; ROUTE:
                                      DOMAIN=SERVER, the first that fits; .=SERVER fits all
    full ADDR PORT                    a TCP server that answers nobody: its queue is full
    flood ADDR PORT BYTES CLOSE       sends BYTES to each client, then CLOSE: close, reset, or stop reading ("half")

Container side:
    raw IFACE MAC TARGET...           crafted frames; TARGET: tcp:ADDR:PORT, udp:ADDR:PORT with / between parts, and
                                      /SOURCE behind; prints "TARGET answer", "reset" or "silence" once later echoes of
                                      the gateway have come back and the targets that begin with + were answered
    query SERVER NAME [tcp] [edns]    prints rcode, TC bit and the address
    fetch ADDR PORT                   prints the number of bytes read until the end, or the error
    udp ADDR PORT LENGTH              sends a datagram, prints the length of the answer
    ping ADDR                         one echo on a datagram ICMP socket; prints "reply" or the error
"""
import os
import random
import select
import socket
import struct
import sys
import threading
import time


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def ready():
    print("ready", flush=True)


def log_line(path, text):
    with open(path, "a") as log:
        log.write(text + "\n")


# ---- host side ----

def accept(log, address, *ports):
    poll = select.poll()
    sockets = {}
    for port in map(int, ports):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            s = socket.socket(family(address), kind)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((address, port))
            if kind == socket.SOCK_STREAM:
                s.listen(64)
            poll.register(s, select.POLLIN)
            sockets[s.fileno()] = (s, kind, port)
    ready()
    while True:
        for fd, _ in poll.poll():
            s, kind, port = sockets[fd]
            if kind == socket.SOCK_STREAM:
                connection, peer = s.accept()
                log_line(log, f"{address} {port}")
                try:
                    connection.sendall(f"from {peer[0]}\n".encode())
                except OSError:
                    pass  # gone already
                connection.close()
            else:
                data, peer = s.recvfrom(70000)
                log_line(log, f"udp {address} {port}")
                s.sendto(data, peer)


def name_of(query):
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += query[at] + 1
    return ".".join(labels), at + 5


def dns_answer(query, mode, tcp):
    name, end = name_of(query)
    question = query[12:end]
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton("192.0.2.80")
    flags, records = 0x8180, [record]
    if mode == "servfail":
        flags, records = 0x8182, []
    elif mode == "truncate" and not tcp:
        flags, records = 0x8380, []
    elif mode == "big":
        records = [record] + [b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 60, 201) + b"\xc8" + b"t" * 200] * 14
    return query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + question + b"".join(records)


def dns_sockets(address):
    udp = socket.socket(family(address), socket.SOCK_DGRAM)
    udp.bind((address, 53))
    tcp = socket.socket(family(address), socket.SOCK_STREAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    tcp.bind((address, 53))
    tcp.listen(16)
    return udp, tcp


def dns(log, address, mode):
    udp, tcp = dns_sockets(address)
    ready()
    while True:
        for s in select.select([udp, tcp], [], [])[0]:
            if s is udp:
                query, peer = udp.recvfrom(4096)
                log_line(log, f"udp {name_of(query)[0]}")
                if mode == "silent":
                    continue
                answer = dns_answer(query, mode, False)
                if mode == "forge":
                    udp.sendto(bytes([answer[0] ^ 1]) + answer[1:], peer)
                    forged = bytearray(answer)
                    forged[13] ^= 1
                    udp.sendto(bytes(forged), peer)
                udp.sendto(answer, peer)
            else:
                threading.Thread(target=dns_tcp, args=(log, tcp.accept()[0], mode), daemon=True).start()


def read_exactly(s, n):
    data = b""
    while len(data) < n:
        part = s.recv(n - len(data))
        if not part:
            return None
        data += part
    return data


def dns_tcp(log, s, mode):
    with s:
        while mode != "closetcp":
            prefix = read_exactly(s, 2)
            if not prefix:
                return
            query = read_exactly(s, struct.unpack("!H", prefix)[0])
            log_line(log, f"tcp {name_of(query)[0]}")
            answer = dns_answer(query, mode, True)
            for byte in struct.pack("!H", len(answer)) + answer:
                s.sendall(bytes([byte]))


def records_of(table, name, kind):
    """The records of an answer for `name`, aliases followed: (name, type, ttl, data)."""
    for _ in range(8):
        values = table.get(name, [])
        alias = next((v[1:] for v in values if v[0] == "@"), None)
        for v in values:
            address, _, ttl = v.partition("/")
            if v[0] != "@" and kind == (28 if ":" in address else 1):
                yield name, kind, int(ttl or 60), socket.inet_pton(family(address), address)
        if not alias:
            return
        yield name, 5, 60, encode_name(alias)
        name = alias


def encode_name(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"


def names_answer(log, table, query, proto):
    name, end = name_of(query)
    kind = struct.unpack("!H", query[end - 4:end - 2])[0]
    log_line(log, f"{proto} {name}")
    records = b"".join((b"\xc0\x0c" if n == name.lower() else encode_name(n)) + struct.pack("!HHIH", k, 1, ttl, len(d)) + d
                       for n, k, ttl, d in records_of(table, name.lower(), kind))
    count = len(list(records_of(table, name.lower(), kind)))
    flags = 0x8180 if name.lower() in table else 0x8183
    return query[:2] + struct.pack("!HHHHH", flags, 1, count, 0, 0) + query[12:end] + records


def names(log, address, *records):
    table = {}
    for name, value in (r.split("=", 1) for r in records):
        table.setdefault(name, []).append(value)
    udp, tcp = dns_sockets(address)
    ready()
    while True:
        for s in select.select([udp, tcp], [], [])[0]:
            if s is udp:
                query, peer = udp.recvfrom(4096)
                udp.sendto(names_answer(log, table, query, "udp"), peer)
                continue
            with tcp.accept()[0] as c:
                prefix = read_exactly(c, 2)
                query = read_exactly(c, struct.unpack("!H", prefix)[0]) if prefix else None
                if query:
                    answer = names_answer(log, table, query, "tcp")
                    c.sendall(struct.pack("!H", len(answer)) + answer)


def ask_upstream(query, server, tcp):
    with socket.socket(family(server), socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.connect((server, 53))
        if not tcp:
            s.send(query)
            return s.recv(4096)
        s.sendall(struct.pack("!H", len(query)) + query)
        prefix = read_exactly(s, 2)
        return read_exactly(s, struct.unpack("!H", prefix)[0]) if prefix else None


def split(log, address, *routes):
    routes = [r.split("=", 1) for r in routes]
    udp, tcp = dns_sockets(address)

    def answer(query, proto):
        name = name_of(query)[0]
        log_line(log, f"{proto} {name}")
        server = next(s for d, s in routes if d == "." or name == d or name.endswith("." + d))
        return ask_upstream(query, server, proto == "tcp")

    ready()
    while True:
        for s in select.select([udp, tcp], [], [])[0]:
            if s is udp:
                query, peer = udp.recvfrom(4096)
                udp.sendto(answer(query, "udp"), peer)
                continue
            with tcp.accept()[0] as c:
                prefix = read_exactly(c, 2)
                query = read_exactly(c, struct.unpack("!H", prefix)[0]) if prefix else None
                if query and (data := answer(query, "tcp")):
                    c.sendall(struct.pack("!H", len(data)) + data)


def full(address, port):
    server = socket.socket(family(address), socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, int(port)))
    server.listen(0)
    kept = []
    while True:
        s = socket.socket(family(address), socket.SOCK_STREAM)
        s.settimeout(0.3)
        try:
            s.connect((address, int(port)))
            kept.append(s)
        except OSError:
            break
    ready()
    time.sleep(10000)


def flood(address, port, count, how):
    server = socket.socket(family(address), socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, int(port)))
    server.listen(64)
    ready()
    kept = []
    while True:
        s, _ = server.accept()
        try:
            s.sendall(b"x" * int(count))
        except OSError:
            s.close()
            continue
        if how == "reset":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "half":
            try:
                s.shutdown(socket.SHUT_WR)
                kept.append(s)
            except OSError:
                s.close()
            continue
        s.close()


# ---- container side ----

def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def packet(source, target, kind, port, sport):
    v6 = ":" in target
    src = socket.inet_pton(family(target), source)
    dst = socket.inet_pton(family(target), target)
    if kind == "tcp":
        proto, at = 6, 16
        l4 = struct.pack("!HHIIBBHHH", sport, port, 7, 0, 5 << 4, 2, 65535, 0, 0)
    elif kind == "udp":
        proto, at = 17, 6
        l4 = struct.pack("!HHHH", sport, port, 12, 0) + b"ping"
    else:
        proto, at = (58, 2) if v6 else (1, 2)
        l4 = struct.pack("!BBHHH", 128 if v6 else 8, 0, 0, sport, port)
    pseudo = src + dst + struct.pack("!II" if v6 else "!HH", *((len(l4), proto) if v6 else (proto, len(l4))))
    value = checksum((b"" if proto == 1 else pseudo) + l4)
    l4 = l4[:at] + struct.pack("!H", value) + l4[at + 2:]
    if v6:
        return b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(l4), proto, 64) + src + dst + l4
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(l4), 1, 0, 64, proto, 0) + src + dst
    return b"\x08\x00" + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + l4


def echo_back(s, header, number):
    gateway, own = os.environ["RL_TEST_GATEWAY"], os.environ["RL_TEST_ADDRESS"]
    s.send(header + packet(own, gateway, "icmp", number, 4242))
    frames = []
    while True:
        frame = s.recv(70000)
        if frame[12:14] == b"\x08\x00" and frame[23] == 1 and frame[34] == 0 and frame[38:42] == struct.pack("!HH", 4242, number):
            return frames
        frames.append(frame)


def raw(interface, mac, *targets):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind((interface, 0))
    s.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING
    s.settimeout(20)
    own_mac = s.getsockname()[4]  # sysfs may be that of another namespace
    header = bytes.fromhex("52550a000202") + (own_mac if mac == "own" else bytes.fromhex(mac.replace(":", "")))
    for i, target in enumerate(targets):
        kind, address, port = target.lstrip("+").split("/")[:3]
        source = target.split("/")[3] if target.count("/") == 3 else \
            os.environ["RL_TEST_ADDRESS6" if ":" in address else "RL_TEST_ADDRESS"]
        s.send(header + packet(source, address, kind, int(port), 20000 + i))
    good = bytes.fromhex("52550a000202") + own_mac
    frames, number, end = [], 0, time.monotonic() + 10
    while number < 3 or (any(t[0] == "+" and judge(frames, i) == "silence" for i, t in enumerate(targets)) and
                         time.monotonic() < end):
        frames += echo_back(s, good, number)
        number += 1
    for i, target in enumerate(targets):
        print(target, judge(frames, i))


def judge(frames, i):
    mark = struct.pack("!H", 20000 + i)
    hits = [f for f in frames if f[36:38] == mark or f[56:58] == mark]
    # A TCP answer's flags: 4 is a reset.
    resets = [f for f in hits if (f[12:14], f[23]) == (b"\x08\x00", 6) and f[47] & 4 or
              (f[12:14], f[20]) == (b"\x86\xdd", 6) and f[67] & 4]
    return "reset" if resets else "answer" if hits else "silence"


def query(server, name, *how):
    ident = random.randrange(65536)
    labels = b"".join(bytes([len(p)]) + p.encode() for p in name.split("."))
    extra = b"\0" + struct.pack("!HHIH", 41, 4096, 0, 0) if "edns" in how else b""
    msg = struct.pack("!HHHHHH", ident, 0x100, 1, 0, 0, 1 if extra else 0) + labels + b"\0\0\1\0\1" + extra
    s = socket.socket(family(server), socket.SOCK_STREAM if "tcp" in how else socket.SOCK_DGRAM)
    s.settimeout(30)
    s.connect((server, 53))
    if "tcp" in how:
        for part in (struct.pack("!H", len(msg)), msg[:5], msg[5:]):
            s.sendall(part)
        prefix = read_exactly(s, 2)
        answer = read_exactly(s, struct.unpack("!H", prefix)[0]) if prefix else None
        if not answer:
            print("closed")
            return
    else:
        s.send(msg)
        answer = s.recv(70000)
    got, flags, _, count = struct.unpack("!HHHH", answer[:8])
    end = 12 + len(labels) + 5
    address = socket.inet_ntoa(answer[end + 12:end + 16]) if count else "-"
    print("id-ok" if got == ident else "id-wrong", f"rcode={flags & 15}", f"tc={flags >> 9 & 1}", f"answers={count}", address)


def name(text):
    try:
        print(socket.gethostbyname(text))
    except OSError as e:
        print(e.strerror)


def fetch(address, port):
    s = socket.socket(family(address), socket.SOCK_STREAM)
    s.settimeout(20)
    total = 0
    try:
        s.connect((address, int(port)))
        while True:
            data = s.recv(65536)
            if not data:
                break
            total += len(data)
        print(total)
    except OSError as e:
        print(total, e.strerror or e)


def udp(address, port, length):
    s = socket.socket(family(address), socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect((address, int(port)))
    try:
        s.send(b"u" * int(length))
        print(len(s.recv(70000)))
    except OSError as e:
        print(e.strerror or e)


def ping(address):
    v6 = ":" in address
    s = socket.socket(family(address), socket.SOCK_DGRAM, 58 if v6 else 1)
    s.settimeout(5)
    s.setsockopt(*((41, 25) if v6 else (0, 11)), 1)  # IPV6_RECVERR, IP_RECVERR
    try:
        s.connect((address, 0))
        s.send(struct.pack("!BBHHH", 128 if v6 else 8, 0, 0, 0, 9) + b"data" * 10)
        answer = s.recv(70000)
        print("reply" if answer[0] == (129 if v6 else 0) and answer[6:8] == b"\0\t" and answer[8:] == b"data" * 10 else answer)
    except OSError as e:
        print(e.strerror or e)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
