#!/bin/bash
# Several at once: pulls, loads and first runs of one image unpack each layer once; collections beside them take nothing
# that anybody needs.
# deadline: 240
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"
have docker-registry || skip_all "docker-registry is not installed"
start_registry plain || skip_all "the registry does not start"
R=127.0.0.1:$PORT
printf 'unqualified-search-registries = []\n[[registry]]\nlocation = "%s"\ninsecure = true\n' "$R" >registries.conf
export CONTAINERS_REGISTRIES_CONF=$T/registries.conf
payload_rootfs base && head -c 3000000 /dev/urandom >base/noise
tar -C base --owner=0 --group=0 --numeric-owner -czf base.tar.gz .
"$HELPERS/make-image" oci load.tar --name localhost/load:1 --layers 8 --gzip
ok "an image is pushed" sh -c "rl import base.tar.gz $R/t/app:1 && rl push -q $R/t/app:1"

# together N COMMAND...: all succeed; UNPACKED is how many layers were unpacked by all of them.
together() {
	local n=$1 i bad=0 pids=()
	shift
	for ((i = 0; i < n; i++)); do
		RL_DEBUG=store "$@" >/dev/null 2>"together.$i" &
		pids+=($!)
	done
	for i in "${!pids[@]}"; do wait "${pids[i]}" || { bad=1; diag "$(grep -v debug "together.$i" | tail -5)"; }; done
	UNPACKED=$(cat together.* | grep -c 'to unpack')
	rm together.*
	return $bad
}
rl system reset -f >/dev/null
together 4 rl pull -q $R/t/app:1
is "four pulls of one image at once succeed" $? 0
is "and its one layer was unpacked once" "$UNPACKED" 1
together 4 rl load -i load.tar
is "four loads of one archive succeed" $? 0
is "and its eight layers were unpacked once each" "$UNPACKED" 8
remove_tree "$RL_ROOT/layers"
together 4 rl run --rm --network none --pull=never $R/t/app:1 /tinit exit 0
is "four first runs of one image succeed" $? 0
is "and one of them unpacked it" "$UNPACKED" 1
ok "what else was removed is unpacked again by a repair" rl system check --repair
ok "the store is sound" rl system check
is "no claim is left" "$(ls "$RL_ROOT/cache" | grep -c claim)" 0

# Collections beside pulls and loads, over and over.
bad=0
for round in 1 2 3 4 5 6; do
	rl rmi -f $R/t/app:1 localhost/load:1 >/dev/null 2>&1
	rl pull -q $R/t/app:1 >/dev/null 2>p.err & p=$!
	rl load -i load.tar >/dev/null 2>l.err & l=$!
	for i in 1 2 3 4 5 6 7 8; do
		rl image prune -f >/dev/null 2>>g.err || bad=$((bad + 1))
		rl system prune -f >/dev/null 2>>g.err || bad=$((bad + 1))
	done
	wait $p || { bad=$((bad + 1)); diag "pull: $(cat p.err)"; }
	wait $l || { bad=$((bad + 1)); diag "load: $(cat l.err)"; }
	rl run --rm --network none --pull=never $R/t/app:1 /tinit exit 0 || bad=$((bad + 1))
	rl system check >.check 2>&1 || { bad=$((bad + 1)); diag "$(head -5 .check)"; }
done
is "96 collections beside pulls and loads took nothing that was needed" "$bad" 0
[ "$bad" = 0 ] || diag "$(sort g.err | uniq -c | head)"

# A repair beside a pull, too, and beside runs.
rl rmi -f $R/t/app:1 >/dev/null
rl pull -q $R/t/app:1 >/dev/null 2>p.err & p=$!
ok "a repair beside a pull" rl system check --repair
wait $p
is "does not disturb it" $? 0
ok "and the image runs" rl run --rm --network none --pull=never $R/t/app:1 /tinit exit 0
rl run -d --name c --network none --pull=never $R/t/app:1 /tinit sleep 1000 >/dev/null
layer=$(ls -d "$RL_ROOT"/layers/*/*/diff/noise) && layer=${layer%/diff/noise}
echo x >"$layer/diff/extra"
rl system check --repair >.report
is "a layer that a container runs on is not exchanged under it, status 1" "$?" 1
like "and that is said" "$(cat .report)" 'runs on it; stop it first'
rl rm -f c >/dev/null
ok "after its end it is" rl system check --repair

# 500 names of images
cat >many.py <<'PY'
import json, os, sys, glob
root = sys.argv[1] + "/images"
ref = json.load(open(glob.glob(root + "/refs/localhost+load:1")[0]))
meta = root + "/meta/" + ref["manifest"][7:] + ".json"
record = open(meta).read()
for i in range(500):
    ref["name"] = f"localhost/many{i}:1"
    ref["manifest"] = "sha256:" + f"{i:064x}"
    open(f"{root}/refs/localhost+many{i}:1", "w").write(json.dumps(ref))
    d = json.loads(record)
    d["manifest"] = ref["manifest"]
    open(f"{root}/meta/{i:064x}.json", "w").write(json.dumps(d))
PY
python3 many.py "$RL_ROOT"
is "500 images more are listed" "$(rl images | grep -c localhost/many)" 500
# The time on the processor, since others may be at work here; the wall clock for information.
best=1000000
cpu=1000000
TIMEFORMAT='%U %S'
for i in $(seq 15); do
	start=${EPOCHREALTIME/[.,]/}
	used=$({ time rl images >/dev/null; } 2>&1 | awk '{ print int(($1 + $2) * 1000000) }')
	end=${EPOCHREALTIME/[.,]/}
	[ $((end - start)) -lt $best ] && best=$((end - start))
	[ "$used" -lt $cpu ] && cpu=$used
done
diag "rl images with 500 images: $cpu us of a processor, $best us (best of 15, with the shell's part)"
done_testing
