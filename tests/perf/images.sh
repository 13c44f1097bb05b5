#!/bin/bash
# images.sh BUILD [SECTION...] - images.py on a stage of its own: bench.sh makes the stage and comes back.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:?usage: images.sh BUILD [SECTION...]}
shift
[ "${STAGE:-}" ] || BENCH_IMAGES="$*" exec "$top/tests/perf/bench.sh" "$build" images
# shellcheck disable=SC2086
exec python3 "$top/tests/perf/images.py" ${BENCH_IMAGES:-}
