#!/usr/bin/env bash
# Pack what a GPU machine without a network needs into one folder:
#   benchmarks/gpu/pack.sh [FOLDER] [PYTHON_VERSION] [DATASET ...]
# The committed code, the wheels of Keras and of its requirements, and datasets, by
# default `mnist music`, from $RLADDER_DATA_DIR. The machine has PyTorch or JAX with CUDA.
set -euo pipefail
folder=$(realpath -m "${1:-build/gpu}")
python=${2:-3.12}
datasets=("${@:3}")
if [ ${#datasets[@]} = 0 ]; then datasets=(mnist music); fi
cd "$(dirname "$0")/../.."
if [ -e "$folder" ]; then
  echo "error: $folder exists: remove it, or name another folder." >&2
  exit 1
fi
mkdir -p "$folder/wheels" "$folder/data"
# Without large files that no run needs.
upload="git -c uploadpack.allowFilter=true upload-pack"
git clone -q --depth 1 --filter=blob:none --sparse -u "$upload" \
  -c "remote.origin.uploadpack=$upload" \
  "file://$PWD" "$folder/code"
git -C "$folder/code" sparse-checkout set --no-cone '/*' \
  '!/zoo/results/checkpoints' '!/zoo/weights/*.h5' '!/notebooks' '!/docs'
platforms=()
for tag in _2_28 _2_27 _2_24 _2_17 2014; do
  platforms+=(--platform "manylinux${tag}_x86_64")
done
keras=$(grep '^keras==' requirements.txt)
python3 -m pip download -q --no-deps --only-binary=:all: --python-version "$python" \
  --implementation cp "${platforms[@]}" -d "$folder/wheels" \
  "$keras" absl-py h5py markdown-it-py mdurl ml-dtypes namex optree packaging pygments rich \
  typing-extensions
if [ -n "${RLADDER_DATA_DIR:-}" ]; then
  for dataset in "${datasets[@]}"; do
    if [ -d "$RLADDER_DATA_DIR/$dataset" ]; then cp -r "$RLADDER_DATA_DIR/$dataset" "$folder/data"; fi
  done
fi
du -sh "$folder"
