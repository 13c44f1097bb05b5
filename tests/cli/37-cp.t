#!/bin/bash
# rl cp: docker's rules for what goes where, in both directions, for running and stopped containers.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
N="--network none"
in_c() { rl cp "c:$1" - 2>/dev/null | tar -xO 2>/dev/null; }
kind_of() { rl cp "c:$1" - 2>/dev/null | tar -tv 2>/dev/null | head -n 1 | cut -c1; }

make_local() {
	rm -rf l && mkdir -p l/src/sub && echo one >l/src/f && echo two >l/src/sub/g && ln -s f l/src/link && echo file >l/file
	ln l/src/f l/src/hard && chmod 750 l/src/sub && chmod 640 l/file && touch -d '2001-02-03 04:05:06.5' l/file
	ln -s src l/dirlink && ln -s file l/filelink && printf x | dd of=l/sparse bs=1 seek=10M status=none
}

rules() {
	local how=$1
	make_local
	# files in
	ok "$how: a file to a name" rl cp l/file c:/t/new
	is "$how: is there" "$(in_c /t/new)" file
	ok "$how: a file into a directory" rl cp l/file c:/t
	is "$how: keeps its name" "$(in_c /t/file)" file
	ok "$how: a file onto a file" rl cp l/src/f c:/t/file
	is "$how: replaces it" "$(in_c /t/file)" one
	must_fail "$how: a file to a directory that is not there" --status 125 --stderr 'no directory' rl cp l/file c:/t/nodir/
	must_fail "$how: its directory must be there" --status 125 --stderr 'nodir' rl cp l/file c:/t/nodir/x
	must_fail "$how: a trailing slash demands a directory" --status 125 --stderr 'directory' rl cp l/file c:/t/file/
	# directories in
	ok "$how: a directory to a new name" rl cp l/src c:/t/d1
	is "$how: becomes that" "$(in_c /t/d1/sub/g)" two
	ok "$how: a directory into a directory" rl cp l/src c:/t/d1
	is "$how: goes below it" "$(in_c /t/d1/src/sub/g)" two
	rl cp l/src/. c:/t/d2
	is "$how: contents to a new name" "$(in_c /t/d2/f)" one
	mkdir l/more && echo three >l/more/h
	rl cp l/more/. c:/t/d2
	is "$how: contents into a directory" "$(in_c /t/d2/h)$(in_c /t/d2/f)" threeone
	must_fail "$how: a directory onto a file" --status 125 --stderr 'none' rl cp l/src c:/t/file
	mkdir -p l/clash/f
	must_fail "$how: a directory in the place of a file inside" --status 125 --stderr 'no directory' rl cp l/clash/. c:/t/d2
	mkdir -p l/clash2 && echo x >l/clash2/sub
	must_fail "$how: a file in the place of a directory inside" --status 125 --stderr 'is a directory' rl cp l/clash2/. c:/t/d2
	must_fail "$how: . of a file" --status 125 --stderr 'Not a directory' rl cp l/file/. c:/t
	# links
	is "$how: a symlink is copied as one" "$(rl cp l/filelink c:/t/lk; kind_of /t/lk)" l
	is "$how: with -L what it leads to" "$(rl cp -L l/filelink c:/t/lk2; kind_of /t/lk2)" -
	is "$how: a symlink to a directory with a slash is followed" "$(rl cp l/dirlink/ c:/t/d3; in_c /t/d3/f)" one
	ok "$how: a symlink at the target's end" sh -c 'rl cp l/file c:/links/todir; rl cp l/src/f c:/links/tofile'
	is "$how: is followed" "$(in_c /links/dir/file)$(in_c /links/file)" fileone
	is "$how: and stays" "$(kind_of /links/tofile)" l
	ok "$how: a dangling one" rl cp l/file c:/links/dangling
	is "$how: leads to what is made" "$(in_c /links/made)" file
	ok "$how: an absolute one" rl cp l/file c:/links/abs
	is "$how: is one of the container" "$(in_c /etc/rl-cp-test)" file
	not_ok "$how: not of this machine" test -e /etc/rl-cp-test
	# metadata
	is "$how: mode, owner and time" "$(rl cp l/file c:/t/meta; rl cp c:/t/meta - | tar -tv --numeric-owner --full-time | awk '{print $1, $2, $4, $5}')" \
		"-rw-r----- 0/0 2001-02-03 04:05:06.5"
	is "$how: a hard link is one" "$(rl cp c:/t/d1/ - | tar -tv | grep -c '^h')" 2
	# out
	rm -rf o && mkdir o
	rl cp c:/t/d1/f o/x && is "$how: out to a name" "$(cat o/x)" one
	rl cp c:/t/d1/f o && is "$how: out into a directory" "$(cat o/f)" one
	rl cp c:/t/d2 o/d && is "$how: a directory out" "$(cat o/d/sub/g; readlink o/d/link; stat -c %a o/d/sub)" "two
f
750"
	[ o/d/f -ef o/d/hard ]
	is "$how: hard links stay together" $? 0
	(cd o && rl cp c:t/d2/. .)
	is "$how: a path without a slash in front begins at the root, and . is here" "$(cat o/h)" three
	is "$how: files belong to the caller" "$(stat -c %u o/x)" "$(id -u)"
	must_fail "$how: what is not there" --status 125 --stderr 'No such file' rl cp c:/none o
	must_fail "$how: a directory onto a file of ours" --status 125 --stderr 'none' rl cp c:/t/d1 o/x
	rl cp l/sparse c:/t/sparse && rl cp c:/t/sparse o/sparse
	cmp -s l/sparse o/sparse
	is "$how: a sparse file arrives whole" $? 0
	[ "$(stat -c %b o/sparse)" -lt 2048 ]
	is "$how: and sparse" $? 0
	# streams
	ok "$how: a tar in" sh -c 'tar -C l -c src | rl cp - c:/t'
	is "$how: is extracted" "$(in_c /t/src/sub/g)" two
	ok "$how: a compressed one" sh -c 'tar -C l -cz --transform s,src,zipped, src | rl cp - c:/t'
	is "$how: too" "$(in_c /t/zipped/sub/g)" two
	must_fail "$how: into a directory that is there only" --status 125 --stderr 'No such' sh -c 'tar -C l -c src | rl cp - c:/t/nodir'
	must_fail "$how: not into a file" --status 125 --stderr 'Not a directory' sh -c 'tar -C l -c src | rl cp - c:/t/file'
	must_fail "$how: what is no tar" --status 125 --stderr 'archive' sh -c 'head -c 5000 /dev/urandom | rl cp - c:/t'
	must_fail "$how: a path with .." --status 125 --stderr '\.\.' sh -c 'tar -C l/src -cP --transform s,^,../../, f | rl cp - c:/t'
	is "$how: names in a tar out" "$(rl cp c:/t/d3 - | tar -t | sort | tr '\n' ' ')" "d3/ d3/f d3/hard d3/link d3/sub/ d3/sub/g "
	is "$how: of contents" "$(rl cp c:/t/d3/. - | tar -t | sort | tr '\n' ' ')" "./ ./f ./hard ./link ./sub/ ./sub/g "
	is "$how: of a file" "$(rl cp c:/t/d3/f - | tar -t)" f
	printf x >"l/$(printf 'n\303\266n \001\\x')"
	rl cp l c:/t/odd && rl cp c:/t/odd o/odd && rl cp c:/t/odd/. - | tar -x -C "$(mkdir -p o/odd2; echo o/odd2)"
	is "$how: names are bytes" "$(cd o/odd && ls -b; cd ../odd2 && ls -b)" "$(cd l && ls -b; ls -b)"
	long=$(printf 'd%.0s' {1..120})
	mkdir -p "l2/$long/$long/$long" && echo deep >"l2/$long/$long/$long/f" && rl cp l2/. c:/t/long && rm -rf l2
	is "$how: long names" "$(in_c "/t/long/$long/$long/$long/f")" deep
}

setup='mkdir /t /links /links/dir; cd /links; ln -s dir todir; echo old >file; ln -s file tofile; ln -s made dangling; ln -s /etc/rl-cp-test abs'
rl run $N --name c busybox sh -c "$setup"
rules stopped
before=$(rl diff c | wc -l)
rl rm c >/dev/null
rl run -d $N --name c busybox sh -c "$setup; touch /ready; while :; do sleep 1; done" >/dev/null
wait_for "the container" 60 sh -c 'rl diff c | grep -q ready'
rules running
rl rm -f c >/dev/null
RL_IDMAP=single rl run $N --name c busybox sh -c "$setup"
RL_IDMAP=single rules "stopped, one id"
rl rm c >/dev/null
export RL_IDMAP=single
rl run -d $N --name c busybox sh -c "$setup; touch /ready; while :; do sleep 1; done" >/dev/null
wait_for "the container" 60 sh -c 'rl diff c | grep -q ready'
rules "running, one id"
rl rm -f c >/dev/null
unset RL_IDMAP

# --- owners
rl run $N --name c busybox sh -c 'mkdir /o; echo 1 >/o/a; echo 2 >/o/b; chown 5:6 /o/a; chmod 4755 /o/a'
rl cp -a c:/o own
if [ "$(id -u)" != 0 ] && rl run --rm $N busybox chown 5 /tmp 2>/dev/null; then
	isnt "-a keeps owners out of the container" "$(stat -c %u own/a)" "$(id -u)"
	rl cp -a own c:/back
	is "and back: they are the same there" "$(rl cp c:/back/ - | tar -tv --numeric-owner | awk '{print $2, $NF}' | sort -k 2 | tr '\n' ' ')" \
		"0/0 back/ 5/6 back/a 0/0 back/b "
fi
rl cp c:/o plain && is "without it all is the caller's" "$(stat -c %u plain/a plain/b | sort -u)" "$(id -u)"
echo suid >s && chmod 4755 s && rl cp s c:/suid && rl cp c:/suid back
is "setuid bits come out without the bit" "$(stat -c %a back)" 755
is "and are kept inside" "$(rl cp c:/suid - | tar -tv | cut -c1-10)" -rwsr-xr-x
tar -c --owner=7 --group=8 s | rl cp -a - c:/o
is "-a keeps the owners of a tar" "$(rl cp c:/o/s - | tar -tv --numeric-owner | awk '{print $2}')" 7/8
rl run $N --name c2 busybox true
ok "from one container to another" rl cp -a c:/o c2:/o
is "owners kept" "$(rl cp c2:/o/a - | tar -tv --numeric-owner | awk '{print $2}')" 5/6
must_fail "not within one" --status 125 --stderr 'both' rl cp c:/o c:/o2
rl rm c c2 >/dev/null

# --- what is mounted in a running container
mkdir vol && echo v >vol/v
rl run -d $N --name c --tmpfs /tm -v "$T/vol:/vol" busybox sh -c 'echo t >/tm/t; touch /ready; while :; do sleep 1; done' >/dev/null
wait_for "the container" 60 sh -c 'rl diff c | grep -q ready'
is "a tmpfs is seen" "$(in_c /tm/t)" t
rl cp vol/v c:/tm/new
is "and written" "$(in_c /tm/new)" v
rl cp "$0" c:/vol/in
cmp -s "$0" vol/in
is "so is a bind mount" $? 0
echo 9.9.9.9 host >h && ok "a file that something is mounted on is overwritten" rl cp h c:/etc/hosts
is "in place" "$(in_c /etc/hosts)" "9.9.9.9 host"
is "/proc can be named" "$(rl cp c:/proc/1/comm p && cat p)" sh
rl cp c:/ whole 2>/dev/null
is "but is not part of /" "$(ls whole/proc | wc -l) $(ls whole/sys | wc -l) $(cat whole/vol/v)" "0 0 v"
must_fail "a link of /proc leads nowhere" --status 125 rl cp c:/proc/1/root/etc/passwd x
must_fail "nor does fd" --status 125 rl cp -L c:/proc/self/exe x
rl pause c >/dev/null 2>&1 || kill -STOP "$(rl inspect -f '{{.State.Pid}}' c)"
is "of one that stands still" "$(in_c /tm/t)" t
rl rm -f c >/dev/null
rl create $N --name c -v "$T/vol:/vol" busybox true >/dev/null
is "a bind mount of one that never ran" "$(in_c /vol/v)" v
rl create $N --name cv -v namedvol:/nv busybox true >/dev/null
rl cp vol/v cv:/nv/v && rl run --rm $N -v namedvol:/x busybox cat /x/v >got
is "a volume of one that never ran" "$(cat got)" v
rl rm cv >/dev/null
rl cp h c:/never && is "files can be put there before it starts" "$(rl start -a c; in_c /never)" "9.9.9.9 host"
rl rm c >/dev/null

# --- a directory where a file comes, and the reverse
rl create $N --name c busybox true >/dev/null
mkdir -p over/x over2/x/deep && echo file >over2/f && mkdir over/f && echo in >over/f/in && echo plain >over/y
rl cp over c:/o
must_fail "a directory is not replaced by a file" --status 125 --stderr 'directory' rl cp over2/. c:/o
ok "with --overwrite it is" rl cp --overwrite over2/. c:/o
is "whole" "$(rl cp c:/o/f - | tar -xO; rl cp c:/o - | tar -t | sort | tr '\n' ' ')" "file
o/ o/f o/x/ o/x/deep/ o/y "
must_fail "a file is not replaced by a directory" --status 125 --stderr 'none' rl cp over2/x c:/o/y
ok "with --overwrite that is, too" rl cp --overwrite over2/x c:/o/y
is "and is a directory then" "$(rl cp c:/o/y - | tar -t | sort | tr '\n' ' ')" "y/ y/deep/ "
rl rm c >/dev/null

# --- mistakes
rl create $N --name c busybox true >/dev/null
must_fail "no container" --status 125 --stderr 'no container' rl cp nosuch:/x .
must_fail "two local paths" --status 125 --stderr 'CONTAINER:PATH' rl cp a b
must_fail "two streams" --status 125 --stderr 'copy' rl cp - -
must_fail "one operand" --status 125 rl cp c:/x
echo colon >a:b
ok "a local name with a colon" rl cp ./a:b c:/x
must_fail "cp into a read-only place of ours" --status 125 rl cp c:/bin/busybox /proc/x
ok "what is full says so" sh -c '! rl cp c:/bin/busybox - >/dev/full 2>err && grep -qi space err'
rl rm -f c >/dev/null
leftovers "nothing is left behind"
done_testing
