#!/bin/bash
# deadline: 180
# rl run host on machines with mounts in odd places, for an ordinary user and for root. Root only, because root mounts.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
user=${RL_TEST_USER:-rltest}
id "$user" >/dev/null 2>&1 || skip_all "there is no ordinary user"
uid=$(id -u "$user") gid=$(id -g "$user")
base=$(mktemp -d /tmp/host-XXXXXX) && chmod 755 "$base" || skip_all "no directory in /tmp"
on_finish "rm -rf --one-file-system $base"

# machine SETUP SCRIPT: SETUP as root in a mount namespace with $d, a directory of the user's and his home; SCRIPT there, as he.
machine() {
	local d setup=$1 script=$2
	d=$(mktemp -d "$base/XXXXXX") && chmod 755 "$d" && chown "$uid:$gid" "$d"
	timeout 120 unshare -m --propagation private bash -c "set -e; d=$d uid=$uid gid=$gid; $setup
		cd $d; exec setpriv --reuid $uid --regid $gid --clear-groups env -i PATH='$PATH' D=$d HOME=$d RL_ROOT=$d/.store bash -c '$script'" 2>"$T/machine.err"
	[ -s "$T/machine.err" ] && sed 's/^/# /' "$T/machine.err" >&2
	umount -R "$d" 2>/dev/null
}
run='rl run --network none host'

is "below a directory with a mount: what is there is seen" "$(machine 'mkdir $d/m; mount -t tmpfs none $d/m; echo in >$d/m/f; echo out >$d/f; ln -s f $d/l; chown -R $uid:$gid $d' \
	"$run cat f m/f l")" "out
in
out"
is "new files beside it and in it are changes, which are applied" "$(machine 'mkdir $d/m; mount -t tmpfs none $d/m; chown $uid:$gid $d/m' \
	"$run sh -c \"echo 1 >new; echo 2 >m/new\"; rl diff | grep -c new; rl apply -q && cat new m/new")" "2
1
2"
is "what the machine has lost meanwhile is no change of the container's" "$(machine 'mkdir $d/m $d/dir; mount -t tmpfs none $d/m; echo 1 >$d/f; ln -s f $d/l; chown -R $uid:$gid $d/m $d/f $d/dir' \
	"$run sh -c \"echo 1 >new\"; rm f l; rmdir dir; rl diff; rl apply -q; ls" | sed 's/.*\///')" "new
m
new"
is "the report counts what was written beside directories that are closed to the caller" "$(machine 'mkdir $d/m; mount -t tmpfs none $d/m; chown $uid:$gid $d/m; mkdir -m 711 $d/shut' \
	"rl run --rm --report json --network none host sh -c \"echo 12345 >x\" 2>&1 | jq .WrittenBytes")" 6
is "files of such a directory are read-only" "$(machine 'mkdir $d/m; mount -t tmpfs none $d/m; echo 1 >$d/f; chown $uid:$gid $d/f' "$run sh -c \"echo 2 >f\"; cat f")" 1
is "a pseudo file system in an odd place is not shown" "$(machine 'mkdir $d/p; mount -t proc proc $d/p' "$run ls p")" ""
is "a mount point with blanks" "$(machine 'mkdir "$d/a b"; mount -t tmpfs none "$d/a b"; chown $uid:$gid "$d/a b"' "$run sh -c \"echo 1 >a\ b/x\"; rl apply -q; cat a\ b/x")" 1
is "on an overlay with --rm: in memory" "$(machine 'mkdir $d/l $d/u; mount -t tmpfs none $d/u; mkdir $d/u/u $d/u/w; mkdir $d/o; mount -t overlay -o lowerdir=$d/l,upperdir=$d/u/u,workdir=$d/u/w none $d/o; chown $uid:$gid $d/o' \
	"export RL_ROOT=\$D/o/store; rl run --rm --network none host sh -c \"echo 1 >/var/tmp/rl-host-x && cat /var/tmp/rl-host-x\"; ls /var/tmp/rl-host-x")" 1
like "which is said" "$(cat "$T/machine.err")" 'kept in memory'
is "and without: read-only" "$(machine 'mkdir $d/l $d/u; mount -t tmpfs none $d/u; mkdir $d/u/u $d/u/w; mkdir $d/o; mount -t overlay -o lowerdir=$d/l,upperdir=$d/u/u,workdir=$d/u/w none $d/o; chown $uid:$gid $d/o' \
	"export RL_ROOT=\$D/o/store; $run sh -c \"echo 1 >/var/tmp/rl-host-x || echo refused\"")" refused
like "which is said, too" "$(cat "$T/machine.err")" 'they are read-only'

# A directory of the user's deep in directories of others.
is "the current directory can be written to, however deep it lies" "$(machine 'mkdir -p $d/x/y/mine; chown root:root $d $d/x $d/x/y; chown $uid:$gid $d/x/y/mine; mkdir $d/.store; chown $uid:$gid $d/.store' \
	"cd x/y/mine; $run sh -c \"echo 1 >f\"; rl apply -q; cat f")" 1

# root
mkdir "$base/r" && cd "$base/r" || exit 1
echo 1 >f; chown 1234:1234 f
$run sh -c 'echo 2 >f; chown 77:88 f; echo 3 >/etc/rl-host-test; rm -f /usr/bin/env' >/dev/null 2>"$T/err"
is "root can change what belongs to others, and nothing changes" "$(cat f; ls /etc/rl-host-test 2>&1 | grep -c 'No such')$(test -e /usr/bin/env && echo env)" "1
1env"
like "the machine's own directories, too" "$(rl diff)" "A /etc/rl-host-test.*D /usr/bin/env"
ok "a part of it is applied" rl apply -q f
is "with its owner" "$(cat f) $(stat -c %u:%g f)" "2 77:88"
is "and nothing else" "$(ls /etc/rl-host-test 2>&1 | grep -c 'No such')$(test -e /usr/bin/env && echo env)" 1env
ok "the rest is thrown away" rl discard
cd / || exit 1
done_testing
