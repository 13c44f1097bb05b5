#!/bin/bash
# rl mount and umount: files of containers and images as directories, inside rl unshare.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
N="--network none"

rl tag busybox localhost/b:1 >/dev/null
rl run $N --name changed localhost/b:1 sh -c 'echo new >/new; chown 7:8 /new; rm -f /bin/ls' || fail "a container is made"

must_fail "outside of unshare nothing can be mounted, and it is said where" --status 125 --stderr 'rl unshare' rl mount localhost/b:1
must_fail "an image that is not there is named" --status 125 --stderr 'nosuch' rl unshare rl mount nosuch
output_is "an image's files are shown" yes rl unshare sh -c 'd=$(rl mount localhost/b:1) && [ -x "$d/bin/busybox" ] && echo yes'
output_is "a container's are, with what it changed" "new no" rl unshare sh -c \
	'd=$(rl mount changed) && echo "$(cat $d/new) $([ -e $d/bin/ls ] && echo yes || echo no)"'
if [ "$(rl unshare sh -c 'wc -l </proc/self/uid_map')" -gt 1 ]; then
	output_is "and the owners it sees" 7:8 rl unshare sh -c 'stat -c %u:%g "$(rl mount changed)/new"'
else
	skip "owners" "this account has no subordinate ids"
fi
must_fail "they cannot be changed" --stderr 'Read-only' rl unshare sh -c 'echo x >"$(rl mount changed)/y"'
output_is "mounting twice is the same directory" 1 rl unshare sh -c '{ rl mount changed; rl mount changed; } | sort -u | wc -l'
output_is "what is mounted is listed" 2 rl unshare sh -c 'rl mount changed localhost/b:1 >/dev/null; rl mount | wc -l'
output_is "and unmounted by name" "1 1" rl unshare sh -c \
	'rl mount changed localhost/b:1 >/dev/null; rl umount changed; echo "$(rl mount | wc -l) $(grep -c mounts/ /proc/self/mountinfo)"'
output_is "or all of it" 0 rl unshare sh -c 'rl mount changed localhost/b:1 >/dev/null; rl umount --all; rl mount | wc -l'
must_fail "what is not mounted is not unmounted" --status 125 --stderr 'not mounted' rl unshare rl umount changed
must_fail "umount wants to know what" --status 125 --stderr 'all' rl unshare rl umount
is "nothing of it is seen outside" "$(grep -c "$RL_ROOT/mounts" /proc/self/mountinfo)" 0
ok "the container starts all the same" rl start -a changed
ok "the store is sound" rl system check
done_testing
