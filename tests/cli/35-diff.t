#!/bin/bash
# rl diff: what a container changed, from its own layers alone.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
N="--network none"
mkdir -p root/{bin,sbin,d/sub,keep,opq/in} && cp /bin/busybox root/bin/busybox
for a in sh touch rm mkdir mv ln chmod chown echo cat ls mkfifo sleep rmdir cp stat; do ln -s busybox root/bin/$a; done
echo old >root/d/f && echo old >root/d/sub/g && echo old >root/keep/k && echo x >root/opq/in/x && echo y >root/opq/y
tar -C root --owner=0 --group=0 -cf root.tar . && rl import root.tar img >/dev/null

run_diff() { # SCRIPT: the diff of a container that ran it
	rl rm -f c >/dev/null 2>&1
	rl run $N --name c img sh -c "$1" && rl diff c
}

all() {
	local how=$1
	is "$how: a container that wrote nothing has no changes" "$(run_diff :)" ""
	is "$how: added files" "$(run_diff 'echo 1 >/new; mkdir -p /n/m; echo 2 >/n/m/f')" "A /n
A /n/m
A /n/m/f
A /new"
	is "$how: a changed file shows its directory too" "$(run_diff 'echo 1 >>/d/sub/g')" "C /d
C /d/sub
C /d/sub/g"
	is "$how: a deleted file" "$(run_diff 'rm /d/f')" "C /d
D /d/f"
	is "$how: a deleted directory is one line" "$(run_diff 'rm -r /opq')" "D /opq"
	is "$how: a directory made anew hides what was in it" "$(run_diff 'rm -r /opq; mkdir /opq; echo z >/opq/y')" "C /opq
D /opq/in
C /opq/y"
	is "$how: a file in the place of a directory" "$(run_diff 'rm -r /opq; echo 1 >/opq')" "C /opq"
	is "$how: a directory in the place of a file" "$(run_diff 'rm /d/f; mkdir /d/f; echo 1 >/d/f/in')" "C /d
C /d/f
A /d/f/in"
	is "$how: a renamed directory is deleted and added" "$(run_diff 'mv /d/sub /d/moved')" "C /d
A /d/moved
A /d/moved/g
D /d/sub"
	is "$how: a mode alone is a change" "$(run_diff 'chmod 700 /keep')" "C /keep"
	is "$how: what was made and removed again leaves its directory changed" "$(run_diff 'touch /keep/x; rm /keep/x')" "C /keep"
	is "$how: fifos, links, names with spaces" "$(run_diff 'mkfifo /p; ln -s p /l; touch "/a b"')" "A /a b
A /l
A /p"
	is "$how: json has a list per kind" "$(run_diff 'echo 1 >/new; rm /d/f' >/dev/null; rl diff --format json c | tr -d ' \n')" \
		'{"changed":["/d"],"added":["/new"],"deleted":["/d/f"]}'
	rl rm -f c >/dev/null
	rl run -d $N --name c --tmpfs /mnt/t -v "$T/root/d:/vol/deep" img sh -c 'echo 1 >/mnt/t/x; echo 2 >/here; while :; do sleep 1; done' >/dev/null
	wait_for "the file" 60 sh -c 'rl diff c | grep -q here'
	is "$how: of a running container; mounts and the places made for them are none" "$(rl diff c)" "A /here"
	is "$how: -l is the last one" "$(rl diff -l)" "A /here"
	rl rm -f c >/dev/null
	is "$how: a directory nobody may read is read" "$(run_diff 'mkdir /z; echo 1 >/z/f; chmod 0 /z/f; chmod 0 /z')" "A /z
A /z/f"
	rl rm -f c >/dev/null
}
all subordinate
RL_IDMAP=single all single
is "a payload that gives its files away hides nothing" "$(run_diff 'mkdir /z; echo 1 >/z/f; chown -R 77:77 /z; chmod 700 /z')" "A /z
A /z/f"
is "a payload that gives away its root directory hides nothing" "$(run_diff 'echo 1 >/f; chmod 700 /; chown 77:77 /')" "A /f"

must_fail "a name is needed" --status 125 --stderr 'missing' rl diff
must_fail "of a container" --status 125 --stderr 'no container' rl diff nosuch
must_fail "formats are checked" --status 125 --stderr 'no format' rl diff --format yaml c
rl run $N --name r --rootfs "$T/root" sh -c 'echo 1 >/x'
must_fail "a container without layers of its own is refused" --status 125 --stderr 'directory' rl diff r
rl run $N --name o --rootfs "$T/root:O" sh -c 'echo 1 >/y'
is "one on an overlay of a directory is compared with it" "$(rl diff o)" "A /y"
rl rm -fa >/dev/null
leftovers "nothing is left behind"
done_testing
