#!/bin/bash
# rl-oci: config.json's members, as an ordinary user: what each one does to the container.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/oci.sh"
on_finish 'for i in $(oci list -q); do oci delete -f "$i"; done'
oci_bundle b
# with SENTENCE EXPECTED SCRIPT [PYTHON...]
with() { local sentence=$1 expected=$2 script=$3; shift 3; output_is "$sentence" "$expected" oci_run_with r "$(oci_args sh -c "$script")" "$@"; }
# without SENTENCE STDERR [PYTHON...]: refused, and nothing is left
without() { local sentence=$1 words=$2; shift 2; oci_config b "$@"; must_fail "$sentence" --status 1 --stderr "$words" oci run -b b r; is "... and nothing is left" "$(ls state)" ""; }
status() { echo "grep -E '^($1):' /proc/self/status | tr -d '\\t' | tr '\\n' ' '"; }

# --- process ---
with "capabilities: the five sets are the config's" "CapInh:0000000000000001 CapPrm:0000000000000021 CapEff:0000000000000021 CapBnd:0000000000000421 CapAmb:0000000000000000 " \
	"$(status 'Cap.*')" 'p["capabilities"] = {"bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"], "permitted": ["CAP_CHOWN", "CAP_KILL"], "effective": ["CAP_CHOWN", "CAP_KILL"], "inheritable": ["CAP_CHOWN"], "ambient": []}' \
	'p["noNewPrivileges"] = True'
with "noNewPrivileges" "NoNewPrivs:1 " "$(status NoNewPrivs)"
with "and without" "NoNewPrivs:0 " "$(status NoNewPrivs)" 'p["noNewPrivileges"] = False'
with "rlimits" "17 23" 'echo $(ulimit -Sn) $(ulimit -Hn)' 'p["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 17, "hard": 23}]'
with "2^64 - 1 is unlimited" "unlimited" 'ulimit -Sf' 'p["rlimits"] = [{"type": "RLIMIT_FSIZE", "soft": 18446744073709551615, "hard": 18446744073709551615}]'
without "an unknown rlimit is named" 'wrong rlimit value: RLIMIT_NONE' 'p["rlimits"] = [{"type": "RLIMIT_NONE", "soft": 1, "hard": 1}]'
without "one given twice" 'RLIMIT_NOFILE twice' 'p["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}] * 2'
with "oomScoreAdj" 777 'cat /proc/self/oom_score_adj' 'p["oomScoreAdj"] = 777'
with "umask" 0027 umask 'p["user"]["umask"] = 0o27'
with "scheduler: SCHED_BATCH" 3 "cut -d' ' -f41 /proc/self/stat" 'p["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}'
with "and its nice value" 5 "cut -d' ' -f19 /proc/self/stat" 'p["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}'
without "an unknown policy is named" 'process.scheduler.policy: unknown value SCHED_X' 'p["scheduler"] = {"policy": "SCHED_X"}'
with "ioPriority" "best-effort: prio 6" 'ionice' 'p["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 6}'
without "execCPUAffinity is refused by name" 'process.execCPUAffinity is not supported' 'p["execCPUAffinity"] = {"initial": "0"}'
without "no args" 'process.args must not be empty' 'p["args"] = []'
without "a relative cwd" 'process.cwd must be an absolute path' 'p["cwd"] = "tmp"'
without "a user that is not mapped" 'user id 7 is not mapped' 'p["user"]["uid"] = 7'
without "an apparmor profile without apparmor is refused" 'apparmor is not enabled' 'p["apparmorProfile"] = "x"'
without "a label for mounts is refused, not forgotten" 'linux.mountLabel' 'l["mountLabel"] = "system_u:object_r:container_file_t:s0"'
with "an empty one is none" 1 'echo 1' 'l["mountLabel"] = ""'
with "personality LINUX32" i686 'uname -m' 'l["personality"] = {"domain": "LINUX32"}'

# --- namespaces ---
with "time offsets" 1 'read up rest </proc/uptime; echo $((${up%.*} > 100000000))' 'l["namespaces"].append({"type": "time"})' 'l["timeOffsets"] = {"boottime": {"secs": 100000000}}'
without "offsets without the namespace" 'linux.timeOffsets needs a new time namespace' 'l["timeOffsets"] = {"boottime": {"secs": 1}}'
without "an unknown namespace is named" 'linux.namespaces\[0\].type: unknown namespace nothing' 'l["namespaces"].insert(0, {"type": "nothing"})'
without "one given twice" 'has pid twice' 'l["namespaces"].append({"type": "pid"})'
without "a path that is no namespace" 'is not a network namespace' 'l["namespaces"].append({"type": "network", "path": "/proc/self/ns/uts"})'
with "without mappings the caller is root" "0 $(id -u)" 'echo $(id -u) $(head -n 1 /proc/self/uid_map | tr -s " " | cut -d" " -f3)' 'l.pop("uidMappings")' 'l.pop("gidMappings")'
without "a user namespace with mappings for users only" 'no uid or gid mappings found' 'l.pop("gidMappings")'
without "hostname without a uts namespace" 'hostname without a private UTS' 'l["namespaces"] = [n for n in l["namespaces"] if n["type"] != "uts"]' 'c["hostname"] = "x"'
oci_config b "$(oci_args sleep 1000)"; oci run -d -b b other; pid=$(oci_pid other)
output_is "namespaces are joined by path, with the user namespace that owns them" yes oci_run_with r \
	"$(oci_args sh -c "[ \$(readlink /proc/self/ns/ipc) = $(readlink "/proc/$pid/ns/ipc" 2>/dev/null || echo unknown) ] && echo yes")" \
	'l["namespaces"] = [{"type": "mount"}, {"type": "pid"}, {"type": "user", "path": "/proc/'"$pid"'/ns/user"}, {"type": "ipc", "path": "/proc/'"$pid"'/ns/ipc"}]' 'l.pop("uidMappings")' 'l.pop("gidMappings")' 'c.pop("hostname")' \
	'c["mounts"] = [m for m in c["mounts"] if m["type"] in ("proc", "tmpfs")]'
oci delete -f other

# --- mounts ---
mkdir -p d/sub; echo file >d/file
bind() { echo 'c["mounts"].append({"destination": "/m", "type": "bind", "source": "'"$T"'/d", "options": ["rbind", '"$1"']})'; }
with "a bind mount" file 'cat /m/file' "$(bind '"rw"')"
with "read-only" no 'touch /m/x 2>/dev/null && echo yes || echo no' "$(bind '"ro"')"
with "recursively read-only" no 'touch /m/x 2>/dev/null && echo yes || echo no' "$(bind '"rro"')"
with "noexec, nosuid, nodev are set" 3 'grep " /m " /proc/self/mountinfo | grep -oE "noexec|nosuid|nodev" | sort -u | wc -l' "$(bind '"noexec", "nosuid", "nodev"')"
with "the source may be relative to the bundle" file 'cat /mfile' 'c["mounts"].append({"destination": "/mfile", "source": "../d/file", "options": ["bind"]})'
with "a tmpfs with its size and mode" "1024k mode=700" 'grep " /m " /proc/self/mountinfo | sed "s/.*size=\([0-9]*k\).*\(mode=[0-9]*\).*/\1 \2/"' 'c["mounts"].append({"destination": "/m", "type": "tmpfs", "source": "tmpfs", "options": ["size=1024k", "mode=700"]})'
mkdir -p b/rootfs/full; echo kept >b/rootfs/full/f
with "tmpcopyup" kept 'cat /full/f; echo more >/full/g' 'c["mounts"].append({"destination": "/full", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]})'
is "the image's own directory is untouched" "$(ls b/rootfs/full)" f
with "a read-only tmpfs takes mount points first" "below no" 'echo $(cat /m/s/file) $(touch /m/x 2>/dev/null && echo yes || echo no)' 'c["mounts"] += [{"destination": "/m", "type": "tmpfs", "source": "t", "options": ["ro"]}, {"destination": "/m/s", "type": "bind", "source": "'"$T"'/d", "options": ["rbind"]}]' 'open("'"$T"'/d/file", "w").write("below\n")'
with "remount changes what is mounted" no 'touch /dev/shm/x 2>/dev/null && echo yes || echo no' 'c["mounts"].append({"destination": "/dev/shm", "options": ["remount", "ro"]})'
without "an unknown file system is the kernel's error, with the mount's name" 'mount on /m: mount nosuchfs' 'c["mounts"].append({"destination": "/m", "type": "nosuchfs", "source": "x"})'
without "an option the file system does not know" 'mount on /m|tmpfs on /m' 'c["mounts"].append({"destination": "/m", "type": "tmpfs", "source": "x", "options": ["nosuchoption"]})'
without "a relative destination" 'mounts\[0\].*not absolute' 'c["mounts"].insert(0, {"destination": "m", "type": "tmpfs", "source": "x"})'
without "an idmapped mount is refused by the kernel, and said" 'mounts\[[0-9]+\] \(/m\)' 'c["mounts"].append({"destination": "/m", "source": "'"$T"'/d", "options": ["bind"], "uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}], "gidMappings": [{"containerID": 0, "hostID": 0, "size": 1}]})'
with "root.readonly" no 'touch /x 2>/dev/null && echo yes || echo no' 'c["root"]["readonly"] = True'
with "maskedPaths: a file is empty, a directory too" "0 0" 'echo $(wc -c </proc/version) $(ls /proc/bus | wc -l)' 'l["maskedPaths"] = ["/proc/version", "/proc/bus", "/nosuch"]' 'l["readonlyPaths"] = []'
with "readonlyPaths" no 'echo x 2>/dev/null >/ro/x && echo yes || echo no' 'l["readonlyPaths"] = ["/ro", "/nosuch"]' 'import os; os.makedirs("b/rootfs/ro", exist_ok=True)'
with "rootfsPropagation" shared 'grep -m 1 " / / \| / .* shared" /proc/self/mountinfo | grep -o shared | head -n 1' 'l["rootfsPropagation"] = "shared"'
without "an unknown propagation is named" 'linux.rootfsPropagation: unknown value x' 'l["rootfsPropagation"] = "x"'

# --- devices, sysctl ---
with "the devices every container has" "full null random tty urandom zero " 'cd /dev; for i in *; do [ -c $i ] && [ ! -L $i ] && echo $i; done | grep -v console | tr "\n" " "'
with "a device of the config is bound from the host" "c" '[ -c /dev/x/zero ] && echo c' 'l["devices"] = [{"path": "/dev/x/zero", "type": "c", "major": 1, "minor": 5}]'
without "a device that the host has not is refused by name" 'device /dev/nothing' 'l["devices"] = [{"path": "/dev/nothing", "type": "c", "major": 240, "minor": 77}]'
without "a device without numbers" 'no major and minor' 'l["devices"] = [{"path": "/dev/x", "type": "c"}]'
with "sysctl" 1234 'cat /proc/sys/kernel/msgmax' 'l["sysctl"] = {"kernel.msgmax": "1234"}'
without "a sysctl of the host's network is refused" 'linux.sysctl' 'l["sysctl"] = {"net.ipv4.ip_forward": "1"}'

# --- seccomp ---
with "seccomp: errno" "Seccomp:2 no" "$(status Seccomp); mkdir /x 2>/dev/null && echo yes || echo no" 'l["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}'
with "also without no_new_privs" no 'mkdir /x 2>/dev/null && echo yes || echo no' 'p["noNewPrivileges"] = False' 'l["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}'
without "an unknown action is named" 'linux.seccomp.*SCMP_ACT_X' 'l["seccomp"] = {"defaultAction": "SCMP_ACT_X"}'
without "notify without a listener" 'listenerPath' 'l["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getcwd"], "action": "SCMP_ACT_NOTIFY"}]}'
cat >agent.py <<'PY'
import array, json, os, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind("agent"); s.listen(1); open("agent-ready", "w")
c, _ = s.accept()
data, fds = b"", []
while True:
    msg, anc, _, _ = c.recvmsg(65536, 4096)
    for _, _, d in anc: fds += list(array.array("i", d[:len(d) - len(d) % 4]))
    if not msg: break
    data += msg
    try: state = json.loads(data); break
    except ValueError: pass
print(state["fds"], state["metadata"], state["state"]["id"], state["pid"] > 0, os.readlink(f"/proc/self/fd/{fds[0]}"))
PY
python3 agent.py >agent.out & agent=$!
wait_for "the agent" 20 test -e agent-ready
oci_config b "$(oci_args sh -c 'sleep 0')" 'l["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "'"$T"'/agent", "listenerMetadata": "meta", "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_NOTIFY"}]}'
ok "seccomp with a listener" oci run -b b n
wait $agent; is "it gets the descriptor and the state" "$(cat agent.out)" "['seccompFd'] meta n True anon_inode:seccomp notify"

# --- hooks ---
cat >hook.sh <<'SH'
#!/bin/sh
# hook.sh NAME: what the state says, in a line of the log
state=$(cat)
echo "$1 $(echo "$state" | sed 's/.*"status":"\([a-z]*\)".*/\1/') $(echo "$state" | sed 's/.*"pid":\([0-9]*\).*/\1/' | sed 's/^[1-9][0-9]*$/pid/')$ENV_OF_HOOK" >>"$2"
exit "${3:-0}"
SH
chmod +x hook.sh; cp hook.sh b/rootfs/hook.sh
hooks() { python3 - "$T" "$@" <<'PY'
import sys
T, bad = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
kinds = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
h = {}
for k in kinds:
    inside = k == "startContainer"
    path, log = ("/hook.sh", "/hook.log") if inside else (T + "/hook.sh", T + "/hook.log")
    h[k] = [{"path": path, "args": ["hook.sh", k, log] + (["1"] if k == bad else []), "env": ["PATH=/bin:/usr/bin", "ENV_OF_HOOK=!"], "timeout": 30}]
print("c['hooks'] = " + repr(h))
PY
}
oci_config b "$(oci_args sh -c 'cat /hook.log')" "$(hooks)"
ok "six kinds of hooks" oci run -b b r
is "in their order, each with the state of its moment" "$(cat hook.log)" "$(printf '%s\n' 'prestart creating pid!' 'createRuntime creating pid!' 'createContainer creating pid!' 'poststart running pid!' 'poststop stopped 0!')"
is "startContainer ran inside" "$(cat b/rootfs/hook.log)" "startContainer created pid!"
for kind in prestart createRuntime createContainer startContainer; do
	rm -f hook.log ran; oci_config b "$(oci_args touch /ran)" "$(hooks $kind)"
	must_fail "a failing $kind hook is an error that names it" --status 1 --stderr "error running $kind hook" oci run -b b r
	is "... the command has not run, and nothing is left" "$(ls state b/rootfs/ran 2>&1 | grep -v '^state:\|^ls:' | tr -d '\n')" ""
	is "... and poststop ran" "$(tail -n 1 hook.log | cut -d' ' -f1)" poststop
done
oci_config b "$(hooks poststart)"
ok "a failing poststart hook is a warning" oci run -b b r
oci_config b 'c["hooks"] = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]}'
must_fail "a hook that hangs is ended by its timeout" --status 1 --stderr 'ran longer than 1 s' oci run -b b r
oci_config b 'c["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "sleep 100 >/dev/null 2>&1 & exit 0"]}]}'
ok "one that leaves a process behind is not waited for" oci run -b b r
pkill -u "$(id -u)" -f '^sleep 100$'

# --- terminal ---
oci_config b 'p["terminal"] = True'
must_fail "a terminal needs a console socket" --status 1 --stderr 'without setting console socket' oci create -b b r
oci_config b
must_fail "and a console socket a terminal" --status 1 --stderr 'cannot use console socket' oci create --console-socket x -b b r
cat >console.py <<'PY'
import array, os, socket
s = socket.socket(socket.AF_UNIX); s.bind("console"); s.listen(1); open("console-ready", "w")
c, _ = s.accept()
msg, anc, _, _ = c.recvmsg(4096, 4096)
fd = array.array("i", anc[0][2])[0]
out = b""
try:
    while True:
        d = os.read(fd, 4096)
        if not d: break
        out += d
except OSError: pass
print(out.decode().strip().replace("\r\n", " "))
PY
python3 console.py >console.out & console=$!
wait_for "the console" 20 test -e console-ready
oci_config b "$(oci_args sh -c 'tty; stty size; [ -c /dev/console ] && echo console')" 'p["terminal"] = True' 'p["consoleSize"] = {"height": 33, "width": 99}'
ok "create with a console socket" oci create --console-socket console -b b r
ok "start" oci start r
wait $console; is "the terminal came over the socket, with its size" "$(cat console.out)" "/dev/pts/0 33 99 console"
oci delete -f r

# --- the schema ---
schema=/usr/share/gocode/src/github.com/opencontainers/runtime-spec/schema
if [ -f $schema/config-schema.json ]; then
	cat >walk.py <<'PY'
import json, os, sys
root, known = sys.argv[1], {l.split("\t")[0]: l.split("\t")[1] for l in open(sys.argv[2]).read().splitlines()}
def load(f): return json.load(open(os.path.join(root, f)))
def resolve(node, f):
    while "$ref" in node:
        name, _, path = node["$ref"].partition("#")
        f = name or f
        node = load(f)
        for part in [p for p in path.split("/") if p]: node = node[part]
    return node, f
seen = []
def walk(node, f, path, depth=0):
    node, f = resolve(node, f)
    for alt in node.get("allOf", []) + node.get("anyOf", []) + node.get("oneOf", []): walk(alt, f, path, depth + 1)
    if "items" in node and isinstance(node["items"], dict): walk(node["items"], f, path + "[]", depth + 1)
    for name, child in node.get("properties", {}).items():
        p = path + "." + name if path else name
        if p.split(".")[0].rstrip("[]") in ("windows", "solaris", "zos", "vm"): p = p.split(".")[0].rstrip("[]")
        child_node, _ = resolve(child, f)
        seen.append(p); 
        if "." not in p or p.split(".")[0] not in ("windows", "solaris", "zos", "vm"): walk(child, f, p, depth + 1)
walk(load("config-schema.json"), "config-schema.json", "")
def is_known(p):
    while True:
        if p in known or p + "[]" in known or p + ".*" in known: return True
        if "." not in p: return False
        up = p.rsplit(".", 1)[0]
        # members of what is refused, ignored or read by somebody else
        for form in (up, up + "[]", up + ".*"):
            if form in known and (known[form] != "handled" or form in ("linux.seccomp",)): return True
        if up in ("linux.seccomp.syscalls[]", "linux.seccomp.syscalls[].args[]"): return True
        return False
missing = sorted({p for p in seen if not is_known(p)})
print(len(seen) > 100, missing)
PY
	oci features --fields >fields
	is "every member of the specification's schema has a row" "$(python3 walk.py $schema fields)" "True []"
else
	fail "the specification's schema is installed (golang-github-opencontainers-specs-dev)"
fi
done_testing
