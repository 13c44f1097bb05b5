#!/usr/bin/env python3
"""gated-registry.py DIR GATE READY LOG - a registry that stops in the middle of blobs until it is told to go on.

DIR is an image in skopeo's dir: form, served as gated/image:1. Of a blob above 100 kB the first half is sent at once and
the rest when GATE, a fifo, is opened for writing by somebody (once, for all blobs). READY gets the port. LOG gets a line
for every request: TARGET RANGE, and "half DIGEST" whenever a first half has gone out.
"""
import http.server
import os
import sys
import threading

DIR, GATE, READY, LOG = sys.argv[1:5]
OPEN = threading.Event()
LOCK = threading.Lock()


def log(line):
    with LOCK, open(LOG, "a") as f:
        f.write(line + "\n")


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def finish(self):
        try:
            super().finish()
        except OSError:
            pass

    def handle(self):
        try:
            super().handle()
        except OSError:
            pass  # a client that was killed is what this is for

    def answer(self, status, kind, length, more=()):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        for name, value in more:
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self):
        asked = self.headers.get("Range", "-")
        log(f"{self.path} {asked}")
        parts = self.path.split("/")
        if self.path == "/v2/":
            self.answer(200, "application/json", 2)
            self.wfile.write(b"{}")
            return
        name = "manifest.json" if parts[-2] == "manifests" else parts[-1].replace("sha256:", "")
        try:
            with open(f"{DIR}/{name}", "rb") as f:
                data = f.read()
        except OSError:
            self.answer(404, "application/json", 0)
            return
        if parts[-2] == "manifests":
            self.answer(200, "application/vnd.oci.image.manifest.v1+json", len(data))
            self.wfile.write(data)
            return
        first = 0
        if asked.startswith("bytes="):
            first = int(asked[6:].split("-")[0])
            self.answer(206, "application/octet-stream", len(data) - first,
                        [("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")])
        else:
            self.answer(200, "application/octet-stream", len(data))
        half = first + (len(data) - first) // 2 if len(data) > 100000 else len(data)
        self.wfile.write(data[first:half])
        self.wfile.flush()
        if half < len(data):
            log(f"half {parts[-1]}")
            OPEN.wait()
            self.wfile.write(data[half:])


def wait_for_gate():
    with open(GATE, "rb") as f:
        f.read()
    OPEN.set()


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
server.daemon_threads = True
threading.Thread(target=wait_for_gate, daemon=True).start()
with open(READY + ".new", "w") as f:
    f.write(f"{server.server_port}\n")
os.rename(READY + ".new", READY)
server.serve_forever()
