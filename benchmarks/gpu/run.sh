#!/usr/bin/env bash
# On the GPU machine, in the packed folder: train, or resume, one row of a table.
#   SECONDS_LEFT=540 code/benchmarks/gpu/run.sh OUT table-1 --row RLadder --seed 0
# OUT gets the checkpoint and, once the run is over, its figures in OUT/runs.csv. The
# run stops by itself before SECONDS_LEFT are over; the same command resumes it.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
export KERAS_BACKEND="${KERAS_BACKEND:-torch}"
out=$(realpath -m "$1")
shift
options=(--out "$out/run" --runs "$out/runs.csv")
if [ -e "$out/run/run.json" ]; then options+=(--resume); fi
if [ -n "${SECONDS_LEFT:-}" ]; then
  options+=(--time-budget "$((SECONDS_LEFT - SECONDS))")
fi
cd "$pack/code"
exec python3 -m zoo.reproduce "$@" "${options[@]}"
