#!/bin/bash
# Bundles both ways: rl generate spec, rl unpack, rl repack, as an ordinary user; and beside umoci.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/oci.sh"
on_finish 'for i in $(oci list -q); do oci delete -f "$i"; done; rl unshare rm -rf "$T/bundle" "$T/again" 2>/dev/null'
N="--network none"

rl create $N --name base busybox true >/dev/null
rl commit -q -c 'ENV A=from-image' -c 'WORKDIR /work' -c 'CMD ["sh", "-c", "echo $A $(pwd)"]' base localhost/base:1 >/dev/null

# --- generate spec ---
spec() { rl generate spec "$@" | python3 -c 'import json, sys; c = json.load(sys.stdin); print(eval(sys.argv[1]))' "$expr"; }
is "generate spec has the image's command" "$(expr='c["process"]["args"]' spec localhost/base:1)" "['sh', '-c', 'echo \$A \$(pwd)']"
is "its environment and directory" "$(expr='"A=from-image" in c["process"]["env"], c["process"]["cwd"]' spec localhost/base:1)" "(True, '/work')"
is "or the command that is given" "$(expr='c["process"]["args"]' spec localhost/base:1 id -u)" "['id', '-u']"
ok "-f writes a file" rl generate spec -f spec.json localhost/base:1
must_fail "an image that is not there" --status 125 rl generate spec localhost/nosuch:1

# --- unpack ---
ok "unpack" rl unpack -q localhost/base:1 bundle
ok "the bundle has config.json and rootfs" test -f bundle/config.json -a -d bundle/rootfs/bin
output_is "it runs with rl-oci" "from-image /work" oci run -b bundle r
must_fail "a bundle that is there is not overwritten" --status 125 --stderr 'File exists' rl unpack -q localhost/base:1 bundle
must_fail "an image that is not there leaves no bundle" --status 125 rl unpack -q localhost/nosuch:1 none
not_ok "... at all" test -e none

# --- repack ---
rl unshare sh -c 'cd bundle/rootfs && echo new >file && mkdir -p deep/er && echo below >deep/er/f && ln -s file link && chmod 4755 file && rm -f bin/arch && chown 3:4 deep 2>/dev/null; true'
ok "repack" rl repack -q -m why -c 'ENV A=changed' bundle localhost/base:2
output_is "the new image has what was added" "new below file" rl run --rm $N localhost/base:2 sh -c 'echo $(cat /file /deep/er/f) $(readlink /link)'
output_is "modes" -rwsr-xr-x rl run --rm $N localhost/base:2 sh -c 'ls -l /file | cut -d" " -f1'
output_is "what was removed is not there" no rl run --rm $N localhost/base:2 sh -c '[ -e /bin/arch ] && echo yes || echo no'
output_is "and the rest is" "changed" rl run --rm $N localhost/base:2 sh -c 'echo $A'
is "one layer came on top, the others are the same" "$(diff <(rl inspect -f '{{range .RootFS.Layers}}{{println .}}{{end}}' localhost/base:1 | grep sha256) <(rl inspect -f '{{range .RootFS.Layers}}{{println .}}{{end}}' localhost/base:2 | grep sha256) | grep -c '^>')" 1
layer=$(rl save -q --format oci-dir -o saved localhost/base:2 >/dev/null 2>&1; python3 - <<'PY'
import glob, json, tarfile
idx = json.load(open("saved/index.json")); m = json.load(open("saved/blobs/sha256/" + idx["manifests"][0]["digest"][7:]))
t = tarfile.open("saved/blobs/sha256/" + m["layers"][-1]["digest"][7:])
print(" ".join(sorted("/" + n.name.strip("./") for n in t)))
PY
)
is "its layer has the changes and nothing else (/work was made by the run)" "$layer" "/ /bin /bin/.wh.arch /deep /deep/er /deep/er/f /file /link /work"
ok "a round trip without a change" sh -c 'rl unpack -q localhost/base:2 again && rl repack -q again localhost/base:3'
rl save -q --format oci-dir -o saved3 localhost/base:3 >/dev/null 2>&1
is "adds an empty layer" "$(python3 - <<'PY'
import json, tarfile
idx = json.load(open("saved3/index.json")); m = json.load(open("saved3/blobs/sha256/" + idx["manifests"][0]["digest"][7:]))
t = tarfile.open("saved3/blobs/sha256/" + m["layers"][-1]["digest"][7:])
print([n.name for n in t if n.name.strip("./")])
PY
)" "[]"
mkdir foreign
must_fail "a directory that is no bundle of ours" --status 125 --stderr 'rl-bundle.json' rl repack foreign localhost/x:1

# --- umoci's round trip on the same image ---
if have umoci; then
	rl save -q --format oci-dir -o umoci localhost/base:1 >/dev/null 2>&1
	tag=$(umoci ls --layout umoci | head -n 1)
	ok "umoci unpacks what rl saved" umoci unpack --rootless --image "umoci:$tag" umoci-bundle
	rl unpack -q localhost/base:1 ours
	is "both bundles have the same files" "$(cd umoci-bundle/rootfs && find . | sort | cksum)" "$(cd ours/rootfs && find . | sort | cksum)"
	is "and the same command" "$(python3 -c 'import json; print(json.load(open("umoci-bundle/config.json"))["process"]["args"])')" "$(python3 -c 'import json; print(json.load(open("ours/config.json"))["process"]["args"])')"
	echo umoci >umoci-bundle/rootfs/from-umoci
	ok "umoci repacks" umoci repack --image umoci:new umoci-bundle
	ok "rl loads it" sh -c 'umoci tag --image umoci:new only 2>/dev/null; rl pull -q oci:umoci:new'
	rl unshare rm -rf ours
else
	fail "umoci is installed"
fi
done_testing
