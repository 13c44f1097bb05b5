#!/bin/bash
# Images of the store: imported, listed, named, shown, removed; and a store that mends itself.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

tmp_is_empty() { [ -z "$(find "$RL_ROOT/tmp" -mindepth 1 2>/dev/null)" ]; }
blobs() { find "$RL_ROOT/images/blobs" -type f 2>/dev/null | wc -l; }
layers() { find "$RL_ROOT/layers" -mindepth 2 -maxdepth 2 2>/dev/null | wc -l; }

mkdir -p root/bin root/etc && echo data >root/etc/data && cp /bin/busybox root/bin/ && ln -s busybox root/bin/sh &&
	ln -s busybox root/bin/cat && ln -s busybox root/bin/echo
tar -C root --owner=0 --group=0 -cf root.tar . && gzip -kn root.tar && zstd -q root.tar

# --- the built-in image
like "the built-in image is listed in an empty store" "$(rl images)" 'busybox +latest'
output_is "the built-in image runs at once" hi rl run --rm --network none busybox echo hi
must_fail "the built-in image cannot be removed" --stderr 'built' rl rmi busybox

# --- import
for kind in tar tar.gz tar.zst; do
	ok "a root file system is imported from $kind" rl import root.$kind "plain/$kind:1"
	output_is "and runs" data rl run --rm --network none "plain/$kind:1" cat /etc/data
done
ok "from standard input too" sh -c 'cat root.tar.gz | rl import - piped'
output_is "which runs as well" data rl run --rm --network none piped cat /etc/data
is "equal layers are stored once" "$(layers)" 2
blob=$(rl inspect --format '{{.Digest}}' plain/tar.gz:1 >/dev/null 2>&1; sha256sum root.tar.gz | cut -d' ' -f1)
ok "the archive is kept byte for byte as the layer's blob" cmp root.tar.gz "$RL_ROOT/images/blobs/sha256/$blob"
ok "an import without a name is possible" rl import root.tar.gz
ok "changes are applied" rl import -m 'a comment' -c 'CMD ["echo","from cmd"]' -c 'ENV A=b C="d e"' -c 'LABEL x=y' \
	-c 'WORKDIR /etc' -c 'EXPOSE 80' -c 'USER 0' -c 'STOPSIGNAL SIGINT' -c 'VOLUME /v' -c 'ENTRYPOINT []' root.tar changed
output_is "CMD is used" "from cmd" rl run --rm --network none changed
output_is "ENV and WORKDIR are used" "b d e data" rl run --rm --network none changed sh -c 'echo $A $C $(cat data)'
like "the comment is in the history" "$(rl history changed)" 'a comment'
must_fail "an instruction that is none is refused before anything is read" --stderr 'RUN x' rl import -c 'RUN x' /nonexistent
must_fail "a name that is none is refused" --stderr 'lower case' rl import root.tar UPPER
must_fail "a missing file is an error that names it" --stderr 'nofile.tar' rl import nofile.tar x
must_fail "a directory is not a tar" rl import root x
head -c 300000 root.tar.gz >short.tar.gz
must_fail "a truncated archive is refused" rl import short.tar.gz x
head -c 100000 /dev/urandom >noise
must_fail "noise is refused" rl import noise x
printf '\3757zXZ\0 and more' >other.xz
must_fail "another compression is refused with the way around it" --stderr 'xz -dc FILE . rl import' rl import other.xz x
: >empty
must_fail "an empty file is refused" rl import empty x
not_ok "what was refused has no name" rl image exists x
ok "and left nothing in tmp/" tmp_is_empty
is "and no blob" "$(blobs)" "$(find "$RL_ROOT/images/blobs" -type f | while read -r f; do grep -lr "${f##*/}" "$RL_ROOT/images/meta" | head -1; done | wc -l)"
tar -C root --no-recursion --owner=0 --group=0 -cf sparse-tree.tar bin/busybox bin/sh bin/cat etc/data
ok "a tar that leaves out its directories is imported" rl import sparse-tree.tar noparents
output_is "and runs" data rl run --rm --network none noparents cat /etc/data

# --- names
ok "an image gets a second name" rl tag piped second:2
ok "and one with a domain" rl tag piped localhost:5000/x/y
ok "index.json follows at once" grep -q localhost:5000/x/y:latest "$RL_ROOT/images/index.json"
output_is "by which it runs" data rl run --rm --network none localhost:5000/x/y cat /etc/data
id=$(rl inspect --format '{{.Id}}' piped)
output_is "an id will do" data rl run --rm --network none "${id#sha256:}" cat /etc/data
output_is "and a part of it" data rl run --rm --network none "${id:7:12}" cat /etc/data
must_fail "an image with several names is not removed by its id" --stderr 'names' rl rmi "${id:7:12}"
ok "a name is removed" rl rmi second:2
ok "the image stays" rl run --rm --network none piped cat /etc/data
must_fail "a name that is not there is an error with the nearest" --stderr 'piped' rl rmi pipde
ok "a new import takes the name over" rl import root.tar piped
like "and the old one stays without a name" "$(rl images --all 2>/dev/null || rl images)" 'localhost:5000/x/y'
ok "index.json is an OCI index with the names" python3 -c '
import json,sys
x = json.load(open(sys.argv[1]))
names = [m.get("annotations", {}).get("org.opencontainers.image.ref.name") for m in x["manifests"]]
assert "docker.io/library/changed:latest" in names, names' "$RL_ROOT/images/index.json"

# --- damage
layer=$(find "$RL_ROOT/layers" -mindepth 2 -maxdepth 2 | head -1)
remove_tree "$layer"
output_is "a layer that is gone is unpacked again by itself" data rl run --rm --network none changed cat /etc/data
sha=$(sha256sum root.tar.zst | cut -d' ' -f1)
find "$RL_ROOT/layers" -mindepth 2 -maxdepth 2 | while read -r layer; do remove_tree "$layer"; done
printf 'x' | dd of="$RL_ROOT/images/blobs/sha256/$sha" bs=1 seek=5000 conv=notrunc status=none
must_fail "a damaged blob is refused when it is needed" --stderr 'damaged|malformed|corrupt|checksum|zstd' rl run --rm --network none plain/tar.zst:1 cat /etc/data
output_is "every other image works" data rl run --rm --network none plain/tar:1 cat /etc/data
rm "$RL_ROOT/images/blobs/sha256/$sha"
find "$RL_ROOT/layers" -mindepth 2 -maxdepth 2 | while read -r layer; do remove_tree "$layer"; done
must_fail "so is a missing one, by its digest" --stderr "$sha" rl run --rm --network none plain/tar.zst:1 cat /etc/data
ok "the import puts it right" rl import root.tar.zst plain/tar.zst:1
output_is "and it runs again" data rl run --rm --network none plain/tar.zst:1 cat /etc/data
echo '{' >"$RL_ROOT/images/refs/docker.io+library+hurt:1"
ok "a damaged name does not keep the list from being shown" rl images
ok "and can be removed" rl rmi hurt:1

# --- another map
if [ "${RL_IDMAP:-}" != single ] && [ "$(id -u)" != 0 ] && grep -q "^$(id -un):" /etc/subuid; then
	output_is "another id map unpacks its own layers" data env RL_IDMAP=single rl run --rm --network none plain/tar:1 cat /etc/data
	output_is "keep-id too" data rl run --rm --network none --userns keep-id plain/tar:1 cat /etc/data
	ok "each below its own key" test "$(ls "$RL_ROOT/layers" | wc -l)" = 3
else
	skip "another id map unpacks its own layers" "only root can not: there is one map"
fi

# --- a name that looks like the beginning of an id is a name (a store of its own)
own_root=$RL_ROOT
export RL_ROOT=$PWD/named
rl import root.tar piped >/dev/null
id=$(rl inspect --format '{{.Id}}' piped)
hex=${id#sha256:}
for n in 1 2; do
	must_fail "$n digits of an id are a name, and there is no such image" --stderr 'not in the store' rl run --rm --pull never --network none "${hex:0:n}" cat /etc/data
done
must_fail "nor is one for FROM" --stderr 'not in the store' sh -c "echo FROM ${hex:0:1} | rl build -q --pull=never -"
output_is "three digits are the image" "$id" rl inspect --format '{{.Id}}' "${hex:0:3}"
for n in 1 3; do
	ok "an image is named like $n digits of another's id" rl tag busybox "${hex:0:n}"
	output_is "the name wins" "$(rl inspect --format '{{.Id}}' busybox)" rl inspect --format '{{.Id}}' "${hex:0:n}"
	ok "for FROM as well" sh -c "echo FROM ${hex:0:n} | rl build -q --pull=never -t from -"
	output_is "which is that image" "$(rl inspect --format '{{json .RootFS.Layers}}' busybox)" rl inspect --format '{{json .RootFS.Layers}}' from
	ok "the names are taken away again" rl untag "${hex:0:n}"
done
export RL_ROOT=$own_root

# --- removal
ok "all names are removed" rl rmi plain/tar:1 plain/tar.gz:1 plain/tar.zst:1 piped changed noparents localhost:5000/x/y
rl import -c 'LABEL keep=1' root.tar labelled:1 >/dev/null && rl import root.tar other:1 >/dev/null
ok "a prune may be limited to old images" rl image prune -a -f --filter until=24h
ok "then new ones stay" rl image exists other:1
ok "or to those without a label" rl image prune -a -f --filter 'label!=keep'
is "then one with it stays" "$(rl images --format '{{.Repository}}' | grep -cE '^(labelled|other)$')" 1
must_fail "other filters are named" --status 125 --stderr 'size' rl image prune -f --filter size=1
rl rmi labelled:1 >/dev/null
ok "images without a name are pruned" rl image prune -f
is "then no blob is left" "$(blobs)" 0
ok "nor anything in tmp/" tmp_is_empty
ok "nor a layer but the built-in image's" test "$(layers)" -le 3
output_is "the built-in image runs still" hi rl run --rm --network none busybox echo hi

done_testing
