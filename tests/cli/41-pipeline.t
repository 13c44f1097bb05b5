#!/bin/bash
# A layer is unpacked while it is downloaded, nothing is published before everything is verified, and what an interrupted
# pull has fetched is not fetched again.
# deadline: 240
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"

# start_gated NAME DIR: sets R, GATE and LOG.
start_gated() {
	GATE=$T/$1.gate LOG=$T/$1.log
	mkfifo "$GATE"
	python3 "$HELPERS/gated-registry.py" "$2" "$GATE" "$T/$1.ready" "$LOG" &
	on_finish "kill $! 2>/dev/null; wait $! 2>/dev/null"
	wait_for "registry $1" 20 test -s "$T/$1.ready" || return 1
	R=127.0.0.1:$(cat "$T/$1.ready")
}
open_gate() { : >"$GATE"; }
pull() { rl pull -q --tls-verify=false --retry 1 "$@"; }
halves() { [ "$(grep -c '^half' "$LOG" 2>/dev/null)" -ge "$1" ]; }
unpacked_file() { [ -n "$(find "$RL_ROOT/tmp" -name "$1" -size +0 2>/dev/null)" ]; }
partials() { find "$RL_ROOT/cache" -name 'partial-*' -size +100k 2>/dev/null | wc -l; }
layers() { find "$RL_ROOT/layers" -mindepth 2 -maxdepth 2 2>/dev/null | wc -l; }
large_blobs() { find "$RL_ROOT/images/blobs" -type f -size +100k 2>/dev/null | wc -l; }

make_image two 6000000 4000000
start_gated two two || skip_all "python3 does not start a server"

# --- while it arrives ---
env --default-signal=INT rl pull -q --tls-verify=false "$R/gated/image:1" >out 2>err &
pid=$!
ok "two layers are downloaded at the same time" wait_for "both halves" 60 halves 2
ok "the first layer is unpacked while it is downloaded" wait_for "file0" 60 unpacked_file file0
ok "and so is the second" wait_for "file1" 60 unpacked_file file1
is "no layer is published yet" "$(layers)" 0
is "and no blob of a layer" "$(large_blobs)" 0
must_fail "nor is there an image" --status 1 rl image exists "$R/gated/image:1"

# --- interrupted ---
kill -INT $pid
wait $pid
is "Ctrl-C ends the pull" $? 130
is "what has arrived stays" "$(partials)" 2
is "and no layer" "$(layers)" 0
before=$(wc -l <"$LOG")
open_gate
ok "the next pull succeeds" pull "$R/gated/image:1"
is "and asks for the rest of each blob only" "$(tail -n +$((before + 1)) "$LOG" | grep -c '/blobs/.* bytes=[1-9]')" 2
is "both layers are published" "$(layers)" 2
is "and both blobs" "$(large_blobs)" 2
is "no partial file is left" "$(find "$RL_ROOT/cache" -name 'partial-*' | wc -l)" 0
ok "what was unpacked in two parts is what was packed" rl save --format oci-archive -o saved.tar "$R/gated/image:1"
before=$(grep -c '^half' "$LOG")
ok "pulling it again succeeds" pull "$R/gated/image:1"
is "and fetches no layer" "$(grep -c '^half' "$LOG")" "$before"

# --- lies ---
# A layer that is no archive, behind an honest digest: known long before the download ends.
python3 - <<'PY'
import gzip, hashlib, json, os, random, shutil
def image(name, change):
    shutil.copytree("two", name)
    m = json.load(open("two/manifest.json"))
    c = json.load(open("two/" + m["config"]["digest"][7:]))
    change(name, m, c)
    body = json.dumps(c).encode()
    m["config"]["digest"] = "sha256:" + hashlib.sha256(body).hexdigest()
    m["config"]["size"] = len(body)
    open(f"{name}/{m['config']['digest'][7:]}", "wb").write(body)
    json.dump(m, open(name + "/manifest.json", "w"))
def rubbish(name, m, c):
    raw = random.Random(1).randbytes(8000000)
    packed = gzip.compress(raw, 1, mtime=0)
    d = hashlib.sha256(packed).hexdigest()
    open(f"{name}/{d}", "wb").write(packed)
    m["layers"][0].update(digest="sha256:" + d, size=len(packed))
    c["rootfs"]["diff_ids"][0] = "sha256:" + hashlib.sha256(raw).hexdigest()
def other_diff(name, m, c):
    c["rootfs"]["diff_ids"][1] = "sha256:" + "1" * 64
def one_blob_twice(name, m, c):
    m["layers"].append(m["layers"][0])
    c["rootfs"]["diff_ids"].append("sha256:" + "2" * 64)
def same_twice(name, m, c):
    m["layers"].append(m["layers"][0])
    c["rootfs"]["diff_ids"].append(c["rootfs"]["diff_ids"][0])
image("rubbish", rubbish)
image("diff", other_diff)
image("twice", one_blob_twice)
image("same", same_twice)
PY
export RL_ROOT=$T/lies
start_gated rubbish rubbish
must_fail "a layer that is no archive ends the pull in the middle of the download" --status 125 --stderr 'layer 1/2' \
	pull "$R/gated/image:1"
is "nothing of it is published" "$(layers) $(large_blobs)" "0 0"

export RL_ROOT=$T/diff.store
start_gated diff diff
open_gate
must_fail "a layer with another DiffID than the config says is refused" --status 125 --stderr 'DiffID sha256:1111' \
	pull "$R/gated/image:1"
is "nothing is published, not the good layer either" "$(layers) $(large_blobs)" "0 0"
must_fail "and there is no image" --status 1 rl image exists "$R/gated/image:1"

export RL_ROOT=$T/twice.store
start_gated twice twice
open_gate
must_fail "one blob with two DiffIDs is refused" --status 125 --stderr 'same blob with different DiffIDs' pull "$R/gated/image:1"

export RL_ROOT=$T/same.store
start_gated same same
open_gate
ok "an image that has the same layer twice is pulled" pull "$R/gated/image:1"
is "and it is fetched once" "$(grep -c "^half" "$LOG")" 2

# --- a partial file that is no beginning of the blob ---
export RL_ROOT=$T/wrong
start_gated wrong two
open_gate
mkdir -p -m 700 "$RL_ROOT/cache"
layer=$(python3 -c 'import json; print(json.load(open("two/manifest.json"))["layers"][0]["digest"][7:])')
head -c 3000000 /dev/zero >"$RL_ROOT/cache/partial-$layer"
ok "a partial file with other bytes does no harm" pull "$R/gated/image:1"
ok "the layer is unpacked from the right ones" \
	test "$(find "$RL_ROOT/layers" -name file0 -size 6000000c 2>/dev/null | wc -l)" = 1
done_testing
