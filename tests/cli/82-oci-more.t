#!/bin/bash
# rl-oci as an ordinary user: what comes from outside of config.json (systemd's sockets, seccomp's agent), hooks that take
# too long, scheduling, namespaces of time by path, maps of many ranges.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/oci.sh"
on_finish 'for i in $(oci list -q); do oci delete -f "$i"; done'
oci_bundle b
with() { local sentence=$1 expected=$2 script=$3; shift 3; output_is "$sentence" "$expected" oci_run_with r "$(oci_args sh -c "$script")" "$@"; }
without() { local sentence=$1 words=$2; shift 2; oci_config b "$@"; must_fail "$sentence" --status 1 --stderr "$words" oci run -b b r; is "... and nothing is left" "$(ls state)" ""; }

# --- seccomp's agent ---
cat >agent.py <<'PY'
import array, json, os, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind("agent"); s.listen(4); open("agent-ready", "w")
for _ in range(2):
    c, _ = s.accept()
    data, fds = b"", []
    while True:
        msg, anc, _, _ = c.recvmsg(65536, 4096)
        for _, _, d in anc: fds += list(array.array("i", d[:len(d) - len(d) % 4]))
        if not msg: break
        data += msg
        try: d = json.loads(data); break
        except ValueError: pass
    print(d["pid"], file=open("agent.pids", "a"))
    print(d["fds"], d["metadata"], d["state"]["id"], d["state"]["status"], d["pid"] == d["state"]["pid"], os.readlink("/proc/self/fd/%d" % fds[0]), flush=True)
PY
python3 agent.py >agent.out & agent=$!
wait_for "the agent" 20 test -e agent-ready
oci_config b "$(oci_args sleep 1000)" 'l["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "'"$T"'/agent", "listenerMetadata": "meta", "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_NOTIFY"}]}'
ok "a container with a listener runs" oci run -d -b b n
ok "so does a command by exec" oci exec -d --pid-file exec.pid n sleep 1000
wait $agent
is "the agent is told of the container's process" "$(sed -n 1p agent.out)" "['seccompFd'] meta n creating True anon_inode:seccomp notify"
is "and of the other, which is not that" "$(sed -n 2p agent.out)" "['seccompFd'] meta n running False anon_inode:seccomp notify"
is "by the numbers the host knows them by" "$(xargs echo <agent.pids)" "$(oci_pid n) $(cat exec.pid)"
must_fail "exec is refused when nobody listens" --status 1 --stderr 'listenerPath' oci exec n true
oci delete -f n

# --- systemd's sockets ---
echo first >one; echo second >two
oci_config b "$(oci_args sh -c 'echo $LISTEN_FDS $LISTEN_PID $(cat <&3) $(cat <&4)')"
is "descriptors of LISTEN_FDS are the command's, and it is told" "$(LISTEN_FDS=2 oci run -b b r 3<one 4<two)" "2 1 first second"
is "--preserve-fds is for those behind them" "$(LISTEN_FDS=1 oci run --preserve-fds 1 -b b r 3<one 4<two)" "1 1 first second"
oci_config b "$(oci_args sh -c 'echo x$LISTEN_FDS')"
is "those of another process are not" "$(LISTEN_PID=1 LISTEN_FDS=2 oci run -b b r)" x
must_fail "that are not open" --status 1 --stderr 'descriptor 3 is not open' env LISTEN_FDS=1 "$T/rl-oci" --root state run -b b r
must_fail "a number that is none" --status 1 --stderr 'LISTEN_FDS' env LISTEN_FDS=x "$T/rl-oci" --root state run -b b r
oci_config b "$(oci_args sleep 1000)"; oci run -d -b b n
is "exec passes them on as well" "$(LISTEN_FDS=1 oci exec n sh -c 'echo $LISTEN_FDS $(cat <&3)' 3<one)" "1 first"
oci delete -f n

# --- hooks that take too long ---
slow() { echo "c['hooks'] = {'$1': [{'path': '${2:-/bin/sleep}', 'args': ['sleep', '1000'], 'timeout': 1}]}"; }
for kind in prestart createRuntime createContainer; do
	without "a $kind hook that hangs is ended, and so is the container" "error running $kind hook: .*longer than 1 s" "$(slow $kind)"
done
without "a startContainer hook as well" "error running startContainer hook: .*longer than 1 s" "$(slow startContainer)"
for kind in poststart poststop; do
	oci_config b "$(slow $kind)"
	ok "a $kind hook that hangs is ended, and the container lives on" oci run -b b r
	like "... with a warning" "$(cat "$T/.err")" "error running $kind hook: .*longer than 1 s"
done
is "none of them is left" "$(pgrep -u "$(id -u)" -fx 'sleep 1000' | wc -l)" 0
without "a hook that is not there is named" "error running createRuntime hook.*nosuch" 'c["hooks"] = {"createRuntime": [{"path": "/nosuch"}]}'
oci_config b 'c["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "yes >&2 & sleep 0; kill %1; exit 3"]}]}'
without "one that writes without end and fails" 'exit status 3' 'c["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "yes 2>&1 | head -c 1000000 >/dev/null; exit 3"]}]}'
without "one that a signal ends" 'createRuntime hook' 'c["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "kill -SEGV $$"]}]}'

# --- process ---
with "scheduler: SCHED_IDLE" 5 "cut -d' ' -f41 /proc/self/stat" 'p["scheduler"] = {"policy": "SCHED_IDLE"}'
with "scheduler: a flag" 1 "grep -c . /proc/self/stat" 'p["scheduler"] = {"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}'
without "an unknown flag is named" 'process.scheduler.flags: unknown value X' 'p["scheduler"] = {"policy": "SCHED_BATCH", "flags": ["X"]}'
without "a policy one may not have is an error" 'sched|Operation not permitted' 'p["scheduler"] = {"policy": "SCHED_DEADLINE", "runtime": 1000000, "deadline": 2000000, "period": 2000000}'
with "ioPriority: IOPRIO_CLASS_IDLE" idle 'ionice' 'p["ioPriority"] = {"class": "IOPRIO_CLASS_IDLE", "priority": 0}'
without "a priority that does not exist" 'process.ioPriority.priority is not 0 to 7' 'p["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 8}'
without "flags of a personality" 'linux.personality.flags' 'l["personality"] = {"domain": "LINUX", "flags": ["X"]}'

# --- namespaces ---
oci_config b "$(oci_args sleep 1000)" 'l["namespaces"].append({"type": "time"})' 'l["timeOffsets"] = {"boottime": {"secs": 200000000}, "monotonic": {"secs": 100, "nanosecs": 5}}'
oci run -d -b b clock; pid=$(oci_pid clock)
output_is "a time namespace by path, with the user namespace that owns it" 1 oci_run_with r "$(oci_args sh -c 'read up rest </proc/uptime; echo $((${up%.*} > 200000000))')" \
	'l["namespaces"] = [{"type": "mount"}, {"type": "pid"}, {"type": "user", "path": "/proc/'"$pid"'/ns/user"}, {"type": "time", "path": "/proc/'"$pid"'/ns/time"}]' 'l.pop("uidMappings")' 'l.pop("gidMappings")' 'c.pop("hostname")' \
	'c["mounts"] = [m for m in c["mounts"] if m["type"] in ("proc", "tmpfs")]'
output_is "exec is in the time of the container" 1 oci exec clock sh -c 'read up rest </proc/uptime; echo $((${up%.*} > 200000000))'
oci delete -f clock
without "an offset of half a second too much" 'timeOffsets.monotonic.nanosecs' 'l["namespaces"].append({"type": "time"})' 'l["timeOffsets"] = {"monotonic": {"nanosecs": 1000000000}}'
done_testing
