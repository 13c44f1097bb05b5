#!/bin/bash
# The requirements of the OCI runtime-tools: every code of their package has a row in tests/data/oci-requirements.txt that
# names the test which tries it or says why none does; here are those that no other file tries.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/oci.sh"
on_finish 'for i in $(oci list -q); do oci delete -f "$i"; done'
oci_bundle b
with() { local sentence=$1 expected=$2 script=$3; shift 3; output_is "$sentence" "$expected" oci_run_with r "$(oci_args sh -c "$script")" "$@"; }
without() { local sentence=$1 words=$2; shift 2; oci_config b "$@"; must_fail "$sentence" --status 1 --stderr "$words" oci run -b b r; }

with "mounts are made in the order of the list" "second" 'cat /m/f' 'c["mounts"] += [{"destination": "/m", "type": "tmpfs", "source": "t"}, {"destination": "/m", "type": "bind", "source": "'"$T"'/d", "options": ["bind"]}]' 'import os; os.makedirs("d", exist_ok=True); open("d/f", "w").write("second\n")'
with "consoleSize without a terminal is ignored" fine 'echo fine' 'p["consoleSize"] = {"height": 10, "width": 20}'
with "without oomScoreAdj it is the caller's" "$(cat /proc/self/oom_score_adj)" 'cat /proc/self/oom_score_adj'
without "a hook with a relative path" 'is not absolute' 'c["hooks"] = {"prestart": [{"path": "bin/true"}]}'
without "a hook with a timeout of zero" 'timeout must be above zero' 'c["hooks"] = {"prestart": [{"path": "/bin/true", "timeout": 0}]}'
oci_config b 'c["hooks"] = {"prestart": [{"path": "/bin/sh", "args": ["sh", "-c", "echo %d >>'"$T"'/order" % n]} for n in (3, 1, 2)]}'
ok "hooks of a kind run" oci run -b b r
is "hooks of a kind run in the order of the list" "$(tr '\n' ' ' <order)" "3 1 2 "
oci_config b 'c["hooks"] = {"poststop": [{"path": "/bin/false"}]}'
ok "a failing poststop hook is a warning" oci run -b b r
without "annotations that are no map of strings" 'annotations.a is not a string' 'c["annotations"] = {"a": 1}'
with "members that nobody knows are ignored" fine 'echo fine' 'c["future"] = {"a": 1}' 'p["future"] = 1' 'l["future"] = []'
with "the file systems every container should have" "proc sysfs devpts tmpfs" 'for m in /proc /sys /dev/pts /dev/shm; do awk -v m=$m "\$2 == m {print \$3}" /proc/mounts; done | xargs echo' 'c["mounts"] = [m for m in c["mounts"]]'
without "a namespace path that is relative" 'is not absolute' 'l["namespaces"].append({"type": "network", "path": "ns/net"})'
own() { readlink "/proc/self/ns/$1"; }
with "namespaces without a path are new" "1 1 1 1" "for n in uts ipc mnt pid; do case \$n in uts) o='$(own uts)';; ipc) o='$(own ipc)';; mnt) o='$(own mnt)';; pid) o='$(own pid)';; esac; [ \"\$(readlink /proc/self/ns/\$n)\" != \"\$o\" ] && echo 1; done | xargs echo"
with "those that are not listed are the caller's" "$(own uts)" 'readlink /proc/self/ns/uts' 'l["namespaces"] = [n for n in l["namespaces"] if n["type"] != "uts"]' 'c.pop("hostname")'
without "a file that is there in place of a device" 'device /taken' 'l["devices"] = [{"path": "/taken", "type": "c", "major": 10, "minor": 240}]' 'open("b/rootfs/taken", "w")'
without "a device given twice" 'twice' 'l["devices"] = [{"path": "/dev/x", "type": "c", "major": 1, "minor": 5}, {"path": "/dev/x", "type": "c", "major": 1, "minor": 3}]'
without "a rule of seccomp without names" 'names' 'l["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_ERRNO"}]}'
without "a masked path that is relative" 'linux.maskedPaths\[0\] is not absolute' 'l["maskedPaths"] = ["proc"]'
without "a read-only path that is relative" 'linux.readonlyPaths\[0\] is not absolute' 'l["readonlyPaths"] = ["proc"]'
with "the links of /dev" "/proc/self/fd /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 pts/ptmx" 'cd /dev; for l in fd stdin stdout stderr ptmx; do readlink $l; done | xargs echo'

oci_config b "$(oci_args sleep 1000)"
before=$(find b | sort | cksum)
oci create -b b c
oci_config b "$(oci_args sh -c 'echo changed >/changed')" 'c["annotations"] = {"changed": "yes"}'
oci start c
is "config.json changed after create has no effect" "$(ls b/rootfs/changed 2>/dev/null)$(oci state c | grep -c changed)" 0
oci start c 2>/dev/null
is "a refused start leaves the state as it was" "$(oci_status c)" running
oci delete c 2>/dev/null
is "a refused delete leaves it running" "$(oci_status c)" running
oci delete -f c
is "delete removes nothing of the bundle" "$(find b -path b/rootfs/dev/console -prune -o -print | sort | cksum)" "$before"
for verb in create start state kill delete; do
	must_fail "$verb without an id" --status 1 --stderr 'missing' oci $verb
done

# --- the table ---
codes=/usr/share/gocode/src/github.com/opencontainers/runtime-tools/specerror
table=$HELPERS/../data/oci-requirements.txt
if [ -d $codes ]; then
	is "every code of runtime-tools has a row, and every row a code" "$(sed -nE 's/^\t([A-Z][A-Za-z]+)( Code = .*)?$/\1/p' $codes/{bundle,config,config-linux,runtime-linux,runtime}.go | sort -u | comm -3 - <(grep -v '^#' "$table" | cut -f1 | sort -u))" ""
else
	fail "runtime-tools are installed (golang-github-opencontainers-runtime-tools-dev)"
fi
missing=
while IFS=$'\t' read -r code file words; do
	case $code$file in '#'* | *-) continue ;; esac
	grep -qE -- "${words//./\\.}" "$HELPERS/../cli/$file" || missing="$missing $code"
done <"$table"
is "every row names a sentence that is there" "$missing" ""
done_testing
