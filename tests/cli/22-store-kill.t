#!/bin/bash
# SIGKILL at random moments of load, import, rmi, prune and the first run of an image: the store stays whole, every image
# that was whole runs, and the next command cleans up. RL_KILL_ROUNDS says how many kills (40).
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

make_image() { "$HELPERS/make-image" "$@"; }
check() { "$HELPERS/check-store" "$@" "$RL_ROOT"; }
rounds=${RL_KILL_ROUNDS:-40}

mkdir -p root/bin && cp /bin/busybox root/bin/ && ln -s busybox root/bin/cat && echo kept >root/kept
for i in $(seq 300); do echo "$i" >"root/file$i"; done
tar -C root --owner=0 --group=0 -czf root.tar.gz .
make_image docker docker.tar --name killed/docker:0 --layers 12 --images 2
make_image oci oci.tar --name killed/oci:1 --layers 12 --gzip --marker other
ok "an image is there before" rl import root.tar.gz whole
ok "and the store is whole" check

# after US COMMAND...: run it in a session of its own and kill all of it after so many microseconds.
kill_after() {
	local us=$1 pid
	shift
	setsid "$@" >/dev/null 2>&1 &
	pid=$!
	python3 -c 'import sys,time; time.sleep(int(sys.argv[1]) / 1e6)' "$us"
	kill -KILL -- "-$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
}

RANDOM=${RL_KILL_SEED:-$$}
diag "RL_KILL_SEED=${RL_KILL_SEED:-$$}"
bad=0
for ((i = 0; i < rounds; i++)); do
	us=$(((RANDOM * 32768 + RANDOM) % 120000))
	case $((i % 6)) in
	0) kill_after $us rl load -i docker.tar ;;
	1) kill_after $us rl load -i oci.tar ;;
	2) kill_after $us rl import root.tar.gz killed/import ;;
	3) kill_after $us rl rmi --force killed/docker:0 killed/docker:1 killed/oci:1 killed/import ;;
	4) kill_after $us rl image prune -f ;;
	5)
		[ -d "$RL_ROOT/layers" ] && remove_tree "$RL_ROOT/layers"
		kill_after $us rl run --rm --network none whole cat /kept
		;;
	esac
	if ! check >.check 2>&1; then
		diag "round $i, after $us us:"
		diag "$(head -5 .check)"
		bad=$((bad + 1))
	fi
	if [ "$(rl run --rm --network none whole cat /kept 2>&1)" != kept ]; then
		diag "round $i: the image that was there does not run"
		bad=$((bad + 1))
	fi
done
is "after $rounds kills nothing was ever damaged" "$bad" 0
ok "what was interrupted can be done again" rl load -i docker.tar
ok "and again" rl load -i oci.tar
ok "and the import too" rl import root.tar.gz killed/import
ok "all of it can be removed" rl rmi --force killed/docker:0 killed/docker:1 killed/oci:1 killed/import
ok "a prune cleans up" rl image prune -f
ok "and nothing is left over" check --tidy
output_is "the image from before runs" kept rl run --rm --network none whole cat /kept

# Two at once: both succeed, and there is one image.
for round in 1 2 3 4 5; do
	rl load -i oci.tar >/dev/null 2>.e1 & a=$!
	rl load -i oci.tar >/dev/null 2>.e2 & b=$!
	rl image prune -f >/dev/null 2>.e3 & c=$!
	wait $a && wait $b && wait $c && check >.check 2>&1 && rl image exists killed/oci:1 || {
		diag "round $round: $(cat .e1 .e2 .e3 .check)"
		break
	}
	rl rmi killed/oci:1 >/dev/null
	round=done
done
is "two loads and a prune at the same time do not disturb each other" "$round" done

done_testing
