#!/bin/bash
# Power loss: the store lies on an ext4 of its own, and what has reached its device at some moment, and nothing else, is
# mounted again. What rl said to be done must be there then, and the rest must be whole or absent.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

have mkfs.ext4 losetup || skip_all "mkfs.ext4 or losetup is not installed"
truncate -s 300M disk && mkfs.ext4 -q -F disk && mkdir live after || skip_all "no ext4 can be made here"
mount -o loop disk live 2>/dev/null || skip_all "only root can mount loop devices, and not everywhere"
on_finish "umount $T/live $T/after"
export RL_ROOT=$T/live/store

mkdir -p root/bin && cp /bin/busybox root/bin/ && ln -s busybox root/bin/cat && echo kept >root/kept
tar -C root --owner=0 --group=0 -czf root.tar.gz .
"$HELPERS/make-image" docker load.tar --name power/load:1 --layers 6

# What the device holds now, as a store: COMMAND... runs on it with RL_ROOT set.
after_loss() {
	local status
	cp --sparse=always disk copy && mount -o loop copy after || return 1
	RL_ROOT=$T/after/store "$@"
	status=$?
	umount after && rm copy
	return $status
}
check() { "$HELPERS/check-store" "$RL_ROOT"; }
kept() { [ "$(rl run --rm --network none kept cat /kept)" = kept ]; }
is_there() { check && rl image exists "$1"; }
is_gone() { check && ! rl image exists "$1"; }

ok "an image is imported" rl import root.tar.gz kept
ok "it is there after a power loss at that moment" after_loss is_there kept
ok "and runs" after_loss kept
ok "an archive is loaded" rl load -i load.tar
ok "it is there after a power loss at that moment" after_loss is_there power/load:1
bad=0
for us in 2000 5000 9000 14000 20000 30000 45000 60000 80000 110000 150000; do
	rl load -i load.tar >/dev/null 2>&1 & pid=$!
	python3 -c 'import sys,time; time.sleep(int(sys.argv[1]) / 1e6)' $us
	after_loss check >.check 2>&1 || { bad=$((bad + 1)); diag "after $us us: $(tail -3 .check)"; }
	wait $pid
	rl rmi power/load:1 >/dev/null 2>&1 & pid=$!
	python3 -c 'import sys,time; time.sleep(int(sys.argv[1]) / 1e6)' $((us / 4))
	after_loss check >.check 2>&1 || { bad=$((bad + 1)); diag "rmi, after $us us: $(tail -3 .check)"; }
	wait $pid
done
is "22 power losses in loads and removals left a sound store each" "$bad" 0
ok "and the image from before runs" after_loss kept

done_testing
