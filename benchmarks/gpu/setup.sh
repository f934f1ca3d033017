# Sourced by run.sh and queue.sh: the environment of a packed folder, which is the one
# that holds `code`. The first call installs the wheels into `site`.
pack=$(realpath -s "$(dirname "${BASH_SOURCE[0]}")/../../..")
site=$pack/site
if [ ! -d "$site" ]; then
  new=$(mktemp -d "$site.XXXX")
  python3 -m pip install -q --no-index --no-deps --target "$new" "$pack"/wheels/*.whl
  mv -T "$new" "$site" 2>/dev/null || rm -r "$new"  # another run was faster
fi
export PYTHONPATH="$pack/code:$site" RLADDER_DATA_DIR="$pack/data"
