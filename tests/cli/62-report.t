#!/bin/bash
# The run report: numbers of a run, where they come from, and where they go.
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

run() { rl run --rm --network none "$@"; }
member() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1" "$2"; }

output_is "the command's output stays alone on standard output" hi run --report line busybox echo hi
like "--report line is one line on standard error" "$(cat .err)" '^rl: report: exit 0, [0-9.]+ s, processor [0-9.]+ s user [0-9.]+ s system, memory [0-9.]+[KM]iB, [0-9.]+[A-Za-z]+ written$'
status_is "the status is the command's" 3 run --report json busybox sh -c 'head -c 3000000 /dev/zero >/file; exit 3'
cp .err report
is "--report json has it" "$(member report ExitCode)" 3
is "and that it ended by itself" "$(member report Ended)" exit
ok "what was written counts" [ "$(member report WrittenBytes)" -ge 3000000 ]
is "what is not known is null: there was no network" "$(member report NetworkSent)" None
run --report ./out.json --timeout 1 busybox sleep 100
is "a file gets the JSON; a time limit is named" "$(member out.json Ended)" timeout
ok "and took its time" python3 -c 'import json; r = json.load(open("out.json")); assert 0.9 < r["WallSeconds"] < 60, r'
run --report ./busy.json busybox sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'
ok "processor time is the command's" python3 -c 'import json; r = json.load(open("busy.json")); assert 0.02 < r["UserSeconds"] + r["SystemSeconds"] <= r["WallSeconds"] + 0.05, r'
rl run --rm --report ./net.json busybox true
ok "with a network its bytes are counted" python3 -c 'import json; r = json.load(open("net.json")); assert r["NetworkSent"] is not None, r'
ok "a detached container writes its report at its end" rl run -d --name d --network none --report ./d.json busybox sh -c 'kill -9 $$'
rl wait d >/dev/null
ok "to the file, wherever the monitor is" [ -s d.json ]
is "with the name" "$(member d.json Name)" d
rl rm d >/dev/null
must_fail "--report line of a detached container is refused" --status 125 --stderr 'give a file' rl run -d --report line busybox true
must_fail "a mistyped word is no file" --status 125 --stderr "line, json" run --report jsn busybox true
leftovers "nothing is left"
done_testing
