#!/bin/bash
# rl save, push, login: images that leave the store, read back by skopeo and by rl itself.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

make_image() { "$HELPERS/make-image" "$@"; }
digest_of() { rl inspect --format '{{.Digest}}' "$1"; }
id_of() { rl inspect --format '{{.Id}}' "$1"; }
tmp_is_empty() { [ -z "$(find "$RL_ROOT/tmp" -mindepth 1 2>/dev/null)" ]; }

export HOME=$T/home XDG_RUNTIME_DIR=$T/run
mkdir -p "$HOME" "$XDG_RUNTIME_DIR"
make_image oci plain.tar --name s/plain:1 --marker plain
make_image oci gzip.tar --name s/gzip:1 --gzip --marker gzip
rl load -i plain.tar >/dev/null && rl load -i gzip.tar >/dev/null
rl tag s/gzip:1 localhost:5000/other/gzip:2
gzip_digest=$(digest_of s/gzip:1) gzip_id=$(id_of s/gzip:1) plain_digest=$(digest_of s/plain:1)

# --- save ---
ok "an archive is saved" rl save -o d.tar s/gzip:1
output_is "it is docker's" '["docker.io/s/gzip:1"]' python3 -c '
import json, tarfile
m = json.load(tarfile.open("d.tar").extractfile("manifest.json"))
print(json.dumps(m[0]["RepoTags"]))'
rl save s/gzip:1 | cat >d2.tar
ok "to a pipe it is the same, byte for byte" cmp d.tar d2.tar
ok "tar understands it" tar -tf d.tar
ok "several images go into one OCI archive" rl save --format oci-archive -o o.tar s/gzip:1 s/plain:1 localhost:5000/other/gzip:2
is "a blob that is there twice is written once" "$(tar -tf o.tar | sort | uniq -d)" ""
ok "an OCI layout is saved" rl save --format oci-dir -o layout s/gzip:1
mkdir empty full && touch full/file
ok "into an empty directory too" rl save --format docker-dir -o empty s/gzip:1
must_fail "but not into one that has something" --stderr 'new or empty' rl save --format oci-dir -o full s/gzip:1
ok "which stays as it is" test -f full/file
must_fail "a directory does not go to standard output" --stderr 'standard output' rl save --format oci-dir s/gzip:1
must_fail "docker-dir holds one image" --stderr 'one image' rl save --format docker-dir -o two s/gzip:1 s/plain:1
not_ok "and nothing is left of it" test -e two
must_fail "-m=false allows one image" --stderr 'allows one' rl save -m=false -o two s/gzip:1 s/plain:1
must_fail "a format that is none is named" --stderr 'bogus' rl save --format bogus -o x.tar s/gzip:1
must_fail "an image that is not there is named" --stderr 'nosuch' rl save -o x.tar nosuch
must_fail "a file that cannot be written is named" --stderr '/nowhere' rl save -o /nowhere/x.tar s/gzip:1
must_fail "a terminal gets no archive" --stdout 'terminal' script -qec 'rl save s/gzip:1' /dev/null
must_fail "a full device is an error" --stderr 'space' rl save -o /dev/full s/gzip:1
ok "a reader that goes away does no harm" sh -c 'rl save busybox 2>pipe.err | head -c 10 >/dev/null; ! grep -q signal pipe.err'
is "no part of a file is left" "$(find . -maxdepth 1 -name '*.tar.*' -o -maxdepth 1 -name 'x.tar*')" ""

rl rmi s/gzip:1 s/plain:1 localhost:5000/other/gzip:2 >/dev/null
not_ok "after they were removed" rl image exists s/gzip:1
ok "the OCI archive is loaded" rl load -i o.tar
is "with the same manifest" "$(digest_of s/gzip:1)" "$gzip_digest"
is "for every image" "$(digest_of s/plain:1)" "$plain_digest"
ok "and every name" rl image exists localhost:5000/other/gzip:2
rl rmi s/gzip:1 s/plain:1 localhost:5000/other/gzip:2 >/dev/null
ok "the OCI layout is loaded" rl load -i layout
is "with the same manifest too" "$(digest_of s/gzip:1)" "$gzip_digest"
rl rmi s/gzip:1 >/dev/null
ok "the docker directory is loaded" rl load -i empty
is "as the image it was" "$(rl inspect --format '{{.Digest}}' "$gzip_id")" "$gzip_digest"
rl rmi "$gzip_id" >/dev/null
ok "the docker archive is loaded" rl load -i d.tar
is "with the same id" "$(id_of s/gzip:1)" "$gzip_id"
ok "a saved image is loaded from a pipe" sh -c 'rl save busybox | rl load'
output_is "and runs" hi rl run --rm --network none busybox echo hi
ok "nothing is left in tmp/" tmp_is_empty
if have skopeo; then
	ok "skopeo reads the docker archive" skopeo --insecure-policy copy -q docker-archive:d.tar:docker.io/s/gzip:1 oci:sk1:x
	ok "the OCI archive, by name" skopeo --insecure-policy copy -q oci-archive:o.tar:docker.io/s/plain:1 dir:sk2
	is "with the manifest it should have" "sha256:$(sha256sum sk2/manifest.json | cut -d' ' -f1)" "$plain_digest"
	ok "the layout" skopeo --insecure-policy copy -q oci:layout:docker.io/s/gzip:1 dir:sk3
	ok "and the docker directory" skopeo --insecure-policy copy -q dir:empty dir:sk4
	is "which has the manifest as well" "sha256:$(sha256sum sk4/manifest.json | cut -d' ' -f1)" "$gzip_digest"
else
	skip "skopeo reads what was saved" "skopeo is not installed"
fi
blob=$(ls -S "$RL_ROOT/images/blobs/sha256" | head -1)
printf x | dd of="$RL_ROOT/images/blobs/sha256/$blob" bs=1 seek=300 conv=notrunc status=none
name=$(rl images --format '{{.Repository}}:{{.Tag}}' | while read -r n; do rl save --format oci-archive -q "$n" 2>/dev/null >/dev/null || echo "$n"; done | head -1)
must_fail "a damaged blob ends the save" --stderr 'damaged' rl save -o broken.tar "$name"
not_ok "and leaves no file" test -e broken.tar

done_testing
