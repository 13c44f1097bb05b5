#!/usr/bin/env python3
"""spoof.py - frames that a container must not be able to send to its neighbours. Needs CAP_NET_RAW; sends by eth0.

    arp CLAIMED DST-ADDRESS DST-MAC        answers and announcements that CLAIMED is here
    na CLAIMED6 DST-ADDRESS6 DST-MAC       the same in IPv6
    mac FORGED-MAC DST-MAC                 frames from another MAC address, so that the bridge learns it here
    udp CLAIMED SPORT DST-ADDRESS DPORT DST-MAC [FORGED-MAC]
                                           datagrams from another address, 20 of them, with the text "forged"
    udp6 CLAIMED6 SPORT DST-ADDRESS6 DPORT DST-MAC
    flood SECONDS                          broadcasts, fragments and half-open connections as fast as they go
    half TARGET GATEWAY-MAC COUNT          connections to port 7101 of TARGET that are begun and not finished
"""
import os
import random
import socket
import struct
import sys
import time

own = bytes.fromhex(open("/sys/class/net/eth0/address").read().strip().replace(":", ""))
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind(("eth0", 0))


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def send(frame):
    try:
        out.send(frame)
        return True
    except OSError:
        return False


def arp(claimed, address, target):
    for op in (1, 2):
        for where in (mac(target), b"\xff" * 6):
            for l2, body in ((own, own), (own, mac("02:00:00:00:66:66")), (mac("02:00:00:00:66:66"), own)):
                send(where + l2 + struct.pack("!HHHBBH", 0x806, 1, 0x800, 6, 4, op) + body +
                     socket.inet_aton(claimed) + mac(target) + socket.inet_aton(address if op == 2 else claimed))


def ip4(src, dst, proto, payload, ident=1, flags=0):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, flags, 64, proto, 0,
                       socket.inet_aton(src), socket.inet_aton(dst))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ip6(src, dst, proto, payload):
    src, dst = (socket.inet_pton(socket.AF_INET6, a) for a in (src, dst))
    pseudo = src + dst + struct.pack("!II", len(payload), proto)
    at = 2 if proto == 58 else 6
    payload = payload[:at] + struct.pack("!H", checksum(pseudo + payload)) + payload[at + 2:]
    return struct.pack("!IHBB", 0x60000000, len(payload), proto, 255) + src + dst + payload


def own6():
    for line in open("/proc/net/if_inet6"):
        word = line.split()
        if word[5] == "eth0" and not word[0].startswith("fe80"):
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(word[0]))
    raise SystemExit("no IPv6 address")


def na(claimed, address, target):
    body = struct.pack("!BBHI", 136, 0, 0, 0x20000000) + socket.inet_pton(socket.AF_INET6, claimed) + b"\x02\x01" + own
    for source in (own6(), claimed, "fe80::1"):
        send(mac(target) + own + b"\x86\xdd" + ip6(source, address, 58, body))
        send(mac("33:33:00:00:00:01") + own + b"\x86\xdd" + ip6(source, "ff02::1", 58, body))


def forge_mac(forged, target):
    for _ in range(5):
        send(mac(target) + mac(forged) + b"\x88\xb5" + b"x" * 50)
        send(b"\xff" * 6 + mac(forged) + b"\x88\xb5" + b"x" * 50)


def udp(claimed, sport, address, dport, target, forged=None):
    data = struct.pack("!HHHH", int(sport), int(dport), 8 + 6, 0) + b"forged"
    for _ in range(20):
        send(mac(target) + (mac(forged) if forged else own) + b"\x08\x00" + ip4(claimed, address, 17, data))


def udp6(claimed, sport, address, dport, target):
    data = struct.pack("!HHHH", int(sport), int(dport), 8 + 6, 0) + b"forged"
    for _ in range(20):
        send(mac(target) + own + b"\x86\xdd" + ip6(claimed, address, 17, data))


def flood(seconds):
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.connect(("192.0.2.1", 9))
    me = probe.getsockname()[0]
    net = me.rsplit(".", 1)[0]
    end = time.monotonic() + float(seconds)
    sent = 0
    while time.monotonic() < end:
        host = f"{net}.{random.randrange(2, 250)}"
        syn = struct.pack("!HHIIBBHHH", random.randrange(1024, 65536), 80, random.getrandbits(32), 0, 0x50, 2, 1000, 0, 0)
        sent += send(b"\xff" * 6 + own + b"\x08\x00" + ip4(me, f"{net}.255", 17, b"\0\x09\0\x09\0\x10\0\0flooding"))
        sent += send(b"\xff" * 6 + own + b"\x08\x00" + ip4(me, host, 6, syn))
        sent += send(b"\xff" * 6 + own + b"\x08\x00" + ip4(me, host, 17, os.urandom(64), random.getrandbits(16), 0x2000))
        sent += send(b"\xff" * 6 + own + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + own +
                     socket.inet_aton(me) + b"\0" * 6 + socket.inet_aton(host))
    print(sent)


def half(target, gateway_mac, count):
    """SYNs of its own to one port that nobody answers; our kernel never hears of the connections."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.connect((target, 9))
    me = probe.getsockname()[0]
    for i in range(int(count)):
        ports = struct.pack("!HH", 1024 + i % 60000, 7101)
        head = ports + struct.pack("!IIBBHHH", i, 0, 0x50, 2, 1000, 0, 0)
        pseudo = socket.inet_aton(me) + socket.inet_aton(target) + struct.pack("!BBH", 0, 6, len(head))
        head = head[:16] + struct.pack("!H", checksum(pseudo + head)) + head[18:]
        send(mac(gateway_mac) + own + b"\x08\x00" + ip4(me, target, 6, head))
    print("sent")


{"half": half, "arp": arp, "na": na, "mac": forge_mac, "udp": udp, "udp6": udp6, "flood": flood}[sys.argv[1]](*sys.argv[2:])
