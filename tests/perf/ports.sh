#!/bin/bash
# ports.sh BUILD [SECTION...] - ports.py on a stage of its own: bench.sh makes the stage and comes back.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:?usage: ports.sh BUILD [SECTION...]}
shift
[ "${STAGE:-}" ] || BENCH_PORTS="$*" exec "$top/tests/perf/bench.sh" "$build" ports
# shellcheck disable=SC2086
exec python3 "$top/tests/perf/ports.py" ${BENCH_PORTS:-}
