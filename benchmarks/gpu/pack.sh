#!/usr/bin/env bash
# Everything that a GPU machine without a network lacks, in one folder:
#   benchmarks/gpu/pack.sh [FOLDER] [PYTHON_VERSION]
# The committed code, the wheels of Keras and of what it needs, and the data of
# $RLADDER_DATA_DIR. PyTorch or JAX with CUDA are on the machine already.
set -euo pipefail
folder=$(realpath -m "${1:-build/gpu}")
python=${2:-3.12}
cd "$(dirname "$0")/../.."
if [ -e "$folder" ]; then
  echo "error: $folder exists: remove it, or name another folder." >&2
  exit 1
fi
mkdir -p "$folder/wheels" "$folder/data"
# Without what is large and no run needs.
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
  for part in mnist music; do
    if [ -d "$RLADDER_DATA_DIR/$part" ]; then cp -r "$RLADDER_DATA_DIR/$part" "$folder/data"; fi
  done
fi
du -sh "$folder"
