#!/bin/bash
# keep-id in all its forms, and supplementary groups: who the caller is inside, whose the files are outside, and that no
# form unpacks an image twice. Root only, because only root can give a process further groups.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

user=${RL_TEST_USER:-}
[ -n "$user" ] || skip_all "there is no ordinary user"
grep -q "^$user:" /etc/subuid || skip_all "the ordinary user has no subordinate ids"
uid=$(id -u "$user") gid=$(id -g "$user")
base=$(mktemp -d /tmp/ids-XXXXXX) && chmod 755 "$base" || skip_all "no directory in /tmp"
mkdir "$base/home" "$base/mine" "$base/theirs" && chown "$uid:$gid" "$base/home" "$base/mine"
on_finish "setpriv --reuid $uid --regid $gid --clear-groups env -i PATH=$PATH HOME=$base/home RL_ROOT=$base/home/store rl rmi -fa >/dev/null 2>&1; rm -rf --one-file-system $base"
echo secret >"$base/theirs/file" && chgrp -R 54321 "$base/theirs" && chmod 750 "$base/theirs" && chmod 640 "$base/theirs/file"

# as GROUPS COMMAND...: as the ordinary user with these supplementary groups
as() {
	local groups=$1
	shift
	# shellcheck disable=SC2086
	(cd "$base/home" && setpriv --reuid "$uid" --regid "$gid" $groups env -i PATH="$PATH" HOME="$base/home" RL_ROOT="$base/home/store" ${IDMAP:+RL_IDMAP=$IDMAP} "$@")
}
run() { as --clear-groups rl run --rm --network none "$@"; }
layers() { find "$base/home/store/layers" -mindepth 2 -maxdepth 2 | wc -l; }

output_is "keep-id: the caller has its own number" "$uid $gid" run --userns=keep-id busybox sh -c 'echo $(id -u) $(id -g)'
n=$(layers)
output_is "keep-id:uid=,gid=: or the one it asks for" "33 44" run --userns=keep-id:uid=33,gid=44 busybox sh -c 'echo $(id -u) $(id -g)'
output_is "keep-id:uid=0 is root inside" 0 run --userns=keep-id:uid=0,gid=0 busybox id -u
output_is "keep-id with -u 0 is root of the container, who is not the caller" 0 run --userns=keep-id -u 0 busybox id -u
is "no form has unpacked the image again" "$(layers)" "$n"
ok "what the caller makes on a mount is the caller's" run --userns=keep-id -v "$base/mine:/m" busybox touch /m/a
is "outside, too" "$(stat -c %u:%g "$base/mine/a")" "$uid:$gid"
ok "with another number inside as well" run --userns=keep-id:uid=33,gid=44 -v "$base/mine:/m" busybox touch /m/b
is "outside it is the caller's" "$(stat -c %u:%g "$base/mine/b")" "$uid:$gid"
output_is "files of the image are root's inside" "0 0" run --userns=keep-id busybox stat -c '%u %g' /bin/busybox
IDMAP=single
output_is "with one user id keep-id is the caller's number" "$uid" run -q --userns=keep-id busybox id -u
output_is "or the one it asks for" 33 run -q --userns=keep-id:uid=33,gid=44 busybox id -u
ok "and files on a mount are the caller's" run -q --userns=keep-id -v "$base/mine:/m" busybox touch /m/c
is "outside" "$(stat -c %u:%g "$base/mine/c")" "$uid:$gid"
IDMAP=
must_fail "an id outside of the map is refused" --status 125 run --userns=keep-id:uid=4000000000 busybox true

groups=--groups=54321
output_is "groups are dropped by default" "0" as $groups rl run --rm --network none busybox id -G
status_is "and their files are out of reach" 1 as $groups rl run --rm --network none -v "$base/theirs:/t" busybox cat /t/file
output_is "--group-add keep-groups keeps their rights" secret as $groups rl run --rm --network none --group-add keep-groups \
	-v "$base/theirs:/t" busybox cat /t/file
output_is "they have no name inside: nogroup" "0 65534" as $groups rl run --rm --network none --group-add keep-groups busybox id -G
IDMAP=single
output_is "with one user id they cannot be dropped" secret as $groups rl run -q --rm --network none -v "$base/theirs:/t" busybox cat /t/file
like "which doctor says" "$(as $groups rl doctor)" 'supplementary groups cannot be dropped'
IDMAP=
done_testing
