#!/bin/bash
# rl system check: each kind of damage is found, named, and mended from where the image came; nothing else is touched;
# and a run that meets damage mends it by itself.
# deadline: 240
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"
have docker-registry || skip_all "docker-registry is not installed"

start_registry plain || skip_all "the registry does not start"
R=127.0.0.1:$PORT
# Only our registry is asked, and over http.
cat >registries.conf <<CONF
unqualified-search-registries = []
[[registry]]
location = "$R"
insecure = true
[[registry]]
location = "docker.io"
blocked = true
CONF
export CONTAINERS_REGISTRIES_CONF=$T/registries.conf

# Two layers: the payload, and one on top that leaves out the parent it writes to (a ChainID layer).
payload_rootfs base && echo kept >base/kept && chmod 1777 base/tmp
tar -C base --owner=0 --group=0 --numeric-owner -czf base.tar.gz .
ok "an image is imported" rl import base.tar.gz $R/team/app:1
ok "and pushed" rl push -q $R/team/app:1
ok "another one is only here" rl import base.tar.gz localhost/own
echo other >base/kept && tar -C base --owner=0 --group=0 --numeric-owner -czf other.tar.gz .
check() { rl system check "$@"; }
ok "a store as it was made is sound" check
ok "also with a quick look" check -q
like "and the report says so" "$(check)" ': sound$'
rl rmi $R/team/app:1 localhost/own >/dev/null
ok "an image is pulled" rl pull -q $R/team/app:1
ok "one with the same layer is imported" rl import base.tar.gz localhost/own
ok "and one with a layer of its own" rl import other.tar.gz localhost/alone
runs() { [ "$(rl run --rm --network none --pull=never $R/team/app:1 /tinit args "$1")" = "$1" ]; }
ok "it runs" runs before

meta=$(grep -l team/app "$RL_ROOT"/images/meta/*.json | head -1)
blob_of() { python3 -c 'import json,sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2])[7:])' "$meta" "$1"; }
layer_blob=$RL_ROOT/images/blobs/sha256/$(blob_of 'd["layers"][0]["blob"]')
config_blob=$RL_ROOT/images/blobs/sha256/$(blob_of 'd["config"]')
manifest_blob=$RL_ROOT/images/blobs/sha256/$(blob_of 'd["manifest"]')
key=$(blob_of '"sha256:" + d["layers"][0]["key"]')
layer=$(echo "$RL_ROOT"/layers/*/"$key")
name=$(ls "$RL_ROOT"/images/refs | grep team)

# Inode and time of everything that is not meant: what was not damaged must be the same file afterwards.
flip() { printf '\xff' | dd of="$1" bs=1 seek=60 conv=notrunc status=none; }
# damage SENTENCE KIND COMMAND: found with its kind, by the deep look; mended; sound; runs.
damage() {
	local what=$1 kind=$2 status
	shift 2
	"$@"
	check >.report 2>&1
	status=$?
	is "$what: found, status 1" "$status" 1
	like "$what: as $kind" "$(cat .report)" "broken: $kind"
	ok "$what: --repair succeeds" check --repair
	like "$what: and says what was mended" "$(cat .out)" "mended: $kind"
	ok "$what: then the store is sound" check
	ok "$what: and the image runs" runs after
}
damage "a blob with one bit turned over" "blob damaged" flip "$layer_blob"
damage "a blob that is cut off" "blob damaged" truncate -s 100 "$layer_blob"
damage "a blob that is gone" "blob missing" rm "$layer_blob"
damage "a damaged config" "blob damaged" flip "$config_blob"
damage "a config that is gone" "blob missing" rm "$config_blob"
damage "a damaged manifest" "blob damaged" flip "$manifest_blob"
damage "a manifest that is gone" "blob missing" rm "$manifest_blob"
damage "a torn record" "record damaged" truncate -s 50 "$meta"
damage "a record that is gone" "record damaged" rm "$meta"
damage "a record that contradicts the manifest" "record damaged" sed -i 's/"diffID":"sha256:..../"diffID":"sha256:0000/' "$meta"
damage "a torn name" "name damaged" truncate -s 20 "$RL_ROOT/images/refs/$name"
damage "a torn index" "index damaged" truncate -s 30 "$RL_ROOT/images/index.json"
damage "a changed file in a layer" "layer damaged" sh -c "echo more >>'$layer/diff/kept'"
damage "a file that is gone" "layer damaged" rm "$layer/diff/kept"
damage "a file too many" "layer damaged" touch "$layer/diff/extra"
damage "another mode" "layer damaged" chmod 4755 "$layer/diff/tinit"
damage "a wrong attribute" "layer damaged" setfattr -n user.strange -v 1 "$layer/diff/kept"
damage "a file in the place of a directory" "layer damaged" sh -c "rmdir '$layer/diff/root' && touch '$layer/diff/root'"
damage "a layer without files" "layer damaged" remove_tree "$layer/diff"
damage "a layer without its info" "layer damaged" rm "$layer/info.json"
damage "a torn info" "layer damaged" truncate -s 10 "$layer/info.json"
damage "a layer that is gone" "layer missing" remove_tree "$layer"
damage "a directory that may not be read" "wrong owner" chmod 0 "$RL_ROOT/images/meta"
all_of_it() {
	flip "$layer_blob" && rm "$config_blob" "$manifest_blob" "$meta" && remove_tree "$layer"
}
damage "everything of one image" "blob missing" all_of_it
remove_layers() { remove_tree "$RL_ROOT/layers" && rm "$layer_blob"; }
damage "all layers and a blob" "blob missing" remove_layers
output_is "the other image was not disturbed" there rl run --rm --network none localhost/alone /tinit args there

# What is sound stays the very file it was.
inodes() { find "$RL_ROOT/images/blobs" "$RL_ROOT/layers" -printf '%i %T@ %s %P\n' | sort; }
before=$(inodes)
ok "a repair of a sound store" check --repair
is "replaces nothing" "$(inodes)" "$before"
flip "$config_blob"
check >/dev/null
is "a check without --repair changes nothing" "$(inodes | grep -c .)" "$(grep -c . <<<"$before")"
ok "a repair of one blob" check --repair
is "replaces that one only" "$(diff <(inodes) <(echo "$before") | grep '^>' | grep -vc "$(basename "$config_blob")\|sha256$")" 0

# The quick look
flip "$layer_blob"
ok "a quick look does not read blobs" check --quick
truncate -s 10 "$layer_blob"
must_fail_quietly() { check --quick >/dev/null; [ $? = 1 ]; }
ok "but sees their size" must_fail_quietly
rl system check --json >.json
is "the report is also a document" "$(python3 -c 'import json; d = json.load(open(".json")); print(d["Sound"], d["Broken"], d["Problems"][0]["Kind"])')" "False 1 blob damaged"
ok "mended" check --repair

# Runs mend by themselves
remove_tree "$layer"
ok "a run unpacks a layer that is gone" runs again
remove_tree "$layer"; rm "$layer_blob"
fetches() { [ "$(rl run --rm --network none $R/team/app:1 /tinit args "$1")" = "$1" ]; }
ok "and fetches the blob where that is gone too" fetches again
remove_tree "$layer"; flip "$layer_blob"
ok "or damaged" fetches again
rm "$config_blob"
ok "a config that is gone is fetched for a run" fetches again
flip "$manifest_blob"; rm "$meta"
ok "a record is made again for a run, its manifest fetched" fetches again
ok "after all of that the store is sound" check
remove_tree "$layer"; rm "$layer_blob"
must_fail "--pull=never fetches nothing" --status 125 --stderr 'missing' \
	rl run --rm --network none --pull=never $R/team/app:1 /tinit args x
output_is "while the other image runs" there rl run --rm --network none localhost/alone /tinit args there
ok "and a run that may fetch mends it" fetches x

# What cannot be had again
own_blob=$(sha256sum other.tar.gz | cut -d' ' -f1)
rm "$RL_ROOT/images/blobs/sha256/$own_blob"
check --repair >.report
is "a blob that nobody has stays broken, status 1" "$?" 1
like "and the report says why" "$(cat .report)" 'broken: blob missing.*cannot be had again'
output_is "its image runs as long as its layer is there" there rl run --rm --network none localhost/alone /tinit args there
ok "it can be removed" rl rmi localhost/alone
ok "then the store is sound" check

# Left-overs harm nobody
for how in "sed -i s/team/tram/" rm; do
	$how "$RL_ROOT/images/index.json"
	like "an old index is no damage, but told ($how)" "$(check)" '^leftover: index out of date'
	ok "and written again by a repair ($how)" check --repair
	unlike "(really) ($how)" "$(check)" index
done
mkdir -p "$RL_ROOT/tmp/work-0123456789abcdef" && touch -d '1 hour ago' "$RL_ROOT/images/refs/x.0123.tmp"
ln -s 0000000000000000000000000000000000000000000000000000000000000000 "$RL_ROOT/names/ghost"
head -c 100 /dev/urandom >x && cp x "$RL_ROOT/images/blobs/sha256/$(sha256sum x | cut -d' ' -f1)"
check >.report
is "what crashes leave is no damage" "$?" 0
is "but told: work, temporary name, container's name, blob" "$(grep -c '^leftover' .report)" 4
ok "and removed by a repair" check --repair
is "all of it" "$(check | grep -c leftover)" 0
is "(really)" "$(ls "$RL_ROOT/tmp" "$RL_ROOT/names" | grep -c 'work-0123\|ghost')" 0
done_testing
