#!/bin/bash
# What a payload can and cannot see and do by default.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

run() { rl run --rm --network none "$@"; }
inside() { rl run --rm --network none busybox sh -c "$1"; }

status=$(inside 'cat /proc/self/status')
field() { sed -n "s/^$1:[[:space:]]*//p" <<<"$status"; }
is "the effective capabilities are docker's default set" "$(field CapEff)" 00000000a80425fb
is "so are the permitted" "$(field CapPrm)" 00000000a80425fb
is "and the bounding set" "$(field CapBnd)" 00000000a80425fb
is "inheritable capabilities are empty" "$(field CapInh)" 0000000000000000
is "ambient capabilities are empty" "$(field CapAmb)" 0000000000000000
is "no_new_privs is set" "$(field NoNewPrivs)" 1
is "a seccomp filter is loaded" "$(field Seccomp)" 2
like "--cap-drop ALL leaves none" "$(run --cap-drop ALL busybox grep CapBnd /proc/self/status)" '0000000000000000$'
like "--cap-add adds one" "$(run --cap-drop ALL --cap-add NET_ADMIN busybox grep CapEff /proc/self/status)" '0000000000001000$'
like "--privileged gives all, unfiltered" "$(run --privileged busybox grep -E '^Seccomp:' /proc/self/status)" '0$'
like "seccomp=unconfined switches the filter off" "$(run --security-opt seccomp=unconfined busybox grep -E '^Seccomp:' /proc/self/status)" '0$'
like "no-new-privileges=false is honoured" "$(run --security-opt no-new-privileges=false busybox grep NoNewPrivs /proc/self/status)" '0$'

is "only 0, 1 and 2 are open" "$(inside 'ls /proc/self/fd' | tr '\n' ' ')" "0 1 2 3 "
is "a descriptor the caller left open does not get in" "$(exec 9</etc/hostname; inside 'test -e /proc/self/fd/9 && echo in || echo out')" out
is "the payload is PID 1" "$(inside 'echo $$')" 1
is "no process of the host is seen" "$(inside 'echo /proc/[0-9]*')" /proc/1
for ns in user mnt pid net uts ipc cgroup; do
	isnt "the $ns namespace is its own" "$(inside "readlink /proc/self/ns/$ns")" "$(readlink /proc/self/ns/$ns)"
done
for f in /proc/kcore /proc/keys /proc/timer_list; do
	is "$f is masked" "$(inside "test -e $f && head -c 10 $f | wc -c || echo 0")" 0
done
is "/sys/firmware is empty" "$(inside 'ls /sys/firmware | wc -l')" 0
for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/sys/vm/drop_caches; do
	is "$f cannot be written" "$(inside "(echo 1 >$f) 2>/dev/null && echo written || echo refused")" refused
done
is "/sys is read-only" "$(inside 'grep " /sys " /proc/mounts | cut -d" " -f4 | cut -d, -f1')" ro
like "--security-opt unmask=ALL opens them" "$(run --security-opt unmask=ALL busybox sh -c 'grep -c " /proc/" /proc/mounts; true')" '^0$'
like "--security-opt mask hides one more" "$(run --security-opt mask=/etc/hostname busybox sh -c 'wc -c </etc/hostname')" '^0$'
is "/dev has only what every program needs" \
	"$(inside 'ls /dev' | tr '\n' ' ')" "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero "
is "mount is refused" "$(inside 'mount -t tmpfs x /tmp 2>/dev/null && echo yes || echo no')" no
is "a new user namespace is refused" "$(inside 'unshare -U true 2>/dev/null && echo yes || echo no')" no
is "mknod of a device is refused" "$(inside 'mknod /tmp/d b 8 0 2>/dev/null && echo yes || echo no')" no
is "chroot does not get out (the seeds' exercise)" "$(inside 'mkdir /j; mkdir -p /j/bin; cp /bin/busybox /j/bin/sh 2>/dev/null; chroot /j /bin/sh -c "cd ../../../..; pwd"')" /
is "the host's root is nowhere in the mount table" "$(inside 'cut -d" " -f2 /proc/mounts' | grep -cE '^/(home|root|work|var|tmp/)' )" 0
is "/etc/hosts, hostname and resolv.conf are files of ours" "$(inside 'for f in hosts hostname resolv.conf; do test -s /etc/$f && echo $f; done' | wc -l)" 3
status_is "a payload that forks a crowd dies with its PID 1" 0 run busybox sh -c 'for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; true'
leftovers "and nothing of it is left"
done_testing
