#!/bin/bash
# History that must not repeat: mounts, /proc, descriptors and users (each line begins with the name of what happened to
# somebody else).
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
have python3 || skip_all "python3 is not installed"

run() { rl run --rm --network none "$@"; }
sh_in() { rl run --rm --network none busybox sh -c "$1"; }
payload_image payload || fail "the static payload is imported"
tinit() { rl run --rm --network none payload /tinit "$@"; }

# evil NAME PYTHON: an image that is the payload's root plus what the python does to tar `t` (entry() helps).
cat >evil.py <<'P'
import io, sys, tarfile
t = tarfile.open(sys.argv[2], 'w')
def entry(name, kind=tarfile.REGTYPE, data=b'', link='', mode=0o755, **k):
    i = tarfile.TarInfo(name); i.type = kind; i.linkname = link; i.mode = mode; i.size = len(data)
    for a in k: setattr(i, a, k[a])
    t.addfile(i, io.BytesIO(data))
base = tarfile.open('.payload.tar')
skip = set()
exec(sys.argv[1])
for m in base:
    name = m.name.lstrip('./')
    if name and name.split('/')[0] not in skip:
        t.addfile(m, base.extractfile(m) if m.isreg() else None)
t.close()
P
evil() { python3 evil.py "$2" "$1.tar" && rl import "$1.tar" "$1" >/dev/null 2>&1; }

mkdir outside && echo untouched >outside/f
snapshot() { (cd outside && find . -printf '%p %m %s %T@\n' | sort; cat f); }
before=$(snapshot)
unchanged() { is "$1" "$(snapshot)" "$before"; }

# --- the binary ---
mkdir -p mine/bin && cp "$RL_TEST_PREFIX/bin/rl" mine/bin/ && chmod 755 mine/bin/rl
sum=$(sha256sum <mine/bin/rl)
own() { RL_LIBEXEC=$RL_TEST_PREFIX/libexec/rl RL_SHARE=$RL_TEST_PREFIX/share/rl "$T/mine/bin/rl" "$@"; }
own run --rm --network none payload /proc/self/exe >/dev/null 2>&1
own run --rm --network none --init payload /tinit overwrite-exe >over 2>&1
is "CVE-2019-5736: a user's own rl binary is the same after a container tried to write it" "$(sha256sum <mine/bin/rl)" "$sum"
unlike "CVE-2019-5736: no executable of the container's processes could be opened for writing as rl" "$(cat over)" 'rl.*ok'
# The container executes our binary, and the image's dynamic loader gets hold of it. (That a running program cannot be
# written is no protection: it runs no more at some time, and Linux 6.11 and 6.12 allowed it.)
cp "$HELPERS/bin/interp" .
evil loader "skip.add('lib64'); entry('lib64', tarfile.DIRTYPE); entry('lib64/ld-linux-x86-64.so.2', data=open('interp', 'rb').read(), mode=0o755)"
got=$(own run --rm --network none loader /proc/self/exe 2>&1)
like "CVE-2019-5736: an image's dynamic loader gets a sealed copy of rl" "$got" '^[0-9]+ seals=15 writable=[1-9]'
isnt "CVE-2019-5736: which is not the file on disk" "${got%% *}" "$(stat -c %i mine/bin/rl)"

# --- targets that the image turned into links ---
for dir in proc sys dev; do
	evil "ln$dir" "skip.add('$dir'); entry('$dir', tarfile.SYMTYPE, link='$T/outside')"
	must_fail "CVE-2019-19921 CVE-2023-27561: an image whose /$dir is a link is refused" --status 125 --stderr "$dir" run "ln$dir" /tinit exit 0
	evil "in$dir" "skip.add('$dir'); entry('own', tarfile.DIRTYPE); entry('$dir', tarfile.SYMTYPE, link='own')"
	must_fail "CVE-2023-28642: also a link to a directory of the image" --status 125 --stderr "$dir" run "in$dir" /tinit exit 0
	evil "rel$dir" "skip.add('$dir'); entry('$dir', tarfile.SYMTYPE, link='../../../../../../../../../$T/outside')"
	must_fail "CVE-2023-28642: also a relative one" --status 125 --stderr "$dir" run "rel$dir" /tinit exit 0
done
unchanged "CVE-2026-41579: nothing was made where those links point on the host"
for f in hosts resolv.conf hostname; do
	evil "etc$f" "skip.add('etc'); entry('etc', tarfile.DIRTYPE); entry('etc/$f', tarfile.SYMTYPE, link='$T/outside/f')"
	run "etc$f" /tinit exit 0 >/dev/null 2>&1
done
evil etcdir "skip.add('etc'); entry('etc', tarfile.SYMTYPE, link='$T/outside')"
run etcdir /tinit exit 0 >/dev/null 2>&1
unchanged "CVE-2024-9341: implicit mount targets that are links do not reach the host"
evil tmplink "skip.add('tmp'); entry('tmp', tarfile.SYMTYPE, link='/../../../$T/outside')"
run --tmpfs /tmp -v "$T/outside:/tmp/x/y:ro" tmplink /tinit exit 0 >/dev/null 2>&1
unchanged "CVE-2026-87766: mount points are not made through links to the host"
evil devnull "skip.add('dev'); entry('dev', tarfile.DIRTYPE); entry('dev/null', tarfile.SYMTYPE, link='/proc/sys/kernel/core_pattern'); entry('dev/pts', tarfile.SYMTYPE, link='$T/outside'); entry('dev/console', tarfile.SYMTYPE, link='$T/outside/f')"
like "CVE-2025-31133: an image's /dev/null is not what masks are made of" "$(run devnull /tinit stat /proc/keys 2>&1)" '^/proc/keys c.* dev 1:3'
mkdir owndev && ln -s /proc/sys/kernel/core_pattern owndev/null
like "CVE-2025-31133: nor is that of a volume on /dev" "$(run -v "$T/owndev:/dev" payload /tinit stat /proc/keys 2>&1)" '^/proc/keys c.* dev 1:3'
unchanged "CVE-2025-52565: an image's /dev/console and /dev/pts lead nowhere"

# --- working directory and descriptors ---
reached=
exec 9</ # a directory of the host's that somebody left open
for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 20 30 100 500 1023; do
	out=$(run -w "/proc/self/fd/$n" busybox sh -c 'cat ../../../../../../../../etc/hostname 2>/dev/null; pwd' 2>/dev/null) &&
		[ "$out" != "" ] && grep -q "$(cat /etc/hostname)" <<<"$out" && reached="$reached $n"
done
exec 9<&-
is "CVE-2024-21626: no /proc/self/fd/N as working directory reaches the host" "$reached" ""
must_fail "CVE-2024-21626: such a working directory is refused" --status 126 run -w /proc/self/fd/7 busybox true
is "CVE-2016-9962: the payload has no descriptor above 2" "$(tinit fds)" ""
is "CVE-2016-9962: nor one that rl's caller left open" "$(exec 9</; tinit fds)" ""
is "CVE-2016-9962: nor has the reaper of --init" "$(run --init busybox sh -c 'ls /proc/1/fd 2>/dev/null | wc -l')" 0

# --- users and groups ---
for user in '4294967296' '4294967295:0' '2147483648000' '0x0' '-1' '1 ' '00'; do
	must_fail "CVE-2024-40635 CVE-2026-30892: user '$user' is refused" --status 125 run -u "$user" busybox id
done
evil fifo "skip.add('etc'); entry('etc', tarfile.DIRTYPE); entry('etc/passwd', tarfile.FIFOTYPE)"
must_fail "CVE-2024-9676: a fifo in place of passwd neither hangs nor counts" --status 125 --stderr 'passwd' run fifo /tinit exit 0
evil dirpw "skip.add('etc'); entry('etc', tarfile.DIRTYPE); entry('etc/group', tarfile.DIRTYPE)"
must_fail "CVE-2024-9676: nor does a directory in place of group" --status 125 run dirpw /tinit exit 0
evil hostpw "skip.add('etc'); entry('etc', tarfile.DIRTYPE); entry('etc/passwd', tarfile.SYMTYPE, link='../../../../../../../../../../etc/passwd')"
must_fail "CVE-2024-9676: the host's passwd is never read in its place" --status 125 run -u "$(id -un)" hostpw /tinit exit 0
evil biggroup "skip.add('etc'); entry('etc', tarfile.DIRTYPE); entry('etc/group', data=b'x:x:5:a\n' * 3000000)"
must_fail "CVE-2026-47262: a group file of 24 MB is refused, not read" --status 125 --stderr 'larger' run biggroup /tinit exit 0
if [ "${RL_IDMAP:-}" != single ]; then
	is "CVE-2022-36109: supplementary groups are the group file's" "$(run -u 0 --group-add 7 busybox id -G | tr ' ' '\n' | grep -cx 7)" 1
	evil neg "skip.add('etc'); entry('etc', tarfile.DIRTYPE); entry('etc/passwd', data=b'u:x:1000:1000::/:/\n'); entry('etc/group', data=b'u:x:1000:\nbad:x:50:u\n'); entry('secret', data=b'x', mode=0o705, gid=50)"
	is "CVE-2022-2989: a mode that shuts a group out holds for its members" "$(run -u u neg /tinit open /secret)" EACCES
fi
is "CVE-2022-27649 CVE-2022-24769: inheritable capabilities are empty" "$(tinit caps | sed -n 's/^CapInh:[[:space:]]*//p')" 0000000000000000
is "CVE-2020-5291: another user than root has none in effect" "$(run -u 65534 busybox sh -c 'grep CapEff /proc/self/status' 2>/dev/null | tr -dc 0-9 | sed 's/^$/0000000000000000/')" 0000000000000000

# --- terminal, environment, names ---
is "CVE-2017-5226: TIOCSTI is refused" "$(tinit tiocsti | head -n 1)" "tiocsti EPERM"
is "CVE-2019-10063: also with bits above the 32nd" "$(tinit tiocsti 0x100000000 | head -n 1)" "tiocsti EPERM"
is "CVE-2021-3602: the environment is the declared one" "$(env LEAK=1 rl run --rm --network none --hostname h payload /tinit env | cut -d= -f1 | sort | tr '\n' ' ')" "HOME HOSTNAME PATH container "
is "CVE-2019-12439: the store is closed to others" "$(stat -c %a "$RL_ROOT")" 700
must_fail "CVE-2024-32462: a name that looks like an option is none" --status 125 run -- --privileged
for name in ../x a/b .hidden "$(printf 'a%.0s' {1..200})"; do
	must_fail "container name '${name:0:12}' is refused" --status 125 run --name "$name" busybox true
done

# --- kernel attack surface ---
call() { tinit syscall "$@" | head -n 1; }
isnt "CVE-2022-0185: fsopen is refused" "$(call 430 @tmpfs 0)" ok
isnt "CVE-2022-0492: a new user namespace is refused" "$(call 272 0x10000000)" ok
isnt "CVE-2022-0492: so is a new cgroup namespace" "$(call 272 0x02000000)" ok
isnt "keyctl is refused" "$(call 250 0 -3 0)" ok
isnt "bpf is refused" "$(call 321 0 0 0)" ok
isnt "userfaultfd is refused" "$(call 323 0)" ok
isnt "io_uring_setup is refused" "$(call 425 8 0)" ok
isnt "perf_event_open is refused" "$(call 298 0 0 -1 -1 0)" ok
isnt "CVE-2023-0386: mount is refused" "$(call 165 @x @/tmp @tmpfs 0 0)" ok
isnt "clone3 is not offered" "$(call 435 0 0)" ok
for family in 38 40; do # AF_ALG, AF_VSOCK
	isnt "CVE-2026-123876: socket($family) is refused" "$(tinit socket "$family" 5)" ok
	isnt "CVE-2026-123876: socketpair($family) is refused" "$(call 53 "$family" 5 0 0)" ok
	isnt "CVE-2026-123876: the x32 socket($family) is refused" "$(call $((0x40000000 + 41)) "$family" 5 0)" ok
	isnt "CVE-2026-123876: the 32-bit socketcall is refused" "$(tinit syscall32 102 1 0 | head -n 1)" ok
done
is "CVE-2023-25809: no file of the cgroup file system can be written" "$(tinit writable /sys/fs/cgroup)" ""
# Here there may be none, or one whose files belong to somebody else: what counts is that the mount is read-only.
in_v2() { unshare -UrmC sh -c '{ grep -q " /sys/fs/cgroup cgroup2 " /proc/mounts || mount -t cgroup2 none /sys/fs/cgroup; } && exec "$@"' sh "$@"; }
like "CVE-2023-25809: where the machine has control groups of version 2 the container's are mounted read-only" \
	"$(in_v2 rl run --rm --network none busybox sh -c 'grep " /sys/fs/cgroup " /proc/self/mountinfo' 2>&1)" ' /sys/fs/cgroup ro,.* - cgroup2 '
is "nothing below /sys can be written" "$(tinit writable /sys)" ""
leftovers "nothing is left running or mounted"
done_testing
