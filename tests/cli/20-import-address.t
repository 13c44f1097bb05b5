#!/bin/bash
# import of an address: fetched and unpacked at the same time, over http and https, from servers on loopback that break off,
# lie, redirect and want passwords.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"
have python3 openssl || skip_all "python3 or openssl is not installed"

tmp_is_empty() { [ -z "$(find "$RL_ROOT/tmp" -mindepth 1 2>/dev/null)" ]; }
run() { rl run --rm --network none "$@"; }
mkdir -p root/bin root/etc www && echo data >root/etc/data && cp /bin/busybox root/bin/ && ln -s busybox root/bin/sh && ln -s busybox root/bin/cat
tar -C root --owner=0 --group=0 -cf www/root.tar . && gzip -kn www/root.tar && zstd -q www/root.tar
tar -C root --no-recursion --owner=0 --group=0 -cf www/sparse.tar bin/busybox bin/sh bin/cat etc/data
echo "no archive" >www/noise
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls.key -out tls.crt -days 2 -subj /CN=localhost \
	-addext 'subjectAltName=IP:127.0.0.1' 2>/dev/null
cat >server.py <<'END_OF_SERVER'
"""PORT [CERT KEY]: the files of www; /break/FILE gives half of it the first time, /half/FILE always, /moved/FILE redirects,
/away and /plain lead elsewhere, /loop to itself, /slow never ends, /private wants a password. Each request is a line of PORT.log: path, Range."""
import http.server, os, ssl, sys, threading
port = int(sys.argv[1])
log, broken = open(f"{port}.log", "a", 1), set()
class H(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def redirect(self, to):
        self.send_response(302); self.send_header("Location", to); self.send_header("Content-Length", "0"); self.end_headers()
    def give(self, name, cut=False, etag=None):
        data = open("www/" + name, "rb").read()
        first = int(self.headers["Range"][6:-1]) if etag and self.headers.get("If-Range") == etag else 0
        self.send_response(206 if first else 200)
        if first: self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        if etag: self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(data) - first)); self.end_headers()
        self.wfile.write(data[first:len(data) // 2 if cut else None])
        if cut: self.close_connection = True
    def do_GET(self):
        print(self.path, self.headers.get("Range", "-"), self.headers.get("Authorization", "-"), file=log)
        path = self.path.split("?")[0].split("/")[1:]
        if path[0] == "break":
            first = path[1] not in broken
            broken.add(path[1])
            self.give(path[1], cut=first, etag='"v1"')
        elif path[0] == "half": self.give(path[1], cut=True)
        elif path[0] == "moved": self.redirect("/" + path[1])
        elif path[0] == "away": self.redirect("file:///etc/passwd")
        elif path[0] == "plain": self.redirect("http://127.0.0.1:1/root.tar")
        elif path[0] == "slow":
            self.send_response(200); self.send_header("Content-Length", "100000000"); self.end_headers()
            self.wfile.write(open("www/root.tar", "rb").read()[:100000]); threading.Event().wait(60)
        elif path[0] == "loop": self.redirect("/loop")
        elif path[0] == "private":
            self.send_response(401); self.send_header("WWW-Authenticate", 'Basic realm="x"'); self.send_header("Content-Length", "0"); self.end_headers()
        elif os.path.exists("www/" + path[0]): self.give(path[0])
        else: self.send_error(404)
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), H)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
END_OF_SERVER
serve() {
	PORT=$(free_port)
	python3 server.py "$PORT" "$@" >"server.$PORT" 2>&1 &
	on_finish "kill $! 2>/dev/null; wait $! 2>/dev/null"
	wait_for "the server" 20 registry_answers "$PORT"
}
serve
P=$PORT U=http://127.0.0.1:$PORT

# --- what comes of it
for kind in tar tar.gz tar.zst; do
	ok "a root file system behind an address is imported from $kind" rl import "$U/root.$kind" "web/$kind:1"
	output_is "and runs" data run "web/$kind:1" cat /etc/data
done
blob=$(sha256sum www/root.tar.gz | cut -d' ' -f1)
ok "the archive is kept as it was fetched" cmp www/root.tar.gz "$RL_ROOT/images/blobs/sha256/$blob"
ok "changes are applied, and the name may be left out" rl import -q -c 'CMD ["cat","/etc/data"]' "$U/root.tar.gz?signature=secret#x"
id=$(rl import -q -c 'LABEL a=b' "$U/root.tar.gz?signature=secret#x")
like "the history says where it came from" "$(rl history --no-trunc "$id")" "rl import $U/root.tar.gz"
unlike "without what may be a signature" "$(rl history --no-trunc "$id")" secret
ok "a tar that leaves out its directories is imported" rl import "$U/sparse.tar" web/sparse
output_is "and runs" data run web/sparse cat /etc/data
ok "a redirect is followed" rl import "$U/moved/root.tar.gz" web/moved

# --- transfers that break
ok "a transfer that breaks off is gone on with" rl import "$U/break/root.tar.gz" web/broken
like "where it broke off" "$(grep break "$P.log" | tail -1)" 'bytes=[1-9][0-9]*- '
output_is "and the image is whole" data run web/broken cat /etc/data
env --default-signal=INT rl import "$U/slow" x >/dev/null 2>&1 &
pid=$!
wait_for "the beginning of it" 20 grep -q slow "$P.log"
kill -INT $pid
wait $pid 2>/dev/null
isnt "one that is interrupted is no success" $? 0
swept() { rl import -q "$U/root.tar" web/next >/dev/null && tmp_is_empty; }
ok "and the next import sweeps what it has left" wait_for "an empty tmp/" 20 swept
images=$(rl images -aq | sort)
must_fail "one that cannot be gone on with is an error" --status 125 --stderr 'cannot go on' rl import --retry 1 "$U/half/root.tar" x

# --- what is refused
must_fail "a file that is not there" --status 125 --stderr "import $U/nosuch: .*404 not found" rl import "$U/nosuch" x
must_fail "a file that is no archive" --status 125 --stderr 'import .*noise' rl import "$U/noise" x
must_fail "a redirect to a file of this machine" --status 125 --stderr 'not an http' rl import "$U/away" x
must_fail "redirects without an end" --status 125 --stderr 'redirects' rl import "$U/loop" x
must_fail "a file that wants a password" --status 125 --stderr '401' rl import "$U/private" x
mkdir -p home/.config/containers && printf '{"auths":{"127.0.0.1:%s":{"auth":"%s"}}}' "$P" "$(printf me:word | base64)" >home/auth.json
must_fail "also with one stored for that host" --stderr '401' env REGISTRY_AUTH_FILE="$T/home/auth.json" rl import "$U/private" x
unlike "which is never sent" "$(cat "$P.log")" Basic
must_fail "an address with a user name" --status 125 --stderr 'user name' rl import "http://me:password@127.0.0.1:$P/root.tar" x
unlike "whose password is not repeated" "$TAP_STDERR" password
must_fail "a server that is not there" --status 125 --stderr 'cannot connect.*' rl import --retry 1 http://127.0.0.1:1/root.tar x
must_fail "an instruction that is none, before anything is fetched" --stderr 'RUN x' rl import -c 'RUN x' "$U/root.tar?unasked" x
unlike "so the server was not asked" "$(cat "$P.log")" unasked
must_fail "schemes of other kinds are file names" --stderr 'No such file' rl import ftp://127.0.0.1/root.tar x
is "nothing that was refused left an image" "$(rl images -aq | sort)" "$images"
ok "or anything in tmp/" tmp_is_empty

# --- https
serve tls.crt tls.key
S=https://127.0.0.1:$PORT
must_fail "a certificate nobody vouches for is refused" --status 125 --stderr 'certificate.*' rl import "$S/root.tar.gz" x
ok "unless that is said to be right" rl import --tls-verify=false "$S/root.tar.gz" web/tls
mkdir certs && cp tls.crt certs/ca.crt
ok "or --cert-dir has the authority" rl import --cert-dir certs --tls-verify "$S/root.tar.gz" web/tls
must_fail "https does not lead to http" --status 125 --stderr 'redirect to http' rl import --cert-dir certs "$S/plain" x
must_fail "https spoken to a server of http is said to be that" --status 125 --stderr 'http://' rl import "https://127.0.0.1:$P/root.tar" x
must_fail "an option value that is none" --status 125 --stderr 'true or false is expected' rl import --tls-verify=maybe "$S/root.tar.gz" x

done_testing
