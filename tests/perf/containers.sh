#!/bin/bash
# containers.sh BUILD [SECTION...] - containers.py on a stage of its own: bench.sh makes the stage and comes back.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:?usage: containers.sh BUILD [SECTION...]}
shift
[ "${STAGE:-}" ] || BENCH_CONTAINERS="$*" exec "$top/tests/perf/bench.sh" "$build" containers
# shellcheck disable=SC2086
exec python3 "$top/tests/perf/containers.py" ${BENCH_CONTAINERS:-}
