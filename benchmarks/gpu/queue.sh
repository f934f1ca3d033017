#!/usr/bin/env bash
# On the GPU machine, in the packed folder: train, or resume, many rows side by side.
#   code/benchmarks/gpu/queue.sh RUNS --seconds 540 --out OUT
# See queue.py beside this file, and README.md.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
export KERAS_BACKEND="${KERAS_BACKEND:-jax}"
exec python3 -P -m benchmarks.gpu.queue "$@"
