# oci-killed.sh - rl-oci's verbs, and the processes they make (the container's first, those that join it, hooks), ended by
# SIGKILL at their system calls, one after the other, and many callers at once: what is left is a state directory that can be
# used, and `delete --force` cleans up. Sourced by 89-oci-killed.t, as an ordinary user, and by 89-oci-killed-root.t, with
# control groups. RL_OCI_STEPS is how many moments of each verb are tried.
#
#     kill_verbs, kill_children, many_at_once     each a part of a test
. "$HELPERS/oci.sh"
on_finish 'for i in $(oci list -q); do oci delete -f "$i"; done'
STEPS=${RL_OCI_STEPS:-20}
NUMBER=4$(printf '%06d' $$)
oci_bundle b
oci_config b "$(oci_args sleep "$NUMBER")" 'c["hooks"] = {k: [{"path": "/bin/true"}] for k in ("createRuntime", "poststart", "poststop")}'

alive() { pgrep -f "(sleep $NUMBER|$T/rl-oci|rl-oci.*--root $T/state)" >/dev/null; }
remains() {
	ls state
	grep -o " $T/b[^ ]*" /proc/self/mountinfo
	find /sys/fs/cgroup -maxdepth 2 -name 'rl-oci-killed*' 2>/dev/null
}
# What is wrong now, or nothing. The processes of a killed caller end by themselves, but not at once.
wrong() {
	oci list -q >/dev/null || echo "list fails"
	oci state killed >document 2>message || grep -q 'does not exist' message || echo "state: $(cat message)"
	oci delete --force killed 2>message || echo "delete --force: $(cat message)"
	local n=0
	while alive && [ $n -lt 200 ]; do sleep 0.05; n=$((n + 1)); done
	! alive || echo "processes: $(pgrep -af "(sleep $NUMBER|$T/rl-oci)" | head -n 3)"
	remains
}
traced() { strace -qq -o "$1" "${@:3}" -e trace=all "$T/rl-oci" --root "$T/state" $2 </dev/null >/dev/null 2>&1; } 2>/dev/null
# strace counts each system call by its name.
the_call() { head -n "$1" trace | sed 's/(.*//' | awk '{count[$1]++; name = $1} END {printf "inject=%s:signal=SIGKILL:when=%d", name, count[name]}'; }
# at_every_step VERB PREPARE WORDS [CHECK]: WORDS is the command; PREPARE and CHECK are functions, CHECK prints what is wrong.
at_every_step() {
	local verb=$1 prepare=$2 words=$3 check=${4:-:} total n bad="" i killed=0
	$prepare
	traced trace "$words"
	total=$(wc -l <trace)
	wrong >/dev/null
	for i in $(seq 1 "$STEPS"); do
		n=$((i * total / STEPS))
		$prepare
		traced /dev/null "$words" -e "$(the_call $n)" || killed=$((killed + 1))
		bad="$bad$($check | sed "s/^/call $n of $total: /")"
		bad="$bad$(wrong | sed "s/^/call $n of $total: /")"
	done
	is "$verb killed at $STEPS of its system calls: the state can be used, delete --force cleans, nothing is left" "$bad" ""
	ok "... and it was killed at several of them" test $killed -ge $((STEPS / 5))
}
# at_every_child VERB PREPARE WORDS [CHECK]: the same for the processes that the verb makes. It has to end by itself then.
at_every_child() {
	local verb=$1 prepare=$2 words=$3 check=${4:-:} bad="" child each i n killed=0 status
	local -a calls
	$prepare
	# shellcheck disable=SC2086
	kill-child count calls "$T/rl-oci" --root "$T/state" $words </dev/null >/dev/null 2>&1
	mapfile -t calls <calls
	wrong >/dev/null
	each=$(((STEPS + ${#calls[@]} - 2) / (${#calls[@]} - 1)))
	for ((child = 1; child < ${#calls[@]}; child++)); do
		for ((i = 1; i <= each; i++)); do
			n=$(((i * calls[child] + each - 1) / each))
			$prepare
			# shellcheck disable=SC2086
			timeout -k 5 60 kill-child $child $n "$T/rl-oci" --root "$T/state" $words </dev/null >/dev/null 2>&1
			status=$?
			[ $status != 0 ] || killed=$((killed + 1))
			[ $status -lt 124 ] || bad="${bad}process $child, call $n: it does not end"
			bad="$bad$($check | sed "s/^/process $child, call $n: /")"
			bad="$bad$(wrong | sed "s/^/process $child, call $n: /")"
		done
	done
	is "$verb whose processes are killed at their system calls ends, the state can be used, delete --force cleans, nothing is left" "$bad" ""
	ok "... and they were killed at several of them" test $killed -ge $((STEPS / 3))
}
nothing() { :; }
created() { oci create -b b killed </dev/null >/dev/null 2>&1; }
running() { oci run -d -b b killed </dev/null >/dev/null 2>&1; }
stopped() { running && oci kill killed KILL && wait_for "its end" 20 sh -c "'$T/rl-oci' --root '$T/state' state killed | grep -q stopped"; }
says() { oci state killed 2>&1 | sed -n 's/.*"status": *"\([a-z]*\)".*/\1/p'; }
# A start that was killed has started it or has not; then it can still be.
startable() { case $(says) in created) oci start killed 2>&1 ;; running) ;; *) echo "start left it $(says)" ;; esac; }
usable() { [ "$(oci exec killed echo in 2>&1)" = in ] || echo "exec after the killed one fails"; [ "$(says)" = running ] || echo "it is $(says)"; }
# A create that was killed leaves an id that can be taken, once it was cleaned up.
again() { oci delete --force killed && created || echo "the id cannot be taken again"; }

kill_verbs() {
	at_every_step create nothing "create -b b killed" again
	at_every_step start created "start killed" startable
	at_every_step run nothing "run -d -b b killed"
	at_every_step exec running "exec -d killed sleep $NUMBER" usable
	at_every_step kill running "kill killed TERM"
	at_every_step "delete of a stopped one" stopped "delete killed"
	at_every_step "delete --force of a running one" running "delete --force killed"
	at_every_step "pause" running "pause killed"
}

kill_children() {
	at_every_child create nothing "create -b b killed" again
	at_every_child "run -d" nothing "run -d -b b killed"
	at_every_child exec running "exec killed true" usable
	at_every_child "exec -d" running "exec -d killed sleep $NUMBER" usable
	at_every_child "delete, with a hook," stopped "delete killed"
}

many_at_once() {
	life() { oci create -b b "many-$1" && oci start "many-$1" && oci exec "many-$1" true && oci kill "many-$1" KILL && oci delete -f "many-$1"; }
	pids=()
	for i in $(seq 24); do life "$i" </dev/null >/dev/null 2>>many.err & pids+=($!); done
	bad=0; for job in "${pids[@]}"; do wait "$job" || bad=$((bad + 1)); done
	is "24 containers live and end at the same time" "$bad $(cat many.err)" "0 "
	is "and nothing is left of them" "$(ls state)" ""
	anything() {
		local n verb
		for n in 1 2 3; do
			for verb in "create -b b same" "start same" "state same" "exec same true" "pause same" "resume same" "kill same KILL" "delete same" "delete -f same"; do
				# shellcheck disable=SC2086
				oci $verb </dev/null >/dev/null 2>>"same.$1" || true
			done
		done
	}
	for i in $(seq 8); do anything "$i" & done
	wait
	is "eight callers do everything to one id: every refusal is one of the runtime's own" \
		"$(cat same.* | sed 's/^rl-oci: //' | grep -vE '^(container (does not exist|with given ID already exists: same|not running|not paused|not running: [a-z]+)|cannot start a container (that has stopped.*|in the [a-z]+ state)|cannot delete container same that is not stopped: [a-z]+|cannot exec in a (stopped|paused) container.*|hint: .*|reach the container.s first process: .*|the container.s first process .*)$' | sort | uniq -c)" ""
	ok "delete --force cleans up after them" oci delete --force same
	is "nothing is left" "$(ls state)" ""
}
