#!/bin/bash
# rl-oci: bad input, callers at the same time, and SIGKILL in the middle of create. Every refusal is the runtime's own
# error and leaves nothing: no process, no directory.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/oci.sh"
on_finish 'for i in $(oci list -q); do oci delete -f "$i"; done'
oci_bundle b
cp b/config.json good.json
nothing_left() { is "... and nothing is left" "$(ls state 2>/dev/null)" ""; }
refused() { local sentence=$1 words=$2; shift 2; must_fail "$sentence" --status 1 --stderr "$words" "$@"; nothing_left; }

# --- config.json ---
document() { local sentence=$1 words=$2; cat >b/config.json; refused "config.json: $sentence" "$words" oci create -b b x; }
document "empty" 'not valid JSON' </dev/null
document "truncated" 'not valid JSON' < <(head -c 700 good.json)
document "a list" 'not an object' <<<'[1]'
document "no object at all" 'not an object' <<<'7'
document "binary" 'not valid JSON' < <(head -c 5000 /dev/urandom)
document "nested 100,000 deep" 'not valid JSON' < <(python3 -c 'print("[" * 100000)')
document "more than 16 MiB" 'too large|more than|File too large|is larger' < <(python3 -c 'print("{\"x\": \"" + "a" * (17 << 20) + "\"}")')
document "a wrong type, named" 'process.args is not a list' < <(python3 -c 'import json; c = json.load(open("good.json")); c["process"]["args"] = "sh"; print(json.dumps(c))')
document "a version that is none" "ociVersion 'banana' is not a version" < <(sed 's/"ociVersion": "[^"]*"/"ociVersion": "banana"/' good.json)
document "a version of the future" 'ociVersion 2.0.0 is not supported' < <(sed 's/"ociVersion": "[^"]*"/"ociVersion": "2.0.0"/' good.json)
document "no process" 'process is missing' < <(python3 -c 'import json; c = json.load(open("good.json")); del c["process"]; print(json.dumps(c))')
document "no root" 'root is missing' < <(python3 -c 'import json; c = json.load(open("good.json")); del c["root"]; print(json.dumps(c))')
document "a root that is not there" 'root.path .*No such file' < <(python3 -c 'import json; c = json.load(open("good.json")); c["root"]["path"] = "nosuch"; print(json.dumps(c))')
document "a root that is a file" 'is not a directory' < <(python3 -c 'import json; c = json.load(open("good.json")); c["root"]["path"] = "config.json"; print(json.dumps(c))')
for dir in / /proc /sys /dev; do
	document "root.path $dir" "is $dir of the host" < <(D=$dir python3 -c 'import json, os; c = json.load(open("good.json")); c["root"]["path"] = os.environ["D"]; print(json.dumps(c))')
done
for dir in / /proc /sys /dev; do
	ln -sfn $dir b/link
	document "root.path a symlink to $dir" "is $dir of the host" < <(sed 's/"path": "rootfs"/"path": "link"/' good.json)
done
ln -sfn ../../../../../../../../../../ b/link
document "root.path a symlink that climbs to /" "is / of the host" < <(sed 's/"path": "rootfs"/"path": "link"/' good.json)
ln -sfn link b/link
document "root.path a symlink to itself" "root.path .*(symbolic links|No such file)" < <(sed 's/"path": "rootfs"/"path": "link"/' good.json)
rm b/link
for n in 1 50 99; do
	document "cut off after $n of 100 parts" 'not valid JSON' < <(head -c $(($(wc -c <good.json) * n / 100)) good.json)
done
document "a member twice" 'not valid JSON|twice|duplicate' < <(sed 's/^{/{"ociVersion": "1.0.0", /' good.json)
document "a number where there is no room for it" 'process.user.uid.*too large' < <(python3 -c 'import json; c = json.load(open("good.json")); c["process"]["user"]["uid"] = 10 ** 30; print(json.dumps(c))')
document "a string with a NUL" 'not valid JSON' < <(python3 -c 'import json; c = json.load(open("good.json")); c["process"]["cwd"] = "/\0x"; print(json.dumps(c))')
document "text that is no UTF-8" 'not valid JSON' < <(python3 -c 'import sys; sys.stdout.buffer.write(open("good.json", "rb").read().replace(b"rootfs", b"root\xff"))')
document "100,000 mounts" 'more than 65536 items' < <(python3 -c 'import json; c = json.load(open("good.json")); c["mounts"] = [c["mounts"][0]] * 100000; print(json.dumps(c))')
document "terminal control characters are not printed" 'mounts\[0\].*not absolute' < <(python3 -c 'import json; c = json.load(open("good.json")); c["mounts"][0]["destination"] = "\u001b[31mred"; print(json.dumps(c))')
unlike "... as such" "$(oci create -b b x 2>&1)" $'\033'
rm b/config.json; mkfifo b/config.json
refused "config.json a fifo" 'no regular file' oci create -b b x
rm b/config.json; mkdir b/config.json
refused "config.json a directory" 'no regular file' oci create -b b x
rmdir b/config.json
refused "no config.json" 'No such file' oci create -b b x
refused "no bundle" 'No such file' oci create -b nosuch x
cp good.json b/config.json

# --- ids ---
for id in .. . a/b /etc '' 'a b' $'a\nb' "$(printf 'x%.0s' $(seq 300))"; do
	refused "the id '${id:0:20}' is refused" 'invalid container ID format' oci create -b b -- "$id"
done
refused "one of 10,000 characters" 'invalid container ID format' oci create -b b "$(printf 'x%.0s' $(seq 10000))"
for verb in start state kill delete pause resume ps; do
	must_fail "$verb of .. is refused, not looked for" --status 1 --stderr 'invalid container ID format' oci $verb ..
done

# --- the root file system ---
for dir in proc sys dev; do
	rm -rf "b/rootfs/$dir"; mkdir -p target; ln -s "$T/target" "b/rootfs/$dir"
	must_fail "/$dir of the image is a symlink" --status 1 --stderr "not a directory|symlink to something that is not there" oci run -b b x
	nothing_left
	is "... and nothing was mounted or made where it leads" "$(ls target)" ""
	rm "b/rootfs/$dir"; mkdir "b/rootfs/$dir"
done
ln -s "$T/target" b/rootfs/link
oci_config b 'c["mounts"].append({"destination": "/link/made", "type": "tmpfs", "source": "x"})'
oci run -b b x 2>/dev/null
is "a mount point through a symlink of the image is made inside the root" "$(ls target)" ""
oci_config b 'p["cwd"] = "/proc/self/fd/3"'
must_fail "a working directory that is a descriptor of the host's" --status 126 --stderr 'working directory' oci run -b b x
nothing_left
oci_config b "$(oci_args /proc/self/exe)"
timeout 30 "$T/rl-oci" --root state run -b b x >/dev/null 2>&1
is "the command /proc/self/exe does not hang" $(($? != 124)) 1
nothing_left

# --- the log ---
refused "a log on a full disk: the error is still the runtime's own" 'No such file' oci --log /dev/full --log-format json create -b nosuch x
oci_config b "$(oci_args echo fine)"
output_is "... and success is success" fine oci --log /dev/full --debug run -b b x
must_fail "a log that cannot be opened" --status 1 --stderr 'open log' oci --log nosuch/log create -b b x
mkfifo log.fifo
must_fail "a log that is a fifo nobody reads" --status 1 --stderr 'open log' oci --log log.fifo create -b b x
must_fail "an unknown log format" --status 1 --stderr 'log-format' oci --log-format xml list
must_fail "a pid file that cannot be written undoes the container" --status 1 --stderr 'nosuch' oci create -b b --pid-file nosuch/pid x
nothing_left
is "... and no process" "$(pgrep -u "$(id -u)" -f "$T/rl-oci" | wc -l)" 0

# --- at the same time ---
oci_config b "$(oci_args sleep 1000)"
# The list of jobs forgets what has ended while others still begin.
eight() { # ERRORS ARG...: how many of eight at once succeed, in $made
	local n pids=() errors=$1
	shift
	for n in $(seq 8); do oci "$@" 2>>"$errors" & pids+=($!); done
	made=0
	for n in "${pids[@]}"; do wait "$n" && made=$((made + 1)); done
}
eight /dev/null create -b b same
is "of eight creates of one id one succeeds" $made 1
eight /dev/null start same
is "of eight starts, too" $made 1
eight same.err delete -f same
is "eight forced deletes all succeed" "$made$(cat same.err)" 8
nothing_left

# --- SIGKILL ---
oci_config b "$(oci_args sleep 1000)" 'c["hooks"] = {"createRuntime": [{"path": "/bin/true"}]}'
left=0
for step in $(seq 0 24); do
	"$T/rl-oci" --root state create -b b k </dev/null >/dev/null 2>&1 &
	victim=$!
	python3 -c "import time; time.sleep($step * 0.0006)"
	kill -KILL $victim 2>/dev/null; wait $victim 2>/dev/null
	oci state k >/dev/null 2>&1
	oci delete --force k || left=$((left + 1))
	[ -z "$(ls state)" ] || left=$((left + 1))
done
is "create killed at 25 moments: delete --force cleans, every time" $left 0
wait_for "the first processes have given up" 20 sh -c "! pgrep -u $(id -u) -f '$T/rl-oci'"
ok "and the id can be used again" oci run -d -b b k
kill -KILL "$(oci_pid k)"
wait_for "its end" 20 sh -c "$(declare -f oci oci_status); T=$T; [ \$(oci_status k) = stopped ]"
ok "a container that was killed from outside is deleted" oci delete k
nothing_left
mkdir -p state/half
ok "what a create has left that died early is no container" sh -c './rl-oci --root state list -q | grep -q half && exit 1; exit 0'
ok "the next create takes it over" oci run -b b half -d
oci delete -f half
nothing_left
must_fail "a state directory of somebody else's" --status 1 --stderr 'state directory' oci --root /proc/1/root/nosuch list
done_testing
