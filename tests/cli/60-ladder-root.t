#!/bin/bash
# deadline: 400
# The ladder: each restriction is made in a mount namespace (or user namespace) of its own, and the same pass over the
# verbs is made under it as an ordinary user. Every cell must be what rl-restricted(7) says; that page's table is made
# by tests/helpers/ladder-page from the `# cell` lines of this test. Root only, because root makes the restrictions.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"

. "$HELPERS/ladder.sh"

stage none ''
is "none: a container runs" "$(cell none run)" yes
stage no-newuidmap 'mount --bind /dev/null /usr/bin/newuidmap; mount --bind /dev/null /usr/bin/newgidmap'
is "no-newuidmap: a container runs with one user id" "$(cell no-newuidmap run)" rung
# An /etc of its own: a mount on the file itself goes away when somebody (useradd, of another run) renames another file over
# it, in whatever mount namespace.
stage no-subids 'cp -a /etc $d/etc; : >$d/etc/subuid; : >$d/etc/subgid; mount --bind $d/etc /etc'
is "no-subids: a container runs with one user id" "$(cell no-subids run)" rung
like "no-subids: which is said" "$(text no-subids run)" 'only one user id'
stage no-passwd 'uid=54321 gid=54321; chown -R 54321:54321 $d'
is "no-passwd: a container runs for a user without passwd entry" "$(cell no-passwd run)" rung
stage no-tun 'mount -t tmpfs none /dev/net'
is "no-tun: the network works by a veth pair" "$(cell no-tun network)" yes
stage tun 'mount -t tmpfs none /dev/net; mknod -m 666 /dev/net/tun c 10 200'
is "tun: the network works by a TAP device" "$(cell tun network)" yes
stage store-on-overlay 'mkdir $d/l $d/u; mount -t tmpfs none $d/u; mkdir $d/u/u $d/u/w
	mount -t overlay -o lowerdir=$d/l,upperdir=$d/u/u,workdir=$d/u/w none $home; chown $uid:$gid $home'
is "store-on-overlay: a container with --rm writes to memory" "$(cell store-on-overlay write)" rung
is "store-on-overlay: one that stays gets a copy of the image" "$(cell store-on-overlay start)" rung
is "store-on-overlay: a step of a build writes to memory, and its layer is kept" "$(cell store-on-overlay build-run)" rung
stage store-without-xattrs 'mount -t ramfs none $home; chown $uid:$gid $home'
like "store-without-xattrs: a container runs" "$(cell store-without-xattrs run)" '^(yes|rung)$'
stage store-on-fuse 'mkdir $d/real; chown $uid:$gid $d/real; bindfs --xattr-none --no-allow-other -o allow_other,noforget $d/real $home'
like "store-on-fuse: a container runs where no overlay can be written to, as on NFS" "$(cell store-on-fuse run)" '^(yes|rung)$'
stage overlay-refused '' '' 'refuse-mount overlay'
like "overlay-refused: a container runs in a copy of the image" "$(cell overlay-refused run)" rung
like "overlay-refused: which is said" "$(text overlay-refused start)$(text overlay-refused run)" copied
is "overlay-refused: a step of a build runs in such a copy, too" "$(cell overlay-refused build-run)" rung
stage masked-proc 'mount --bind /dev/null /proc/interrupts'
is "masked-proc: a container sees the outer /proc, read-only" "$(cell masked-proc run)" yes
stage read-only-sys 'mount -o remount,bind,ro /sys; mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys'
is "read-only-sys: a container runs" "$(cell read-only-sys run)" yes
stage no-home 'home=; store=$d/store; mkdir $store; chown $uid:$gid $store'
is "no-home: a container runs without HOME and XDG_RUNTIME_DIR" "$(cell no-home run)" yes
stage home-tmpfs 'mount -t tmpfs none $home; chown $uid:$gid $home'
is "home-tmpfs: a container runs" "$(cell home-tmpfs run)" yes
stage no-tty '' 'setsid --wait'
is "no-tty: a container runs without any terminal" "$(cell no-tty run)" yes
stage home-noexec 'mount -t tmpfs -o noexec,nosuid,nodev none $home; chown $uid:$gid $home'
like "home-noexec: run works or is refused in words" "$(cell home-noexec run)" '^(yes|rung|no)$'
stage home-read-only 'mount --bind $home $home; mount -o remount,bind,ro $home'
is "home-read-only: a container is refused" "$(cell home-read-only run)" no
like "home-read-only: with the directory and the cause" "$(text home-read-only run)" 'home.*[Rr]ead-only'
stage home-full 'mount -t tmpfs -o size=64k none $home; chown $uid:$gid $home; head -c 1m /dev/zero >$home/full 2>/dev/null || :'
like "home-full: refused in words, or works without writing" "$(cell home-full import)" '^no$'
stage mount-refused '' 'enosys --errno EPERM mount'
is "mount-refused: a filter that knows only mount(2) does not hinder" "$(cell mount-refused run)" rung
stage new-calls-refused '' 'enosys fsopen,fsmount,open_tree,move_mount,mount_setattr,openat2,clone3,close_range'
is "new-calls-refused: nor one that knows nothing newer" "$(cell new-calls-refused run)" rung
stage notify-refused '' 'enosys --errno EPERM keyctl,add_key,landlock_create_ruleset,bpf,perf_event_open,memfd_create'
is "notify-refused: keyring, Landlock and memfd are not needed" "$(cell notify-refused run)" rung
stage one-userns '' "unshare -Ur bash -c 'echo 1 >/proc/sys/user/max_user_namespaces; exec \"\$@\"' sh"
is "one-userns: one user namespace is enough" "$(cell one-userns run)" rung
stage no-userns '' "unshare -c --keep-caps bash -c 'echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv --ambient-caps=-all --inh-caps=-all \"\$@\"' sh"
is "no-userns: containers are refused" "$(cell no-userns run)" no
like "no-userns: with the limit" "$(text no-userns run)" 'max_user_namespaces'
for verb in inspect images save pull push load import create diff commit rm build-copy; do
	like "no-userns: $verb works" "$(cell no-userns $verb)" "^(yes|rung)$"
done
d=$base/packed
mkdir -p "$d" && chown "$uid:$gid" "$d"
no_userns() { setpriv --reuid "$uid" --regid "$gid" --clear-groups env -i PATH="$PATH" HOME="$d" bash -c "cd $d; $1"; }
is "no-userns: an image is loaded from a directory, packed, and runs where it may" "$(no_userns "
	rl save --format oci-dir -o dir busybox 2>/dev/null; unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; rl --root ./other load -i dir' >/dev/null 2>&1
	rl --root ./other run --rm --network none busybox echo unpacked" 2>/dev/null)" unpacked
stage nested-userns '' 'unshare -Ur unshare -Ur'
is "nested-userns: two user namespaces around it do not hinder" "$(cell nested-userns run)" rung

# rl inside rl inside rl: the tools come from the host, the store is a directory of each container's own.
nested() {
	local n=$1
	shift
	local mounts=(-v "$RL_TEST_STAGE:$RL_TEST_STAGE:ro" -v /usr:/usr:ro --mount type=bind,src=/usr/lib64,dst=/lib64,ro
		--mount type=bind,src=/usr/lib,dst=/lib,ro)
	[ "$n" = 0 ] && { "$@"; return; }
	rl run --rm --network none --security-opt unmask=ALL --security-opt seccomp=unconfined "${mounts[@]}" -e "PATH=$PATH" busybox \
		/usr/bin/bash -c "$(declare -f nested); RL_TEST_STAGE=$RL_TEST_STAGE; nested $((n - 1)) $(printf '%q ' "$@")"
}
export -f nested
export RL_TEST_STAGE
d=$base/nested
mkdir -p "$d" && chown "$uid:$gid" "$d"
as_user() { setpriv --reuid "$uid" --regid "$gid" --clear-groups env -i PATH="$PATH" HOME="$d" RL_ROOT="$d/store" RL_TEST_STAGE="$RL_TEST_STAGE" bash -c "$(declare -f nested); $1"; }
output_is "rl in rl runs a container" deep as_user 'nested 1 rl run --rm --network none busybox echo deep'
output_is "rl in rl in rl too" deeper as_user 'nested 2 rl run --rm --network none busybox echo deeper'

# The outer procfs, where it is shown, cannot be used to write to processes of the same user outside.
if [ "$(cell masked-proc run)" = yes ]; then
	setpriv --reuid "$uid" --regid "$gid" --clear-groups sleep 1000 & victim=$!
	on_finish "kill $victim"
	out=$(unshare -m --propagation private bash -c "mount --bind /dev/null /proc/interrupts; exec setpriv --reuid $uid --regid $gid --clear-groups \
		env -i PATH=$PATH HOME=$d RL_ROOT=$d/store rl run --rm --network none busybox sh -c '
		for f in /proc/$victim/*; do [ -f \$f ] && (echo 1 >\$f) 2>/dev/null && echo WROTE \$f; done; ls /proc | grep -c ^$victim\$'" 2>/dev/null)
	is "masked-proc: an outer process is seen, and none of its files can be written" "$out" 1
fi

compare_with_page
done_testing
