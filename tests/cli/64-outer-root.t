#!/bin/bash
# deadline: 400
# rl inside containers of other engines, with what these do by default: the same pass over the verbs as 60-ladder-root.t, and
# the fewest options of the outer engine that are needed. Root only, because the outer engines run as root here.
#
# crun refuses machines with two cgroup versions, so the outer engines get a mount namespace in which /sys/fs/cgroup is
# version 2. There is no docker daemon: docker's restrictions (its filter, its capabilities, its masked paths) are given to
# podman one by one, which is what "docker" means here.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"
. "$HELPERS/ladder.sh"
for tool in podman crun runc; do have $tool || skip_all "$tool is not installed"; done

# The outer container's root: the machine's programs, and room to write.
root=$base/root
mkdir -p "$root"/{usr,lib,lib64,proc,sys,dev,tmp,etc,run,var/tmp,root,work} && ln -s usr/bin "$root/bin" && ln -s usr/sbin "$root/sbin"
cp /etc/passwd /etc/group /etc/hosts "$root/etc/"
binds=(/usr:/usr /usr/lib:/lib /usr/lib64:/lib64 "$RL_TEST_STAGE:$RL_TEST_STAGE")
v2='umount -R /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 none /sys/fs/cgroup || exit 125'
pass_in() { echo "export HOME=/work/home RL_ROOT=/work/store PATH='$PATH'; mkdir -p /work/home /work/files; cd /work/files; exec bash '$HELPERS/ladder-suite' /work/files $PORT"; }

# in_podman NAME COMMAND OPTION...
in_podman() {
	local name=$1 command=$2 d=$base/$1 b volumes=()
	shift 2
	mkdir -p "$d/work" && chmod 1777 "$d/work"
	for b in "${binds[@]}"; do volumes+=(-v "$b:ro"); done
	timeout 300 unshare -m --propagation private bash -c "$v2; exec \"\$@\"" sh \
		podman --root "$d/storage" --runroot "$d/run" --cgroup-manager=cgroupfs --runtime "$(command -v crun)" run --rm --cgroups=disabled \
		--ulimit nofile=1024:1024 --ulimit nproc=4096:4096 --network host "${volumes[@]}" -v "$d/work:/work" "$@" --rootfs "$root" \
		/bin/bash -c "$command" >"$d/result" 2>"$d/trouble"
	local status=$?
	umount -R "$d" 2>/dev/null
	return $status
}
outer() { # NAME OPTION...
	local name=$1
	shift
	in_podman "$name" "$(pass_in)" "$@"
	record "$name" "$base/$name/result" "$base/$name/trouble"
}
docker_caps=(--cap-drop ALL)
for cap in chown dac_override fsetid fowner mknod net_raw setgid setuid setfcap setpcap net_bind_service sys_chroot kill audit_write; do
	docker_caps+=(--cap-add "$cap")
done
docker_filter=$HELPERS/../data/seccomp-default.json

outer podman
like "podman: a container runs without any option of the outer one" "$(cell podman run)" '^(yes|rung)$'
like "podman: one that stays, too" "$(cell podman start)" '^(yes|rung)$'
outer podman-user --user "$uid:$gid"
like "podman-user: as an ordinary user of the outer container as well" "$(cell podman-user run)" '^(yes|rung)$'
outer docker --security-opt seccomp="$docker_filter" "${docker_caps[@]}"
is "docker: its filter allows no user namespace, so no container" "$(cell docker run)" no
in_podman docker-hint "export RL_ROOT=/work/store PATH='$PATH'; rl run --rm busybox true" --security-opt seccomp="$docker_filter" "${docker_caps[@]}"
like "docker: and the one option that is needed is named" "$(cat "$base/docker-hint/trouble")" 'hint:.*--security-opt seccomp=unconfined'
for verb in inspect images save pull push; do
	like "docker: $verb works" "$(cell docker $verb)" '^(yes|rung)$'
done
outer docker-unconfined --security-opt seccomp=unconfined "${docker_caps[@]}"
like "docker-unconfined: with that option a container runs" "$(cell docker-unconfined run)" '^(yes|rung)$'
like "docker-unconfined: with a network" "$(cell docker-unconfined network)" '^(yes|rung)$'

# runc as it is set up by itself: three capabilities, no_new_privs, no filter. outer_runc NAME UID COMMAND
outer_runc() {
	local name=$1 d=$base/$1
	mkdir -p "$d/work" && chmod 1777 "$d/work"
	(cd "$d" && runc spec) && python3 - "$d/config.json" "$root" "$d/work" "$2" "$3" "${binds[@]}" <<'PY'
import json, sys
path, root, work, uid, command = sys.argv[1:6]
c = json.load(open(path))
c["process"].update(terminal=False, rlimits=[], args=["/bin/bash", "-c", command], user={"uid": int(uid), "gid": int(uid)})
c["root"] = {"path": root, "readonly": True}
for bind in sys.argv[6:]:
    source, target = bind.split(":")
    c["mounts"].append({"destination": target, "source": source, "type": "bind", "options": ["rbind", "ro"]})
c["mounts"].append({"destination": "/work", "source": work, "type": "bind", "options": ["rbind"]})
c["mounts"].append({"destination": "/tmp", "source": "tmpfs", "type": "tmpfs"})
c["linux"]["namespaces"] = [n for n in c["linux"]["namespaces"] if n["type"] != "network"]
json.dump(c, open(path, "w"))
PY
	timeout 300 unshare -m --propagation private bash -c "$v2; cd $d; exec runc --root $d/state run rl-outer-$$" >"$d/result" 2>"$d/trouble"
}
outer_runc runc 0 "$(pass_in)"
record runc "$base/runc/result" "$base/runc/trouble"
is "runc: root there may not map itself, so no container" "$(cell runc run)" no
outer_runc runc-hint 0 "export RL_ROOT=/work/store PATH='$PATH'; rl run --rm busybox true"
like "runc: and what is missing is named" "$(cat "$base/runc-hint/trouble")" 'CAP_SETFCAP.*another user'
for verb in inspect images save pull push; do
	like "runc: $verb works" "$(cell runc $verb)" '^(yes|rung)$'
done
outer_runc runc-user "$uid" "$(pass_in)"
record runc-user "$base/runc-user/result" "$base/runc-user/trouble"
like "runc-user: as another user than root a container runs, without any option" "$(cell runc-user run)" '^(yes|rung)$'
compare_with_page
done_testing
