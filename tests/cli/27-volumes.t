#!/bin/bash
# Volumes: made, mounted, filled from the image, shared, protected while somebody names them, removed with their
# container; in both kinds of id map.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
N="--network none"
run() { rl run --rm $N "$@"; }

# An image with something to copy: two layers, owners, a link that leads out, a VOLUME or two.
mkdir -p one/srv/data/sub one/etc one/empty two/srv/data
printf 'root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/:/bin/sh\n' >one/etc/passwd
echo from-image >one/srv/data/file
echo below >one/srv/data/sub/below
ln one/srv/data/file one/srv/data/hard
ln -s /etc/passwd one/srv/data/link
mkfifo one/srv/data/fifo
chmod 2751 one/srv/data/sub
ln -s /srv/data one/moved
tar -C one --owner=33 --group=33 -cf one.tar srv moved empty
tar -C one --owner=0 --group=0 -rf one.tar etc
cp /bin/busybox two/sh && mkdir two/bin && mv two/sh two/bin/ && for a in ls cat stat id sleep wc mount touch rm echo; do ln -s sh two/bin/$a; done
tar -C two --owner=0 --group=0 -cf two.tar bin
"$HELPERS/layers-image" image.tar built:latest \
	'{"Volumes":{"/srv/data":{},"relative":{},"/proc":{},"/sys/kernel":{},"/a/../../../up":{}},"Cmd":["/bin/sh"]}' one.tar two.tar
rl load -q -i image.tar >/dev/null || exit 1

volumes() {
	local how=$1
	is "$how: create prints the name" "$(rl volume create --label a=b data)" data
	is "$how: creating it again is success" "$(rl volume create data)" data
	is "$how: ls" "$(rl volume ls --format '{{.Driver}} {{.Name}} {{.Labels}}')" "local data a=b"
	ok "$how: a named volume is written" run -v data:/d busybox sh -c 'echo one >/d/f'
	is "$how: and read by the next container" "$(run -v data:/d busybox cat /d/f)" one
	is "$how: its content is where inspect says" "$(cat "$(rl volume inspect -f '{{.Mountpoint}}' data)/f")" one
	is "$how: --mount with type=volume" "$(run --mount type=volume,src=data,dst=/d busybox cat /d/f)" one
	is "$how: a volume is nosuid and nodev" "$(run -v data:/d busybox grep -c ' /d .*nosuid,nodev' /proc/mounts)" 1
	is "$how: noexec is kept" "$(run -v data:/d:noexec busybox grep -c ' /d .*noexec' /proc/mounts)" 1
	is "$how: suid and dev take that away" "$(run -v data:/d:suid,dev busybox grep -c ' /d .*\(nosuid\)' /proc/mounts)" 0
	must_fail "$how: ro is read-only" --status 1 --stderr 'Read-only' run -v data:/d:ro busybox touch /d/x
	is "$how: O is written and thrown away" "$(run -v data:/d:O busybox sh -c 'echo two >/d/f; cat /d/f'; run -v data:/d busybox cat /d/f)" "two
one"
	is "$how: a named volume that is missing is made" "$(run -v fresh:/d busybox sh -c 'ls -A /d | wc -l'; rl volume ls -q)" "0
data
fresh"
	rl create --name user $N -v data:/d busybox true >/dev/null
	must_fail "$how: a volume a container names is not removed" --status 125 --stderr 'used by container user' rl volume rm data
	is "$how: nor pruned" "$(rl volume prune -af | head -1)" fresh
	is "$how: inspect names the user" "$(rl volume inspect -f '{{json .UsedBy}}' data)" '["user"]'
	is "$how: dangling lists it not" "$(rl volume ls -q --filter dangling=true)" ""
	rl rm user >/dev/null
	is "$how: rm" "$(rl volume rm data)" data
	must_fail "$how: what is gone is gone" --status 125 --stderr "no volume 'data'" rl volume inspect data
	ok "$how: -f does not mind" rl volume rm -f data
	must_fail "$how: exists says no" --status 1 rl volume exists data
}
volumes subordinate
RL_IDMAP=single volumes single

# --- copy-up
copy() {
	local how=$1 web=$2 fifo=$3
	is "$how: a volume is filled from the image" "$(run --image-volume ignore -v v:/srv/data built sh -c 'cat /srv/data/file /srv/data/sub/below')" "from-image
below"
	is "$how: with owners and modes" "$(run --image-volume ignore -v v:/x built stat -c '%u %a' /x/sub /x/file /x)" "$web 2751
$web 644
$web 755"
	is "$how: with links, hard links and fifos" "$(run --image-volume ignore -v v:/x built sh -c 'readlink /x/link; stat -c "%h %F" /x/hard /x/fifo' 2>/dev/null || run -v v:/x busybox sh -c 'readlink /x/link; stat -c "%h %F" /x/hard /x/fifo')" "/etc/passwd
2 regular file
1 $fifo"
	run --image-volume ignore -v v:/x built sh -c 'echo mine >/x/file; rm /x/hard'
	is "$how: only once" "$(run --image-volume ignore -v v:/srv/data built cat /srv/data/file)" mine
	rl volume create used >/dev/null
	run -v used:/d busybox sh -c 'echo keep >/d/keep'
	is "$how: never over what is there (CVE-2020-1726)" "$(run --image-volume ignore -v used:/srv/data built ls -A /srv/data)" keep
	is "$how: nocopy leaves it empty" "$(run --image-volume ignore -v n:/srv/data:nocopy built sh -c 'ls -A /srv/data | wc -l')" 0
	is "$how: a link in the image is followed inside it" "$(run --image-volume ignore -v m:/moved built cat /moved/file)" from-image
	is "$how: an empty directory gives its owner" "$(run --image-volume ignore -v e:/empty built stat -c %u /empty)" "$web"
	is "$how: ls of leftovers" "$(ls -A "$RL_ROOT/volumes/v")" "_data
volume.json"
	rl volume prune -af >/dev/null
}
copy subordinate 33 fifo
# What cannot have its owner is kept as an empty file there (xattr.h).
RL_IDMAP=single copy single 0 "regular empty file"

# --- the image's volumes
is "VOLUMEs are anonymous volumes" "$(run built sh -c 'cat /srv/data/file; ls -d /relative /up'; rl volume ls -q)" "from-image
/relative
/up"
like "one on /proc or /sys is left out and said" "$(run built true 2>&1)" 'VOLUME /proc is left out'
is "--image-volume=tmpfs" "$(run --image-volume tmpfs built sh -c 'ls -A /srv/data | wc -l; mount | /bin/sh -c "while read l; do case \$l in *tmpfs*/srv/data*) echo tmpfs;; esac; done"' 2>/dev/null)" "0
tmpfs"
rl run -d $N --name keep built sleep 1000 >/dev/null 2>&1
is "a container without --rm keeps them" "$(rl volume ls -q --filter anonymous=true | wc -l)" 3
is "--volumes-from shows the same" "$(rl exec keep true 2>/dev/null; run --image-volume ignore --volumes-from keep built sh -c 'echo new >/srv/data/new; ls /srv/data' | tr '\n' ' ')" "fifo file hard link new sub "
must_fail "ro of --volumes-from" --status 1 --stderr 'Read-only' run --image-volume ignore --volumes-from keep:ro built touch /srv/data/x
is "what --volumes-from shares is not removed with the second" "$(rl volume ls -q | wc -l)" 3
rl create --name second --volumes-from keep $N built true >/dev/null 2>&1
rl rm -f -v keep >/dev/null
is "rm -v keeps what another container names" "$(rl volume ls -q | wc -l)" 3
rl rm -v second >/dev/null
is "rm -v removes the anonymous ones" "$(rl volume ls -q | wc -l)" 0
is "-v with a path alone is anonymous" "$(rl create --name an -v /scratch $N busybox true >/dev/null; rl volume ls -q | wc -l; rl inspect -f '{{(index .Mounts 0).Type}} {{(index .Mounts 0).Destination}}' an)" "1
volume /scratch"
rl rm an >/dev/null
is "rm without -v leaves it" "$(rl volume ls -q | wc -l)" 1
is "prune takes it without -a" "$(rl volume prune -f | wc -l)" 2
run -v /scratch busybox true
is "--rm leaves none" "$(rl volume ls -q)" ""
must_fail "a start that fails leaves none either" --status 127 run -v /scratch busybox no-such-command
is "none" "$(rl volume ls -q)" ""

# --- type=image, subpaths, options, U
is "an image is mounted" "$(run --mount type=image,src=built,dst=/i busybox cat /i/srv/data/file)" from-image
must_fail "read-only" --status 1 --stderr 'Read-only' run --mount type=image,src=built,dst=/i busybox touch /i/x
is "or with a layer to write to" "$(run --mount type=image,src=built,dst=/i,rw busybox sh -c 'echo z >/i/srv/data/file; cat /i/srv/data/file')" z
is "a part of it" "$(run --mount type=image,src=built,dst=/i,subpath=srv/data busybox cat /i/file)" from-image
rl create --name im --mount type=image,src=built,dst=/i $N busybox cat /i/srv/data/file >/dev/null
rl rmi -f built >/dev/null 2>&1
is "its layers stay while a container needs them" "$(rl start -a im)" from-image
rl rm im >/dev/null; rl load -q -i image.tar >/dev/null
run -v sp:/d busybox sh -c 'mkdir -p /d/in/side; echo part >/d/in/side/f; ln -s /etc /d/out; ln -s in /d/there'
is "volume-subpath" "$(run --mount type=volume,src=sp,dst=/s,volume-subpath=in/side busybox cat /s/f)" part
is "a link in the volume stays in the volume" "$(run --mount type=volume,src=sp,dst=/s,volume-subpath=there/side busybox cat /s/f)" part
must_fail "and leads to nothing of the host (CVE-2017-1002101)" --status 125 --stderr subpath run --mount type=volume,src=sp,dst=/s,volume-subpath=out busybox true
must_fail "a subpath that is missing" --status 125 --stderr 'subpath nope' run --mount type=volume,src=sp,dst=/s,volume-subpath=nope busybox true
rl volume create -o type=tmpfs -o device=tmpfs -o o=size=1m,mode=700 t >/dev/null
is "a tmpfs volume" "$(run -v t:/t busybox sh -c 'df -k /t | tail -1 | tr -s " " | cut -d" " -f2; stat -c %a /t')" "1024
700"
mkdir bound && echo host >bound/f
rl volume create -o type=none -o o=bind,ro -o device="$PWD/bound" b >/dev/null
is "a bind volume" "$(run -v b:/b busybox cat /b/f)" host
must_fail "its ro holds" --status 1 --stderr 'Read-only' run -v b:/b busybox touch /b/x
must_fail "nfs is refused by name" --status 125 --stderr 'type=nfs' rl volume create -o type=nfs -o o=addr=1.2.3.4 -o device=:/x nfs
must_fail "so is a size" --status 125 --stderr 'size=1g' rl volume create -o size=1g x
must_fail "and a driver" --status 125 --stderr 'other drivers' rl volume create -d rexray x
must_fail "and a name that leads away" --status 125 --stderr 'volume name' rl volume create ../x
is "docker's existing volume with other options is an error" "$(rl volume create -o type=tmpfs t 2>&1 | grep -c 'other options')" 1
mkdir theirs && touch theirs/f
if [ "$(rl run --rm $N busybox cat /proc/self/uid_map | wc -l)" -gt 1 ]; then
	is "U gives a directory to the user" "$(run -u 33:33 -v "$PWD/theirs:/t:U" busybox stat -c %u:%g /t /t/f | tr '\n' ' ')" "33:33 33:33 "
	run -v "$PWD/theirs:/t:U" busybox true
	is "and back" "$(stat -c %u theirs theirs/f | sort -u)" "$(id -u)"
else
	skip 2 "no subordinate ids"
fi
is "keep-id writes as the user" "$(run --userns keep-id -v ki:/d busybox sh -c 'echo x >/d/f; stat -c %u /d/f')" "$(id -u)"

# --- archives
run -v ex:/d busybox sh -c 'mkdir /d/dir; echo one >/d/dir/f; ln -s /etc/passwd /d/link; chmod 700 /d/dir; chown -R 5:6 /d/dir 2>/dev/null; true'
ok "export to a file" rl volume export -o ex.tar ex
is "it is a tar with the container's owners" "$(tar --numeric-owner -tvf ex.tar | awk '/dir\/f/ {print $2}')" "$([ "$(run busybox cat /proc/self/uid_map | wc -l)" -gt 1 ] && echo 5/6 || echo 0/0)"
rl volume create im >/dev/null
ok "import from a pipe, compressed" sh -c 'rl volume export ex | gzip | rl volume import im'
is "it is the same" "$(run -v im:/d busybox sh -c 'cat /d/dir/f; readlink /d/link; stat -c %a /d/dir')" "one
/etc/passwd
700"
run -v im:/d busybox sh -c 'echo two >/d/dir/f; echo mine >/d/mine; rm /d/link; mkdir /d/link'
ok "import over what is there" rl volume import im ex.tar
is "what has the name is replaced, the rest stays" "$(run -v im:/d busybox sh -c 'cat /d/dir/f /d/mine; readlink /d/link')" "one
mine
/etc/passwd"
mkdir evil && echo x >evil/f && ln -s "$T" evil/l && tar -C evil --transform 's,^f$,l/pwned,' -cf evil.tar l f
rl volume import im evil.tar >/dev/null 2>&1
not_ok "a file behind a link does not leave the volume" test -e pwned
must_fail "something that is no archive changes nothing" --status 125 --stderr 'volume import im' rl volume import im evil/f
is "nothing" "$(run -v im:/d busybox cat /d/mine)" mine
must_fail "a volume that is missing is not imported into" --status 125 --stderr "no volume" rl volume import nope ex.tar

# --- crashes, and many at once
mkdir -p "$RL_ROOT/volumes/.del-0000000000000000/x" "$RL_ROOT/volumes/half/_fill/rest"
rm -r "$RL_ROOT/volumes/half"
rl volume create half >/dev/null
mkdir -p "$RL_ROOT/volumes/half/_fill/rest"
is "what a crash left in _fill is replaced" "$(run --image-volume ignore -v half:/srv/data built sh -c 'cat /srv/data/file; ls -A /srv/data | wc -l')" "from-image
5"
is "what a removal left is swept" "$(ls -A "$RL_ROOT/volumes" | grep -c '^\.')" 0
mkdir -p many/srv/many && (cd many/srv/many && for i in $(seq 400); do echo "$i" >"f$i"; done)
tar -C many --owner=33 --group=33 -cf many.tar .
"$HELPERS/layers-image" many-image.tar many:latest '{}' two.tar many.tar && rl load -q -i many-image.tar >/dev/null
whole=
for i in $(seq 25); do
	timeout -s KILL "0.0$((RANDOM % 9 + 1))" rl create --name "kill$i" -v torn:/srv/many $N many /bin/true >/dev/null 2>&1
	n=$(ls "$RL_ROOT/volumes/torn/_data" 2>/dev/null | wc -l)
	[ "$n" = 0 ] || [ "$n" = 400 ] || whole+=" $n"
	rl rm -af >/dev/null 2>&1
	rl volume rm -f torn >/dev/null 2>&1 || whole+=" rm"
done
is "a volume whose filling is killed is empty or whole, and can be removed" "$whole" ""
# Where two looked at once whether anybody else held the volume, each saw the other, and it stayed empty.
for round in 1 2 3 4 5 6 7 8; do
	for i in 1 2 3 4 5 6; do run --image-volume ignore -v race$round:/srv/data built cat /srv/data/file >out.$round.$i 2>&1 & done
	wait
done
is "six at once see it whole, eight times" "$(sort -u out.*)" from-image
rl create --name torn -v half:/d $N busybox true >/dev/null
echo '{' >"$(echo "$RL_ROOT"/containers/*/config.json)"
must_fail "a record that cannot be read protects every volume" --status 125 --stderr 'cannot be read' rl volume rm half
rl rm -f "$(ls "$RL_ROOT/containers")" >/dev/null
ok "until it is removed" rl volume rm half

# --- spellings
is "templates" "$(rl volume ls --filter name=ki --format '{{json .}}' | python3 -c 'import json,sys; d=json.load(sys.stdin); print(d["Name"], d["Driver"], d["Scope"])')" "ki local local"
is "docker's columns" "$(rl volume ls | head -1 | tr -s ' ')" "DRIVER VOLUME NAME"
must_fail "an unknown filter" --status 125 --stderr "no filter" rl volume ls --filter nmae=x
is "ps --filter volume" "$(rl create --name pv -v ki:/d $N busybox true >/dev/null; rl ps -a --filter volume=ki --format '{{.Names}}')" pv
done_testing
