#!/usr/bin/env python3
"""hostile-registry.py - a registry that behaves as badly as it is told to.

    hostile-registry.py --address 127.0.0.1 --ready FILE --log FILE

Listens on two ports of the address (the second plays "another host") and writes "PORT1 PORT2" to FILE once it does.
Every request is logged as one line: PORT METHOD TARGET AUTHORIZATION RANGE. The first component of the repository name
is the scenario; each serves the same small image: GET /facts gives "NAME VALUE" lines about it (manifest, config, layer
digests and sizes). Everything goes over raw sockets, so that nothing corrects what is said.
"""
import argparse
import base64
import hashlib
import json
import os
import random
import socket
import struct
import threading
import time

ADDRESS = PORT1 = PORT2 = None
LOG = None
LOCK = threading.Lock()
COUNTS = {}

OCI = "application/vnd.oci.image."
LAYER = random.Random(7).randbytes(1_500_000)


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [sha(b"diff")]}}).encode()


def desc(kind, data):
    return {"mediaType": OCI + kind, "digest": sha(data), "size": len(data)}


MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": desc("config.v1+json", CONFIG),
                       "layers": [desc("layer.v1.tar+gzip", LAYER)]}).encode()
BLOBS = {sha(LAYER): LAYER, sha(CONFIG): CONFIG}


def index_of(entries):
    return json.dumps({"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": entries}).encode()


def index_chain(depth):
    """depth indexes around the manifest; {digest: bytes}, outermost digest."""
    docs, inner = {sha(MANIFEST): MANIFEST}, dict(desc("manifest.v1+json", MANIFEST), platform={"os": "linux", "architecture": "amd64"})
    for _ in range(depth):
        doc = index_of([inner])
        docs[sha(doc)] = doc
        inner = dict(desc("index.v1+json", doc), platform={"os": "linux", "architecture": "amd64"})
    return docs, inner["digest"]


AMBIGUOUS = json.dumps({"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": desc("config.v1+json", CONFIG),
                        "layers": [], "manifests": [desc("manifest.v1+json", MANIFEST)]}).encode()


def count(key):
    with LOCK:
        COUNTS[key] = COUNTS.get(key, 0) + 1
        return COUNTS[key]


class Request:
    def __init__(self, conn, port):
        self.c, self.port = conn, port
        self.data = b""

    def read_head(self):
        while b"\r\n\r\n" not in self.data:
            more = self.c.recv(65536)
            if not more:
                return False
            self.data += more
            if self.data[0] == 0x16:  # TLS: what a server that speaks only http says to that
                self.c.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                return False
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ", 2)
        self.headers = {}
        for line in lines[1:]:
            k, v = line.split(":", 1)
            self.headers[k.strip().lower()] = v.strip()
        self.auth = self.headers.get("authorization", "-")
        self.range = self.headers.get("range", "-")
        with LOCK:
            LOG.write("%d %s %s %s %s\n" % (self.port, self.method, self.target, self.auth.replace(" ", ":"), self.range))
            LOG.flush()
        return True

    def read_body(self):
        if self.headers.get("expect", "").lower() == "100-continue":
            self.c.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.headers.get("transfer-encoding", "") == "chunked":
            body = b""
            while True:
                while b"\r\n" not in self.data:
                    self.data += self.c.recv(65536)
                size, self.data = self.data.split(b"\r\n", 1)
                n = int(size, 16)
                while len(self.data) < n + 2:
                    self.data += self.c.recv(65536)
                body += self.data[:n]
                self.data = self.data[n + 2:]
                if n == 0:
                    return body
        n = int(self.headers.get("content-length", "0"))
        while len(self.data) < n:
            more = self.c.recv(65536)
            if not more:
                break
            self.data += more
        body, self.data = self.data[:n], self.data[n:]
        return body

    def head(self, status, headers, length=None):
        lines = ["HTTP/1.1 %s" % status] + ["%s: %s" % kv for kv in headers]
        if length is not None:
            lines.append("Content-Length: %d" % length)
        self.c.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def reply(self, status, body=b"", headers=(), kind="application/json"):
        self.head(status, [("Content-Type", kind)] + list(headers), len(body))
        if self.method != "HEAD":
            self.c.sendall(body)
        return True

    def error(self, status, code, message, headers=()):
        return self.reply(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), headers)

    def redirect(self, url, status="307 Temporary Redirect"):
        return self.reply(status, b"", [("Location", url)])

    def reset(self):
        self.c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.c.close()
        return False

    def url(self, port, path, host=None):
        return "http://%s:%d%s" % (host or ADDRESS, port, path)

    # ---- well-behaved parts ----

    def manifest(self, which, body=MANIFEST, kind=OCI + "manifest.v1+json", digest=None):
        return self.reply("200 OK", body, [("Docker-Content-Digest", digest or sha(body))], kind)

    def blob(self, digest, ranges=True):
        body = BLOBS.get(digest)
        if body is None:
            return self.error("404 Not Found", "BLOB_UNKNOWN", "blob unknown to registry")
        if ranges and self.range.startswith("bytes="):
            first = int(self.range[6:].split("-")[0])
            return self.reply("206 Partial Content", body[first:],
                              [("Content-Range", "bytes %d-%d/%d" % (first, len(body) - 1, len(body)))], "application/octet-stream")
        return self.reply("200 OK", body, (), "application/octet-stream")

    def challenge(self, value):
        return self.error("401 Unauthorized", "UNAUTHORIZED", "authentication required", [("WWW-Authenticate", value)])

    # ---- dispatch ----

    def serve(self):
        if self.target == "/facts":
            facts = [("manifest", sha(MANIFEST)), ("config", sha(CONFIG)), ("configsize", len(CONFIG)), ("layer", sha(LAYER)),
                     ("layersize", len(LAYER))]
            return self.reply("200 OK", "".join("%s %s\n" % f for f in facts).encode())
        if self.target.startswith("/token"):
            return self.token()
        if self.target == "/plain-blob":
            return self.reply("200 OK", LAYER, (), "application/octet-stream")
        if self.target == "/bounce":
            return self.redirect(self.url(PORT1, "/plain-blob"))
        if self.target == "/v2/" and self.port == PORT2:
            return self.challenge('Basic realm="x"')
        parts = self.target.split("?")[0].split("/")
        if len(parts) < 5 or parts[1] != "v2":
            return self.reply("200 OK", b"{}")
        self.scenario, self.kind, self.which = parts[2], parts[-2], parts[-1]
        self.body = self.read_body() if self.method in ("PUT", "POST", "PATCH") else b""
        f = getattr(self, "do_" + self.scenario.replace("-", "_"), None)
        if f:
            done = f()
            if done is not None:
                return done
        return self.good()

    def good(self):
        if self.kind == "manifests":
            if self.method == "PUT":
                return self.reply("201 Created", b"", [("Docker-Content-Digest", sha(self.body))])
            return self.manifest(self.which)
        if self.kind == "blobs":
            return self.blob(self.which)
        if self.kind == "tags":
            return self.reply("200 OK", json.dumps({"name": "x", "tags": ["a", "b"]}).encode())
        return self.error("404 Not Found", "NAME_UNKNOWN", "no such thing")

    def is_layer(self):
        return self.kind == "blobs" and self.which == sha(LAYER) and self.method == "GET"

    # ---- blobs ----

    def do_says_longer(self):
        if self.is_layer():
            self.head("200 OK", [], len(LAYER) + 1000)
            self.c.sendall(LAYER)
            return False

    def do_closes_early(self):
        """Right length announced, connection closed in the middle, every time; Range is honoured, some progress each time."""
        if self.is_layer():
            first = int(self.range[6:].split("-")[0]) if self.range != "-" else 0
            self.head("206 Partial Content" if first else "200 OK",
                      [("Content-Range", "bytes %d-%d/%d" % (first, len(LAYER) - 1, len(LAYER)))] if first else [], len(LAYER) - first)
            self.c.sendall(LAYER[first:first + 400000])
            return False

    def do_truncated_chunked(self):
        """Chunked coding that ends properly after half of the bytes."""
        if self.is_layer():
            self.head("200 OK", [("Transfer-Encoding", "chunked")])
            half = LAYER[:len(LAYER) // 2]
            self.c.sendall(b"%x\r\n" % len(half) + half + b"\r\n0\r\n\r\n")
            return True

    def do_chunks(self):
        """Correct, in chunks of all sizes from 1 byte up."""
        if self.is_layer() and self.range == "-":
            self.head("200 OK", [("Transfer-Encoding", "chunked")])
            at, size, out = 0, 1, b""
            while at < len(LAYER):
                piece = LAYER[at:at + size]
                out += b"%x\r\n" % len(piece) + piece + b"\r\n"
                at, size = at + size, size + 7
                if len(out) > 50000:
                    self.c.sendall(out)
                    out = b""
            self.c.sendall(out + b"0\r\n\r\n")
            return True

    def do_longer(self):
        """More bytes than the descriptor says, without a length: for ever, until the client hangs up."""
        if self.is_layer():
            self.head("200 OK", [("Connection", "close")])
            self.c.sendall(LAYER)
            try:
                for _ in range(1000):
                    self.c.sendall(LAYER)
            except OSError:
                pass
            return False

    def do_stalls(self):
        if self.is_layer():
            first = int(self.range[6:].split("-")[0]) if self.range != "-" else 0
            self.head("206 Partial Content" if first else "200 OK",
                      [("Content-Range", "bytes %d-%d/%d" % (first, len(LAYER) - 1, len(LAYER)))] if first else [], len(LAYER) - first)
            self.c.sendall(LAYER[first:first + 100])
            time.sleep(60)
            return False

    def do_dribbles(self):
        """A byte every now and then."""
        if self.kind == "manifests":
            self.head("200 OK", [("Content-Type", OCI + "manifest.v1+json")], len(MANIFEST))
            for b in MANIFEST:
                self.c.sendall(bytes([b]))
                time.sleep(0.2)
            return False

    def do_stalls_once(self):
        if self.is_layer() and count("stalls-once") == 1:
            self.head("200 OK", [], len(LAYER))
            self.c.sendall(LAYER[:700000])
            time.sleep(60)
            return False

    def do_resets(self):
        if self.is_layer():
            self.head("200 OK", [], len(LAYER))
            self.c.sendall(LAYER[:1000])
            time.sleep(0.05)
            return self.reset()

    def do_resets_once(self):
        if self.is_layer() and count("resets-once" + self.target) == 1:
            self.head("200 OK", [], len(LAYER))
            self.c.sendall(LAYER[:777777])
            time.sleep(0.2)
            return self.reset()

    def do_range_ignored(self):
        if self.is_layer():
            return self.blob(self.which, ranges=False)

    def do_range_wrong(self):
        if self.is_layer() and self.range != "-":
            return self.reply("206 Partial Content", LAYER[:1000], [("Content-Range", "bytes 0-999/%d" % len(LAYER))])

    def do_range_always(self):
        """206 for everything, always the wrong one."""
        if self.is_layer():
            return self.reply("206 Partial Content", LAYER[:1000], [("Content-Range", "bytes 5-1004/%d" % len(LAYER))])

    def do_range_416(self):
        if self.is_layer() and self.range != "-":
            return self.error("416 Range Not Satisfiable", "RANGE_INVALID", "no")

    def do_wrong_blob(self):
        if self.is_layer():
            return self.reply("200 OK", LAYER[:-1] + b"X", (), "application/octet-stream")

    def do_wrong_length(self):
        if self.is_layer():
            return self.reply("200 OK", LAYER + b"X", (), "application/octet-stream")

    def do_empty_answer(self):
        return False

    # ---- redirects ----

    def do_redirect_other(self):
        """To another origin, which has it. No credentials may arrive there."""
        if self.auth == "-":
            return self.challenge('Basic realm="x"')
        if self.is_layer():
            return self.redirect(self.url(PORT2, "/plain-blob"))

    def do_redirect_bearer(self):
        if self.auth == "-":
            return self.challenge('Bearer realm="%s",service="s"' % self.url(PORT1, "/token/ok"))
        if self.is_layer():
            return self.redirect(self.url(PORT2, "/plain-blob"))

    def do_redirect_back(self):
        """Away and back again: what left the origin stays without credentials."""
        if self.auth == "-":
            return self.challenge('Basic realm="x"')
        if self.is_layer():
            return self.redirect(self.url(PORT2, "/bounce"))

    def do_hides(self):
        """Private things are "not found" for people without credentials; only /v2/ of the second port asks for them."""
        if self.auth == "-":
            return self.error("404 Not Found", "NAME_UNKNOWN", "no such repository")

    def do_redirect_localhost(self):
        if self.is_layer():
            return self.redirect(self.url(PORT1, "/plain-blob", "localhost"))

    def do_redirect_loopback(self):
        if self.is_layer():
            return self.redirect(self.url(PORT1, "/plain-blob", "127.0.0.1"))

    def do_redirect_name(self):
        """A harmless name that resolves to loopback (see the hosts file of the test)."""
        if self.is_layer():
            return self.redirect(self.url(PORT1, "/plain-blob", "cdn.example.org"))

    def do_redirect_private(self):
        if self.is_layer():
            return self.redirect("http://10.1.2.3/plain-blob")

    def do_redirect_metadata(self):
        if self.is_layer():
            return self.redirect("http://169.254.169.254/latest/meta-data")

    def do_redirect_decimal(self):
        if self.is_layer():
            return self.redirect("http://2852039166/latest/meta-data")

    def do_redirect_mapped(self):
        if self.is_layer():
            return self.redirect("http://[::ffff:169.254.169.254]/latest")

    def do_redirect_file(self):
        if self.is_layer():
            return self.redirect("file:///etc/passwd")

    def do_redirect_gopher(self):
        if self.is_layer():
            return self.redirect("gopher://%s:%d/x" % (ADDRESS, PORT2))

    def do_redirect_user(self):
        if self.is_layer():
            return self.redirect("http://user:secret@%s:%d/plain-blob" % (ADDRESS, PORT2))

    def do_redirect_loop(self):
        if self.is_layer():
            return self.redirect(self.url(PORT1, self.target))

    def do_redirect_relative(self):
        if self.is_layer():
            return self.redirect("/plain-blob", "302 Found")

    def do_redirect_long(self):
        if self.is_layer():
            return self.redirect("/" + "a" * 20000)

    # ---- heads ----

    def do_endless_headers(self):
        try:
            self.c.sendall(b"HTTP/1.1 200 OK\r\n")
            for n in range(10_000_000):
                self.c.sendall(b"X-Junk-%d: %s\r\n" % (n, b"a" * 200))
        except OSError:
            pass
        return False

    def do_endless_header(self):
        try:
            self.c.sendall(b"HTTP/1.1 200 OK\r\nX-Junk: ")
            for _ in range(100_000):
                self.c.sendall(b"a" * 10000)
        except OSError:
            pass
        return False

    def do_endless_continue(self):
        try:
            for _ in range(10_000_000):
                self.c.sendall(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n")
        except OSError:
            pass
        return False

    def do_no_http(self):
        self.c.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 10)
        return False

    def do_nul_header(self):
        self.c.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: a\0b\r\nContent-Length: 2\r\n\r\n{}")
        return False

    # ---- manifests ----

    def do_wrong_digest(self):
        if self.kind == "manifests":
            return self.manifest(self.which, MANIFEST + b" ", digest=sha(MANIFEST))

    def do_huge_manifest(self):
        if self.kind == "manifests":
            self.head("200 OK", [("Content-Type", OCI + "manifest.v1+json"), ("Connection", "close")])
            try:
                self.c.sendall(b'{"schemaVersion":2,"x":"')
                for _ in range(10_000):
                    self.c.sendall(b"a" * 100_000)
            except OSError:
                pass
            return False

    def do_deep_index(self):
        docs, outer = index_chain(40)
        if self.kind == "manifests":
            body = docs.get(self.which, docs[outer])
            return self.manifest(self.which, body, MANIFEST == body and OCI + "manifest.v1+json" or OCI + "index.v1+json")

    def do_two_indexes(self):
        docs, outer = index_chain(2)
        if self.kind == "manifests":
            body = docs.get(self.which, docs[outer])
            return self.manifest(self.which, body, MANIFEST == body and OCI + "manifest.v1+json" or OCI + "index.v1+json")

    def do_cyclic_index(self):
        """Whatever digest is asked for, an index that names another digest, and names this one when asked for that."""
        if self.kind == "manifests":
            other = "sha256:" + ("1" * 64 if self.which != "sha256:" + "1" * 64 else "2" * 64)
            doc = index_of([{"mediaType": OCI + "index.v1+json", "digest": other, "size": 200,
                             "platform": {"os": "linux", "architecture": "amd64"}}])
            return self.manifest(self.which, doc, OCI + "index.v1+json", self.which if ":" in self.which else None)

    def do_ambiguous(self):
        if self.kind == "manifests":
            return self.manifest(self.which, AMBIGUOUS)

    def do_type_lie(self):
        if self.kind == "manifests":
            return self.manifest(self.which, MANIFEST, OCI + "index.v1+json")

    def do_html(self):
        if self.kind == "manifests":
            return self.reply("200 OK", b"<html>log in to the hotel network</html>", (), "text/html")

    def do_nasty_error(self):
        return self.error("403 Forbidden", "DENIED", "\x1b[2J\x1b]0;title\x07 \u202e go\naway \x00" + "z" * 5000)

    def do_huge_error(self):
        self.head("403 Forbidden", [("Connection", "close")])
        try:
            for _ in range(100_000):
                self.c.sendall(b"a" * 100_000)
        except OSError:
            pass
        return False

    # ---- limits of others ----

    def do_rate_limited_once(self):
        if self.kind == "manifests" and count("429") == 1:
            return self.error("429 Too Many Requests", "TOOMANYREQUESTS", "slow down", [("Retry-After", "1")])

    def do_rate_limited(self):
        return self.error("429 Too Many Requests", "TOOMANYREQUESTS", "slow down", [("Retry-After", "86400")])

    def do_unavailable_twice(self):
        if self.kind == "manifests" and count("503") <= 2:
            return self.error("503 Service Unavailable", "UNAVAILABLE", "later")

    def do_unavailable(self):
        return self.error("503 Service Unavailable", "UNAVAILABLE", "later")

    # ---- tags ----

    def do_tags_endless(self):
        n = count("tags")
        return self.reply("200 OK", json.dumps({"tags": ["t%d" % n]}).encode(),
                          [("Link", '<%s?n=1&last=%d>; rel="next"' % (self.target.split("?")[0], n))])

    def do_tags_same(self):
        return self.reply("200 OK", json.dumps({"tags": []}).encode(), [("Link", '<%s>; rel="next"' % self.target)])

    def do_tags_elsewhere(self):
        return self.reply("200 OK", json.dumps({"tags": ["a"]}).encode(),
                          [("Link", '<%s>; rel="next"' % self.url(PORT2, self.target))])

    def do_tags_pages(self):
        last = self.target.split("last=")[1] if "last=" in self.target else None
        if last is None:
            return self.reply("200 OK", json.dumps({"tags": ["a", "b"]}).encode(),
                              [("Link", '</v2/tags-pages/x/tags/list?n=2&last=b>; rel="next"')])
        return self.reply("200 OK", json.dumps({"tags": ["c"]}).encode())

    def do_tags_evil(self):
        return self.reply("200 OK", json.dumps({"tags": ["ok", "../../etc/passwd"]}).encode())

    # ---- authentication ----

    def token(self):
        kind = self.target.split("?")[0].split("/")[-1]
        body = self.read_body()
        with LOCK:
            LOG.write("%d BODY %s - -\n" % (self.port, body.decode("latin-1") or "-"))
            LOG.flush()
        if kind == "ok":
            return self.reply("200 OK", json.dumps({"token": "tok-%d" % count("token"), "expires_in": 300}).encode())
        if kind == "access":
            return self.reply("200 OK", json.dumps({"access_token": "tok-x"}).encode())
        if kind == "crlf":
            return self.reply("200 OK", json.dumps({"token": "a\r\nX-Injected: yes"}).encode())
        if kind == "denied":
            return self.error("401 Unauthorized", "UNAUTHORIZED", "bad password")
        if kind == "endless":
            self.head("200 OK", [("Connection", "close")])
            try:
                for _ in range(100_000):
                    self.c.sendall(b"a" * 100_000)
            except OSError:
                pass
            return False
        if kind == "elsewhere":
            return self.redirect(self.url(PORT2, "/token/ok"))
        if kind == "garbage":
            return self.reply("200 OK", b"[1,2")
        return self.reply("404 Not Found")

    def bearer(self, realm, more=""):
        if not self.auth.startswith("Bearer tok-"):
            return self.challenge('Bearer realm="%s",service="s"%s' % (realm, more))

    def do_bearer(self):
        return self.bearer(self.url(PORT1, "/token/ok"))

    def do_bearer_access(self):
        return self.bearer(self.url(PORT1, "/token/access"))

    def do_bearer_other(self):
        return self.bearer(self.url(PORT2, "/token/ok"))

    def do_bearer_crlf(self):
        return self.bearer(self.url(PORT1, "/token/crlf"))

    def do_bearer_denied(self):
        return self.bearer(self.url(PORT1, "/token/denied"))

    def do_bearer_endless(self):
        return self.bearer(self.url(PORT1, "/token/endless"))

    def do_bearer_elsewhere(self):
        return self.bearer(self.url(PORT1, "/token/elsewhere"))

    def do_bearer_garbage(self):
        return self.bearer(self.url(PORT1, "/token/garbage"))

    def do_bearer_http(self):
        """A token server without https at another host name."""
        return self.bearer("http://token.example.org:%d/token/ok" % PORT1)

    def do_bearer_metadata(self):
        return self.bearer("https://169.254.169.254/token")

    def do_bearer_never(self):
        return self.challenge('Bearer realm="%s",service="s"' % self.url(PORT1, "/token/ok"))

    def do_bearer_expires(self):
        """Every token is good for two requests."""
        if self.auth == "-" or count("use" + self.auth) > 2:
            return self.challenge('Bearer realm="%s",service="s",error="invalid_token"' % self.url(PORT1, "/token/ok"))

    def do_basic(self):
        want = "Basic " + base64.b64encode(b"ann:secret").decode()
        if self.auth != want:
            return self.challenge('Basic realm="x"')

    def do_challenge_garbage(self):
        return self.challenge('Bearer realm="unterminated, ' + '\\' * 100)

    def do_challenge_none(self):
        return self.error("401 Unauthorized", "UNAUTHORIZED", "no way in")

    # ---- uploads ----

    def upload_url(self, port=None):
        return self.url(port or PORT1, "/v2/%s/x/blobs/uploads/1" % self.scenario)

    def accept_upload(self, state):
        """A small correct upload endpoint; returns None for what it does not know."""
        store = COUNTS.setdefault("upload-" + self.scenario, bytearray())
        if self.method == "HEAD" and self.kind == "blobs":
            return self.error("404 Not Found", "BLOB_UNKNOWN", "no")
        if self.method == "POST":
            del store[:]
            return self.reply("202 Accepted", b"", [("Location", state.get("location", self.upload_url()))])
        if self.kind == "uploads" and self.method == "GET":
            return self.reply("204 No Content", b"", [("Location", self.upload_url()), ("Range", "0-%d" % max(len(store) - 1, 0))])
        if self.kind == "uploads" and self.method == "PATCH":
            first = int(self.headers.get("content-range", "0-").split("-")[0])
            if first != len(store):
                return self.error("416 Range Not Satisfiable", "RANGE_INVALID", "no", [("Range", "0-%d" % (len(store) - 1))])
            store += self.body
            return self.reply("202 Accepted", b"", [("Location", self.upload_url()), ("Range", "0-%d" % (len(store) - 1))])
        if self.kind == "uploads" and self.method == "PUT":
            store += self.body
            got = sha(bytes(store))
            want = self.target.split("digest=")[1].replace("%3A", ":")
            if got != want:
                return self.error("400 Bad Request", "DIGEST_INVALID", "digest differs: %s" % got)
            return self.reply("201 Created", b"", [("Docker-Content-Digest", state.get("digest", got))])
        return None

    def do_upload(self):
        return self.accept_upload({})

    def do_upload_relative(self):
        return self.accept_upload({"location": "/v2/upload-relative/x/blobs/uploads/1?_state=a%2Fb"})

    def do_upload_other(self):
        """Uploads go to another origin: without credentials."""
        if self.auth == "-" and self.port == PORT1:
            return self.challenge('Basic realm="x"')
        return self.accept_upload({"location": self.upload_url(PORT2)})

    def do_upload_breaks(self):
        """The first PATCH is cut after part of it was stored."""
        if self.method == "PATCH" and count("upload-cut") == 1:
            store = COUNTS.setdefault("upload-" + self.scenario, bytearray())
            store += self.body[:len(self.body) // 3]
            return self.reset()
        return self.accept_upload({})

    def do_upload_lost(self):
        """The first upload is forgotten in the middle."""
        if self.method == "PATCH" and count("upload-lost-patch") == 1:
            return self.reset()
        if self.method == "GET" and self.kind == "uploads" and count("upload-lost-get") == 1:
            return self.error("404 Not Found", "BLOB_UPLOAD_UNKNOWN", "gone")
        return self.accept_upload({})

    def do_upload_lost_late(self):
        """Gone after bytes that nobody has any more: the second PATCH breaks, and then there is no such upload."""
        if self.method == "PATCH" and count("upload-lost-late-patch") == 2:
            return self.reset()
        if self.method == "GET" and self.kind == "uploads" and count("upload-lost-late-get") == 1:
            return self.error("404 Not Found", "BLOB_UPLOAD_UNKNOWN", "gone")
        return self.accept_upload({})

    def do_upload_answer_lost(self):
        """The final PUT is stored, its answer never arrives."""
        if self.method == "PUT" and self.kind == "uploads":
            count("stored")
            return self.reset()
        if self.method == "HEAD" and self.kind == "blobs" and COUNTS.get("stored"):
            store = COUNTS["upload-" + self.scenario]
            self.head("200 OK", [], COUNTS.get("stored-size", len(LAYER)))
            return True
        return self.accept_upload({})

    def do_upload_wrong(self):
        return self.accept_upload({"digest": "sha256:" + "0" * 64})

    def do_upload_nowhere(self):
        if self.method == "POST":
            return self.reply("202 Accepted")
        return self.accept_upload({})

    def do_upload_metadata(self):
        return self.accept_upload({"location": "http://169.254.169.254/x"})


def serve_connection(conn, port):
    try:
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = Request(conn, port)
        while request.read_head():
            if not request.serve():
                break
    except (OSError, ValueError):
        pass
    finally:
        try:
            conn.close()
        except OSError:
            pass


def accept_loop(listener, port):
    while True:
        conn, _ = listener.accept()
        threading.Thread(target=serve_connection, args=(conn, port), daemon=True).start()


def main():
    global ADDRESS, PORT1, PORT2, LOG
    p = argparse.ArgumentParser()
    p.add_argument("--address", default="127.0.0.1")
    p.add_argument("--ports", default="0,0")
    p.add_argument("--ready", required=True)
    p.add_argument("--log", required=True)
    a = p.parse_args()
    LOG = open(a.log, "a", encoding="latin-1")
    ADDRESS = a.address
    listeners = []
    for n in a.ports.split(","):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("0.0.0.0" if a.address != "127.0.0.1" else a.address, int(n)))
        s.listen(64)
        listeners.append(s)
    PORT1, PORT2 = (s.getsockname()[1] for s in listeners)
    for s, port in zip(listeners, (PORT1, PORT2)):
        threading.Thread(target=accept_loop, args=(s, port), daemon=True).start()
    with open(a.ready + ".new", "w") as f:
        f.write("%d %d\n" % (PORT1, PORT2))
    os.rename(a.ready + ".new", a.ready)
    threading.Event().wait()


main()
