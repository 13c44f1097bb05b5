#!/bin/bash
# A full disk, one that fails, deleted and damaged files: what was whole stays whole and runs, and the rest is said.
# deadline: 240
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

payload_rootfs base
tar -C base --owner=0 --group=0 --numeric-owner -cf base.tar .
head -c 20000000 /dev/urandom >base/noise && tar -C base --owner=0 --group=0 --numeric-owner -cf big.tar . && rm base/noise
"$HELPERS/make-image" oci load.tar --name localhost/load:1 --layers 6 --gzip
runs() { rl run --rm --network none --pull=never localhost/whole /tinit exit 0; }

# A full disk: the store on a small tmpfs, in a mount namespace of its own.
if unshare -Urm true 2>/dev/null; then
	cat >full.sh <<'SH'
mount -t tmpfs -o size=12m tmpfs "$T/full" && export RL_ROOT=$T/full/store
step() { echo "$1=$?"; }
rl import "$T/base.tar" localhost/whole >/dev/null; step import
rl import "$T/big.tar" localhost/big >/dev/null 2>"$T/enospc"; step big
rl system check >"$T/full.check"; step check
rl run --rm --network none --pull=never localhost/whole /tinit exit 0; step runs
dd if=/dev/zero of="$T/full/fill" bs=4k 2>/dev/null
rl load -i "$T/load.tar" >/dev/null 2>&1; step load
rl tag localhost/whole localhost/again >/dev/null 2>&1; step tag
rl images -q localhost/whole >/dev/null; step images
rl system check -q >"$T/full.check2"; step check2
rl rmi localhost/whole >"$T/full.rmi" 2>&1; step rmi
rm "$T/full/fill"
rl load -i "$T/load.tar" >/dev/null; step load2
rl system check >/dev/null; step check3
SH
	mkdir full
	T=$T unshare -Urm sh "$T/full.sh" >full.out 2>full.err || diag "$(cat full.err)"
	has() { grep -qx "$2" full.out; tap_result $? "$1" || diag "$(cat full.out full.err)"; }
	has "an image fits" import=0
	has "one that does not is refused" big=125
	like "with the reason" "$(cat enospc)" 'no space left'
	has "nothing is broken" check=0
	has "and the first one runs" runs=0
	has "on a disk without a byte left a load is refused" load=125
	has "images can be listed" images=0
	has "nothing is broken" check2=0
	has "with room again a load succeeds" load2=0
	has "and all is sound" check3=0
else
	skip "a full disk" "no user namespaces here"
fi

# A disk that fails: the Nth call of a kind says EIO. strace's helpers take no part in mapping ids, so one id does.
export RL_IDMAP=single
ok "an image is there" rl import base.tar localhost/whole
inject() { # CALL N COMMAND...
	local what="$1:error=EIO:when=$2"
	shift 2
	timeout -k 5 60 strace -f -qq -e trace="${what%%:*}" -e "inject=$what" -o /dev/null "$@" >.inject 2>&1
}
if have strace && inject fsync 1000 true; then
	bad=0
	failed=0
	for call in fsync fdatasync write pwrite64 read renameat renameat2 ftruncate copy_file_range; do
		for n in 1 2 5 9 20; do
			inject $call $n rl load -i load.tar || failed=$((failed + 1))
			rl system check -q >.check 2>&1 || { bad=$((bad + 1)); diag "$call $n: $(head -3 .check)"; }
			inject $call $n rl rmi --force localhost/load:1
			rl system check -q >.check 2>&1 || { bad=$((bad + 1)); diag "rmi, $call $n: $(head -3 .check)"; }
		done
	done
	is "90 failing calls in loads and removals broke nothing" "$bad" 0
	isnt "(some of the loads did fail)" "$failed" 0
	ok "and the image from before runs" runs
	ok "what failed can be done again" rl load -i load.tar
	inject read 60 rl system check
	like "a check that cannot read says so" "$(rl system check | tail -1)" ': sound'
else
	skip "a failing disk" "strace cannot inject errors here"
fi

# Somebody deletes or damages things: every other image goes on.
rl rmi -f localhost/load:1 >/dev/null 2>&1
for i in 1 2 3; do
	head -c 1000 /dev/urandom >base/own && tar -C base --owner=0 --group=0 --numeric-owner -cf "i$i.tar" .
	rl import "i$i.tar" localhost/i$i >/dev/null
done
others() {
	local image
	for image in "$@"; do
		[ "$(rl run --rm --network none --pull=never localhost/$image /tinit args $image 2>/dev/null)" = $image ] || return 1
	done
}
blob() { sha256sum "$1" | cut -d' ' -f1; }
rm "$RL_ROOT/images/blobs/sha256/$(blob i1.tar)"
ok "without a blob of one image all run" others i1 i2 i3
remove_tree "$RL_ROOT/layers/single/$(blob i1.tar)"
ok "without its layer as well the others do" others i2 i3
must_fail "and the image says what is missing" --status 125 --stderr 'missing' \
	rl run --rm --network none --pull=never localhost/i1 /tinit exit 0
must_fail "save, too" --status 125 --stderr 'missing' sh -c 'rl save localhost/i1 >/dev/null'
ok "while another one can be saved" sh -c 'rl save localhost/i2 >/dev/null'
ok "images can be listed" rl images
for f in "$RL_ROOT"/images/meta/*.json; do grep -q "$(blob i2.tar)" "$f" && : >"$f"; done
ok "a record that is empty is made again as it is needed" others i2 i3
printf x >"$RL_ROOT/images/refs/localhost+i3:latest"
ok "a torn name disturbs no other" others i2
ok "itself it is taken from the index by the next run" others i3
ok "importing it again mends it" rl import i1.tar localhost/i1
ok "then it runs" others i1 i2
printf x >"$RL_ROOT/images/refs/localhost+i3:latest" && rm "$RL_ROOT/images/index.json"
must_fail "without the index it is told" --status 125 --stderr 'damaged' rl inspect localhost/i3
ok "the image can be had again under the torn name" rl import i3.tar localhost/i3
ok "and all of them run" others i1 i2 i3
ok "and are sound" rl system check
done_testing
