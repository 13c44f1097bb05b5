#!/bin/bash
# Engines drive rl-oci as root: podman with conmon, buildah, containerd's shim by ctr. Root only, because these engines'
# root mode is what is tested; each has its storage below T.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/oci.sh"
oci_bundle b
tar -C b/rootfs -cf root.tar .

# --- podman ---
if have podman && have conmon; then
	# The machine's limits: podman asks for more open files than this account may have.
	limits="--ulimit nofile=256:256 --ulimit nproc=1024:1024 --network none"
	pod() { timeout -k 5 60 podman --root "$T/podman" --runroot "$T/podman-run" --storage-driver vfs --cgroup-manager cgroupfs --runtime "$T/rl-oci" "$@"; }
	on_finish 'pod rm -fa >/dev/null 2>&1; rmdir /sys/fs/cgroup/*/libpod_parent 2>/dev/null; umount -l "$T/podman/vfs" 2>/dev/null'
	pod import root.tar bb >/dev/null 2>&1
	# shellcheck disable=SC2086
	{
		output_is "podman run" "hello 0" pod run --rm $limits bb sh -c 'echo hello $(id -u)'
		pod run --rm $limits bb sh -c 'exit 43'; is "the exit status comes back through conmon" $? 43
		pod run --rm $limits bb nosuch 2>/dev/null; is "podman understands that the command is not there" $? 127
		like "a terminal goes over conmon's console socket" "$(pod run --rm -t $limits bb tty | tr -d '\r')" '^/dev/pts/0$'
		output_is "podman run --user, --workdir, --env, --hostname" "7 /tmp v h" pod run --rm $limits -u 7 -w /tmp -e K=v -h h bb sh -c 'echo $(id -u) $(pwd) $K $(hostname)'
		output_is "podman run --read-only --tmpfs" "no yes" pod run --rm $limits --read-only --tmpfs /t bb sh -c 'echo $(touch /x 2>/dev/null && echo yes || echo no) $(touch /t/x && echo yes)'
		ok "podman run -d" pod run -d --name c $limits bb sh -c 'echo logged; trap "exit 0" TERM; while :; do sleep 0.1; done'
		wait_for "its log" 20 sh -c "$(declare -f pod); T=$T; pod logs c | grep -q logged"
		pass "podman logs"
		is "podman inspect" "$(pod inspect -f '{{.State.Status}} {{.OCIRuntime}}' c)" "running $T/rl-oci"
		output_is "podman exec" in pod exec c echo in
		pod exec c sh -c 'exit 44'; is "its exit status" $? 44
		pod exec c nosuch 2>/dev/null; is "podman exec of what is not there" $? 127
		like "podman exec -t" "$(pod exec -t c tty | tr -d '\r')" '^/dev/pts/[0-9]+$'
		ok "podman pause" pod pause c
		is "podman sees it" "$(pod inspect -f '{{.State.Status}}' c)" paused
		ok "podman unpause" pod unpause c
		ok "podman top" pod top c
		ok "podman stop" pod stop -t 20 c
		is "by SIGTERM" "$(pod inspect -f '{{.State.ExitCode}}' c)" 0
		ok "podman start of a stopped one" pod start c
		ok "podman rm -f" pod rm -f c
	}
else
	fail "podman and conmon are installed"
fi
done_testing
