#!/bin/bash
# A build that is killed at any moment: no half layer, no mount, no process; what was done is known, or done again.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

mkdir ctx && for i in $(seq 200); do echo "$i" >"ctx/f$i"; done
cat >ctx/Dockerfile <<'END'
FROM busybox AS side
RUN mkdir /side && echo side > /side/file
FROM busybox
RUN echo 1 > /1
COPY . /files/
RUN echo 2 > /2
COPY --from=side /side /side
RUN cat /files/* > /all
WORKDIR /w
END
build() { rl build -q --network none --timestamp 1000000000 "$@" ctx; }
want=$(build --no-cache)
like "the image is known" "$want" '^sha256:'
whole() { "$HELPERS/check-store" "$RL_ROOT" >"$T/check.out" 2>&1; }

# From the start to past the end of a whole build, at moments that lie evenly.
start=$(date +%s%N)
build --no-cache >/dev/null
took=$((($(date +%s%N) - start) / 1000))
bad=0 broken=0
for i in $(seq 24); do
	rl builder prune >/dev/null
	build >/dev/null 2>&1 &
	pid=$!
	read -r -t "$(awk "BEGIN { print $took * 1.1 * $i / 24 / 1000000 }")" _ <> <(:)
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
	[ "$(build)" = "$want" ] || { bad=$((bad + 1)); diag "round $i: another image"; }
	if [ -x "$HELPERS/check-store" ]; then whole || { broken=$((broken + 1)); diag "round $i: $(head -3 "$T/check.out")"; }; fi
done 2>/dev/null
is "after a SIGKILL at 24 moments the next build makes the same image" "$bad" 0
is "and the store is whole" "$broken" 0
# What the last of them had started may take a moment to die, and holds its lock until then.
tidy() { rl ps -a && [ -z "$(ls "$RL_ROOT/tmp")" ]; }
ok "the next command cleans up: nothing is left in tmp/" wait_for "an empty tmp/" 20 tidy
is "nor of the containers" "$(ls "$RL_ROOT/containers")" ""
leftovers "no process and no mount is left"

# --- interrupted
printf 'FROM busybox\nRUN echo 1 > /1\nRUN echo rea""dy; sleep 600\n' >slow
rl build --network none --progress plain -f slow ctx >slow.out 2>&1 &
pid=$!
ok "a build is under way" wait_for "the step" 60 grep -q ready slow.out
kill -TERM $pid
wait $pid
is "SIGTERM ends it with 128 + 15" $? 143
leftovers "with everything it had started"
like "what it had done is in the cache" "$(rl build --network none --explain -f slow ctx)" 'cached +RUN echo 1'
is "and no container is left" "$(ls "$RL_ROOT/containers")" ""
done_testing
