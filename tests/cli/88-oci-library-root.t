#!/bin/bash
# The library of the OCI runtime-tools, as Debian packages it, and rl-oci: its default configuration runs, its validator
# accepts what rl writes and refuses what rl-oci refuses, and it finds the limits where it looks for them. Root only: its
# default configuration is one for root.
# deadline: 180
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/oci.sh"
command -v go >/dev/null || skip_all "go is not installed"
[ -d /usr/share/gocode/src/github.com/opencontainers/runtime-tools/validate ] || { fail "the library is installed (golang-github-opencontainers-runtime-tools-dev)"; done_testing; }
on_finish 'for i in $(oci list -q); do oci delete -f "$i"; done; rmdir /sys/fs/cgroup/*/rl-test-lib 2>/dev/null'
oci_bundle b
ok "the program that asks the library builds" env GO111MODULE=off GOFLAGS= GOPROXY=off GOPATH=/usr/share/gocode GOCACHE="$T/cache" HOME="$T" \
	timeout 150 go build -o tools "$HELPERS/oci-tools.go"
edit() { python3 -c 'import json, sys; c = json.load(open("b/config.json")); p, l = c["process"], c["linux"]; exec(sys.argv[1]); json.dump(c, open("b/config.json", "w"))' "$1"; }

# --- its default configuration ---
standard() { ./tools default b && edit "p['args'] = ['sh', '-c', '''$1''']"; }
standard 'echo $(hostname) $(ulimit -n) $(id -u) $PWD $TERM'
output_is "rl-oci runs the library's default configuration" "mrsdalloway 1024 0 / xterm" oci run -b b lib
standard 'grep -E "^(Seccomp|CapEff|CapAmb):" /proc/self/status | tr -d "\t" | tr "\n" " "'
output_is "with its capabilities and its seccomp profile" "CapEff:00000000a80425fb CapAmb:00000000a80425fb Seccomp:2 " oci run -b b lib
standard 'unshare -r true 2>/dev/null && echo made || echo refused'
output_is "which refuses what it is there to refuse" refused oci run -b b lib
standard 'head -c 1 /dev/kmsg >/dev/null 2>&1 && echo read || echo refused'
edit 'l["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}]'
output_is "and its rule that no device is allowed" refused oci run -b b lib

# --- its validator ---
# It is of version 1.0.2 and takes no other.
opinion() { sed -i 's/"ociVersion": *"[^"]*"/"ociVersion": "1.0.2-dev"/' "$1/config.json" && ./tools validate "$1" 2>&1 | sed -n 's/^[[:space:]]*\* *//p'; }
mkdir -p out
rm -f b/config.json && oci spec -b b
is "the validator accepts what rl-oci spec writes" "$(opinion b)" ""
rm -f b/config.json && oci spec -b b --rootless
is "and of what rl-oci spec --rootless writes only misses that a bind mount may have no type" "$(opinion b)" 'unsupported mount type "none"'
ok "an image is unpacked" rl unpack -q busybox out/u
is "and accepts what rl unpack writes" "$(opinion out/u)" ""
both() {
	standard true
	edit "$1"
	not_ok "the validator refuses $2" sh -c './tools validate b 2>/dev/null || exit 1'
	must_fail "and so does rl-oci" --status 1 --stderr . oci run -b b lib
}
both 'p["cwd"] = "tmp"' "a relative working directory"
both 'p["args"] = []' "no arguments"
both 'c["ociVersion"] = "one"' "a version that is none"
both 'c["root"]["path"] = "nosuch"' "a root that is not there"
both 'c["mounts"].append({"destination": "relative", "type": "tmpfs", "source": "t"})' "a relative mount point"
both 'p["rlimits"] *= 2' "a limit given twice"
both 'p["rlimits"][0]["type"] = "RLIMIT_TEST"' "a limit that does not exist"
both 'l["namespaces"] *= 2' "a namespace given twice"
both 'l["uidMappings"] = [{"containerID": 0, "hostID": 1000, "size": 10}]' "a map of ids without a user namespace"
both 'c["hooks"] = {"prestart": [{"path": "relative"}]}' "a hook with a relative path"
both 'l["devices"] = [{"path": "/dev/x", "type": "z", "major": 1, "minor": 1}]' "a device of no kind"
both 'l["devices"] = [{"path": "/dev/x", "type": "c", "major": 1, "minor": 1}] * 2' "a device given twice"
both 'l["namespaces"] = [n for n in l["namespaces"] if n["type"] != "uts"]' "a host name without a namespace for it"

# --- the limits it finds ---
if [ -d /sys/fs/cgroup/pids ]; then
	for path in /rl-test-lib rl-test-lib/below; do
		standard 'sleep 1000'
		edit "l['cgroupsPath'] = '$path'; l['resources'].update({'pids': {'limit': 77}, 'cpu': {'shares': 512, 'quota': 30000}, 'memory': {'limit': 67108864}})"
		oci run -d -b b lib
		is "the library finds the limits of cgroupsPath $path" "$(./tools limits "$(oci_pid lib)" "$path")" '{"memory":67108864,"pids":77,"quota":30000,"shares":512}'
		oci delete -f lib
	done
else
	skip "the library finds the limits" "this kernel has no cgroup v1, and the library knows no other"
fi
is "nothing is left" "$(ls state)" ""
done_testing
