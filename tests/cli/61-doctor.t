#!/bin/bash
# rl doctor: what it says is what rl does; causes are told apart; nothing is left.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

state() { rl doctor --json | python3 -c 'import json, sys; print([r for r in json.load(sys.stdin) if r["Name"] == sys.argv[1]][0][sys.argv[2]])' "$1" "${2:-State}"; }

ok "doctor says that containers can run" rl doctor
like "in words" "$(cat .out)" 'Containers can run here'
ok "--json is an array of rows with the same members" python3 -c '
import json, subprocess
rows = json.loads(subprocess.run(["rl", "doctor", "--json"], capture_output=True).stdout)
assert len(rows) > 15
for r in rows:
    assert set(r) == {"Name", "State", "Finding", "Remedy", "Root", "Command"}, r
    assert r["State"] in ("works", "rung", "missing") and r["Finding"]
    assert r["State"] == "works" or r["Remedy"] or r["Name"] == "seccomp", r'
rl doctor --fix >fix.sh
ok "--fix is a shell script" sh -n fix.sh
is "user namespaces work" "$(state 'user namespaces')" works
is "the overlay works on the store's file system" "$(state overlay)" works
is "RL_IDMAP=single is a rung" "$(RL_IDMAP=single state 'user ids')" rung
like "with the remedy" "$(RL_IDMAP=single state 'user ids' Remedy)" 'usermod --add-subuids'
must_fail "a limit of user namespaces is no policy" --status 125 --stderr 'max_user_namespaces=0' \
	unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; rl run --rm --network none --pull never busybox true'
like "and is named by the sysctl, with the remedy" \
	"$(unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; rl doctor' | head -n 4)" 'user.max_user_namespaces=0.*sysctl -w user.max_user_namespaces'
status_is "doctor's status is then 1" 1 unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; rl doctor'
like "a filter is told from a limit" "$(enosys --errno EPERM unshare,clone,clone3 rl doctor 2>&1 | head -n 3)" 'missing|seccomp|Operation not permitted'
like "an invalid argument from the kernel is neither" "$(enosys --errno EINVAL unshare rl doctor 2>&1 | head -n 3)" 'user namespaces'
like "a store that cannot be written is a row, with the directory" "$(RL_ROOT=/proc/nosuch rl doctor | grep -A2 '^missing *store')" '/proc/nosuch'
is "nothing is left in the store" "$(find "$RL_ROOT" -name 'doctor-*')" ""
leftovers "and nothing runs"
done_testing
