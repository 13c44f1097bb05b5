#!/bin/bash
# The registry engine against a real registry on loopback: plain, with TLS, with passwords; skopeo on the other side.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"
have docker-registry htpasswd openssl skopeo || skip_all "docker-registry, htpasswd, openssl or skopeo is not installed"

export HOME=$T/home XDG_RUNTIME_DIR=$T/run
mkdir -p "$HOME" "$XDG_RUNTIME_DIR"
: >none.conf
export CONTAINERS_REGISTRIES_CONF=$T/none.conf
rd() { registry-driver --delay=20 --stall=5 "$@"; }

make_image img 3000000 20000000 100
make_image small 1000
read -r LAYER LAYERSIZE < <(python3 -c '
import json; l = json.load(open("img/manifest.json"))["layers"][1]; print(l["digest"], l["size"])')

# --- plain ---
start_registry plain || skip_all "docker-registry does not start"
REG=127.0.0.1:$PORT
PLAIN=$PORT
skopeo copy -q --dest-tls-verify=false dir:img "docker://$REG/team/one:v1"

ok "an image pushed by skopeo is pulled" rd --tls-verify=0 pull "$REG/team/one:v1" out
ok "byte for byte" diff -r img out
must_fail "http without being told so is refused" --stderr 'tls-verify=false' rd manifest "$REG/team/one:v1"
must_fail "a tag that is not there is named" --stderr 'error 2 .*nosuch.*404 not found: manifest unknown' \
	rd --tls-verify=0 manifest "$REG/team/one:nosuch"
must_fail "a tag that cannot be one is refused before asking" --stderr 'error 22' rd --tls-verify=0 manifest "$REG/team/one:a?b"
output_is "HEAD tells the digest" "digest sha256:$(sha256sum img/manifest.json | cut -d' ' -f1)" rd --tls-verify=0 head "$REG/team/one:v1"
ok "a digest names the manifest as well" rd --tls-verify=0 manifest "$REG/team/one@sha256:$(sha256sum img/manifest.json | cut -d' ' -f1)"
must_fail "a digest that is not there is refused" --stderr 'error 2 ' rd --tls-verify=0 manifest "$REG/team/one@sha256:$(printf '0%.0s' {1..64})"

ok "an image is pushed" rd --tls-verify=0 push img "$REG/team/two:v2"
ok "skopeo pulls it" skopeo copy -q --src-tls-verify=false "docker://$REG/team/two:v2" dir:back
ok "byte for byte back" diff -r img back
tap_run rd --tls-verify=0 push img "$REG/team/two:v3"
is "what is there is not sent again" "$(grep -c existed "$T/.out")" 4
ok "blobs of unknown digest are pushed as they are produced" rd --tls-verify=0 --stream push img "$REG/team/three:v1"
ok "skopeo pulls them" skopeo copy -q --src-tls-verify=false "docker://$REG/team/three:v1" dir:back3
ok "byte for byte once more" diff -r img back3
tap_run rd --tls-verify=0 --mount-from=team/one push img "$REG/other/one:v1"
is "blobs are mounted across repositories" "$(grep -c existed "$T/.out")" 4
ok "mounting from a repository that has nothing falls back to sending" rd --tls-verify=0 --mount-from=team/nothing push small "$REG/other/two:v1"
output_is "tags are listed" "tag v2
tag v3" rd --tls-verify=0 tags "$REG/team/two"
python3 - <<'PY'
# a blob that is not what its name says
import json, os
m = json.load(open("small/manifest.json"))
os.makedirs("lie")
for f in os.listdir("small"):
    open("lie/" + f, "wb").write(open("small/" + f, "rb").read())
p = "lie/" + m["layers"][0]["digest"][7:]
data = bytearray(open(p, "rb").read())
data[50] ^= 1
open(p, "wb").write(data)
PY
must_fail "a corrupted local blob is not pushed" --stderr 'error 74 .*not what its descriptor says' rd --tls-verify=0 push lie "$REG/lie/x:v1"

# --- partial files ---
head -c 7000000 "img/${LAYER#sha256:}" >part
tap_run rd --tls-verify=0 blob "$REG/team/one" "$LAYER" "$LAYERSIZE" part
is "a partial blob is continued" "$(grep resumed "$T/.out")" "resumed 7000000"
ok "and comes out whole" cmp part "img/${LAYER#sha256:}"
tap_run rd --tls-verify=0 blob "127.0.0.1:1/team/one" "$LAYER" "$LAYERSIZE" part
is "a whole one is only verified: no registry is needed" "$(grep -c "^resumed $LAYERSIZE" "$T/.out")" 1
head -c 7000000 /dev/zero >part
ok "a partial file with wrong contents does no harm" rd --tls-verify=0 blob "$REG/team/one" "$LAYER" "$LAYERSIZE" part
ok "it is fetched again from the beginning" cmp part "img/${LAYER#sha256:}"
head -c "$LAYERSIZE" /dev/zero >part
ok "neither does a complete file with wrong contents" rd --tls-verify=0 blob "$REG/team/one" "$LAYER" "$LAYERSIZE" part
ok "which is replaced" cmp part "img/${LAYER#sha256:}"
head -c $((LAYERSIZE + 5)) /dev/zero >part
ok "nor one that is too long" rd --tls-verify=0 blob "$REG/team/one" "$LAYER" "$LAYERSIZE" part
ok "which is replaced as well" cmp part "img/${LAYER#sha256:}"

rm -f part
broken=0
for n in 005 010 015 020 025 030 040 050 060 080; do
	timeout -s KILL 0.$n registry-driver --tls-verify=0 blob "$REG/team/one" "$LAYER" "$LAYERSIZE" part >/dev/null 2>&1
	[ ! -e part ] || cmp -s -n "$(stat -c %s part)" part "img/${LAYER#sha256:}" || broken=1
done 2>/dev/null
is "after SIGKILL at any moment the partial file is a correct beginning" $broken 0
ok "and the next run completes it" rd --tls-verify=0 blob "$REG/team/one" "$LAYER" "$LAYERSIZE" part
ok "correctly" cmp part "img/${LAYER#sha256:}"

# --- receivers ---
is "a receiver gets the blob" "$(rd --tls-verify=0 --sink blob "$REG/team/one" "$LAYER" "$LAYERSIZE" - | sha256sum | cut -d' ' -f1)" "${LAYER#sha256:}"
cat >slow.py <<'PY'
import hashlib, os, time
h, n = hashlib.sha256(), 0
while True:
    b = os.read(0, 30000)
    if not b:
        break
    h.update(b)
    n += 1
    if n % 40 == 0:
        time.sleep(0.01)
print(h.hexdigest())
PY
is "a slow one too, with a file beside it" \
	"$(rm -f part; rd --tls-verify=0 --sink blob "$REG/team/one" "$LAYER" "$LAYERSIZE" part | python3 slow.py)" "${LAYER#sha256:}"
ok "and the file is whole" cmp part "img/${LAYER#sha256:}"
head -c 5000000 "img/${LAYER#sha256:}" >part
is "the beginning that the file had is given to the receiver as well" \
	"$(rd --tls-verify=0 --sink blob "$REG/team/one" "$LAYER" "$LAYERSIZE" part | python3 slow.py)" "${LAYER#sha256:}"
# The status of the driver, whose receiver goes away.
rd --tls-verify=0 --sink blob "$REG/team/one" "$LAYER" "$LAYERSIZE" - 2>gone.err | head -c 100000 >/dev/null
like "a receiver that goes away ends the transfer" "$(cat gone.err)" 'error 32 .*receiver of blob'

# --- mirrors, rewriting, blocking ---
dead=$(free_port)
cat >mirror.conf <<CONF
unqualified-search-registries = ["127.0.0.1:$PORT"]
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "127.0.0.1:$dead"
insecure = true
[[registry.mirror]]
location = "127.0.0.1:$PORT/team"
insecure = true
[[registry]]
prefix = "moved.example.org/a"
location = "127.0.0.1:$PORT/team"
insecure = true
[[registry]]
location = "blocked.example.org"
blocked = true
[[registry]]
location = "127.0.0.1:$PORT"
insecure = true
[aliases]
"one" = "moved.example.org/a/one"
CONF
ok "a mirror behind a dead one serves manifest and blobs" rd --conf=mirror.conf pull docker.io/one:v1 out2
ok "the same image" diff -r img out2
ok "a location is rewritten" rd --conf=mirror.conf manifest moved.example.org/a/one:v1
must_fail "a blocked registry is not asked" --stderr 'error 1 .*blocked by registries.conf' rd --conf=mirror.conf manifest blocked.example.org/x:1
ok "insecure = true allows http" rd --conf=mirror.conf manifest "$REG/team/one:v1"
must_fail "--tls-verify wins over it" --stderr 'TLS failed' rd --conf=mirror.conf --tls-verify=1 manifest "$REG/team/one:v1"
output_is "short names follow the search list" "name 127.0.0.1:$PORT/two" rd --conf=mirror.conf expand two
output_is "and aliases" "name moved.example.org/a/one:v1" rd --conf=mirror.conf expand one:v1
must_fail "a configuration that is not there is an error" --stderr 'error 2' rd --conf=nosuch.conf expand x
printf 'a = 1\n[[registry]\n' >bad.conf
must_fail "a broken one is too, with its line" --stderr 'bad.conf: line 2' rd --conf=bad.conf expand x

# --- proxies: the registry's address is only known to the proxy ---
cat >proxy.py <<'PY'
import http.server, socketserver, sys, urllib.request
class P(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        open("proxy.log", "a").write(self.path + "\n")
        url = self.path.replace("reg.example.org:80", sys.argv[1]).replace("reg.example.org", sys.argv[1])
        try:
            r = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(urllib.request.Request(url, headers={"Accept": self.headers.get("Accept", "*/*")}))
            body = r.read()
            self.send_response(200)
            self.send_header("Content-Type", r.headers["Content-Type"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except Exception as e:
            self.send_error(502)
    def do_CONNECT(self):
        self.send_error(403)
    def log_message(self, *a):
        pass
s = socketserver.ThreadingTCPServer(("127.0.0.1", 0), P)
open("proxy.port.new", "w").write(str(s.server_address[1]))
import os
os.rename("proxy.port.new", "proxy.port")
s.serve_forever()
PY
python3 proxy.py "$REG" 2>/dev/null &
on_finish "kill $! 2>/dev/null; wait $! 2>/dev/null"
wait_for "the proxy" 10 test -f proxy.port
cat >proxy.conf <<'CONF'
[[registry]]
location = "reg.example.org"
insecure = true
CONF
ok "HTTP_PROXY is used" env HTTP_PROXY="http://127.0.0.1:$(cat proxy.port)" HTTPS_PROXY="http://127.0.0.1:$(cat proxy.port)" \
	registry-driver --conf=proxy.conf --retries=-1 manifest reg.example.org/team/one:v1
ok "it saw the request" grep -q 'reg.example.org.*/v2/team/one/manifests/v1' proxy.log
: >proxy.log
ok "NO_PROXY exempts hosts" env HTTP_PROXY="http://127.0.0.1:$(cat proxy.port)" HTTPS_PROXY="http://127.0.0.1:$(cat proxy.port)" \
	NO_PROXY=127.0.0.0/8 registry-driver --tls-verify=0 manifest "$REG/team/one:v1"
is "it saw nothing of that" "$(cat proxy.log)" ""

# --- TLS and passwords ---
ca() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.crt" -days 30 -subj "/CN=$1" 2>/dev/null; }
# cert NAME CA SAN [DAYS]
cert() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$1" 2>/dev/null
	openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -out "$1.crt" -days "${4:-30}" \
		-extfile <(echo "subjectAltName=$3") 2>/dev/null
}
ca testca
ca otherca
cert server testca IP:127.0.0.1
cert wrongname testca DNS:other.example.org
cert expired testca IP:127.0.0.1 -1
cert client testca DNS:client
htpasswd -Bbn ann 's3cret:x' >htpasswd 2>/dev/null
start_registry secure "  tls: {certificate: $T/server.crt, key: $T/server.key}" "auth: {htpasswd: {realm: r, path: $T/htpasswd}}"
SEC=127.0.0.1:$PORT
mkdir -p certs othercerts
cp testca.crt certs/ca.crt
cp otherca.crt othercerts/ca.crt
must_fail "an unknown CA is refused, and the remedy named" --stderr 'certificate is not trusted.*certs.d' rd manifest "$SEC/x:1"
must_fail "another CA does not help" --stderr 'not trusted' rd --cert-dir=othercerts manifest "$SEC/x:1"
must_fail "with its CA the registry wants a password" --stderr 'error 13 .*rl login' rd --cert-dir=certs manifest "$SEC/x:1"
ok "an image is pushed with TLS and --creds" rd --cert-dir=certs --creds=ann:s3cret:x push img "$SEC/team/one:v1"
ok "and pulled" rd --cert-dir=certs --creds=ann:s3cret:x pull "$SEC/team/one:v1" out4
ok "byte for byte over TLS" diff -r img out4
ok "--tls-verify=false needs no CA" rd --tls-verify=0 --creds=ann:s3cret:x manifest "$SEC/team/one:v1"
must_fail "a wrong password is refused" --stderr 'error 13 ' rd --cert-dir=certs --creds=ann:wrong manifest "$SEC/team/one:v1"
mkdir -p "$HOME/.config/containers/certs.d/$SEC"
cp testca.crt "$HOME/.config/containers/certs.d/$SEC/ca.crt"
must_fail "login with a wrong password is refused" --stderr 'error 13 ' rd login "$SEC" ann wrong
not_ok "and stores nothing" test -e "$XDG_RUNTIME_DIR/containers/auth.json"
tap_run rd login "$SEC" ann s3cret:x
is "login says where it stored" "$(grep ^where "$T/.out")" "where $XDG_RUNTIME_DIR/containers/auth.json"
is "readable by the owner only" "$(stat -c %a "$XDG_RUNTIME_DIR/containers/auth.json")" 600
ok "the certificate in the user's certs.d and the stored credentials are used" rd pull "$SEC/team/one:v1" out5
ok "skopeo can read the file" skopeo inspect --tls-verify=false --authfile "$XDG_RUNTIME_DIR/containers/auth.json" "docker://$SEC/team/one:v1"
ok "stored credentials can be checked" rd check "$SEC"
output_is "and named" "user ann" rd user "$SEC"
output_is "logout" "removed 1" rd logout "$SEC"
must_fail "afterwards the registry refuses" --stderr 'error 13 ' rd manifest "$SEC/team/one:v1"
mkdir -p "$HOME/.docker"
skopeo login --authfile "$HOME/.docker/config.json" --tls-verify=false -u ann -p s3cret:x "$SEC" >/dev/null
ok "a login by another tool is used" rd manifest "$SEC/team/one:v1"
tap_run registry-driver --tls-verify=0 login "127.0.0.1:$PLAIN" a b
is "a registry that asks for nothing is said to" "$(grep ^open "$T/.out")" "open 1"

start_registry wrongname "  tls: {certificate: $T/wrongname.crt, key: $T/wrongname.key}"
must_fail "a certificate for another name is refused" --stderr 'not trusted' rd --cert-dir=certs manifest "127.0.0.1:$PORT/x:1"
start_registry expired "  tls: {certificate: $T/expired.crt, key: $T/expired.key}"
must_fail "an expired certificate is refused" --stderr 'not trusted.*expired' rd --cert-dir=certs manifest "127.0.0.1:$PORT/x:1"
start_registry mutual "  tls: {certificate: $T/server.crt, key: $T/server.key, clientcas: [$T/testca.crt]}"
must_fail "a registry that wants a client certificate refuses without" rd --cert-dir=certs --retries=-1 manifest "127.0.0.1:$PORT/x:1"
cp client.crt certs/client.cert
must_fail "a client certificate without key is named" --stderr 'client.key' rd --cert-dir=certs manifest "127.0.0.1:$PORT/x:1"
cp client.key certs/client.key
ok "with both it lets us push" rd --cert-dir=certs push small "127.0.0.1:$PORT/x:1"

leftover=$(find "$XDG_RUNTIME_DIR" "$HOME" -name '*.tmp*' -o -name '.*auth*' | head -1)
is "no temporary files are left" "$leftover" ""
done_testing
