#!/bin/bash
# rl load: every form of image archive, several images, names; and archives that are wrong or hostile.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

make_image() { "$HELPERS/make-image" "$@"; }
tmp_is_empty() { [ -z "$(find "$RL_ROOT/tmp" -mindepth 1 2>/dev/null)" ]; }
# Layers of these images hold no program, so `last` is read from the unpacked tree.
last_of() {
	local id
	id=$(rl inspect --format '{{index .RootFS.Layers 1}}' "$1") && cat "$RL_ROOT"/layers/*/"${id#sha256:}"/diff/last
}

make_image docker docker.tar --name d/one:1 --name d/two:2
make_image oci oci.tar --name o/one:1 --gzip
make_image dir layout --name l/one:1 --name l/two
ok "a docker archive is loaded" rl load -i docker.tar
output_is "with both names" "d/one:1 d/two:2" sh -c "rl images | awk '/^d\//{print \$1\":\"\$2}' | sort | tr '\n' ' ' | sed 's/ \$//'"
is "and its layers in order" "$(last_of d/one:1)" 1
ok "an OCI archive is loaded from standard input" sh -c 'rl load <oci.tar'
is "with its layers" "$(last_of o/one:1)" 1
ok "an OCI layout directory is loaded" rl load -i layout
is "with its layers too" "$(last_of l/two)" 1
config=$(python3 -c 'import json,tarfile; print(json.load(tarfile.open("docker.tar").extractfile("manifest.json"))[0]["Config"][:64])')
output_is "a docker archive keeps its image id" "sha256:$config" rl inspect --format '{{.Id}}' d/one:1
digest=$(python3 -c 'import json,tarfile; print(json.load(tarfile.open("oci.tar").extractfile("index.json"))["manifests"][0]["digest"])')
output_is "an OCI archive keeps its manifest" "$digest" rl inspect --format '{{.Digest}}' o/one:1
make_image docker links.tar --name links --links
ok "links between the files of an archive are followed" rl load -i links.tar
make_image docker many.tar --name several:0 --images 3 --marker many
ok "all images of an archive are loaded" rl load -i many.tar
ok "each with its name" sh -c 'rl image exists several:0 && rl image exists several:1 && rl image exists several:2'
make_image oci unnamed.tar --marker unnamed
like "an archive without names is loaded by id" "$(rl load -i unnamed.tar)" 'sha256:[0-9a-f]{64}'
make_image oci platforms.tar --name platforms --platforms --marker p
ok "an index leads to the image of this machine" rl load -i platforms.tar
gzip -k docker.tar && zstd -q docker.tar
ok "a compressed docker archive is loaded" rl load -i docker.tar.gz
ok "with zstd as well" rl load -i docker.tar.zst
make_image docker names.tar --name odd:1 --break name-bad --marker odd
ok "names that are none are left out" rl load -i names.tar
like "with a warning" "$(cat .err)" 'not used'
ok "and the right one is set" rl image exists odd:1
make_image docker tags.tar --break names-many --marker tags
ok "300 names are set" sh -c 'rl load -i tags.tar && [ "$(rl images | grep -c ^many)" = 300 ]'
make_image dir urls --name urls --break manifest-urls --marker urls
ok "URLs in a manifest are not used" rl load -i urls
ok "nothing is left in tmp/" tmp_is_empty

# --- what must be refused, whole
before=$(rl images -q | sort | md5sum)
for how in layer-byte layer-short layer-missing diffid-wrong diffid-path diffid-missing diffid-extra config-byte \
	config-missing config-array config-huge manifest-missing symlink-manifest symlink-layer symlink-config absolute-config \
	dotdot-config directory-config duplicate-manifest empty no-images nested-array; do
	make_image docker "bad-$how.tar" --name bad:1 --break "$how" --marker "bad-$how"
	must_fail "docker archive: $how is refused" --status 125 rl load -i "bad-$how.tar"
done
for how in layer-byte layer-short layer-missing diffid-wrong diffid-path diffid-missing diffid-extra config-byte \
	config-missing config-array config-huge manifest-byte manifest-both manifest-missing manifest-layers-path \
	manifest-digest-path size-wrong index-cycle index-both index-path symlink-manifest symlink-layer empty no-images schema1 \
	type-foreign; do
	make_image oci "bad-$how.tar" --name bad:1 --gzip --break "$how" --marker "bad-$how"
	must_fail "OCI archive: $how is refused" --status 125 rl load -i "bad-$how.tar"
	[ "$how" = empty ] && continue
	make_image dir "bad-$how" --name bad:1 --gzip --break "$how" --marker "bad-$how"
	must_fail "OCI layout: $how is refused" --status 125 rl load -i "bad-$how"
done
must_fail "a root file system is no image, and the hint says what it is for" --stderr 'rl import' sh -c 'mkdir -p r/etc; tar -cf r.tar r; rl load -i r.tar'
must_fail "a missing file is named" --stderr nofile rl load -i nofile
not_ok "no refused image has a name" rl image exists bad:1
is "the images are those from before" "$(rl images -q | sort | md5sum)" "$before"
ok "nothing of them is left in tmp/" tmp_is_empty
ok "nor a blob that no image needs" python3 -c '
import json, os, sys
root = sys.argv[1] + "/images"
used = set()
for name in os.listdir(root + "/meta"):
    r = json.load(open(root + "/meta/" + name))
    used |= {r["manifest"], r["config"]} | {l["blob"] for l in r["layers"]}
there = {"sha256:" + n for n in os.listdir(root + "/blobs/sha256")}
assert there <= used, there - used' "$RL_ROOT"
ok "the host's files are where they were" test -s /etc/passwd

# CVE-2026-111361: no byte of a document or layer can be changed without the load failing.
make_image dir pristine --name mutated:1 --gzip --marker mutated
python3 - >mutations <<'EOP'
import os, random
random.seed(7)
for name in sorted(os.listdir("pristine/blobs/sha256")):
    size = os.path.getsize("pristine/blobs/sha256/" + name)
    for _ in range(10):
        print(name, random.randrange(size), random.randrange(1, 256))
EOP
undetected=0
while read -r name where change; do
	rm -rf mutated && cp -a pristine mutated
	python3 - "mutated/blobs/sha256/$name" "$where" "$change" <<-'EOP'
		import sys
		with open(sys.argv[1], "r+b") as f:
		    f.seek(int(sys.argv[2]))
		    b = f.read(1)[0]
		    f.seek(int(sys.argv[2]))
		    f.write(bytes([b ^ int(sys.argv[3])]))
	EOP
	rl load -i mutated >/dev/null 2>&1 && undetected=$((undetected + 1)) && diag "byte $where of $name"
done <mutations
is "CVE-2026-111361: of $(wc -l <mutations) changed bytes none goes unseen" "$undetected" 0
ok "the unchanged archive is loaded" rl load -i pristine

# --- other tools' archives
if have skopeo; then
	builtin=$(dirname "$(command -v rl)")/../share/rl/images
	name=docker.io/library/busybox:latest
	export HOME=$T
	for form in docker-archive:s1.tar:sk/docker:1 oci-archive:s2.tar:docker.io/sk/oci:1 dir:s3 oci:s4:docker.io/sk/layout:1; do
		file=${form#*:} file=${file%%:*}
		ok "skopeo writes ${form%%:*}" skopeo --insecure-policy copy -q "oci:$builtin:$name" "$form"
		ok "which is loaded" rl load -i "$file"
	done
	for name in sk/docker:1 sk/oci:1 sk/layout:1; do
		output_is "$name runs" hi rl run --rm --network none "$name" echo hi
	done
	ok "skopeo reads our store as it is" skopeo --insecure-policy copy -q "oci:$RL_ROOT/images:docker.io/sk/docker:1" dir:out
	ok "and what it read is loaded again" rl load -i out
	rl import "$RL_ROOT/images/blobs/sha256/$(ls -S "$RL_ROOT/images/blobs/sha256" | head -1)" imported >/dev/null
	ok "an imported image is one for skopeo" skopeo --insecure-policy copy -q "oci:$RL_ROOT/images:docker.io/library/imported:latest" docker-archive:imp.tar:imported:2
	ok "and comes back" rl load -i imp.tar
	output_is "and runs" hi rl run --rm --network none imported:2 echo hi
else
	skip "archives of skopeo are loaded" "skopeo is not installed"
fi

done_testing
