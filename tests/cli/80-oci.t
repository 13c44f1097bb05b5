#!/bin/bash
# rl-oci: the life of a container by the runtime specification's verbs, as an ordinary user.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/oci.sh"
on_finish 'for i in $(oci list -q); do oci delete -f "$i"; done'
oci_bundle b

# --- run ---
output_is "run runs the command and gives its output" "hello" oci_run_with r "$(oci_args sh -c 'echo hello')"
oci_config b "$(oci_args sh -c 'exit 37')"
oci run -b b r; is "its exit status is the command's" $? 37
is "and nothing is left" "$(ls state)" ""
oci_config b "$(oci_args cat)"
is "standard input comes through" "$(echo typed | oci run -b b r)" typed
output_is "the environment is exactly the config's, and HOME" "$(printf 'A=1\nHOME=/root\nPATH=/bin\nSHLVL=1')" oci_run_with r \
	'p["env"] = ["PATH=/bin", "A=1"]' "$(oci_args sh -c 'env | grep -v ^PWD= | sort')"
output_is "the working directory is made" /made/here oci_run_with r 'p["cwd"] = "/made/here"' "$(oci_args pwd)"
output_is "hostname and domainname are the config's" "h d.example" oci_run_with r 'c["hostname"] = "h"; c["domainname"] = "d.example"' \
	"$(oci_args sh -c 'echo $(hostname) $(cat /proc/sys/kernel/domainname)')"
oci_config b "$(oci_args echo here)"
is "the bundle is the working directory without -b" "$(cd b && oci run r)" here
ok "rl oci is the same program" sh -c 'rl oci --root state list'

# --- create, start, state, kill, delete ---
oci_config b "$(oci_args sh -c 'trap "exit 9" TERM; echo started >/started; while :; do sleep 0.1; done')" 'c["annotations"] = {"org.example": "x"}'
ok "create" oci create -b b --pid-file pid c
is "state says created" "$(oci_status c)" created
is "nothing of the command has run" "$(ls b/rootfs/started 2>&1 | grep -c 'No such')" 1
is "the pid file has the pid of state" "$(cat pid)" "$(oci_pid c)"
ok "state has everything the specification wants" python3 -c '
import json, subprocess, sys
s = json.loads(subprocess.run([sys.argv[1], "--root", "state", "state", "c"], capture_output=True, check=True).stdout)
assert s["id"] == "c" and s["ociVersion"] and s["bundle"] == sys.argv[2] and s["annotations"] == {"org.example": "x"}, s' "$T/rl-oci" "$T/b"
must_fail "an id is taken once" --status 1 --stderr 'already exists' oci create -b b c
ok "start" oci start c
wait_for "the command" 20 test -e b/rootfs/started
is "state says running" "$(oci_status c)" running
must_fail "start is for created ones" --status 1 --stderr 'cannot start a container in the running state' oci start c
must_fail "delete is not for running ones" --status 1 --stderr 'cannot delete container c that is not stopped: running' oci delete c
is "list has a row" "$(oci list | awk 'NR == 2 {print $1, $3}')" "c running"
is "list -q has names" "$(oci list -q)" c
is "list -f json is an array" "$(oci list -f json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["status"])')" running
ok "kill sends SIGTERM" oci kill c
wait_for "its end" 20 sh -c "$(declare -f oci oci_status); T=$T; [ \$(oci_status c) = stopped ]"
must_fail "what has stopped cannot be killed" --status 1 --stderr 'container not running' oci kill c KILL
must_fail "or started" --status 1 --stderr 'cannot start a container that has stopped' oci start c
ok "delete" oci delete c
must_fail "then it does not exist" --status 1 --stderr 'container does not exist' oci state c
ok "delete --force of one that does not exist is no error" oci delete --force c
is "nothing is left" "$(ls state)" ""

# --- exec, ps, pause ---
oci_config b "$(oci_args sleep 1000)"
ok "a container that runs" oci run -d -b b c
output_is "exec" "in c" oci exec c sh -c 'echo in c'
oci exec c sh -c 'exit 41'; is "its status is the command's" $? 41
output_is "--env, --cwd" "v /tmp" oci exec -e K=v --cwd /tmp c sh -c 'echo $K $(pwd)'
must_fail "a command that is not there is 127, in runc's words" --status 127 --stderr 'executable file not found in \$PATH' oci exec c nosuch
echo '{"args": ["sh", "-c", "echo $X $(id -u)"], "env": ["X=from-file", "PATH=/bin"], "cwd": "/"}' >process.json
output_is "--process is a process as in config.json" "from-file 0" oci exec -p process.json c
ok "exec --detach writes a pid file and comes back" oci exec -d --pid-file xpid c sleep 1001
is "ps has both" "$(oci ps c | grep -c 'sleep 100')" 2
is "ps -f json is a list of pids" "$(oci ps -f json c | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" 2
ok "pause" oci pause c
is "state says paused" "$(oci_status c)" paused
must_fail "exec is refused then" --status 1 --stderr 'paused' oci exec c true
must_fail "a second pause, too" --status 1 --stderr 'not running: paused' oci pause c
ok "resume" oci resume c
output_is "and it goes on" on oci exec c echo on
is "events --stats is a document of runc's shape" "$(oci events --stats c | python3 -c 'import json, sys; d = json.load(sys.stdin); print(d["type"], d["id"], d["data"]["memory"]["usage"]["usage"] > 0)')" "stats c True"
ok "delete --force of a running one" oci delete -f c
is "leaves nothing" "$(ls state)$(pgrep -u "$(id -u)" -x sleep -a | grep -c ' 100[01]$')" 0

# --- descriptors ---
exec 3<<<"from three"
oci_config b "$(oci_args sh -c 'cat <&3')"
is "--preserve-fds" "$(oci run -b b --preserve-fds 1 r 3<&3)" "from three"
exec 3<&-
oci_config b "$(oci_args sh -c 'ls /proc/self/fd | tr "\n" " "')"
is "others are closed" "$(oci run -b b r 7</dev/null)" "0 1 2 3 "
must_fail "preserved ones must be open" --status 1 --stderr 'descriptor 3 is not open' oci run -b b --preserve-fds 1 r

# --- log ---
oci_config b "$(oci_args nosuch)"
oci --log log --log-format json run -b b r 2>/dev/null
is "the log has runc's fields, the last error is the cause" "$(python3 -c '
import json
last = [json.loads(l) for l in open("log")][-1]
print(sorted(last), last["level"], "executable file not found in $PATH" in last["msg"])')" "['level', 'msg', 'time'] error True"
oci --log log.text run -b b r 2>/dev/null
like "and as text" "$(tail -n 1 log.text)" '^time="[^"]+" level=error msg="'
must_fail "checkpoint is refused by name" --status 1 --stderr 'checkpoint is not supported' oci checkpoint c
must_fail "restore, too" --status 1 --stderr 'restore is not supported' oci restore c
ok "features is JSON with the versions" sh -c './rl-oci features | python3 -c "import json, sys; d = json.load(sys.stdin); assert d[\"ociVersionMin\"] == \"1.0.0\" and \"prestart\" in d[\"hooks\"] and \"rro\" in d[\"mountOptions\"]"'
must_fail "spec does not overwrite" --status 1 --stderr 'exists' oci spec -b b
done_testing
