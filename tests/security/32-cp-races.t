#!/bin/bash
# A payload swaps its files for symlinks as fast as it can while `rl cp` copies them out and in.
# (The history: CVE-2018-15664, CVE-2019-14271, CVE-2019-10152, CVE-2021-41091's family.)
# deadline: 900
TAP_TIMEOUT=800
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

ok "the swapper catches a copy that resolves paths as this machine does" race-copy 5000 naive
ok "100000 copies out of a root and into it, with names swapped under them, stay inside" race-copy 100000

# The same with the program as it is: what lies outside is a file of the caller's and /etc of this machine.
echo SECRET >outside
mkdir vol
rl run -d --network none --name c busybox sh -c "
	mkdir -p /t/d /s; echo inside >/t/d/f; echo inside >/t/f; ln -s $T /s/abs; ln -s ../../../../../../../../$T /s/up; ln -s $T/outside /s/file
	touch /ready
	while :; do
		mv /t/d /t/d2; mv /s/abs /t/d; mv /t/d /s/abs; mv /t/d2 /t/d
		mv /t/d /t/d2; mv /s/up /t/d; mv /t/d /s/up; mv /t/d2 /t/d
		mv /t/f /t/f2; mv /s/file /t/f; mv /t/f /s/file; mv /t/f2 /t/f
	done" >/dev/null
wait_for "the container" 60 sh -c 'rl diff c | grep -q ready'
mkdir out src && echo written >src/outside && echo written >src/f
leaks=0 done=0
for ((i = 0; i < 150; i++)); do
	rm -rf out/*
	rl cp c:/t out/t 2>/dev/null && done=$((done + 1))
	rl cp -L c:/t/f out/f 2>/dev/null && done=$((done + 1))
	rl cp c:/t/d/ out/d 2>/dev/null && done=$((done + 1))
	grep -rqs SECRET out && leaks=$((leaks + 1))
	rl cp src/. c:/t/d 2>/dev/null && done=$((done + 1))
	rl cp src/f c:/t/f 2>/dev/null && done=$((done + 1))
done
is "nothing of this machine came out" "$leaks" 0
[ "$done" -gt 75 ]
is "while $done of 750 copies found what they were asked for" $? 0
is "nothing was written here" "$(cat outside; ls)" "SECRET
out
outside
src
store
vol"
rl rm -f c >/dev/null
leftovers "nothing is left behind"
done_testing
