#!/bin/bash
# The default filter as a payload meets it, from each of its three sources: built in, compiled for a rare capability set,
# and the same profile given as a file. Numbers are x86-64's.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
[ "$(uname -m)" = x86_64 ] || skip_all "call numbers of x86-64"

mkdir -p root/{proc,sys,dev,tmp,etc}
cp "$HELPERS/bin/tinit" root/tinit
rl_share=$(dirname "$(dirname "$(command -v rl)")")/share/rl
profile=$rl_share/seccomp/default.json

run() {
	rl run --rm --network none "${options[@]}" --rootfs "$T/root" /tinit "$@" 2>&1
}

# answers SENTENCE ANSWER COMMAND... -- COMMAND...: every attempt gets this answer
answers() {
	local sentence=$1 want=$2 got
	shift 2
	got=$(run seq "$@" | sed 's/^[a-z]* \([A-Z]\)/\1/' | sort | uniq -c | awk '{ print $2 }')
	is "$source: $sentence" "$got" "$want"
}

for source in built-in compiled file; do
	case $source in
	built-in) options=() ;;
	compiled) options=(--cap-add SYS_TIME) ;;
	file) options=(--security-opt "seccomp=$profile") ;;
	esac
	is "$source: a payload runs under a filter" \
		"$(rl run --rm --network none "${options[@]}" --rootfs "$T/root" /tinit status 2>/dev/null | awk '/^Seccomp:/ { print $2 }')" 2
	is "$source: fork, files and sockets work" "$(run seq socket 1 1 -- socket 2 1 -- socket 10 2 -- socket 16 3 | sort -u)" ok

	answers "CVE-2026-123876: AF_ALG, AF_VSOCK, AF_CAIF, AF_ISDN, AF_IRDA, AF_DECnet by socket" EPERM \
		socket 38 5 -- socket 40 1 -- socket 37 5 -- socket 34 3 -- socket 23 1 -- socket 12 1 -- socket 46 1
	answers "CVE-2026-123876: by socket with high bits" EPERM \
		syscall 41 0x100000026 5 0 -- syscall 41 0x7fffffff00000026 5 0 -- syscall 41 0x8000000000000028 1 0
	answers "CVE-2026-123876: by socketpair" EPERM syscall 53 38 5 0 -- syscall 53 0x100000026 5 0
	answers "CVE-2026-123876: by the x32 call" EPERM syscall 0x40000029 38 5 0 -- syscall 0x40000035 40 1 0
	answers "CVE-2026-123876: by io_uring, whose operations no filter sees" EPERM syscall 425 8 0 -- syscall 426 -- syscall 427
	answers "CVE-2026-123876: by taking a socket of another process" EPERM syscall 438 0 0 0
	if [ "$(run syscall32 20)" = ok ]; then
		answers "CVE-2026-123876: by i386's socket and socketpair" EPERM syscall32 359 38 5 0 -- syscall32 360 40 1 0
		answers "CVE-2026-123876: by i386's socketcall" ENOSYS syscall32 102 1 0 -- syscall32 102 8 0
		answers "CVE-2017-5226: TIOCSTI and TIOCLINUX by the 32-bit call" EPERM syscall32 54 0 0x5412 0 -- syscall32 54 0 0x541c 0
		answers "mount family by 32-bit calls" EPERM syscall32 21 0 0 0 -- syscall32 52 0 0 -- syscall32 428 0 0 0
	else
		skip "$source: 32-bit calls are filtered" "this kernel has no 32-bit calls"
	fi

	answers "CVE-2017-5226, CVE-2019-10063: TIOCSTI and TIOCLINUX" EPERM \
		tiocsti -- tiocsti 0x100000000 -- tiocsti 0xffffffff00000000 -- tiocsti 0x8000000000000000
	answers "CVE-2022-0185, CVE-2022-0492: namespaces and mounts" EPERM \
		unshare 0x10000000 -- unshare 0x20000 -- unshare 0x80 -- syscall 56 0x10000011 0 0 0 0 -- syscall 430 0 0 -- \
		syscall 431 0 0 0 0 0 -- syscall 432 0 0 0 -- syscall 165 0 0 0 0 0 -- syscall 166 0 0 -- syscall 308 0 0 -- \
		syscall 155 0 0 -- syscall 428 0 0 0 -- syscall 429 0 0 0 0 0 -- syscall 442 0 0 0 0 0
	answers "keys, bpf, perf, userfaultfd, modules, kexec, handles" EPERM \
		syscall 250 0 0 0 0 0 -- syscall 248 0 0 0 0 0 -- syscall 249 0 0 0 0 -- syscall 321 0 0 0 -- syscall 298 0 0 0 0 0 -- \
		syscall 323 0 -- syscall 175 0 0 0 -- syscall 313 0 0 0 -- syscall 176 0 0 -- syscall 246 0 0 0 0 -- \
		syscall 320 0 0 0 0 0 -- syscall 304 0 0 0 -- syscall 169 0 0 0 0 -- syscall 167 0 0
	answers "clone3 and calls newer than the profile" ENOSYS syscall 435 0 0 -- syscall 472 -- syscall 600 -- syscall 4000 -- syscall 0x40001000
done

if [ "$(options=() run syscall32 20)" = ok ]; then
	options=(--security-opt "seccomp=${profile%default.json}socketcall.json")
	is "the profile for 32-bit programs lets socketcall reach the kernel" "$(run syscall32 102 1 0)" EFAULT
	is "and is the default one otherwise" "$(run seq socket 38 5 -- syscall32 359 38 5 0 -- tiocsti | sort -u | paste -sd,)" \
		"EPERM,tioclinux EPERM,tiocsti EPERM"
else
	skip "the profile for 32-bit programs lets socketcall reach the kernel" "this kernel has no 32-bit calls"
fi
options=(--cap-add SYS_ADMIN)
source=SYS_ADMIN
is "with CAP_SYS_ADMIN clone3 reaches the kernel" "$(run syscall 435 0 0)" EINVAL
answers "io_uring, keys and socket families stay closed" EPERM syscall 425 8 0 -- syscall 250 0 0 0 0 0 -- socket 38 5 -- tiocsti
options=(--cap-drop ALL)
is "without CAP_SYS_CHROOT the filter refuses chroot" "$(run syscall 161 0)" EPERM
done_testing
