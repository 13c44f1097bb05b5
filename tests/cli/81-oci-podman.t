#!/bin/bash
# podman as an ordinary user drives rl-oci by --runtime: through conmon, in podman's own user namespace, on a machine whose
# control groups that user may not touch.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/oci.sh"
command -v podman >/dev/null && command -v conmon >/dev/null || { fail "podman and conmon are installed"; done_testing; }
oci_bundle b
tar -C b/rootfs -cf root.tar .
# Short names: podman takes no run directory of more than 50 characters.
export XDG_RUNTIME_DIR=$T/x
mkdir -m 700 x
pod() { timeout -k 5 60 podman --root "$T/p" --runroot "$T/r" --storage-driver vfs --cgroup-manager cgroupfs --events-backend none --runtime "$T/rl-oci" "$@"; }
# migrate ends the process that holds podman's user namespace.
on_finish 'pod rm -fa -t 0 >/dev/null 2>&1; pod system migrate >/dev/null 2>&1; podman unshare rm -rf "$T/p" "$T/r" 2>/dev/null; pod system migrate >/dev/null 2>&1'
limits="--network none --ulimit nofile=256:256 --ulimit nproc=1024:1024"
run() { pod run --rm $limits "$@"; }
pod import root.tar bb >/dev/null 2>&1
output_is "podman run" "hello 0" run bb sh -c 'echo hello $(id -u)'
run bb sh -c 'exit 43' 2>/dev/null; is "the exit status comes back" $? 43
run bb nosuch 2>/dev/null; is "a command that is not there is understood" $? 127
like "podman run -t gets a terminal" "$(run -t bb tty | tr -d '\r')" '^/dev/pts/0$'
output_is "--user is one of the subordinate ids" "7 7" run -u 7:7 bb sh -c 'echo $(id -u) $(id -g)'
output_is "--userns keep-id, a map of three ranges" "$(id -u) 3" run --userns keep-id bb sh -c 'echo $(id -u) $(wc -l </proc/self/uid_map)'
mkdir v && echo shared >v/file
output_is "-v" shared run -v "$T/v:/v:ro" bb cat /v/file
output_is "--cap-drop all, --security-opt no-new-privileges" "0000000000000000 1" run --cap-drop all --security-opt no-new-privileges bb sh -c 'echo $(awk "/CapEff|NoNewPrivs/ {print \$2}" /proc/self/status)'
output_is "--read-only with --tmpfs" "no yes" run --read-only --read-only-tmpfs=false --tmpfs /t bb sh -c 'echo $(touch /x 2>/dev/null && echo yes || echo no) $(touch /t/x && echo yes)'
# shellcheck disable=SC2086
ok "podman run -d" pod run -d --name c $limits bb sh -c 'echo logged; trap "exit 0" TERM; while :; do sleep 0.1; done'
wait_for "its log" 20 sh -c "$(declare -f pod); T=$T; pod logs c | grep -q logged"
is "podman logs" "$(pod logs c)" logged
is "podman inspect" "$(pod inspect -f '{{.State.Status}} {{.OCIRuntime}}' c)" "running $T/rl-oci"
output_is "podman exec" in pod exec c echo in
pod exec c sh -c 'exit 44' 2>/dev/null; is "its exit status" $? 44
pod exec c nosuch 2>/dev/null; is "podman exec of what is not there" $? 127
like "podman exec -t" "$(pod exec -t c tty | tr -d '\r')" '^/dev/pts/[0-9]+$'
ok "podman stop" pod stop -t 20 c
is "by SIGTERM" "$(pod inspect -f '{{.State.ExitCode}}' c)" 0
ok "podman start of a stopped one" pod start c
ok "podman kill" pod kill c
wait_for "its end" 20 sh -c "$(declare -f pod); T=$T; [ \$(pod inspect -f '{{.State.Status}}' c) = exited ]"
is "is told as 137" "$(pod inspect -f '{{.State.ExitCode}}' c)" 137
ok "podman rm" pod rm c
is "none is left" "$(pod ps -aq)" ""
done_testing
