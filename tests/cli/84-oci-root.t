#!/bin/bash
# rl-oci as root: control groups, devices, mapped mounts, sysctls, the protected binary. Root only: an ordinary user has
# none of these on this machine.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/oci.sh"
on_finish 'for i in $(oci list -q); do oci delete -f "$i"; done; rmdir /sys/fs/cgroup/*/rl-test-oci/* /sys/fs/cgroup/*/rl-test-oci 2>/dev/null'
oci_bundle b
with() { local sentence=$1 expected=$2 script=$3; shift 3; output_is "$sentence" "$expected" oci_run_with rlt "$(oci_args sh -c "$script")" "$@"; }
refused() { local sentence=$1 words=$2; shift 2; oci_config b "$@"; must_fail "$sentence" --status 1 --stderr "$words" oci run -b b rlt; is "... and nothing is left" "$(ls state; ls -d /sys/fs/cgroup/*/*rlt* 2>/dev/null)" ""; }
cgroups() { find /sys/fs/cgroup -type d -path "*$1*" 2>/dev/null | wc -l; }
v1() { [ -d /sys/fs/cgroup/pids ]; }

# --- where ---
before=$(cgroups rlt)
oci_config b "$(oci_args sleep 1000)"
oci run -d -b b rlt
if v1; then
	is "without a cgroupsPath it has a control group of its own in every hierarchy" "$(sed 's/.*://' "/proc/$(oci_pid rlt)/cgroup" | sort -u)" /rl-oci-rlt
else
	like "without a cgroupsPath it has a control group of its own" "$(cat "/proc/$(oci_pid rlt)/cgroup")" '/rl-oci-rlt$'
fi
oci delete -f rlt
is "and delete removes all of it" "$(cgroups rlt)" "$before"
oci_config b "$(oci_args sh -c 'grep -h . /proc/self/cgroup | sed "s/.*://" | sort -u')" 'l["cgroupsPath"] = "/rl-test-oci/a"' 'l["namespaces"] = [n for n in l["namespaces"] if n["type"] != "cgroup"]'
output_is "an absolute cgroupsPath is below the hierarchy's root" /rl-test-oci/a oci run -b b rlt
oci_config b "$(oci_args sh -c 'sed "s/.*://" /proc/self/cgroup | sort -u')" 'l["cgroupsPath"] = "/rl-test-oci/a"'
output_is "with a cgroup namespace it is the root of what is seen" / oci run -b b rlt
# Parents: made for the first one below them, and gone with the last.
at() { oci_config b "$(oci_args sleep 1000)" "l['cgroupsPath'] = '/rl-test-oci/$1'" && oci run -d -b b "$2" </dev/null >/dev/null 2>&1; }
is "parents that were made for it went with it" "$(cgroups rl-test-oci)" 0
mkdir "/sys/fs/cgroup/$(v1 && echo pids)/rl-test-oci"
at p/q/a one && at p/q/b two && at p/c three
oci delete -f one
ok "parents others are below stay" test "$(cgroups rl-test-oci/p/q)" -ge 2
oci delete -f two
is "and go with the last, whoever it was made for" "$(cgroups rl-test-oci/p/q)" 0
ok "as far as they are empty" test "$(cgroups rl-test-oci/p)" -ge 2
oci delete -f three
is "all the way up" "$(cgroups rl-test-oci/p)" 0
is "one that was there before stays" "$(cgroups rl-test-oci)" 1
rmdir /sys/fs/cgroup/*/rl-test-oci /sys/fs/cgroup/rl-test-oci 2>/dev/null
at p/q/a one
sleep 1000 &
echo $! | tee /sys/fs/cgroup/*/rl-test-oci/p/cgroup.procs /sys/fs/cgroup/rl-test-oci/p/cgroup.procs >/dev/null 2>&1
ok "delete works with somebody else's process in a parent" oci delete -f one
ok "which then stays" test "$(cgroups rl-test-oci/p)" -ge 1
kill $! && wait $! 2>/dev/null
rmdir /sys/fs/cgroup/*/rl-test-oci/p /sys/fs/cgroup/*/rl-test-oci /sys/fs/cgroup/rl-test-oci/p /sys/fs/cgroup/rl-test-oci 2>/dev/null
lives() { for _ in 1 2 3 4; do oci_life=$(oci create -b "b$1" "near-$1" </dev/null 2>&1 && oci delete -f "near-$1" 2>&1) || echo "$oci_life"; done; }
for i in 1 2 3; do mkdir "b$i" && oci_config "b$i" "$(oci_args true)" "l['cgroupsPath'] = '/rl-test-oci/near/$i'" 'c["root"]["path"] = "../b/rootfs"'; done
is "three that come and go below one parent do not take it from each other" "$(for i in 1 2 3; do lives $i & done; wait)" ""
is "and leave nothing" "$(cgroups rl-test-oci)" 0
refused "a .. in it" 'has a \.\.' 'l["cgroupsPath"] = "/a/../../b-rlt"'
refused "systemd's form needs --systemd-cgroup" 'is a systemd path' 'l["cgroupsPath"] = "a.slice:b:rlt"'

# --- resources ---
read_() { v1 && echo "cat /sys/fs/cgroup/$1/$2" || echo "cat /sys/fs/cgroup/$3"; }
with "pids.limit" 33 "$(read_ pids pids.max pids.max)" 'l["resources"]["pids"] = {"limit": 33}'
with "memory.limit" 67108864 "$(read_ memory memory.limit_in_bytes memory.max)" 'l["resources"]["memory"] = {"limit": 67108864}'
with "a container of 1 MiB of memory starts" started "echo started" 'l["resources"]["memory"] = {"limit": 1048576}'
if v1; then
	with "cpu.shares" 512 "cat /sys/fs/cgroup/cpu/cpu.shares" 'l["resources"]["cpu"] = {"shares": 512}'
	with "cpu.quota and period" "30000 60000" 'cd /sys/fs/cgroup/cpu; echo $(cat cpu.cfs_quota_us cpu.cfs_period_us)' 'l["resources"]["cpu"] = {"quota": 30000, "period": 60000}'
	with "cpu.cpus" 0 "cat /sys/fs/cgroup/cpuset/cpuset.cpus" 'l["resources"]["cpu"] = {"cpus": "0"}'
	with "memory.reservation" 33554432 "cat /sys/fs/cgroup/memory/memory.soft_limit_in_bytes" 'l["resources"]["memory"] = {"reservation": 33554432}'
	with "zeros are what an engine leaves as it is" 1024 "cat /sys/fs/cgroup/cpu/cpu.shares" 'l["resources"]["cpu"] = {"shares": 0, "quota": 0, "period": 0}'
	refused "a value the kernel refuses is named" 'linux.resources.cpu.period' 'l["resources"]["cpu"] = {"period": 7}'
	refused "unified without such a file is named" 'linux.resources.unified.memory.high' 'l["resources"]["unified"] = {"memory.high": "1000000"}'
	refused "network.classID without its controller" 'linux.resources.network.classID' 'l["resources"]["network"] = {"classID": 1}'
fi
refused "unified with a slash" 'no file of a cgroup' 'l["resources"]["unified"] = {"../x.y": "1"}'
oci_config b "$(oci_args sh -c 'sleep 1000 & sleep 1001 & wait')"
oci run -d -b b rlt
wait_for "its processes" 20 sh -c "$(declare -f oci); T=$T; [ \$(oci ps -f json rlt | tr ',' '\n' | wc -l) = 3 ]"
ok "update" oci update --pids-limit 44 rlt
like "reaches the control group" "$(cat /sys/fs/cgroup/pids/rl-oci-rlt/pids.max /sys/fs/cgroup/rl-oci-rlt/pids.max 2>/dev/null)" '^44$'
ok "update -r -" sh -c "echo '{\"pids\": {\"limit\": 45}}' | '$T/rl-oci' --root state update -r - rlt"
like "too" "$(cat /sys/fs/cgroup/pids/rl-oci-rlt/pids.max /sys/fs/cgroup/rl-oci-rlt/pids.max 2>/dev/null)" '^45$'
must_fail "a member that is none" --status 1 --stderr 'memory.limit is not an integer' sh -c "echo '{\"memory\": {\"limit\": \"x\"}}' | '$T/rl-oci' --root state update -r - rlt"
ok "pause uses the freezer" oci pause rlt
is "every process is frozen" "$(for p in $(oci ps -f json rlt | tr -d '[]' | tr ',' ' '); do cut -d')' -f2 "/proc/$p/stat" | cut -c2; done | sort -u | tr -d '\n' | tr -d 'DS')" ""
is "state says paused" "$(oci_status rlt)" paused
ok "kill KILL ends a paused one" oci kill rlt KILL
wait_for "its end" 20 sh -c "$(declare -f oci oci_status); T=$T; [ \$(oci_status rlt) = stopped ]"
oci delete rlt
oci_config b "$(oci_args sh -c 'sleep 1000 & sleep 1001 & wait')" 'l["namespaces"] = [n for n in l["namespaces"] if n["type"] != "pid"]' 'c["mounts"] = [m for m in c["mounts"] if m["type"] != "proc"]' 'l["maskedPaths"] = []' 'l["readonlyPaths"] = []'
oci run -d -b b rlt
ok "kill --all reaches every process, also in the host's pid namespace" oci kill --all rlt KILL
wait_for "their end" 20 sh -c "$(declare -f oci oci_status); T=$T; [ \$(oci_status rlt) = stopped ]"
oci delete rlt
is "nothing is left of it" "$(cgroups rlt)$(ls state)" "$before"

# --- devices ---
with "a device node is made with its mode and owner" "crw-r----- 7 8 1, 5" 'ls -ln /dev/mine | sed "s/ \+/ /g" | cut -d" " -f1,3-6' 'l["devices"] = [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 7, "gid": 8}]'
with "a fifo" "p" '[ -p /dev/fifo ] && echo p' 'l["devices"] = [{"path": "/dev/fifo", "type": "p"}]'
# Two that root opens without a capability.
deny='[{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "r"}]'
nodes='l["devices"] = [{"path": "/dev/%s" % name, "type": "c", "major": 10, "minor": minor} for name, minor in (("one", 229), ("two", 237))]'
opens='for d in one two null; do printf "$d:"; (: </dev/$d) 2>/dev/null && printf r; (: >/dev/$d) 2>/dev/null && printf w; printf " "; done'
with "without device rules every device can be opened" "one:rw two:rw null:rw " "$opens" "$nodes" 'l["resources"]["devices"] = []'
with "device rules: what is denied cannot be opened, what is allowed can, the standard ones always" "one:r two: null:rw " "$opens" "$nodes" "l['resources']['devices'] = $deny"
refused "a rule that is none is named" "linux.resources.devices: access 'x'" "l['resources']['devices'] = [{'allow': True, 'access': 'x'}]"

# --- mounts ---
mkdir -p d; echo mine >d/file; chown 1000:1000 d/file
mapped() { echo 'c["mounts"].append({"destination": "/m", "type": "bind", "source": "'"$T"'/d", "options": ["bind"], "uidMappings": [{"containerID": 1000, "hostID": '"$1"', "size": 1}], "gidMappings": [{"containerID": 1000, "hostID": '"$1"', "size": 1}]})'; }
if oci_config b "$(oci_args true)" "$(mapped 5000)" && oci run -b b rlt 2>err; then
	with "an idmapped mount shows its files under other owners" "5000 5000" 'ls -ln /m/file | sed "s/ \+/ /g" | cut -d" " -f3,4' "$(mapped 5000)"
else
	grep -q 'map the ids of the mount' err && skip "an idmapped mount" "the kernel or this file system cannot: $(cat err)"
fi
mount --bind d d && mount --make-shared d && on_finish 'umount -R "$T/d" 2>/dev/null'
oci_config b "$(oci_args sh -c 'mount -t tmpfs x /m/below && sleep 1000')" "c['mounts'].append({'destination': '/m', 'type': 'bind', 'source': '$T/d', 'options': ['rbind', 'rshared']})" 'l["rootfsPropagation"] = "rshared"' \
	'[p["capabilities"][k].append("CAP_SYS_ADMIN") for k in p["capabilities"]]' 'import os; os.mkdir("d/below")'
oci run -d -b b rlt
ok "a mount made on a shared bind reaches the host" wait_for "it" 20 grep -q " $T/d/below " /proc/self/mountinfo
oci delete -f rlt
with "--no-new-keyring and --no-pivot are taken" fine 'echo fine'
oci_config b "$(oci_args sh -c 'ls /proc/1/root/ | head -n 1 | wc -l; ls /old 2>&1 | grep -c No')"
ok "--no-pivot" oci run --no-pivot --no-new-keyring -b b rlt
with "net.* sysctls of its own network namespace" 1 'cat /proc/sys/net/ipv4/ip_forward' 'l["sysctl"] = {"net.ipv4.ip_forward": "1"}'
with "user namespace with a range of ids" "1 100001" 'echo $(id -u) $(ls -ln /x | sed "s/ \+/ /g" | cut -d" " -f3)00001' 'l["namespaces"].append({"type": "user"})' 'l["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]' 'l["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]' \
	'p["user"] = {"uid": 1, "gid": 1}' 'import os; open("b/rootfs/x", "w"); os.chown("b/rootfs/x", 100001, 100001); [os.chown(os.path.join(d, f), 100000, 100000, follow_symlinks=False) for d, s, fs in os.walk("b/rootfs") for f in s + fs if f != "x"]; os.chown("b/rootfs", 100000, 100000)'

ranges() { echo "l['namespaces'].append({'type': 'user'})"; echo "l['uidMappings'] = l['gidMappings'] = [{'containerID': i * 3, 'hostID': 100000 + i * 7, 'size': 2} for i in range($1)]"; }
chown -R -h 100000:100000 b/rootfs
mapfile -t many < <(ranges 120)
with "120 ranges of ids" "120 357 100833 2" 'echo $(wc -l </proc/self/uid_map) $(tail -n 1 /proc/self/uid_map)' "${many[@]}"
mapfile -t many < <(ranges 121)
refused "one more is an error by name" 'linux.uidMappings has more than 120 ranges' "${many[@]}"
chown -R -h 0:0 b/rootfs

# --- scheduling ---
with "SCHED_FIFO with its priority" "1 7" "cut -d' ' -f41,40 /proc/self/stat | awk '{print \$2, \$1}'" 'p["scheduler"] = {"policy": "SCHED_FIFO", "priority": 7}' \
	'l["resources"]["cpu"] = {"realtimePeriod": 1000000, "realtimeRuntime": 10000} if __import__("os").path.exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us") else {}'
with "SCHED_DEADLINE with its budget" 6 "cut -d' ' -f41 /proc/self/stat" 'p["scheduler"] = {"policy": "SCHED_DEADLINE", "runtime": 1000000, "deadline": 20000000, "period": 20000000, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}'
with "IOPRIO_CLASS_RT" "realtime: prio 3" ionice 'p["ioPriority"] = {"class": "IOPRIO_CLASS_RT", "priority": 3}'

# --- the binary ---
oci_config b "$(oci_args true)"
oci create -b b rlt
like "the first process that waits is a sealed copy of the program" "$(readlink "/proc/$(oci_pid rlt)/exe")" '^/memfd:rl'
must_fail "which nobody can write" --status 1 --stderr 'Operation not permitted|Text file busy' python3 -c 'import os, sys; os.write(os.open(f"/proc/{sys.argv[1]}/exe", os.O_RDWR), b"x")' "$(oci_pid rlt)"
oci delete -f rlt
must_fail "--systemd-cgroup without systemd is refused by name" --status 1 --stderr 'systemd' oci --systemd-cgroup create -b b rlt
is "nothing is left" "$(ls state)$(cgroups rlt)" "$before"
done_testing
