#!/bin/bash
# Limits by cgroup directories: v1 hierarchies as root, a v2 directory as root and as an ordinary user to whom root has
# given a subtree. What this machine does not have mounted is skipped by name.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

run() { rl run --rm --network none "$@"; }
own() { awk -F: -v c="$1" '{ n = split($2, a, ","); for (i = 1; i <= n; i++) if (a[i] == c) print $3; if (c == "" && $2 == "") print $3 }' /proc/self/cgroup; }
mounted() { awk -v c="$1" '$0 ~ (" - cgroup cgroup ") && $NF ~ ("(^|,)" c "(,|$)") { print $5 }' /proc/self/mountinfo | head -n 1; }
none_at() { ! [ -e "$1" ]; }
mounted2() { awk '$0 ~ " - cgroup2 " { print $5; exit }' /proc/self/mountinfo; }

pids=$(mounted pids)
if [ -n "$pids" ] && [ -w "$pids$(own pids)" ]; then
	dir=$pids$(own pids)
	out=$(run --pids-limit 20 busybox sh -c 'n=0; while [ $n -lt 40 ]; do sleep 2 & n=$((n+1)); done; wait' 2>&1)
	like "v1: --pids-limit holds" "$out" "can't fork"
	unlike "and nothing is said to be missing" "$out" 'not enforced'
	ok "a fork bomb in a container ends with the container" rl run -d --name bomb --network none --pids-limit 200 \
		busybox sh -c 'f() { f | f & }; f; sleep 1000'
	ok "its cgroup exists while it runs" ls -d "$dir"/rl-*
	like "inspect names the rung" "$(rl inspect -f '{{.State.LimitsBy}}' bomb)" 'cgroup v1'
	ok "stop takes all of it" rl stop -t 0 bomb
	rl rm bomb >/dev/null
	ok "and the cgroup is gone" none_at "$dir"/rl-*
	ok "--require-limits is content" run --pids-limit 50 --require-limits busybox true
	output_is "the cgroup namespace begins at the container's cgroup" "/" run --pids-limit 50 busybox \
		sh -c "grep :pids: /proc/self/cgroup | cut -d: -f3"
	ok "a container with a limit runs" rl run -d --name live --network none --pids-limit 30 busybox sleep 1000
	output_is "exec is inside of the limit" 2 rl exec live sh -c "cat /proc/self/cgroup | grep -c ':\\(pids\\|freezer\\):/\$'"
	like "and cannot get past it" "$(rl exec live sh -c 'n=0; while [ $n -lt 60 ]; do sleep 1 & n=$((n+1)); done; wait' 2>&1)" "can't fork"
	ok "update changes it" rl update --pids-limit 77 live
	is "at once" "$(cat "$dir"/rl-*/pids.max)" 77
	kill -9 "$(rl inspect -f '{{.State.MonitorPid}}' live)"
	ok "after its monitor was killed it can be removed" rl rm -f live
	ok "with its cgroup" none_at "$dir"/rl-*
	rl run --rm --network none --pids-limit 30 busybox sleep 1000 &
	pid=$!
	ok "a container in the foreground has one" wait_for "the cgroup" 30 eval "ls -d $dir/rl-*"
	ok "and its payload runs" wait_for "the payload" 30 eval "grep -q . $dir/rl-*/cgroup.procs"
	wait_for "the record" 30 eval "grep -ql rl- $RL_ROOT/containers/*/state.json"
	kill -9 $pid
	wait_for "the end of the payload" 30 eval "! grep -q . $dir/rl-*/cgroup.procs"
	run busybox true
	ok "which the next rl sweeps up after a SIGKILL of rl" none_at "$dir"/rl-*
else
	skip "v1: --pids-limit holds" "no writable v1 pids hierarchy"
fi

cpu=$(mounted cpu)
if [ -n "$cpu" ] && [ -w "$cpu$(own cpu)" ]; then
	# Of one second of a busy loop, a quarter of a processor is used: the kernel's own account.
	ok "v1: a container with --cpus runs" rl run -d --name spin --network none --cpus 0.25 busybox sh -c 'while :; do :; done'
	is "its quota is a quarter of the period" "$(cat "$cpu$(own cpu)"/rl-*/cpu.cfs_quota_us)" 25000
	ok "and it is throttled" wait_for "throttling" 60 eval "! grep -q '^nr_throttled 0' $cpu$(own cpu)/rl-*/cpu.stat"
	ok "update --cpu-shares" rl update --cpu-shares 512 spin
	is "is there at once" "$(cat "$cpu$(own cpu)"/rl-*/cpu.shares)" 512
	rl rm -f spin >/dev/null
	sets=$(mounted cpuset)
	if [ -n "$sets" ] && [ -w "$sets$(own cpuset)" ]; then
		output_is "v1: --cpuset-cpus binds to a processor" "0" run --cpuset-cpus 0 busybox \
			sh -c "awk '/Cpus_allowed_list/ { print \$2 }' /proc/self/status"
		ok "v1: --cpuset-mems is taken" rl run -d --name node --network none --cpuset-mems 0 busybox sleep 1000
		is "and set" "$(cat "$sets$(own cpuset)"/rl-*/cpuset.mems)" 0
		ok "update --cpuset-cpus" rl update --cpuset-cpus 0 node
		is "is there at once" "$(cat "$sets$(own cpuset)"/rl-*/cpuset.cpus)" 0
		rl rm -f node >/dev/null
		must_fail "a node of memory that is not there is the kernel's refusal" --status 125 --stderr '--cpuset-mems: the kernel refuses' \
			run --cpuset-mems 99 busybox true
		must_fail "a processor that is not there is the kernel's refusal, with the option" --status 125 \
			--stderr '--cpuset-cpus: the kernel refuses' run --cpuset-cpus 4000 busybox true
	else
		skip "v1: --cpuset-cpus binds to a processor" "no writable v1 cpuset hierarchy"
	fi
else
	skip "v1: a container with --cpus runs" "no writable v1 cpu hierarchy"
fi

blkio=$(mounted blkio)
disk=$(lsblk -dno NAME,TYPE 2>/dev/null | awk '$2 == "disk" { print "/dev/" $1; exit }')
if [ -n "$blkio" ] && [ -w "$blkio$(own blkio)" ] && [ -b "$disk" ]; then
	number=$(lsblk -dno MAJ:MIN "$disk" | tr -d ' ')
	at=$blkio$(own blkio)
	has_it() { cat "$at"/rl-*/blkio."$1" 2>/dev/null; }
	ok "v1: every limit of a disk is taken" rl run -d --name reader --network none --device-read-bps "$disk:1m" --device-write-bps "$disk:2m" \
		--device-read-iops "$disk:30" --device-write-iops "$disk:40" busybox sleep 1000
	is "--device-read-bps is set" "$(has_it throttle.read_bps_device)" "$number 1048576"
	is "--device-write-bps is set" "$(has_it throttle.write_bps_device)" "$number 2097152"
	is "--device-read-iops is set" "$(has_it throttle.read_iops_device)" "$number 30"
	is "--device-write-iops is set" "$(has_it throttle.write_iops_device)" "$number 40"
	ok "update changes one of them" rl update --device-read-bps "$disk:3m" reader
	is "at once" "$(has_it throttle.read_bps_device)" "$number 3145728"
	is "and leaves the others" "$(has_it throttle.write_iops_device)" "$number 40"
	rl rm -f reader >/dev/null
	# Only cgroups below the root have these files.
	mkdir "$at/probe-$$"
	weighs=$(ls "$at/probe-$$" | grep -c 'weight$')
	rmdir "$at/probe-$$"
	if [ "$weighs" != 0 ]; then
		ok "v1: --blkio-weight is taken" rl run -d --name heavy --network none --blkio-weight 300 busybox sleep 1000
		is "and set" "$(cat "$at"/rl-*/blkio*.weight | sort -u)" 300
		ok "update --blkio-weight" rl update --blkio-weight 700 heavy
		is "is there at once" "$(cat "$at"/rl-*/blkio*.weight | sort -u)" 700
		rl rm -f heavy >/dev/null
		# A disk that the weighing scheduler does not have is the kernel's refusal.
		if rl run -d --name disk --network none --blkio-weight-device "$disk:400" busybox sleep 1000 >/dev/null 2>err; then
			like "--blkio-weight-device is set" "$(cat "$at"/rl-*/blkio*.weight_device)" "$number 400"
		else
			like "--blkio-weight-device is refused with the kernel's words, where the disk has no such scheduler" "$(cat err)" '--blkio-weight-device: the kernel refuses'
		fi
		rl rm -f disk >/dev/null 2>&1
	else
		must_fail "v1: --blkio-weight is refused by name where no scheduler weighs" --status 125 --stderr '--blkio-weight.*--require-limits' \
			run --blkio-weight 300 --require-limits busybox true
	fi
else
	skip "v1: every limit of a disk is taken" "no writable v1 blkio hierarchy or no disk"
fi

# cgroup v1 has no files of v2's names.
if [ -n "$cpu" ] && [ -w "$cpu$(own cpu)" ]; then
	must_fail "v1: --cgroup-conf is refused by name" --status 125 --stderr '--cgroup-conf.*--require-limits' \
		run --cpus 1 --cgroup-conf cpu.max=1000 --require-limits busybox true
	ok "v1: --cgroup-parent is taken" rl run -d --name below --network none --cgroup-parent /rltest-$$/a --cpus 0.5 busybox sleep 1000
	is "and is where the limit is" "$(cat "$cpu/rltest-$$/a"/rl-*/cpu.cfs_quota_us)" 50000
	like "stats tells processor time and processes" "$(rl stats --no-stream --format '{{.CPUPerc}} {{.PIDs}}' below)" '^[0-9.]+% 1$'
	rl rm -f below >/dev/null
	is "and it goes with the container" "$(find "$cpu/rltest-$$" -name 'rl-*')" ""
	rmdir /sys/fs/cgroup/*/rltest-$$/a /sys/fs/cgroup/*/rltest-$$ 2>/dev/null
	must_fail "--cgroups=disabled refuses what would need one" --status 125 --stderr 'exclude each other' \
		run --cgroups disabled --cpus 1 --require-limits busybox true
	ok "--cgroups=disabled makes none" rl run -d --name free --network none --cgroups disabled --cpus 0.5 busybox sleep 1000
	ok "even for a limit" none_at "$cpu$(own cpu)"/rl-*
	rl rm -f free >/dev/null
	ok "--cgroups=no-conmon is podman's word for enabled" rl run -d --name conmon --network none --cgroups no-conmon --cpus 0.5 busybox sleep 1000
	is "which the container's cgroup says" "$(cat "$cpu$(own cpu)"/rl-*/cpu.cfs_quota_us)" 50000
	rl rm -f conmon >/dev/null
fi

v2=$(mounted2)
if [ -n "$v2" ] && [ -w "$v2$(own "")" ]; then
	dir=$v2$(own "")
	ok "v2: --cgroups=enabled makes a cgroup without a limit" rl run -d --name plain --network none --cgroups enabled busybox sleep 1000
	ok "the payload was cloned into it" grep -q . "$dir"/rl-*/cgroup.procs
	output_is "and sees it as its root" "/" rl run --rm --network none --cgroups enabled busybox sh -c "sed -n 's/^0:://p' /proc/self/cgroup"
	rl rm -f plain >/dev/null
	ok "it goes with the container" none_at "$dir"/rl-*
	# podman's way for services: the cgroup rl is in, divided.
	mkdir "$dir/service-$$"
	in_service() { sh -c "echo \$\$ >$dir/service-$$/cgroup.procs; exec \"\$@\"" sh "$@"; }
	ok "--cgroups=split divides the cgroup rl is in" in_service rl run -d --name split --network none --cgroups split busybox sleep 1000
	ok "the payload is in one leaf" grep -q . "$dir/service-$$"/rl-*/cgroup.procs
	ok "its monitor in another" grep -qx "$(rl inspect -f '{{.State.MonitorPid}}' split)" "$dir/service-$$/supervisor/cgroup.procs"
	is "and nothing between" "$(cat "$dir/service-$$/cgroup.procs")" ""
	ok "a second one from there goes beside it" sh -c "echo \$\$ >$dir/service-$$/supervisor/cgroup.procs; exec rl run --rm --network none --cgroups split busybox true"
	rl rm -f split >/dev/null
	wait_for "the monitor's end" 30 eval "! grep -q . $dir/service-$$/supervisor/cgroup.procs"
	ok "when both are gone the cgroup can be removed" rmdir "$dir/service-$$/supervisor" "$dir/service-$$"
	must_fail "--cgroup-parent is another place" --status 125 --stderr 'names another' run --cgroups split --cgroup-parent /x busybox true
	# An ordinary user in a subtree of its own.
	user=${RL_TEST_USER:-}
	if [ -n "$user" ]; then
		sub=$dir/user-$$
		mkdir -p "$sub/shell" && chown -R "$user" "$sub"
		on_finish "rmdir $sub/shell $sub"
		export RLTEST_ROOT=$(mktemp -d /tmp/rltest-XXXXXX)
		chown "$user" "$RLTEST_ROOT"
		on_finish "runuser -u $user -- env RL_ROOT=$RLTEST_ROOT rl rm -fa; rm -rf $RLTEST_ROOT"
		as_user() { sh -c "echo \$\$ >$sub/shell/cgroup.procs; exec runuser -u $user -- env RL_ROOT=$RLTEST_ROOT \"\$@\"" sh "$@"; }
		output_is "v2: an ordinary user in a subtree of its own gets a cgroup" "/" as_user rl run --rm --network none \
			--cgroups enabled busybox sh -c "sed -n 's/^0:://p' /proc/self/cgroup"
		unlike "without a warning" "$(cat .err)" warning
		output_is "--cgroup-parent names the place" "/" as_user rl run --rm --network none \
			--cgroup-parent "${sub#"$v2"}" busybox sh -c "sed -n 's/^0:://p' /proc/self/cgroup"
		is "and nothing is left there" "$(find "$sub" -name 'rl-*')" ""
	else
		skip "v2: an ordinary user in a subtree of its own gets a cgroup" "there is no ordinary user"
	fi
else
	skip "v2: --cgroups=enabled makes a cgroup without a limit" "no writable cgroup v2"
fi
done_testing
