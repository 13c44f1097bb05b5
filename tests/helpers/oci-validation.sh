# oci-validation.sh - what the programs of the OCI runtime-tools' validation suite demand of a runtime, demanded of rl-oci:
# one function a program, named as it is, and its properties as `ok` lines that begin with its name. Source it after oci.sh.
#
#     programs create start kill        # or: programs $(oci_programs root)
#
# tests/data/oci-validation.txt has a row for each of the programs: who can run it, and every difference from a full pass.
# The programs themselves are not in Debian's package; these are tests of our own of the same properties.
# shellcheck disable=SC2016
PROGRAMS=$HELPERS/../data/oci-validation.txt
oci_programs() { awk -F'\t' -v who="$1" '!/^#/ && ("," $2 ",") ~ ("," who ",") {print $1}' "$PROGRAMS"; }
programs() {
	for P in "$@"; do
		rm -rf b/rootfs/* && cp -a oci-root/. b/rootfs/
		"program_$P"
		for id in $(oci list -q); do oci delete -f "$id"; done
	done
}

# --- pieces ---
# inside PROPERTY EXPECTED SCRIPT [PYTHON...]: what a shell in the container says.
inside() { local property=$1 expected=$2 script=$3; shift 3; output_is "$P: $property" "$expected" oci_run_with v "$(oci_args sh -c "$script")" "$@"; }
# refused PROPERTY STDERR [PYTHON...]
refused() {
	local property=$1 words=$2
	shift 2
	oci_config b "$@"
	must_fail "$P: $property" --status 1 --stderr "$words" oci run -b b v
}
property() { local property=$1; shift; ok "$P: $property" "$@"; }
fails() { local property=$1 words=$2; shift 2; must_fail "$P: $property" --status 1 --stderr "$words" "$@"; }
equals() { is "$P: $1" "$2" "$3"; }
becomes() { wait_for "$1 $2" 20 sh -c "$(declare -f oci oci_status); T=$T; [ \$(oci_status $1) = $2 ]"; }
# A file of the container's root, as the host sees it.
said() { tr '\n' ' ' <"b/rootfs/$1" 2>/dev/null; }
hook() { echo "{'path': '/bin/sh', 'args': ['sh', '-c', '''$1''']}"; }
state() { oci state v | python3 -c "import json, sys; s = json.load(sys.stdin); print($1)"; }
mount_of() { printf 'awk -v m=%s '\''$5 == m {line = $0} END {print line}'\'' /proc/self/mountinfo' "$1"; }

# --- the life of a container ---
program_create() {
	fails "without an id it is an error" 'missing|ID' oci create -b b
	oci_config b "$(oci_args ls)"
	property "makes a container" oci create -b b v
	equals "state has it" "$(state 's["id"]')" v
	fails "an id that is taken is an error" 'already exists' oci create -b b v
	equals "which leaves the first as it was" "$(oci_status v)" created
}

program_state() {
	fails "without an id it is an error" 'missing|ID' oci state
	fails "of one that does not exist it is an error" 'does not exist' oci state v
	oci_config b "$(oci_args true)" 'c["annotations"] = {"org.example.a": "1"}'
	oci create -b b v
	equals "has every member, with its type" \
		"$(state 's["id"], s["status"], s["pid"] > 0, s["bundle"], s["annotations"], s["ociVersion"].count(".")')" \
		"v created True $T/b {'org.example.a': '1'} 2"
	oci kill v KILL && becomes v stopped
	equals "says stopped when it is" "$(state 's["status"]')" stopped
}

program_start() {
	fails "without an id it is an error" 'missing|ID' oci start
	fails "of one that does not exist it is an error" 'does not exist' oci start v
	oci_config b "$(oci_args sh -c 'echo called >>/output')"
	oci create -b b v
	equals "create has not run the command" "$(said output)" ""
	property "start runs it" oci start v
	becomes v stopped
	equals "as config.json says" "$(said output)" "called "
	fails "of one that has ended it is an error" 'cannot start' oci start v
	equals "and runs nothing" "$(said output)" "called "
	oci delete v
	refused "without process it is an error, at create already" 'process is missing' 'del c["process"]'
}

program_kill() {
	fails "without an id it is an error" 'missing|ID' oci kill
	fails "of one that does not exist it is an error" 'does not exist' oci kill v KILL
	oci_config b "$(oci_args sleep 1000)"
	oci create -b b v
	property "of a created one it is none" oci kill v KILL
	becomes v stopped
	equals "and ends it" "$(oci_status v)" stopped
	fails "of one that has ended it is an error" 'not running' oci kill v KILL
	oci delete v && oci create -b b v && oci start v
	property "of a running one it is none" oci kill v KILL
	becomes v stopped
	equals "and ends that, too" "$(oci_status v)" stopped
}

program_kill_no_effect() {
	local before
	oci_config b "$(oci_args true)"
	oci create -b b v && oci start v && becomes v stopped
	before=$(oci state v)
	oci kill v KILL 2>/dev/null
	equals "the state of one that has ended stays what it was" "$(oci state v)" "$before"
}

program_killsig() {
	local sig
	for sig in TERM USR1 USR2; do
		oci_config b "$(oci_args sh -c "trap 'touch /$sig; exit 0' $sig; touch /ready-$sig; while :; do sleep 0.1; done")"
		oci create -b b v && oci start v
		wait_for "the trap" 20 test -e "b/rootfs/ready-$sig"
		oci kill v "$sig" && becomes v stopped
		property "the command gets SIG$sig" test -e "b/rootfs/$sig"
		oci delete v
	done
}

program_delete() {
	fails "without an id it is an error" 'missing|ID' oci delete
	oci_config b "$(oci_args sleep 1000)"
	oci create -b b v && oci start v
	fails "of a running one it is an error" 'not stopped: running' oci delete v
	equals "and has no effect" "$(oci_status v)" running
	oci kill v KILL && becomes v stopped
	property "of a stopped one it is none" oci delete v
	fails "which is gone then" 'does not exist' oci state v
	oci create -b b v
	property "a created one is ended and deleted, as by runc and crun" oci delete v
	fails "and is gone" 'does not exist' oci state v
}

program_delete_resources() {
	oci_config b "$(oci_args true)" 'l["cgroupsPath"] = "/rl-test-val"' 'l["resources"]["pids"] = {"limit": 1000}'
	oci create -b b v
	equals "create makes the control group with its limit" "$(control pids pids.max pids.max /rl-test-val)" 1000
	oci start v && becomes v stopped && oci delete v
	equals "delete removes it from every hierarchy" "$(find /sys/fs/cgroup -name rl-test-val)" ""
}

program_delete_only_create_resources() {
	local own
	own=$(hierarchy pids)/rl-test-own
	mkdir "$own"
	oci_config b "$(oci_args true)"
	oci create -b b v
	oci_pid v >"$own/cgroup.procs"
	property "a container that was moved to another control group starts" oci start v
	becomes v stopped && oci delete v
	property "and delete leaves that one alone" test -d "$own"
	rmdir "$own"
}

program_pidfile() {
	oci_config b "$(oci_args true)"
	property "create --pid-file" oci create -b b --pid-file "$T/v.pid" v
	equals "has the pid of state" "$(cat "$T/v.pid")" "$(oci_pid v)"
}

program_misc_props() {
	inside "an annotation that nobody knows is no error" fine 'echo fine' 'c["annotations"] = {"org.v": ""}'
	inside "a member that nobody knows is none" fine 'echo fine' 'c["unknown"] = "unknown"'
	refused "a version that is none is one" 'not a version' 'c["ociVersion"] = "invalid"'
}

program_config_updates_without_affect() {
	oci_config b "$(oci_args sh -c 'echo $(ls /proc/bus | wc -l) $(touch /proc/fs/x 2>/dev/null && echo rw || echo ro) $(cat /proc/sys/kernel/msgmax) $(cat /proc/self/oom_score_adj) $(ulimit -n) >/output')" \
		'l["maskedPaths"].append("/proc/bus")' 'l["readonlyPaths"].append("/proc/fs")' 'l["sysctl"] = {"kernel.msgmax": "4321"}' \
		'p["oomScoreAdj"] = 900' 'p["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100}]' 'l["rootfsPropagation"] = "shared"'
	oci create -b b v
	echo '{"ociVersion": "1.0.0"}' >b/config.json
	property "start works when config.json has become another" oci start v
	becomes v stopped
	equals "and everything is as it was at create" "$(said output)" "0 ro 4321 900 100 "
}

# --- hooks ---
program_hooks() {
	oci_config b "$(oci_args true)" \
		"c['hooks'] = {k: [{'path': '/bin/sh', 'args': ['sh', '-c', 'echo %s%d >>$T/order' % (k, n)]} for n in (1, 2)] for k in ('prestart', 'poststart', 'poststop')}"
	rm -f order
	oci create -b b v && oci start v && becomes v stopped && oci delete v
	equals "of each kind they run in the order of the list" "$(tr '\n' ' ' <order)" "prestart1 prestart2 poststart1 poststart2 poststop1 poststop2 "
}

program_hooks_stdin() {
	local pid kind
	oci_config b "$(oci_args sleep 1000)" 'c["annotations"] = {"org.example": "stdin"}' \
		"c['hooks'] = {k: [{'path': '/bin/sh', 'args': ['sh', '-c', 'cat >$T/state.%s' % k], 'timeout': 20}] for k in ('prestart', 'poststart', 'poststop')}"
	oci create -b b v && pid=$(oci_pid v)
	oci start v && oci kill v KILL && becomes v stopped && oci delete v
	for kind in prestart poststart poststop; do
		equals "$kind reads id, bundle, annotations, pid and status" "$(python3 -c '
import json, sys
s = json.load(open(sys.argv[1]))
print(s["id"], s["bundle"], s["annotations"], s["pid"], s["status"])' "$T/state.$kind")" "v $T/b {'org.example': 'stdin'} $(case $kind in prestart) echo "$pid creating" ;; poststart) echo "$pid running" ;; *) echo "0 stopped" ;; esac)"
	done
}

program_prestart() {
	oci_config b "$(oci_args sh -c 'echo process >>/output')" "c['hooks'] = {'prestart': [$(hook "echo hook >>$T/b/rootfs/output")]}"
	oci create -b b v
	equals "create runs the hook and not the command" "$(said output)" "hook "
	oci start v && becomes v stopped
	equals "start does not run it again, and the command after it" "$(said output)" "hook process "
}

program_prestart_fail() {
	oci_config b "$(oci_args touch /output)" "c['hooks'] = {'prestart': [{'path': '/bin/false'}]}"
	fails "a hook that fails is an error" 'error running prestart hook' oci create -b b v
	fails "the container does not exist" 'does not exist' oci state v
	property "and the command has not run" test ! -e b/rootfs/output
}

program_poststart() {
	# The link of the program that runs tells whether the command has been executed.
	printf '#!/bin/sh\nreadlink "/proc/$(sed '"'"'s/.*"pid":\\([0-9]*\\).*/\\1/'"'"')/exe" >>%s\n' "$T/b/rootfs/output" >exe.sh
	chmod +x exe.sh
	oci_config b "$(oci_args sleep 1000)" "c['hooks'] = {'poststart': [{'path': '$T/exe.sh'}]}"
	oci create -b b v
	equals "create does not run the hook" "$(said output)" ""
	oci start v
	like "$P: when start returns it has run, after the command was executed" "$(said output)" '/bin/(busybox|sleep)|/rl/'
}

program_poststart_fail() {
	oci_config b "$(oci_args true)" "c['hooks'] = {'poststart': [{'path': '/bin/false'}, $(hook "echo hook >>$T/b/rootfs/output")]}"
	oci create -b b v
	oci start v 2>warning
	equals "a hook that fails is no error" $? 0
	like "$P: but a warning" "$(cat warning)" 'poststart hook'
	equals "the next one runs" "$(said output)" "hook "
	becomes v stopped
	property "and the container lives and ends as ever" oci delete v
}

program_poststop() {
	oci_config b "$(oci_args sh -c 'echo process >>/output')" "c['hooks'] = {'poststop': [$(hook "echo hook >>$T/b/rootfs/output")]}"
	oci create -b b v
	equals "create does not run the hook" "$(said output)" ""
	oci start v && becomes v stopped
	equals "neither does the end of the command" "$(said output)" "process "
	oci delete v
	equals "delete does" "$(said output)" "process hook "
}

program_poststop_fail() {
	oci_config b "$(oci_args true)" "c['hooks'] = {'poststop': [{'path': '/bin/false'}, $(hook "echo hook >>$T/b/rootfs/output")]}"
	oci create -b b v && oci start v && becomes v stopped
	oci delete v 2>warning
	equals "a hook that fails is no error" $? 0
	like "$P: but a warning" "$(cat warning)" 'poststop hook'
	equals "the next one runs" "$(said output)" "hook "
}

# --- process ---
program_default() {
	inside "the file systems of the list are mounted, with type and source" "proc proc devpts devpts tmpfs shm mqueue mqueue sysfs sysfs " \
		'for m in /proc /dev/pts /dev/shm /dev/mqueue /sys; do sed -n "s@^[0-9]* [0-9]* [0-9:]* [^ ]* $m .* - \([^ ]*\) \([^ ]*\) .*@\1 \2@p" /proc/self/mountinfo; done | tr "\n" " "'
	inside "the links of /dev are there" "/proc/self/fd /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2" 'cd /dev; for l in fd stdin stdout stderr; do readlink $l; done | xargs echo'
	inside "and its devices" "c c c c c c c" 'cd /dev; for d in null zero full random urandom tty ptmx; do [ -c $d ] && echo c; done | xargs echo'
	inside "user, group, arguments" "0 0 sh -c" 'echo $(id -u) $(id -g) $(tr "\0" "\n" </proc/$$/cmdline | head -n 2)'
	inside "no_new_privs as given" "0" 'awk "/NoNewPrivs/ {print \$2}" /proc/self/status' 'p["noNewPrivileges"] = False'
	inside "the five sets of capabilities as given" "0000000000000421 0000000000000421 0000000000000421 0000000000000421 0000000000000421" \
		'echo $(awk "/^Cap/ {print \$2}" /proc/self/status)' 'p["capabilities"] = {k: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"] for k in ("bounding", "effective", "permitted", "inheritable", "ambient")}'
}

program_hostname() {
	inside "the one of config.json" hostname-specific hostname 'c["hostname"] = "hostname-specific"'
	inside "without one it is the host's" "$(hostname)" hostname 'c["hostname"] = ""'
}

program_process() {
	mkdir -p b/rootfs/test
	inside "cwd and env are those of config.json" "/test valuea 123" 'echo $(pwd) $testa $testb' 'p["cwd"] = "/test"' 'p["env"] += ["testa=valuea", "testb=123"]'
}

program_process_capabilities() {
	local mask all
	# In a user namespace of its own the container has them all.
	mask=$([ "$(id -u)" = 0 ] && awk '/CapBnd/ {print $2}' /proc/self/status || printf '%016x' $(((1 << ($(cat /proc/sys/kernel/cap_last_cap) + 1)) - 1)))
	all=$(python3 -c "
names = '''CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER
SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP
MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'''.split()
print(['CAP_' + n for n in names])")
	inside "all of them in all five sets: all that the caller has" "$mask $mask $mask $mask $mask" 'echo $(awk "/^Cap/ {print \$2}" /proc/self/status)' \
		"p['capabilities'] = {k: $all for k in ('bounding', 'effective', 'permitted', 'inheritable', 'ambient')}"
}

program_process_capabilities_fail() {
	oci_config b "$(oci_args true)" 'p["capabilities"]["bounding"].append("CAP_TEST")'
	oci run -b b v 2>warning
	equals "one that does not exist is no error since runtime-spec 1.1" $? 0
	like "$P: but a warning that names it" "$(cat warning)" 'CAP_TEST'
}

program_process_oom_score_adj() { inside "is set" 500 'cat /proc/self/oom_score_adj' 'p["oomScoreAdj"] = 500'; }

program_process_rlimits() {
	inside "soft and hard limits are set" "2147483648 4294967296 6442450944 8589934592 10737418240 4000 60 120 3000 4000" \
		'awk "/Max address space/ {a=\$5} /Max core/ {c=\$6} /Max data/ {d=\$5} /Max file size/ {f=\$5} /Max stack/ {s=\$5} /Max cpu/ {p=\$4 \" \" \$5} /Max open files/ {n=\$4 \" \" \$5; h=\$5} END {print a, c, d, f, s, h, p, n}" /proc/self/limits' \
		'p["rlimits"] = [{"type": "RLIMIT_" + n, "soft": s, "hard": h} for n, s, h in (("AS", 1 << 30, 2 << 30), ("CORE", 3 << 30, 4 << 30), ("DATA", 5 << 30, 6 << 30), ("FSIZE", 7 << 30, 8 << 30), ("STACK", 9 << 30, 10 << 30), ("CPU", 60, 120), ("NOFILE", 3000, 4000))]'
}

program_process_rlimits_fail() { refused "a limit that does not exist is an error" 'RLIMIT_TEST' 'p["rlimits"] = [{"type": "RLIMIT_TEST", "soft": 1024, "hard": 1024}]'; }

program_process_user() {
	inside "uid, gid, additional groups and umask" "10 10 10 5 0002" 'echo $(id -u) $(id -g) $(id -G) $(umask)' 'p["user"] = {"uid": 10, "gid": 10, "additionalGids": [5], "umask": 2}'
}

# --- root and mounts ---
program_root_readonly_true() { inside "nothing can be written" no 'touch /x 2>/dev/null && echo yes || echo no' 'c["root"]["readonly"] = True'; }

program_mounts() {
	inside "a tmpfs over /tmp has its type, source, flags, size and mode" "tmpfs tmpfs nosuid size=4k mode=755" \
		"set -- \$($(mount_of /tmp)); echo \$8 \$9 \$(echo \$6 | grep -o nosuid) \$(echo \${10} | grep -oE 'size=[0-9]*k') \$(echo \${10} | grep -oE 'mode=[0-9]*')" \
		'c["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=1k"]})'
}

program_mounts_recursive() {
	local option flag
	mkdir -p tree
	mount -t tmpfs tree tree && on_finish 'umount -R "$T/tree" 2>/dev/null'
	mkdir tree/below && mount -t tmpfs below tree/below
	for option in ro nosuid nodev noexec noatime nodiratime; do
		inside "r$option holds for what is mounted below, too" "$option $option" \
			"for m in /tree /tree/below; do set -- \$($(mount_of '$m')); echo \$6 | tr , '\\n' | grep -x $option; done | xargs echo" \
			"c['mounts'].append({'destination': '/tree', 'type': 'bind', 'source': '$T/tree', 'options': ['rbind', 'r$option']})"
	done
	inside "ro without the r does not" "ro rw" \
		"for m in /tree /tree/below; do set -- \$($(mount_of '$m')); echo \$6 | cut -c1-2; done | xargs echo" \
		"c['mounts'].append({'destination': '/tree', 'type': 'bind', 'source': '$T/tree', 'options': ['rbind', 'ro']})"
	umount -R tree
}

# --- linux: paths, devices, ids, labels ---
# Files and directories that the two lists name: at the top, in a directory, in a directory of that.
nested() { mkdir -p "b/rootfs/$1-dir/sub" && echo secret | tee "b/rootfs/$1" "b/rootfs/$1-dir/file" "b/rootfs/$1-dir/sub/file" >/dev/null; }
nested_names() { echo "['/$1-dir', '/$1', '/$1-dir/sub', '/$1-dir/file', '/$1-dir/sub/file']"; }

program_linux_masked_paths() {
	local kind
	nested m
	inside "directories, files and what is in them are empty" "0 0 no" 'echo $(ls /m-dir | wc -l) $(wc -c </m) $(cat /m-dir/file 2>/dev/null || echo no)' "l['maskedPaths'] += $(nested_names m)"
	refused "a relative one is an error" 'not absolute' 'l["maskedPaths"] = ["m"]'
	ln -s ../nothing b/rootfs/dangling
	inside "a symlink to nothing hides nothing and is no error" fine 'echo fine' 'l["maskedPaths"].append("/dangling")'
	[ "$(id -u)" = 0 ] || return 0
	for kind in "b 7 0" "c 1 5" p; do
		# shellcheck disable=SC2086
		mknod b/rootfs/node $kind
		inside "of a node (${kind%% *}) there is nothing to read" 0 'wc -c </node' 'l["maskedPaths"].append("/node")'
		rm b/rootfs/node
	done
}

program_linux_readonly_paths() {
	local kind
	nested r
	inside "directories, files and what is in them cannot be written" "" 'for f in /r-dir/new /r-dir/sub/new /r /r-dir/file /r-dir/sub/file; do echo x 2>/dev/null >>$f && echo $f; done; true' "l['readonlyPaths'] += $(nested_names r)"
	inside "but read" secret 'cat /r-dir/sub/file' "l['readonlyPaths'] += $(nested_names r)"
	refused "a relative one is an error" 'not absolute' 'l["readonlyPaths"] = ["r"]'
	[ "$(id -u)" = 0 ] || return 0
	for kind in "b 7 0" "c 1 5" p; do
		# shellcheck disable=SC2086
		mknod b/rootfs/node $kind
		inside "a node (${kind%% *}) keeps its mode" no 'chmod 0 /node 2>/dev/null && echo yes || echo no' 'l["readonlyPaths"].append("/node")'
		rm b/rootfs/node
	done
}

program_linux_devices() {
	inside "character, block and fifo, with number, mode and owner" "character special file 660 0 0 a:29a block special file 660 0 0 8:29a fifo 660 0 0" \
		'set -- $(stat -c "%F %a %u %g %t:%T" /dev/test1 /dev/test2) $(stat -c "%F %a %u %g" /dev/test3); echo $*' \
		'l["devices"] = [{"path": "/dev/test1", "type": "c", "major": 10, "minor": 666, "fileMode": 0o660, "uid": 0, "gid": 0}, {"path": "/dev/test2", "type": "b", "major": 8, "minor": 666, "fileMode": 0o660, "uid": 0, "gid": 0}, {"path": "/dev/test3", "type": "p", "major": 8, "minor": 666, "fileMode": 0o660}]'
}

mapped() {
	chmod 711 "$T" b
	inside "the map is the one of config.json" "0 1000 3200" "xargs echo </proc/self/$1_map" \
		'l["namespaces"].append({"type": "user"})' 'l["uidMappings"] = l["gidMappings"] = [{"containerID": 0, "hostID": 1000, "size": 3200}]'
}
program_linux_uid_mappings() { mapped uid; }
program_linux_gid_mappings() { mapped gid; }

program_linux_sysctl() { inside "is set" 1 'cat /proc/sys/net/ipv4/ip_forward' 'l["sysctl"] = {"net.ipv4.ip_forward": "1"}'; }

program_linux_seccomp() {
	inside "a call that is to fail does" "1 on" 'realpath . 2>/dev/null >&2; echo $? on' \
		'l["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getcwd"], "action": "SCMP_ACT_ERRNO"}]}'
	inside "and without the rule it does not" "0 on" 'realpath . 2>/dev/null >&2; echo $? on' 'l["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}'
}

program_linux_rootfs_propagation() {
	local kind
	mkdir -p shared && mount -t tmpfs shared shared && mount --make-shared shared && on_finish 'umount -l "$T/shared" 2>/dev/null'
	cp -a b/rootfs shared/rootfs
	for kind in "shared shared:" "slave master:" "private none" "unbindable unbindable"; do
		inside "${kind% *}" "${kind#* }" "set -- \$($(mount_of /)); echo \$7 | grep -oE 'shared:|master:|unbindable' || echo none" \
			'l["rootfsPropagation"] = "'"${kind% *}"'"' 'c["root"]["path"] = "'"$T"'/shared/rootfs"'
	done
	umount -l shared
}

program_linux_mount_label() { refused "is refused by name where there is no SELinux" 'linux.mountLabel' 'l["mountLabel"] = "system_u:object_r:svirt_sandbox_file_t:s0:c715,c811"'; }
program_linux_process_apparmor_profile() { refused "is refused by name where there is no AppArmor" 'apparmor is not enabled' 'p["apparmorProfile"] = "acme_secure_profile"'; }

# --- linux: namespaces ---
program_linux_ns_itype() {
	local ns
	oci_config b "$(oci_args sleep 1000)" 'l["namespaces"] = [{"type": "mount"}]' 'c.pop("hostname", 0)' 'c["mounts"] = [m for m in c["mounts"] if m["type"] in ("tmpfs", "devpts")]' 'l["maskedPaths"] = []' 'l["readonlyPaths"] = []'
	oci create -b b v
	for ns in cgroup ipc net pid user uts; do
		equals "one of type $ns that is not listed is the caller's" "$(readlink "/proc/$(oci_pid v)/ns/$ns")" "$(readlink "/proc/self/ns/$ns")"
	done
	oci delete -f v
	refused "without a mount namespace it is an error, by name" 'without a mount namespace is not supported' 'l["namespaces"] = [n for n in l["namespaces"] if n["type"] != "mount"]'
}

program_linux_ns_nopath() {
	local ns
	oci_config b "$(oci_args sleep 1000)" "$([ "$(id -u)" = 0 ] && echo "l['uidMappings'] = l['gidMappings'] = [{'containerID': 0, 'hostID': 1000, 'size': 1000}]")" \
		'l["namespaces"] = [{"type": t} for t in ("cgroup", "ipc", "mount", "network", "pid", "user", "uts")]'
	chmod 711 "$T" b
	oci create -b b v
	for ns in cgroup ipc mnt net pid user uts; do
		isnt "$P: one of type $ns without a path is new" "$(readlink "/proc/$(oci_pid v)/ns/$ns" || echo none)" "$(readlink "/proc/self/ns/$ns")"
	done
	property "the container is there" test "$(oci_status v)" = created
}

program_linux_ns_path() {
	local row type ns option holder path
	for row in ipc:ipc:--ipc mount:mnt:--mount network:net:--net pid:pid:--pid uts:uts:--uts; do
		IFS=: read -r type ns option <<<"$row"
		unshare "$option" --fork sleep 1000 &
		holder=$!
		path=/proc/$holder/ns/$ns
		[ "$ns" = pid ] && path=${path}_for_children
		wait_for "the namespace" 20 sh -c "pgrep -P $holder >/dev/null && [ \$(readlink $path) != $(readlink "/proc/self/ns/$ns") ]"
		oci_config b "$(oci_args sleep 1000)" "l['namespaces'] = [n for n in l['namespaces'] if n['type'] != '$type'] + [{'type': '$type', 'path': '$path'}]"
		oci create -b b v
		equals "one of type $type is entered by its path" "$(readlink "/proc/$(oci_pid v)/ns/$ns")" "$(readlink "$path")"
		oci delete -f v
		kill -KILL "$(pgrep -P "$holder")" $holder && wait $holder 2>/dev/null
	done
}

program_linux_ns_path_type() {
	local row
	for row in cgroup:ipc ipc:mnt mount:net network:pid pid:user user:uts uts:cgroup; do
		refused "a ${row#*:} namespace for one of type ${row%:*} is an error" "is not a ${row%:*} namespace" \
			"l['namespaces'] = [n for n in l['namespaces'] if n['type'] != '${row%:*}'] + [{'type': '${row%:*}', 'path': '/proc/self/ns/${row#*:}'}]"
	done
}

# --- control groups ---
v1() { grep -qE " - cgroup [^ ]+ (.*,)?$1(,|$)" /proc/self/mountinfo; }
hierarchy() { v1 "$1" && awk -v c="$1" '{for (i = 7; i <= NF; i++) if ($i == "-") break; if ($(i+1) == "cgroup" && ("," $(i+3) ",") ~ ("," c ",")) {print $5; exit}}' /proc/self/mountinfo || awk '/ - cgroup2 / {print $5; exit}' /proc/self/mountinfo; }
# control CONTROLLER FILE-OF-V1 FILE-OF-V2 PATH: what is in it.
control() { v1 "$1" && cat "$(hierarchy "$1")$4/$2" || cat "$(hierarchy "$1")$4/$3"; }
# Each of the programs is there twice: for an absolute and for a relative path.
ABSOLUTE=/rl-test-val RELATIVE=rl-test-val/relative/container
# limited PYTHON: a created container with these resources, below $at.
limited() { oci delete -f v; oci_config b "$(oci_args sleep 1000)" "l['cgroupsPath'] = '$at'" "r = l['resources']" "$@" && oci create -b b v; }

pids() {
	local at=$1
	limited 'r["pids"] = {"limit": 1000}'
	equals "pids.limit" "$(control pids pids.max pids.max "/${at#/}")" 1000
}
program_linux_cgroups_pids() { pids $ABSOLUTE; }
program_linux_cgroups_relative_pids() { pids $RELATIVE; }

memory() {
	v1 memory || { skip "$P: limits" "this kernel has no hierarchy of cgroup v1 for memory"; return; }
	local at=$1 limit swappiness file
	for limit in 50593792 151781376; do
		for swappiness in 10 50 100; do
			limited "r['memory'] = {'limit': $limit, 'reservation': $limit, 'swap': $limit, 'kernel': $limit, 'kernelTCP': $limit, 'swappiness': $swappiness, 'disableOOMKiller': True}"
			for file in limit_in_bytes soft_limit_in_bytes memsw.limit_in_bytes kmem.tcp.limit_in_bytes; do
				equals "$file is $limit" "$(control memory memory.$file - "/${at#/}")" $limit
			done
			equals "swappiness is $swappiness" "$(control memory memory.swappiness - "/${at#/}")" $swappiness
			like "$P: the OOM killer is off" "$(control memory memory.oom_control - "/${at#/}")" 'oom_kill_disable 1'
		done
	done
}
program_linux_cgroups_memory() { memory $ABSOLUTE; }
program_linux_cgroups_relative_memory() { memory $RELATIVE; }

cpus() {
	v1 cpu || { skip "$P: limits" "this kernel has no hierarchy of cgroup v1 for cpu"; return; }
	local at=$1 shares period quota cpus all budget
	all=$(cat "$(hierarchy cpuset)/cpuset.cpus")
	for shares in 1024 2048; do for period in 100000 500000; do for quota in 50000 200000; do for cpus in 0 "$all"; do
		limited "r['cpu'] = {'shares': $shares, 'period': $period, 'quota': $quota, 'cpus': '$cpus', 'mems': '0'}"
		equals "shares $shares, period $period, quota $quota, processors $cpus" \
			"$(for file in cpu.shares cpu.cfs_period_us cpu.cfs_quota_us; do control cpu $file - "/${at#/}"; done | xargs echo) $(control cpuset cpuset.cpus - "/${at#/}") $(control cpuset cpuset.mems - "/${at#/}")" \
			"$shares $period $quota $cpus 0"
	done; done; done; done
	limited 'r["cpu"] = {}'
	equals "without members everything is as the parent has it" "$(for file in cpu.shares cpu.cfs_period_us cpu.cfs_quota_us; do control cpu $file - "/${at#/}"; done | xargs echo)" "1024 100000 -1"
	[ ! -e "$(hierarchy cpu)/cpu.rt_runtime_us" ] && return
	# A new parent has no budget of realtime that it could give away.
	[ $at = $ABSOLUTE ] && budget=5000 || budget=0
	limited "r['cpu'] = {'realtimePeriod': 500000, 'realtimeRuntime': $budget}"
	equals "realtimePeriod and realtimeRuntime" "$(control cpu cpu.rt_period_us - "/${at#/}") $(control cpu cpu.rt_runtime_us - "/${at#/}")" "500000 $budget"
}
program_linux_cgroups_cpus() { cpus $ABSOLUTE; }
program_linux_cgroups_relative_cpus() { cpus $RELATIVE; }

blkio() {
	v1 blkio || { skip "$P: limits" "this kernel has no hierarchy of cgroup v1 for blkio"; return; }
	local at=$1 rate file disk
	disk=$(lsblk -dno MAJ:MIN 2>/dev/null | tr -d ' ' | grep -v '^7:' | tail -n 1)
	for rate in 102400 204800; do
		limited "d = [{'major': ${disk%:*}, 'minor': ${disk#*:}, 'rate': $rate}]" "r['blockIO'] = {k: d for k in ('throttleReadBpsDevice', 'throttleWriteBpsDevice', 'throttleReadIOPSDevice', 'throttleWriteIOPSDevice')}"
		for file in read_bps_device write_bps_device read_iops_device write_iops_device; do
			equals "$file is $rate" "$(control blkio blkio.throttle.$file - "/${at#/}")" "$disk $rate"
		done
	done
	oci delete -f v
	refused "a leaf weight, which Linux has not had since 5.0, is an error by name" 'blockIO.leafWeight' "l['cgroupsPath'] = '$at'" 'l["resources"]["blockIO"] = {"leafWeight": 300}'
}
program_linux_cgroups_blkio() { blkio $ABSOLUTE; }
program_linux_cgroups_relative_blkio() { blkio $RELATIVE; }

devices() {
	v1 devices || { skip "$P: limits" "this kernel has no hierarchy of cgroup v1 for devices"; return; }
	local at=$1
	limited 'r["devices"] = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"}, {"allow": True, "type": "b", "major": 8, "minor": 20, "access": "rw"}, {"allow": True, "type": "b", "major": 10, "minor": 200, "access": "r"}]'
	equals "the rules are there, in their order" "$(control devices devices.list - "/${at#/}" | head -n 3 | tr '\n' ' ')" "c 10:229 rwm b 8:20 rw b 10:200 r "
}
program_linux_cgroups_devices() { devices $ABSOLUTE; }
program_linux_cgroups_relative_devices() { devices $RELATIVE; }

hugetlb() {
	local at=$1 size
	for size in 2MB 1GB; do
		limited "r['hugepageLimits'] = [{'pageSize': '$size', 'limit': 2 << 30}]"
		equals "the limit for pages of $size" "$(control hugetlb hugetlb.$size.limit_in_bytes hugetlb.$size.max "/${at#/}")" $((2 << 30))
	done
	oci delete -f v
	refused "a size that does not exist is an error" 'hugepageLimits' "l['cgroupsPath'] = '$at'" 'l["resources"]["hugepageLimits"] = [{"pageSize": "3MB", "limit": 314572800}]'
}
program_linux_cgroups_hugetlb() { hugetlb $ABSOLUTE; }
program_linux_cgroups_relative_hugetlb() { hugetlb $RELATIVE; }

network() {
	local at=$1
	if v1 net_cls && v1 net_prio; then
		limited 'r["network"] = {"classID": 255, "priorities": [{"name": "lo", "priority": 10}]}'
		equals "classID" "$(control net_cls net_cls.classid - "/${at#/}")" 255
		like "$P: the priority of an interface" "$(control net_prio net_prio.ifpriomap - "/${at#/}" | tr '\n' ' ')" '(^| )lo 10 '
		return
	fi
	refused "classID without its controller is an error by name" 'network.classID' "l['cgroupsPath'] = '$at'" 'l["resources"]["network"] = {"classID": 255}'
	refused "priorities without theirs, too" 'network.priorities' "l['cgroupsPath'] = '$at'" 'l["resources"]["network"] = {"priorities": [{"name": "lo", "priority": 10}]}'
}
program_linux_cgroups_network() { network $ABSOLUTE; }
program_linux_cgroups_relative_network() { network $RELATIVE; }
