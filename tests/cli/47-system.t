#!/bin/bash
# The store as a whole: what it needs, what prune takes and leaves, reset, unshare, and the layers of an image.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

payload_rootfs base
tar -C base --owner=0 --group=0 --numeric-owner -cf base.tar .
ok "an image" rl import base.tar localhost/one
ok "the same layer under another config" rl import -c 'LABEL keep=yes' base.tar localhost/two
head -c 3000000 /dev/urandom >base/noise
tar -C base --owner=0 --group=0 --numeric-owner -cf noise.tar .
ok "and a third one" rl import noise.tar localhost/three
ok "with a stopped container" rl run --name c1 --network none localhost/three /tinit exit 0

df() { rl system df --format '{{.Type}} {{.Total}} {{.Active}}'; }
is "df counts images and those in use, containers and those that run, volumes" "$(df)" "Images 3 1
Containers 1 0
Local Volumes 0 0"
raw() { rl system df --format '{{if eq .Type "Images"}}{{.'"$1"'}}{{end}}' | tr -d '\n'; }
blobs=$(du -bc "$RL_ROOT"/images/blobs/sha256/* | tail -1 | cut -f1)
files=$(rl unshare find "$RL_ROOT/layers" -path '*/diff/*' -type f -printf '%s\n' | awk '{ n += $1 } END { print n }')
is "its bytes are those of the blobs and of the files in layers" "$(raw RawSize)" "$((blobs + files))"
like "what two images share is shown as shared" "$(rl system df -v | grep ^localhost/one)" '[1-9][0-9.]*[kM]B +[0-9.]+(k?B|MB) +0$'
like "df -v lists containers" "$(rl system df -v)" 'c1'
ok "the document has it all" python3 -c 'import json,sys; d = json.loads(sys.argv[1]); assert len(d["Images"]) == 3 and len(d["Containers"]) == 1' \
	"$(rl system df -v --format json)"

like "image tree shows the layers and who ends there" "$(rl image tree localhost/one)" 'Top Layer of: \[localhost/one:latest localhost/two:latest\]'
is "one line a layer" "$(rl image tree localhost/three | grep -c '── ID')" 1
must_fail "of an image that is there" --status 125 rl image tree nosuch

must_fail "prune asks, and without a terminal refuses" --status 125 --stderr '-f' rl system prune
rl volume create kept >/dev/null
rl run --name c2 -v /data --network none localhost/three /tinit exit 0
like "volumes are counted" "$(df)" "Local Volumes 2 1"
rl rm c2 >/dev/null
rl run --name c2 -v /data --network none localhost/three /tinit exit 0
rl untag localhost/one:latest
ok "prune --volumes" rl system prune -f --volumes
is "takes the anonymous volume of a container that goes" "$(rl volume ls -q)" kept
is "takes the image without a name and the stopped container" "$(rl images -q | wc -l) $(rl ps -aq | wc -l)" "$(rl images -q busybox | wc -l | awk '{ print $1 + 2 }') 0"
ok "what shares its layer still runs" rl run --rm --network none localhost/two /tinit exit 0
ok "prune -a with a label filter" rl system prune -af --filter label!=keep
is "leaves what has the label" "$(rl images --format '{{.Repository}}' | grep localhost)" localhost/two
ok "prune -a with until" rl system prune -af --filter until=100h
is "leaves what is younger" "$(rl images --format '{{.Repository}}' | grep localhost)" localhost/two
must_fail "a filter that is none is refused" --status 125 --stderr 'label' rl system prune -f --filter colour=red
rl run -d --name d --network none localhost/two /tinit sleep 1000 >/dev/null
ok "prune -a beside a running container" rl system prune -af
is "leaves its image" "$(rl images --format '{{.Repository}}' | grep localhost)" localhost/two
is "and what it gave back is nothing more" "$(rl system prune -af | tail -1)" "Total reclaimed space: 0B"

# unshare
is "unshare makes the user root" "$(rl unshare id -u)" 0
is "and says where the store is" "$(rl unshare sh -c 'echo $RL_ROOT')" "$RL_ROOT"
is "the layers are there" "$(rl unshare sh -c 'ls "$RL_LAYERS" | wc -l')" "$(ls "$RL_ROOT"/layers/*/ | wc -l)"
status_is "its status is the command's" 7 rl unshare sh -c 'exit 7'
status_is "127 if there is none" 127 rl unshare /nonexistent
like "options after the command are the command's" "$(rl unshare ls --version)" 'coreutils'

# reset
must_fail "reset without -f and without a terminal refuses" --status 125 --stderr '-f' rl system reset
if [ "$(rl unshare sh -c 'wc -l </proc/self/uid_map')" -gt 1 ]; then
	rl unshare sh -c 'mkdir -p "$RL_LAYERS/x/y" && touch "$RL_LAYERS/x/y/z" && chown -R 77:77 "$RL_LAYERS/x" && chmod 0 "$RL_LAYERS/x"'
fi
ok "reset -f ends what runs" rl system reset -f
not_ok "and removes all of it, of whomever it is" test -e "$RL_ROOT"
ok "again is no error" rl system reset -f
ok "a new store is made when it is needed" rl import base.tar localhost/again
touch "$RL_ROOT/precious"
ok "reset of a directory with other things in it" rl system reset -f
is "leaves those and nothing else" "$(ls "$RL_ROOT")" precious
done_testing
