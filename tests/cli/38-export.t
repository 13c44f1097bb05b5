#!/bin/bash
# rl export: whole file systems of containers and images, as tar and as file system images.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
N="--network none"
PATH=$PATH:/usr/sbin:/sbin
list() { tar -tv --numeric-owner -f "$1" | awk '{print $1, $2, $6, $7, $8, $9, $10}' | sed 's/ *$//' | sort -k 3; }

all() {
	local how=$1
	rl run $N --name c busybox sh -c 'mkdir -p /d/e; echo hi >/d/f; ln /d/f /d/e/g; ln -s f /d/l; chmod 4755 /d/f; mkfifo /d/p; rm /bin/ls; rm -r /home; mkdir /home; echo h >/home/h'
	ok "$how: a stopped container" sh -c 'rl export c >c.tar'
	is "$how: has its files, links and modes" "$(list c.tar | grep -E ' d/')" "drwxr-xr-x 0/0 d/
drwxr-xr-x 0/0 d/e/
-rwsr-xr-x 0/0 d/e/g
hrwsr-xr-x 0/0 d/f link to d/e/g
lrwxrwxrwx 0/0 d/l -> f
prw-r--r-- 0/0 d/p"
	is "$how: those of the image, without the deleted ones" "$(tar -tf c.tar | grep -cE '^(bin/busybox|bin/ls|home/h)$')" 2
	ok "$how: -o writes a file" rl export -o o.tar c
	ok "$how: with the same bytes" cmp c.tar o.tar
	ok "$how: which can be imported" sh -c 'rl import o.tar again >/dev/null'
	is "$how: and run" "$(rl run --rm $N again sh -c 'cat /d/e/g /home/h; stat -c %a /d/f')" "hi
h
4755"
	ok "$how: an image" sh -c 'rl export busybox >i.tar'
	is "$how: is its file system" "$(tar -tf i.tar | grep -cE '^(bin/ls|d/f)$')" 1
	rl rm c >/dev/null
	rl rmi again >/dev/null
}
all subordinate
RL_IDMAP=single all single

rl run -d $N --name c -v "$T:/vol" --tmpfs /tm busybox sh -c 'chown 5:6 /etc/passwd; mkdir /x; chmod 700 /x; echo 1 >/x/f; chown -R 7:8 /x; touch /tm/t /ready; while :; do sleep 1; done' >/dev/null
wait_for "the container" 60 sh -c 'rl diff c | grep -q ready'
ok "a running container" sh -c 'rl export c >r.tar'
is "mounts are not part of it" "$(tar -tf r.tar | grep -E '^(vol|tm|proc|sys)/' | tr '\n' ' ')" "proc/ sys/ tm/ vol/ "
is "owners are the container's" "$(list r.tar | grep -E ' (etc/passwd|x/|x/f)$')" "-rw-r--r-- 5/6 etc/passwd
drwx------ 7/8 x/
-rw-r--r-- 7/8 x/f"
rl stop -t 0 c >/dev/null

# --- file system images
if have mksquashfs unsquashfs; then
	ok "squashfs" rl export --format squashfs -o c.sqfs c
	is "has owners, modes and files" "$(unsquashfs -lln c.sqfs | awk '{print $1, $2, $NF}' | grep -E 'squashfs-root(/x|/x/f|)$')" "drwxr-xr-x 0/0 squashfs-root
drwx------ 7/8 squashfs-root/x
-rw-r--r-- 7/8 squashfs-root/x/f"
else
	must_fail "without mksquashfs the package is named" --status 125 --stderr 'squashfs-tools' rl export --format squashfs -o c.sqfs c
fi
if have mkfs.ext4 debugfs; then
	ok "ext4" rl export --format ext4 -o c.ext4 c
	ok "is whole" e2fsck -fn c.ext4
	is "has owners" "$(debugfs -R 'stat /x/f' c.ext4 2>/dev/null | grep -oE 'User: *[0-9]+ *Group: *[0-9]+' | tr -s ' ')" "User: 7 Group: 8"
	is "and content" "$(debugfs -R 'cat /x/f' c.ext4 2>/dev/null)" 1
fi
if have mkfs.erofs; then
	ok "erofs" rl export --format erofs -o c.erofs c
	is "is one" "$(od -An -tx4 -j1024 -N4 c.erofs | tr -d ' ')" e0f5e1e2
	ok "ext4 and erofs of an image of one layer" sh -c 'rl export --format erofs -o b.erofs busybox && rl export --format ext4 -o b.ext4 busybox'
else
	must_fail "without mkfs.erofs the package is named" --status 125 --stderr 'erofs-utils' rl export --format erofs -o c.erofs c
fi
is "no file is left of one that failed" "$(rl export --format ext4 -o /nonexistent/x c 2>/dev/null; ls /nonexistent 2>/dev/null)" ""
must_fail "a file system needs a file" --status 125 --stderr '-o FILE' rl export --format ext4 c
must_fail "unknown formats" --status 125 --stderr 'no format' rl export --format zip c
must_fail "neither a container nor an image" --status 125 --stderr 'no container and no image' rl export nosuch
must_fail "a directory is no output" --status 125 --stderr 'directory' rl export -o . c
must_fail "a full disk is noticed" --status 125 --stderr 'space' sh -c 'rl export c >/dev/full'
# The rl that waits holds the store for an image; what cleans up after a failure must not wait for it.
must_fail "for an image, too, and the command ends" --status 125 --stderr 'space' sh -c 'rl export busybox >/dev/full'
like "nothing is written to a terminal" "$(script -qec 'rl export c 2>err' /dev/null; cat err)" 'terminal'
echo old >keep && ok "a file that is there is replaced" rl export -o keep c
is "when the new one is whole" "$(tar -tf keep | grep -c x/f)" 1
rl rm -fa >/dev/null
leftovers "nothing is left behind"
done_testing
