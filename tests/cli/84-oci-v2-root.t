#!/bin/bash
# rl-oci as root where cgroup v2 is all there is: a mount namespace of the test has nothing else below /sys/fs/cgroup. Which
# controllers that hierarchy has depends on the machine; device rules, freezer, kill and the core files it always has.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/oci.sh"
on_finish 'for i in $(oci list -q); do oci delete -f "$i"; done'
alone='mount --make-rprivate / && { umount -R -l /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 none /sys/fs/cgroup; } && exec "$@"'
oci() { unshare -m sh -c "$alone" sh timeout -k 5 50 "$T/rl-oci" --root "$T/state" "$@"; }
look() { unshare -m sh -c "$alone" sh "$@"; }
has_controller() { look grep -qw "$1" /sys/fs/cgroup/cgroup.controllers; }
unshare -m sh -c "$alone" sh true 2>/dev/null || skip_all "this kernel has no cgroup v2"
oci_bundle b
with() { local sentence=$1 expected=$2 script=$3; shift 3; output_is "$sentence" "$expected" oci_run_with v2 "$(oci_args sh -c "$script")" "$@"; }
refused() { local sentence=$1 words=$2; shift 2; oci_config b "$@"; must_fail "$sentence" --status 1 --stderr "$words" oci run -b b v2; is "... and nothing is left" "$(ls state; look find /sys/fs/cgroup -name a -path '*v2-test*')" ""; }
at='l["cgroupsPath"] = "/v2-test/a"'

# --- where ---
with "with a cgroup namespace the container's own is the root of what it sees" "0::/" 'grep ^0: /proc/self/cgroup'
with "without one it sees where it is" "0::/v2-test/a" 'grep ^0: /proc/self/cgroup' "$at" 'l["namespaces"] = [n for n in l["namespaces"] if n["type"] != "cgroup"]'
with "its files are at /sys/fs/cgroup, read-only" "1 no" 'cd /sys/fs/cgroup; echo $(wc -l <cgroup.procs | sed "s/[1-9]/1/") $(echo 1 2>/dev/null >cgroup.max.depth && echo yes || echo no)' "$at"
with "a relative path is below the root as well" "0::/v2-test/r" 'grep ^0: /proc/self/cgroup' 'l["cgroupsPath"] = "v2-test/r"' 'l["namespaces"] = [n for n in l["namespaces"] if n["type"] != "cgroup"]'
is "nothing is left of them" "$(ls state; look find /sys/fs/cgroup -name 'a' -path '*v2-test*')" ""

# --- device rules: a program of BPF ---
# Two that root opens without a capability: each is opened for reading and for writing. /dev/null is allowed always.
dev='l["devices"] = [{"path": "/dev/%s" % name, "type": "c", "major": 10, "minor": minor} for name, minor in (("one", 229), ("two", 237))]'
script='for d in one two null; do printf "$d:"; (: </dev/$d) 2>/dev/null && printf r; (: >/dev/$d) 2>/dev/null && printf w; printf " "; done'
rules() { local sentence=$1 expected=$2; with "$sentence" "$expected null:rw " "$script" "$at" "$dev" "l['resources']['devices'] = $3"; }
rules "without rules everything is allowed" "one:rw two:rw" '[]'
rules "a rule for everything denies what no later one allows" "one:r two:" '[{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "r"}]'
rules "a rule without a minor number is for all of them" "one:rw two:rw" '[{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "access": "rw"}]'
rules "a later rule wins" "one: two:" '[{"allow": True, "type": "c", "major": 10, "access": "rwm"}, {"allow": False, "access": "rwm"}]'
rules "one that denies writing alone" "one:r two:rw" '[{"allow": True, "access": "rwm"}, {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "w"}]'
rules "one for block devices is none for character devices" "one: two:" '[{"allow": False, "access": "rwm"}, {"allow": True, "type": "b", "major": 10, "access": "rwm"}]'
rules "of 200 rules the last counts" "one: two:w" '[{"allow": False, "access": "rwm"}] + [{"allow": True, "type": "c", "major": 240, "minor": n, "access": "rw"} for n in range(198)] + [{"allow": True, "type": "c", "major": 10, "minor": 237, "access": "w"}]'
refused "more than 256 are an error by name" 'more than 256 device rules' "$at" 'l["resources"]["devices"] = [{"allow": False, "access": "rwm"}] * 257'

# --- values ---
with "unified: files of the core" "3 7" 'cd /sys/fs/cgroup; echo $(cat cgroup.max.depth cgroup.max.descendants)' "$at" 'l["resources"]["unified"] = {"cgroup.max.depth": "3", "cgroup.max.descendants": "7"}'
refused "unified: a file that is not there is named" 'linux.resources.unified.memory.nothing' "$at" 'l["resources"]["unified"] = {"memory.nothing": "1"}'
refused "unified: a value the kernel refuses is named" 'linux.resources.unified.cgroup.max.depth' "$at" 'l["resources"]["unified"] = {"cgroup.max.depth": "x"}'
limit() { # CONTROLLER SENTENCE EXPECTED FILE PYTHON
	if has_controller "$1"; then
		with "$2" "$3" "cat /sys/fs/cgroup/$4" "$at" "$5"
	else
		refused "$2: without the controller an error by name" 'linux.resources' "$at" "$5"
	fi
}
limit memory "memory.limit" 67108864 memory.max 'l["resources"]["memory"] = {"limit": 67108864}'
limit memory "memory.swap is memory and swap together" 33554432 memory.swap.max 'l["resources"]["memory"] = {"limit": 67108864, "swap": 100663296}'
limit memory "memory.reservation" 33554432 memory.low 'l["resources"]["memory"] = {"reservation": 33554432}'
limit pids "pids.limit" 33 pids.max 'l["resources"]["pids"] = {"limit": 33}'
limit cpu "cpu.quota and period" "30000 60000" cpu.max 'l["resources"]["cpu"] = {"quota": 30000, "period": 60000}'
limit cpu "cpu.shares is a weight" 20 cpu.weight 'l["resources"]["cpu"] = {"shares": 512}'
limit cpuset "cpu.cpus" 0 cpuset.cpus 'l["resources"]["cpu"] = {"cpus": "0"}'
limit hugetlb "hugepageLimits" 4194304 hugetlb.2MB.max 'l["resources"]["hugepageLimits"] = [{"pageSize": "2MB", "limit": 4194304}]'
limit hugetlb "unified: a controller's file" 2097152 hugetlb.2MB.max 'l["resources"]["unified"] = {"hugetlb.2MB.max": "2097152"}'

# --- the life ---
n=2$(printf '%06d' $$)
oci_config b "$(oci_args sh -c "sleep $n & sleep $n & wait")" "$at"
ok "a container that runs" oci run -d -b b v2
wait_for "its processes" 20 sh -c "$(declare -f oci); T=$T alone='$alone'; [ \$(oci ps -f json v2 | tr ',' '\n' | wc -l) = 3 ]"
ok "pause" oci pause v2
is "is the freezer of v2" "$(look cat /sys/fs/cgroup/v2-test/a/cgroup.freeze)" 1
is "state says paused" "$(oci_status v2)" paused
ok "resume" oci resume v2
is "exec is in the same control group" "$(oci exec v2 cat /proc/self/cgroup | grep ^0:)" "0::/"
ok "update of a file of the core" sh -c "$(declare -f oci); T=$T alone='$alone'; echo '{\"unified\": {\"cgroup.max.depth\": \"5\"}}' | oci update -r - v2"
is "reaches it" "$(look cat /sys/fs/cgroup/v2-test/a/cgroup.max.depth)" 5
oci exec -d v2 sh -c "setsid sleep $n & setsid sleep $n"
ok "delete --force ends every process of it" oci delete -f v2
is "none is left" "$(pgrep -fx "sleep $n" | wc -l)" 0
is "and no control group" "$(look find /sys/fs/cgroup -name a -path '*v2-test*')" ""
look sh -c 'rmdir /sys/fs/cgroup/v2-test' 2>/dev/null
done_testing
