#!/bin/bash
# What a person sees of `rl run`: output, exit statuses, environment, identity, files.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

run() { rl run --rm "$@"; }

output_is "the command's output comes through" hi run busybox echo hi
output_is "the image's own command runs when none is given" "" run busybox
status_is "status 0 of the command is rl's" 0 run busybox true
status_is "the command's own status is rl's" 42 run busybox sh -c 'exit 42'
must_fail "a command that is not there is 127" --status 127 --stderr "not found in the container's PATH" run busybox nosuch
must_fail "a path that is not there is 127" --status 127 run busybox /no/such
must_fail "a directory cannot be invoked: 126" --status 126 run busybox /etc
must_fail "a file that is no program is 126" --status 126 run busybox /etc/passwd
status_is "a command that kills itself with TERM gives 143" 143 run --init busybox sh -c 'kill -TERM $$'
must_fail "an image that is not there is 125 and a similar name is suggested" --status 125 --stderr busybox run busybos true
must_fail "a mistyped flag is named and the nearest one suggested" --status 125 --stderr '--network' run --netwrok none busybox true
must_fail "a docker flag that has no meaning here is refused by name" --status 125 --stderr '--link' run --link a:b busybox true

# environment
output_is "-e sets a variable" b run -e A=b busybox sh -c 'echo $A'
output_is "-e NAME takes the caller's value" fromhost env A=fromhost rl run --rm -e A busybox sh -c 'echo $A'
output_is "nothing of the caller's environment goes in by itself" "" env SECRET=x rl run --rm busybox sh -c 'echo $SECRET'
printf '# comment\nX=1 2\nY\n' >env
output_is "--env-file is read as docker reads it" "1 2 fromhost" env Y=fromhost rl run --rm --env-file env busybox sh -c 'echo $X $Y'
must_fail "an env-file that is not there is an error that names it" --status 125 --stderr 'nofile' run --env-file nofile busybox true
output_is "HOME of root is /root" /root run busybox sh -c 'echo $HOME'
output_is "PATH is set" yes run busybox sh -c 'test -n "$PATH" && echo yes'

# identity and names
output_is "the first user is root of the container" "0 0" run busybox sh -c 'echo $(id -u) $(id -g)'
output_is "--hostname is the name inside" box run --hostname box busybox hostname
like "without --hostname the name is twelve digits of the id" "$(run busybox hostname)" '^[0-9a-f]{12}$'
output_is "-w sets the working directory and makes it" /a/b run -w /a/b busybox pwd
output_is "--entrypoint replaces the image's" "x y" run --entrypoint echo busybox x y
output_is "--umask is the command's" 0077 run --umask 077 busybox sh -c umask
if [ "${RL_IDMAP:-}" != single ] && grep -q "^$(id -un):" /etc/subuid; then
	output_is "-u takes a uid and a gid" "1000 1001" run -u 1000:1001 busybox sh -c 'echo $(id -u) $(id -g)'
	output_is "-u takes a name of the image's passwd" 65534 run -u nobody busybox id -u
	output_is "a plain number is never looked up as a name" 1 run -u 1 busybox id -u
	must_fail "an unmapped uid is refused" --status 125 --stderr 'not mapped' run -u 4000000000 busybox true
	output_is "--userns=keep-id gives the caller's own uid" "$(id -u)" run --userns=keep-id busybox id -u
	like "--userns=nomap leaves the caller out of the map" "$(run --userns=nomap busybox cat /proc/self/uid_map)" "^ *0 +[0-9]+ +[0-9]+\$"
	ok "and its root can write its files" run --userns=nomap busybox touch /root/f
	mkdir mine
	ok "a keep-id container writes to a mount" run --userns=keep-id -v "$T/mine:/m" busybox touch /m/f
	is "what it made there is the caller's" "$(stat -c %u mine/f)" "$(id -u)"
fi
must_fail "a user that is not in the image is refused" --status 125 --stderr nosuchuser run -u nosuchuser busybox true
for u in 4294967295 2147483648000 -1 0x1 +1 '1 ' ' 1' 1e3; do
	must_fail "-u '$u' is refused and not taken for root" --status 125 run -u "$u" busybox id
done

# standard streams
is "with -i the command reads rl's input" "$(echo data | run -i busybox cat)" data
is "without -i the input is empty" "$(echo data | run busybox cat)" ""
is "standard error is its own stream" "$(run busybox sh -c 'echo e >&2' 2>&1 >/dev/null)" e
is "a megabyte goes through a pipe unharmed" "$(head -c 1000000 /dev/zero | run -i busybox cat | wc -c)" 1000000

# files
mkdir data && echo content >data/f
output_is "-v mounts a directory" content run -v "$T/data:/d" busybox cat /d/f
ok "what is written to it is on the host" run -v "$T/data:/d" busybox sh -c 'echo new >/d/g'
is "with the content written" "$(cat data/g)" new
must_fail "a read-only mount is read-only" --status 1 --stderr 'Read-only' run -v "$T/data:/d:ro" busybox touch /d/h
ok "an overlay mount can be written" run -v "$T/data:/d:O" busybox sh -c 'echo x >/d/thrown'
not_ok "and the host's directory stays as it was" test -e data/thrown
output_is "--mount type=bind does the same" content run --mount "type=bind,src=$T/data,dst=/d,ro" busybox cat /d/f
must_fail "--mount of a source that is not there is refused" --status 125 --stderr 'no-such-dir' \
	run --mount "type=bind,src=$T/no-such-dir,dst=/d" busybox true
output_is "a single file can be mounted" content run -v "$T/data/f:/etc/conf" busybox cat /etc/conf
like "--tmpfs mounts one of the size asked for" "$(run --tmpfs /scratch:size=1m busybox df -k /scratch)" '1024'
like "--tmpfs :noatime is taken at its word" "$(run --tmpfs /scratch:noatime busybox grep ' /scratch ' /proc/mounts)" ',noatime'
like "--tmpfs :nodiratime as well" "$(run --tmpfs /scratch:nodiratime busybox grep ' /scratch ' /proc/mounts)" ',nodiratime'
unlike "--tmpfs :strictatime: times of every reading are kept" "$(run --tmpfs /scratch:strictatime busybox grep ' /scratch ' /proc/mounts)" 'atime'
like "--shm-size is the size of /dev/shm" "$(run --shm-size 8m busybox df -k /dev/shm)" '8192'
must_fail "--read-only makes the root read-only" --status 1 --stderr 'Read-only' run --read-only busybox touch /f
ok "and leaves /dev/shm writable" run --read-only busybox touch /dev/shm/f
ok "the root is writable without it" run busybox touch /f
output_is "a file written in one container is not in the next" no run busybox sh -c 'test -e /f && echo yes || echo no'
like "--ulimit sets both limits" "$(run --ulimit nofile=64:128 busybox sh -c 'ulimit -Sn; ulimit -Hn' | tr '\n' ' ')" '64 128'
must_fail "a limit above the caller's is refused with the figure" --status 125 --stderr 'hard limit' \
	run --ulimit nofile=99999999:99999999 busybox true
output_is "--sysctl sets a sysctl of the network namespace" 1 run --sysctl net.ipv4.ip_forward=1 busybox cat /proc/sys/net/ipv4/ip_forward
must_fail "a sysctl of the host is refused" --status 125 --stderr 'whole machine' run --sysctl kernel.panic=1 busybox true
output_is "--device binds a device of the host" ok run --device /dev/zero:/dev/nought busybox sh -c 'test -c /dev/nought && echo ok'
ok "low ports are nobody's privilege" run --network none -u 0 --cap-drop ALL busybox sh -c 'timeout 0.2 nc -l -p 80; test $? != 1'

# root file systems that are no images
mkdir -p root/bin root/etc && cp "$(command -v busybox)" root/bin/sh
output_is "--rootfs runs a directory" here run --rootfs "$T/root" /bin/sh -c 'echo here'
ok "--rootfs DIR:O can be written" run --rootfs "$T/root:O" /bin/sh -c 'echo x >/new'
not_ok "and the directory stays as it was" test -e root/new
ok "--rootfs DIR writes to the directory" run --rootfs "$T/root" /bin/sh -c 'echo x >/new2'
ok "for real" test -e root/new2

# files of ours
ok "--cidfile takes the id" run --cidfile cid busybox true
like "of 64 digits" "$(cat cid)" '^[0-9a-f]{64}$'
must_fail "an existing cidfile is refused" --status 125 --stderr cid run --cidfile cid busybox true
like "--explain prints the plan" "$(rl run --rm --explain busybox true)" 'pivot_root'
output_is "--init runs the command as a child of a reaper" 2 run --init busybox sh -c 'echo $$'
is "--timeout ends the command" "$(run --timeout 1 busybox sleep 60 >/dev/null 2>&1; echo $?)" 137
is "nothing of the containers is left in the store" "$(ls "$RL_ROOT/containers" 2>/dev/null | wc -l)" 0
leftovers "nothing is left running or mounted"
done_testing
