# registry.sh - registries for the command-line tests: docker-registry on loopback, the hostile one, images for them.
# Source it after tap.sh.
#
#     start_registry NAME [YAML...]       sets PORT; extra lines go below `http:` and the top level of its configuration
#     start_hostile [OPTION...]           sets P1, P2 (ports), HOSTILE_LOG, and the facts LAYER, LAYERSIZE, MANIFEST
#     make_image DIR SIZE...              an image in skopeo's dir: format with layers of these sizes (seeded, not random)

# Started by hand, without a staged copy, the compiled helpers are in the build tree.
command -v registry-driver >/dev/null || PATH=$PATH:$RL_TEST_PREFIX/tests/helpers

# free_port: a port of loopback that nobody has now.
free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

registry_answers() {
	python3 - "$1" <<'PY'
import socket, sys
socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()
PY
}

# start_registry NAME HTTP_LINES OTHER_LINES
start_registry() {
	local name=$1 http=${2:-} other=${3:-}
	PORT=$(free_port)
	mkdir -p "$T/$name.data"
	cat >"$T/$name.yml" <<YML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $T/$name.data}, delete: {enabled: true}}
$other
http:
  addr: 127.0.0.1:$PORT
$http
YML
	docker-registry serve "$T/$name.yml" >"$T/$name.log" 2>&1 &
	on_finish "kill $! 2>/dev/null; wait $! 2>/dev/null"
	wait_for "registry $name" 20 registry_answers "$PORT" || { cat "$T/$name.log"; return 1; }
}

start_hostile() {
	HOSTILE_LOG=$T/hostile.log
	rm -f "$T/hostile.ready"
	python3 "$HELPERS/hostile-registry.py" --ready "$T/hostile.ready" --log "$HOSTILE_LOG" "$@" &
	HOSTILE_PID=$!
	on_finish "kill $HOSTILE_PID 2>/dev/null; wait $HOSTILE_PID 2>/dev/null"
	wait_for "the hostile registry" 20 test -f "$T/hostile.ready" || return 1
	read -r P1 P2 <"$T/hostile.ready"
	python3 -c "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:$P1/facts').read().decode())" >"$T/facts"
	LAYER=$(awk '$1 == "layer" { print $2 }' "$T/facts")
	LAYERSIZE=$(awk '$1 == "layersize" { print $2 }' "$T/facts")
	MANIFEST=$(awk '$1 == "manifest" { print $2 }' "$T/facts")
}

make_image() {
	python3 - "$@" <<'PY'
import gzip, hashlib, io, json, os, random, sys, tarfile
d, sizes = sys.argv[1], [int(s) for s in sys.argv[2:]]
os.makedirs(d)
def put(data):
    h = hashlib.sha256(data).hexdigest()
    open(d + "/" + h, "wb").write(data)
    return "sha256:" + h
layers, diffs = [], []
for n, size in enumerate(sizes):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as t:
        info = tarfile.TarInfo("file%d" % n)
        info.size = size
        t.addfile(info, io.BytesIO(random.Random(n + size).randbytes(size)))
    packed = gzip.compress(raw.getvalue(), 1, mtime=0)
    layers.append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": put(packed), "size": len(packed)})
    diffs.append("sha256:" + hashlib.sha256(raw.getvalue()).hexdigest())
config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]},
                     "rootfs": {"type": "layers", "diff_ids": diffs}}).encode()
manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": put(config), "size": len(config)},
            "layers": layers}
open(d + "/manifest.json", "w").write(json.dumps(manifest))
open(d + "/version", "w").write("Directory Transport Version: 1.1\n")
PY
}
