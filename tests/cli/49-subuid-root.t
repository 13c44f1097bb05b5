#!/bin/bash
# Another range in /etc/subuid, or none: images go on working, their layers are unpacked again for the new map; what was
# unpacked for the old one is told and removed by a repair. Root is needed for an /etc of the test's own.
[ -n "${RL_TEST_OWN_ETC:-}" ] || exec unshare -m env RL_TEST_OWN_ETC=1 bash "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/../cli/$(basename "$0")"
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

# A place that others reach; it goes with the namespace.
W=/mnt
mount --make-rprivate / && mount -t tmpfs -o mode=755 tmpfs $W && mkdir $W/home && chown 54321:54321 $W/home && cd $W ||
	skip_all "no mount namespace here"
{ cat /etc/passwd; echo "rlsub:x:54321:54321::$W/home:/bin/sh"; } >passwd
: >subuid
chmod 644 passwd subuid && cp subuid subgid
# A mount on a file goes away when somebody renames another one over it, in whatever mount namespace (useradd of another
# run does): on a directory of our own nobody does.
cp -a /etc etc && mount --bind etc /etc || skip_all "/etc cannot be replaced here"
on_finish "umount -R /etc"
for f in passwd subuid subgid; do mount --bind $f /etc/$f || skip_all "files of /etc cannot be replaced here"; done
export RL_ROOT=$W/home/store HOME=$W/home TMPDIR=$W
as() { setpriv --reuid 54321 --regid 54321 --clear-groups -- "$@"; }
ranges() { printf '%s\n' "$@" >subuid; cat subuid >subgid; }

payload_rootfs base && echo x >base/theirs
tar -C base --owner=0 --group=0 --numeric-owner --exclude=./theirs -cf base.tar .
tar -C base --owner=1000 --group=1000 --numeric-owner -rf base.tar ./theirs
chmod 644 base.tar
runs() { as rl run --rm --network none --pull=never localhost/app /tinit exit 0; }
keys() { ls "$RL_ROOT/layers" | sort | tr '\n' ' '; }
on_disk() { stat -c %u "$RL_ROOT"/layers/"$1"/*/diff/theirs; }

ranges rlsub:700000:65536
ok "an image is imported with one range" as rl import base.tar localhost/app
is "its files belong to ids of it" "$(on_disk sub-700000-65536-700000-65536)" 700999
ok "it runs" runs
as rl run -d --name old --network none --pull=never localhost/app /tinit sleep 1000 >/dev/null
as rl stop -t 0 old >/dev/null
ranges rlsub:800000:65536
ok "with another range it still runs" runs
is "unpacked again for that" "$(on_disk sub-800000-65536-800000-65536)" 800999
is "beside the old one" "$(keys)" "sub-700000-65536-700000-65536 sub-800000-65536-800000-65536 "
ok "the store is sound" as rl system check
as rl system check >.report
unlike "layers that a container was created on are not left over" "$(cat .report)" 'another id map'
ranges rlsub:700000:65536
ok "back with the first range that container starts" as rl start old
as rl rm -f old >/dev/null
ranges rlsub:800000:30000 rlsub:900000:35536
ok "two ranges" runs
ranges
ok "no range at all: one id" runs
is "unpacked for that" "$(ls -d "$RL_ROOT/layers/single" | wc -l)" 1
ranges rlsub:800000:65536
ok "and back" runs
like "layers of maps nobody has are told" "$(as rl system check)" 'leftover: layer of another id map: layers/sub-700000'
ok "and a repair removes them" as rl system check --repair
unlike "(really)" "$(keys)" sub-700000
ok "the image runs" runs
ok "and is removed with its layers" as rl rmi localhost/app
ok "and the store with all in it" as rl system reset -f
not_ok "nothing is left of it" test -e "$RL_ROOT"
done_testing
