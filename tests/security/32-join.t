#!/bin/bash
# What a hostile container sees of rl while rl exec joins it (each line begins with the name of what happened to
# somebody else).
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
payload_image payload || fail "the static payload is imported"

mkdir mine && cp "$RL_TEST_PREFIX/bin/rl" mine/rl && chmod 755 mine/rl
sum=$(sha256sum <mine/rl)
own() { RL_LIBEXEC=$RL_TEST_PREFIX/libexec/rl RL_SHARE=$RL_TEST_PREFIX/share/rl "$T/mine/rl" "$@"; }

# A root that can trace everything of its own namespaces looks at every process the moment it appears.
spy() {
	rl run -d --network none --name "$1" "${@:2}" payload /tinit spy 600000 >/dev/null
	wait_for "the spy" 60 sh -c "rl logs $1 | grep -q ready"
	for i in {1..150}; do
		SPYMARK=host-secret own exec -e "TOLD=told-secret$i" "$1" /tinit exit 0 || echo "exec failed"
	done
	rl logs "$1" | sed '$d' >"$1.log" # it goes on writing, so the last line may not be whole
	rl rm -f "$1" >/dev/null
}
spy plain >failed
spy tracer --cap-add SYS_PTRACE --cap-add SYS_ADMIN >>failed
is "commands run all the same" "$(cat failed)" ""
for s in plain tracer; do
	seen=$(grep -c '^exe /tinit' $s.log)
	[ "$seen" -gt 0 ] || diag "the spy of $s never saw a process"
	is "CVE-2019-5736 CVE-2016-9962 ($s): no executable but the image's is ever in sight" "$(grep '^exe ' $s.log | grep -v '^exe /tinit$' | sort -u | head -n 3)" ""
	is "CVE-2024-21626 ($s): no descriptor of rl is in sight" "$(grep '^fd ' $s.log | sort -u | head -n 3)" ""
	is "CVE-2024-21626 ($s): no directory but the container's" "$(grep -E '^(cwd|root) ' $s.log | grep -vE '^(cwd|root) /$' | sort -u | head -n 3)" ""
	is "CVE-2016-9962 ($s): nothing of the caller's environment" "$(grep -c host-secret $s.log)" 0
	is "CVE-2016-9962 ($s): nor of rl's command line" "$(grep '^cmdline' $s.log | grep -cE 'exec|told-secret')" 0
done
is "CVE-2019-5736: a user's own rl binary is the same afterwards" "$(sha256sum <mine/rl)" "$sum"

# The command is /proc/self/exe itself: what then runs in the container is the sealed copy.
rl run -d --network none --name o payload /tinit pause >/dev/null
for i in {1..20}; do own exec o /proc/self/exe run x >/dev/null 2>&1; done
own exec o /tinit overwrite-exe >over 2>&1
is "CVE-2019-5736: /proc/self/exe as the command does not open the binary either" "$(sha256sum <mine/rl)" "$sum"

# The image brings a program whose interpreter is /proc/self/exe.
rl run -d --network none --name w busybox sh -c 'printf "#!/proc/self/exe\n" >/bin/trap; chmod 755 /bin/trap; sleep 10000' >/dev/null
wait_for "the trap" 60 rl exec w test -x /bin/trap
for i in {1..20}; do own exec w /bin/trap >/dev/null 2>&1; done
is "CVE-2019-5736: also when its interpreter is /proc/self/exe" "$(sha256sum <mine/rl)" "$sum"

# --- directories and users that lead out ---
reached=
for n in {0..20} 100 500 1023; do
	out=$(rl exec -w "/proc/self/fd/$n" w sh -c 'cat ../../../../../../../../etc/hostname 2>/dev/null; pwd' 2>/dev/null) &&
		[ "$out" != "" ] && grep -q "$(cat /etc/hostname)" <<<"$out" && reached="$reached $n"
done
is "CVE-2024-21626: no /proc/self/fd/N as working directory reaches the host" "$reached" ""
must_fail "CVE-2024-21626: such a working directory is refused" --status 126 rl exec -w /proc/self/fd/7 w true
rl exec w ln -s /proc/self/fd/3/../../../../../../.. /tmp/out
must_fail "CVE-2024-21626: also behind a link of the container" --status 126 rl exec -w /tmp/out w true
rl exec w sh -c 'rm -f /etc/passwd /etc/group; mkfifo /etc/passwd'
must_fail "CVE-2024-9676: a fifo in place of passwd does not hang exec" --status 125 --stderr passwd rl exec w true
rl exec -u 0 w true 2>/dev/null
rl rm -f w >/dev/null
echo 'hostuser:x:0:0::/:/bin/sh' >hostpasswd && chmod 644 hostpasswd
rl run -d --network none --name p busybox sh -c "rm /etc/passwd; ln -s ../../../../../../../../../..$T/hostpasswd /etc/passwd; sleep 10000" >/dev/null
wait_for "the link" 60 rl exec p test -L /etc/passwd
must_fail "CVE-2024-9676: the host's passwd is never read" --status 125 rl exec -u hostuser p true
is "CVE-2022-24769: inheritable capabilities are empty" "$(rl exec -u 0 p sed -n 's/^CapInh:[[:space:]]*//p' /proc/self/status)" 0000000000000000
rl rm -fa >/dev/null
leftovers "nothing is left running or mounted"
done_testing
