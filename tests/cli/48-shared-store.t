#!/bin/bash
# Additional image stores: images and layers of a store that is only read are used where they are, and it is not written
# to. A main store that cannot be written says so. A file system without locks removes nothing.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

payload_rootfs base && echo shared >base/note
tar -C base --owner=0 --group=0 --numeric-owner -cf base.tar .
echo own >base/note && tar -C base --owner=0 --group=0 --numeric-owner -cf own.tar .
mkdir shared
ok "somebody fills a store" rl --root "$T/shared/store" import base.tar localhost/shared/app:1
rl --root "$T/shared/store" import -c 'LABEL n=2' base.tar localhost/shared/other
# Everything in it as it is; nothing of it may be written from now on.
snapshot() { find "$T/shared" -printf '%p %i %s %T@ %C@ %m\n' | sort; }
chmod -R a-w shared/store/images shared/store/layers 2>/dev/null
before=$(snapshot)
on_finish "chmod -R u+w $T/shared"

must_fail "without being told of it nobody sees it" --status 125 rl run --rm --network none --pull=never localhost/shared/app:1 /tinit exit 0
export RL_ADDITIONAL_STORES=/nonexistent:$T/shared/store
run() { rl run --rm --network none --pull=never "$@"; }
output_is "an image of it runs" hi run localhost/shared/app:1 /tinit args hi
is "from the layers that are there: none was unpacked" "$(ls "$RL_ROOT/layers" 2>/dev/null | wc -l)" 0
is "no blob was copied" "$(ls "$RL_ROOT/images/blobs/sha256" 2>/dev/null | wc -l)" 0
ok "it is listed" sh -c 'rl images | grep -q shared/app'
is "as read only" "$(rl images --format '{{.Repository}} {{.ReadOnly}} {{.BuiltIn}}' | grep shared/app)" "localhost/shared/app true false"
is "inspect works" "$(rl inspect --format '{{.Architecture}}' localhost/shared/app:1)" amd64
ok "history" rl history localhost/shared/app:1
ok "image tree" rl image tree localhost/shared/app:1
ok "save" sh -c 'rl save localhost/shared/app:1 | tar -t >/dev/null'
ok "by its id, too" run "$(rl images -q localhost/shared/app)" /tinit exit 0
must_fail "it cannot be removed" --status 125 --stderr 'additional store' rl rmi localhost/shared/app:1
must_fail "or be given a name" --status 125 --stderr 'additional store' rl tag localhost/shared/app:1 mine
ok "removing everything" rl rmi -a
ok "and pruning everything" rl system prune -af
ok "leave it" rl image exists localhost/shared/app:1
rl run -d --name c --network none --pull=never localhost/shared/app:1 /tinit sleep 1000 >/dev/null
ok "a container on it is there in a store of ours" rl system prune -af
is "and runs on" "$(rl ps --format '{{.Names}}')" c
rl rm -f c >/dev/null

# The same map is needed to use layers in place; another one has them unpacked from the blobs over there.
if [ "$(rl unshare sh -c 'wc -l </proc/self/uid_map')" -gt 1 ]; then
	output_is "with another id map" hi env RL_IDMAP=single rl run --rm --network none --pull=never localhost/shared/app:1 /tinit args hi
	is "its layers are unpacked here" "$(ls "$RL_ROOT"/layers/single | wc -l)" 1
	is "and still no blob is copied" "$(ls "$RL_ROOT/images/blobs/sha256" 2>/dev/null | wc -l)" 0
	ok "a collection keeps them" rl system prune -af
	is "as long as the store is there" "$(ls "$RL_ROOT"/layers/single | wc -l)" 1
	ok "the check finds nothing wrong with that" rl system check
	RL_ADDITIONAL_STORES= rl system prune -af >/dev/null
	is "without it they go" "$(ls "$RL_ROOT"/layers/single 2>/dev/null | wc -l)" 0
fi
ok "an own image of the same name" rl import own.tar localhost/shared/app:1
is "wins" "$(rl save localhost/shared/app:1 | tar -xO --wildcards '*.json' | grep -c additional; rl images -q localhost/shared/app | wc -l)" "0
1"
rl rmi localhost/shared/app:1 >/dev/null
is "the shared store was never written to" "$(snapshot)" "$before"

# storage.conf
unset RL_ADDITIONAL_STORES
printf '[storage]\ndriver = "overlay"\n[storage.options]\nadditionalimagestores = [\n  "/nonexistent",\n  "%s",\n]\n' "$T/shared/store" >storage.conf
CONTAINERS_STORAGE_CONF=$T/storage.conf output_is "storage.conf names it as well" hi run localhost/shared/app:1 /tinit args hi
echo 'additionalimagestores = [' >storage.conf
CONTAINERS_STORAGE_CONF=$T/storage.conf must_fail "a storage.conf that cannot be read is told" --stderr 'storage.conf' rl image exists nosuch/x
output_is "and own images do not need it" hi env CONTAINERS_STORAGE_CONF="$T/storage.conf" rl run --rm --network none busybox echo hi

# A main store that cannot be written
if unshare -Urm true 2>/dev/null; then
	inside() { unshare -Urm sh -c "mount --bind '$T/shared/store' '$T/shared/store' && mount -o remount,ro,bind '$T/shared/store' && $*"; }
	chmod -R u+w shared/store
	ok "a store mounted read-only can be listed" inside "rl --root $T/shared/store images"
	ok "saved from" inside "rl --root $T/shared/store save localhost/shared/app:1 >out.tar"
	ok "and checked" inside "rl --root $T/shared/store system check"
	must_fail "a run there says what is wrong" --stderr 'Read-only file system' inside "rl --root $T/shared/store run --rm --network none --pull=never localhost/shared/app:1 /tinit exit 0"
	must_fail "so does an import" --stderr 'Read-only file system' inside "rl --root $T/shared/store import $T/own.tar x"
	must_fail "and a removal" --stderr 'Read-only file system' inside "rl --root $T/shared/store rmi localhost/shared/app:1"
	must_fail "and a repair" --stderr 'Read-only file system' inside "rl --root $T/shared/store system check --repair"
fi

# No locks
export RL_ROOT=$T/nolock
unlocked() { enosys flock "$@"; }
if unlocked true 2>/dev/null; then
	ok "without locks an image can be imported" unlocked rl import base.tar localhost/a
	ok "and runs" unlocked rl run --rm --network none localhost/a /tinit exit 0
	must_fail "but nothing is removed, and why is said" --status 125 --stderr 'no locks' unlocked rl rmi localhost/a
	ok "nothing is broken" unlocked rl system check
	ok "with locks it can be removed" rl rmi localhost/a
fi
done_testing
