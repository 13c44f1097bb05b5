#!/bin/bash
# SIGKILL at 200 random moments of pull, load, rmi and prune: `system check` calls the store sound each time, and every
# image that was whole before still runs. RL_KILL_ROUNDS says how many, RL_KILL_SEED repeats a run.
# deadline: 420
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"
. "$HELPERS/registry.sh"
have docker-registry || skip_all "docker-registry is not installed"
start_registry plain || skip_all "the registry does not start"
R=127.0.0.1:$PORT
printf 'unqualified-search-registries = []\n[[registry]]\nlocation = "%s"\ninsecure = true\n' "$R" >registries.conf
export CONTAINERS_REGISTRIES_CONF=$T/registries.conf
rounds=${RL_KILL_ROUNDS:-200}

payload_rootfs root && for i in $(seq 150); do echo "$i" >"root/file$i"; done
tar -C root --owner=0 --group=0 --numeric-owner -czf root.tar.gz .
"$HELPERS/make-image" oci load.tar --name localhost/load:1 --layers 8 --gzip
head -c 4000000 /dev/urandom >root/noise
tar -C root --owner=0 --group=0 --numeric-owner -czf pull.tar.gz .
ok "an image is pushed" sh -c "rl import pull.tar.gz $R/team/pull:1 && rl push -q $R/team/pull:1 && rl rmi $R/team/pull:1"
ok "one that is there all the time is imported" rl import root.tar.gz localhost/whole
ok "and one is loaded that is there all the time" rl load -i load.tar
rl tag localhost/load:1 localhost/stays:1
runs() { [ "$(rl run --rm --network none --pull=never localhost/whole /tinit args kept 2>&1)" = kept ]; }
ok "it runs" runs

# In a session of its own, and all of that ends at once after so many microseconds.
kill_after() {
	local us=$1 pid
	shift
	setsid "$@" >/dev/null 2>&1 &
	pid=$!
	python3 -c 'import sys,time; time.sleep(int(sys.argv[1]) / 1e6)' "$us"
	kill -KILL -- "-$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
}

# How long each takes undisturbed: kills are spread over a little more than that.
took() {
	local start=${EPOCHREALTIME/[.,]/}
	"$@" >/dev/null 2>&1
	echo $(((${EPOCHREALTIME/[.,]/} - start) * 6 / 5))
}
limits=("$(took rl pull -q $R/team/pull:1)" "$(took rl load -i load.tar)" \
	"$(took rl rmi --force $R/team/pull:1 localhost/load:1)" "$(took rl system prune -f)")
diag "microseconds of pull, load, rmi and prune: ${limits[*]}"
RANDOM=${RL_KILL_SEED:-$$}
diag "RL_KILL_SEED=${RL_KILL_SEED:-$$}"
bad=0
finished=0
for ((i = 0; i < rounds; i++)); do
	us=$(((RANDOM * 32768 + RANDOM) % limits[i % 4]))
	case $((i % 4)) in
	0) kill_after $us rl pull -q $R/team/pull:1 ;;
	1) kill_after $us rl load -i load.tar ;;
	2) kill_after $us rl rmi --force $R/team/pull:1 localhost/load:1 ;;
	3) kill_after $us rl system prune -f ;;
	esac
	# A deep look each tenth time; it compares every layer with its blob.
	quick=-q
	((i % 10)) || quick=
	if ! rl system check $quick >.check 2>&1; then
		diag "round $i, after $us us:"
		diag "$(head -5 .check)"
		bad=$((bad + 1))
	fi
	runs || { diag "round $i: the image that was there does not run"; bad=$((bad + 1)); }
	rl image exists localhost/stays:1 || { diag "round $i: the other one is gone"; bad=$((bad + 1)); }
	rl image exists $R/team/pull:1 && finished=$((finished + 1))
done
is "after $rounds kills nothing was ever broken" "$bad" 0
diag "in $finished of them the pulled image was there"
ok "and the deep look agrees" rl system check
ok "also from outside" "$HELPERS/check-store" "$RL_ROOT"
ok "what was interrupted can be done again: pull" rl pull -q $R/team/pull:1
output_is "and it runs" again rl run --rm --network none --pull=never $R/team/pull:1 /tinit args again
ok "load" rl load -i load.tar
ok "rmi" rl rmi --force $R/team/pull:1 localhost/load:1 localhost/stays:1
ok "prune" rl system prune -f
ok "a repair removes what is left over" rl system check --repair
is "then nothing is" "$(rl system check | grep -c leftover)" 0
ok "the image from before runs" runs
done_testing
