#!/bin/bash
# SIGKILL at random moments of every verb that changes something: what is listed is true, the store is sound, what was
# not touched runs, and the verb can be done again. RL_KILL_ROUNDS (1100) kills that met a running command in all, as many
# for each verb; RL_KILL_SEED repeats a run, RL_FAULT_ONLY takes the scenarios whose names match it.
# deadline: 3600
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$(dirname "$0")/scenarios.sh"
rounds=${RL_KILL_ROUNDS:-1100}
RANDOM=${RL_KILL_SEED:-$$}
diag "RL_KILL_SEED=${RL_KILL_SEED:-$$}"
prepare_scenarios
ok "an image that nothing below touches runs" whole

# In a session of its own, all of which ends at once after so many microseconds.
kill_after() {
	setsid bash -c "exec </dev/null >/dev/null 2>&1; $2" &
	local pid=$!
	read -r -t "$(printf '%d.%06d' $(($1 / 1000000)) $(($1 % 1000000)))" _ <&"$never"
	kill -KILL -- "-$pid" 2>/dev/null && kills=$((kills + 1))
	wait "$pid" 2>/dev/null
}
exec {never}<> <(:) # nothing is ever read from it: a pause without a process, which would take longer than some verbs
kills=0
each=$(((rounds + ALL_SCENARIOS - 1) / ALL_SCENARIOS))
for scenario in "${SCENARIOS[@]}"; do
	IFS='|' read -r name before command <<<"$scenario"
	bash -c "$before" >/dev/null 2>&1
	start=${EPOCHREALTIME/[.,]/}
	ok "$name: works undisturbed" bash -c "$command"
	took=$(((${EPOCHREALTIME/[.,]/} - start) * 5 / 4 + 500))
	bad=
	before_this=$kills
	# A kill that came too late counts for nothing; four times as many as wanted are tried.
	for ((i = 0; i < 4 * each && kills < before_this + each; i++)); do
		bash -c "$before" >/dev/null 2>&1
		us=$(((RANDOM * 32768 + RANDOM) % took))
		met=$kills
		kill_after $us "$command"
		# The machine's load changes: about one kill of five is to come too late, so that the end of a verb is tried too.
		took=$((kills > met ? took * 33 / 32 : took * 7 / 8 + 500))
		legal_states || bad="$bad states after $us us;"
		rl system check -q >.check 2>&1 || bad="$bad store after $us us: $(grep -v sound .check | head -3);"
		((i % 8)) || whole || bad="$bad the other image does not run after $us us;"
	done
	is "$name: kills break nothing" "$bad" ""
	ok "$name: $each kills met the running command" test $((kills - before_this)) -ge $each
	bash -c "$before" >.before 2>&1
	ok "$name: works again" bash -c "$command" || diag "$(tail -3 .before)"
done
diag "$kills kills met a running command"
remove_all
is "every container can be removed" "$(rl ps -aq)" ""
is "and every volume and network" "$(rl volume ls -q)$(rl network ls -q | grep -c '^x')" 0
ok "the deep look agrees" rl system check
ok "a repair removes what is left over" rl system check --repair
ok "also from outside" "$HELPERS/check-store" "$RL_ROOT"
leftovers "no process or mount stays"
done_testing
