#!/usr/bin/env bash
# On the GPU machine, in the packed folder: train, or go on with, one row of a table.
#   SECONDS_LEFT=540 code/benchmarks/gpu/run.sh OUT table-1 --row RLadder --seed 0
# OUT gets the checkpoint and, once the run is over, its figures in OUT/runs.csv. The
# run stops by itself before SECONDS_LEFT are over; the same command then goes on.
set -euo pipefail
pack=$(realpath -s "$(dirname "$0")/../../..")
out=$(realpath -m "$1")
shift
site=$pack/site
if [ ! -d "$site" ]; then
  new=$(mktemp -d "$site.XXXX")
  python3 -m pip install -q --no-index --no-deps --target "$new" "$pack"/wheels/*.whl
  mv -T "$new" "$site" 2>/dev/null || rm -r "$new"  # a run beside this one was faster
fi
export PYTHONPATH="$pack/code:$site" RLADDER_DATA_DIR="$pack/data"
export KERAS_BACKEND="${KERAS_BACKEND:-torch}"
options=(--out "$out/run" --runs "$out/runs.csv")
if [ -e "$out/run/run.json" ]; then options+=(--resume); fi
if [ -n "${SECONDS_LEFT:-}" ]; then
  options+=(--time-budget "$((SECONDS_LEFT - SECONDS))")
fi
cd "$pack/code"
exec python3 -m zoo.reproduce "$@" "${options[@]}"
