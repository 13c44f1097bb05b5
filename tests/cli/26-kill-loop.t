#!/bin/bash
# Any of our processes killed at any moment, and many commands at once on one container: what is listed is true, and
# everything can be removed. RL_KILLS makes it longer.
# deadline: 240
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
wanted=${RL_KILLS:-300}
legal='^(created|running|restarting|stopping|exited)$'
RANDOM=4711

victims() {
	local m
	for m in $(rl inspect -f '{{.State.MonitorPid}} {{.State.Pid}}' $(rl ps -aq) 2>/dev/null); do
		[ "$m" != 0 ] && echo "$m" && ps -o pid= --ppid "$m" 2>/dev/null
	done
}

SECONDS=0
kills=0
bad=0
while [ $kills -lt "$wanted" ] && [ $SECONDS -lt 160 ]; do
	net=none
	[ $((RANDOM % 4)) = 0 ] && net=slirp
	ids=() # every other one with one user id only
	[ $((RANDOM % 2)) = 0 ] && ids=(RL_IDMAP=single)
	case $((RANDOM % 4)) in
	0) env "${ids[@]}" rl run -d --network $net busybox sleep 1000 >/dev/null 2>&1 & ;;
	1) env "${ids[@]}" rl run -d --network $net --restart always busybox sh -c 'sleep 0.05; exit 1' >/dev/null 2>&1 & ;;
	2) env "${ids[@]}" rl run --network $net busybox sleep 0.2 >/dev/null 2>&1 & ;;
	3) env "${ids[@]}" rl run -d --rm --network $net busybox sleep 0.1 >/dev/null 2>&1 & ;;
	esac
	starter=$!
	if [ $((RANDOM % 3)) = 0 ]; then
		sleep "0.00$((RANDOM % 10))"
		kill -9 $starter 2>/dev/null && kills=$((kills + 1))
	fi
	wait $starter 2>/dev/null
	for pid in $(victims | shuf -n $((RANDOM % 5))); do
		kill -9 "$pid" 2>/dev/null && kills=$((kills + 1))
	done
	for state in $(rl ps -a --format '{{.State}}' 2>/dev/null); do
		[[ $state =~ $legal ]] || bad=$((bad + 1))
	done
	[ $((RANDOM % 8)) = 0 ] && rl rm -fa >/dev/null 2>&1
done
ok "three hundred times a process of ours or of a container was killed" test "$kills" -ge "$wanted"
is "every state that was listed is one" "$bad" 0
for id in $(rl ps -q --no-trunc --filter status=running); do
	pid=$(rl inspect -f '{{.State.Pid}}' "$id" 2>/dev/null)
	kill -0 "$pid" 2>/dev/null && continue
	# Some end by themselves meanwhile; then they are not listed with that process any more.
	[ "$(rl inspect -f '{{.State.Status}} {{.State.Pid}}' "$id" 2>/dev/null)" != "running $pid" ] || bad=$((bad + 1))
done
is "what is listed as running runs" "$bad" 0
ok "rm -fa removes everything" rl rm -fa
is "nothing is listed" "$(rl ps -aq)" ""
is "no name stays" "$(ls "$RL_ROOT/names")" ""

# --- many at once
rl create --network none --name c busybox sh -c 'sleep 0.2' >/dev/null
for ((i = 0; i < 200; i++)); do
	case $((i % 8)) in
	0) rl start c ;;
	1) rl stop -t 0 c ;;
	2) rl restart -t 0 c ;;
	3) rl inspect c ;;
	4) rl kill c ;;
	5) rl ps -a ;;
	6) rl exec c true ;;
	7) rl pause c; rl unpause c ;;
	esac >/dev/null 2>&1 &
done
wait
rl unpause c >/dev/null 2>&1
like "two hundred commands at once end in a legal state" "$(rl inspect -f '{{.State.Status}}' c)" "$legal"
ok "start" rl start c
ok "stop" rl stop -t 0 c
is "which is true" "$(rl inspect -f '{{.State.Status}}' c)" exited
for ((i = 0; i < 20; i++)); do rl rm -f c & done >/dev/null 2>&1
wait
is "twenty removals at once remove it once and for all" "$(rl ps -aq)" ""
for ((i = 0; i < 10; i++)); do rl create --network none --name same busybox true & done >/dev/null 2>&1
wait
is "of ten that want one name, one gets it" "$(rl ps -aq | wc -l)" 1
rl rm -fa >/dev/null
for ((i = 0; i < 100; i++)); do rl create --network none busybox true; done >/dev/null
is "a hundred created are listed" "$(rl ps -aq | wc -l)" 100
rl rm -fa >/dev/null
is "and removed" "$(rl ps -aq)$(ls "$RL_ROOT/names")" ""
# --- killed between the two records
if have strace; then
	strace -o strace.out -e trace=signalfd4 -e inject=signalfd4:signal=KILL:when=1 rl run --rm --network none busybox sleep 5 2>/dev/null
	rl create --rm --network none --name kept busybox true >/dev/null
	rl run --rm --network none busybox true
	is "a run --rm that was killed before it said running is swept, a created one stays" "$(rl ps -a --format '{{.Names}}')" kept
	rl rm kept >/dev/null
else
	skip "strace is not installed" "a run --rm that was killed before it said running is swept, a created one stays"
fi
leftovers "no process or mount stays"
done_testing
