#!/usr/bin/env python3
"""outflood.py - floods as they come from outside, from a namespace in which the caller is root. Sources are forged: the
last two bytes of 10.8.X.Y, and any port. Prints how many packets were sent.

    syn ADDRESS PORT COUNT      first segments of connections that are never finished
    udp ADDRESS PORT COUNT      datagrams, each from another source
    open ADDRESS PORT COUNT     whole connections that then say nothing; prints how many were accepted, and holds them
                                until its standard input ends
"""
import random
import socket
import struct
import sys


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def forge(address, port, count, proto, build):
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    destination = socket.inet_aton(address)
    sent = 0
    for i in range(int(count)):
        source = bytes((10, 8, 1 + i % 250, 1 + i // 250 % 250))
        body = build(1024 + i % 60000, int(port), source + destination)
        # The kernel fills in length and checksum.
        packet = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, proto, 0) + source + destination + body
        try:
            sent += out.sendto(packet, (address, 0)) > 0
        except OSError:
            pass
    print(sent)


def segment(sport, dport, addresses):
    head = struct.pack("!HHIIBBHHH", sport, dport, random.getrandbits(32), 0, 0x50, 2, 1000, 0, 0)
    value = checksum(addresses + struct.pack("!BBH", 0, 6, len(head)) + head)
    return head[:16] + struct.pack("!H", value) + head[18:]


def datagram(sport, dport, addresses):
    return struct.pack("!HHHH", sport, dport, 8 + 5, 0) + b"flood"


def hold(address, port, count):
    kept = []
    for _ in range(int(count)):
        s = socket.socket()
        s.settimeout(20)
        try:
            s.connect((address, int(port)))
            kept.append(s)
        except OSError:
            s.close()
    print(len(kept), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    what, address, port, count = sys.argv[1:]
    if what == "open":
        hold(address, port, count)
    else:
        forge(address, port, count, *{"syn": (6, segment), "udp": (17, datagram)}[what])
