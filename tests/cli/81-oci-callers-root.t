#!/bin/bash
# Engines drive rl-oci as root: podman with conmon, buildah, containerd's shim by ctr. Root only, because these engines'
# root mode is what is tested; each has its storage below T.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
# dockerd and root's podman switch forwarding on for the whole machine, and leave it so.
forward=/proc/sys/net/ipv4/ip_forward
on_finish "[ \$(cat $forward) = $(cat $forward) ] || echo $(cat $forward) >$forward"
. "$HELPERS/oci.sh"
oci_bundle b
tar -C b/rootfs -cf root.tar .

# --- podman ---
if have podman && have conmon; then
	# The machine's limits: podman asks for more open files than this account may have.
	limits="--ulimit nofile=256:256 --ulimit nproc=1024:1024 --network none"
	pod() { timeout -k 5 60 podman --root "$T/podman" --runroot "$T/podman-run" --storage-driver vfs --cgroup-manager cgroupfs --runtime "$T/rl-oci" "$@"; }
	on_finish 'pod rm -fa >/dev/null 2>&1; rmdir /sys/fs/cgroup/*/libpod_parent/* /sys/fs/cgroup/*/libpod_parent 2>/dev/null; umount -l "$T/podman/vfs" 2>/dev/null'
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

# --- buildah ---
if have buildah; then
	build() { timeout -k 5 60 buildah --root "$T/buildah" --runroot "$T/buildah-run" --storage-driver vfs "$@"; }
	made=$(build from scratch) && build add "$made" b/rootfs / >/dev/null 2>&1
	output_is "buildah run" "built 0" build run --runtime "$T/rl-oci" --isolation oci --network none "$made" -- sh -c 'echo built $(id -u)'
	build run --runtime "$T/rl-oci" --isolation oci --network none "$made" -- sh -c 'exit 45' 2>/dev/null; is "its exit status" $? 45
	build rm "$made" >/dev/null
else
	fail "buildah is installed"
fi

# --- containerd: its shim ---
if have containerd && have ctr; then
	mkdir containerd
	printf 'version = 2\nroot = "%s"\nstate = "%s"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "%s"\n' \
		"$T/containerd/root" "$T/containerd/state" "$T/containerd/sock" >containerd/config.toml
	containerd -c containerd/config.toml >containerd/log 2>&1 &
	containerd=$!
	on_finish "kill $containerd 2>/dev/null; wait $containerd 2>/dev/null; rmdir /sys/fs/cgroup/*/default 2>/dev/null"
	ctr() { timeout -k 5 60 ctr -a "$T/containerd/sock" "$@"; }
	wait_for "containerd" 30 sh -c "$(declare -f ctr); T=$T; ctr version"
	pod save -q --format oci-archive -o bb.oci bb >/dev/null 2>&1
	ok "containerd has the image" ctr image import --base-name localhost/bb bb.oci
	image=localhost/bb:latest
	output_is "ctr run --runc-binary" "shim 0" ctr run --rm --runc-binary "$T/rl-oci" $image c1 /bin/sh -c 'echo shim $(id -u)'
	ok "ctr run -d" ctr run -d --runc-binary "$T/rl-oci" $image c2 /bin/sleep 1000
	like "ctr task ls" "$(ctr task ls)" 'c2 +[0-9]+ +RUNNING'
	output_is "ctr task exec" in ctr task exec --exec-id e1 c2 /bin/echo in
	ok "ctr task pause" ctr task pause c2
	like "containerd sees it" "$(ctr task ls)" 'PAUSED'
	ok "ctr task resume" ctr task resume c2
	like "ctr task metrics finds the control groups" "$(ctr task metrics c2)" 'pids.current +1'
	ok "ctr task kill" ctr task kill -s KILL c2
	wait_for "its end" 30 sh -c "$(declare -f ctr); T=$T; ctr task ls | grep -q STOPPED"
	ok "ctr task delete" sh -c "$(declare -f ctr); T=$T; ctr task delete c2; ctr container delete c2"
	like "the shim shows the runtime's own error" "$(ctr run --rm --runc-binary "$T/rl-oci" $image c3 nosuch 2>&1)" 'executable file not found in \$PATH'
else
	fail "containerd and ctr are installed"
fi

# --- dockerd ---
if have dockerd && have docker; then
	mkdir docker
	dockerd --bridge=none --iptables=false --ip6tables=false --add-runtime "rl=$T/rl-oci" --default-runtime rl --data-root "$T/docker/data" \
		--exec-root "$T/docker/exec" --host "unix://$T/docker/sock" --storage-driver vfs --pidfile "$T/docker/pid" --containerd "$T/containerd/sock" >docker/log 2>&1 &
	dockerd=$!
	on_finish "kill $dockerd 2>/dev/null; wait $dockerd 2>/dev/null; rmdir /sys/fs/cgroup/*/docker 2>/dev/null"
	docker() { timeout -k 5 60 docker -H "unix://$T/docker/sock" "$@"; }
	wait_for "dockerd" 60 sh -c "$(declare -f docker); T=$T; docker info"
	docker import - bb <root.tar >/dev/null
	output_is "docker run" "dockerd 0" docker run --rm --network none bb sh -c 'echo dockerd $(id -u)'
	docker run --rm --network none bb nosuch 2>/dev/null; is "docker understands that the command is not there" $? 127
	output_is "docker run -m" 67108864 docker run --rm --network none -m 64m bb cat /sys/fs/cgroup/memory/memory.limit_in_bytes
	ok "docker run -d" docker run -d --name d1 --network none bb sleep 1000
	docker exec d1 sh -c 'exit 46'; is "docker exec" $? 46
	ok "docker pause and unpause" sh -c "$(declare -f docker); T=$T; docker pause d1 && docker unpause d1"
	ok "docker update" docker update --pids-limit 20 d1
	output_is "reaches the control group" 20 docker exec d1 cat /sys/fs/cgroup/pids/pids.max
	ok "docker stop" docker stop -t 1 d1
	ok "docker rm" docker rm d1
else
	fail "dockerd and docker are installed"
fi
done_testing
