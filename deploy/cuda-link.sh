#!/usr/bin/env bash
# Compiles and links the daemon for CUDA where there is no GPU and no driver, and looks at what the binary asks for.
#
#     deploy/cuda-link.sh [--release]
#
# The toolkit comes as wheels (deploy/cuda/requirements.txt, about 2 GB unpacked) into a cache outside the tree:
#   REVERIE_CUDA_CACHE    the cache folder                       (~/.cache/reverie-cuda)
#   REVERIE_CUDA_TARGET   cargo's target folder for this build   (target/cuda)
#   CUDA_COMPUTE_CAP      the GPU generation the kernels are for (80: Ampere; newer ones run it)
# What is proven: the features `cuda` and `cudnn` compile, every kernel passes nvcc, and the whole binary links. Without
# --release nothing is optimised, since nothing is run.
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/install.sh

cache=${REVERIE_CUDA_CACHE:-${HOME:?}/.cache/reverie-cuda}
target=${REVERIE_CUDA_TARGET:-$PWD/target/cuda}
profile=(--config 'profile.dev.opt-level=0' --config 'profile.dev.package."*".opt-level=0')
built=$target/debug/reverie
if [ "${1:-}" = --release ]; then
    profile=(--release)
    built=$target/release/reverie
elif [ $# -ne 0 ]; then
    echo "usage: deploy/cuda-link.sh [--release]" >&2
    exit 2
fi

debian_packages gcc g++ libc6-dev binutils
mkdir -p "$cache"
python_environment "$cache/venv" deploy/cuda/requirements.txt
packages=$("$cache/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
toolkit=$packages/nvidia/cu13

# The wheels hold lib*.so.N only; the linker looks for lib*.so.
links=$cache/links
rm -rf "$links"
mkdir -p "$links"
for library in "$toolkit"/lib/lib*.so.* "$packages"/nvidia/cudnn/lib/libcudnn.so.*; do
    name=$(basename "$library")
    ln -sf "$library" "$links/${name%%.so*}.so"
done
[ -e "$toolkit/lib64" ] || ln -s lib "$toolkit/lib64"
python3 deploy/cuda/make_stub.py "$toolkit" "$links"

export CUDA_HOME=$toolkit CUDA_PATH=$toolkit CUDA_ROOT=$toolkit CUDA_TOOLKIT_ROOT_DIR=$toolkit
export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80} NVCC_CCBIN=g++
export PATH=$toolkit/bin:$PATH LIBRARY_PATH=$links:$toolkit/lib
nvcc --version | sed -n 's/^Cuda compilation tools, //p'
echo "kernels for sm_$CUDA_COMPUTE_CAP"

started=$SECONDS
cargo build --locked "${profile[@]}" --target-dir "$target" --package reverie-server --features cudnn
echo "built in $((SECONDS - started)) s: $(du -h "$built" | cut -f1) binary, $(du -sh "$target" | cut -f1) target folder," \
    "$(du -sh "$cache/venv" | cut -f1) toolkit"

needed=$(readelf --dynamic --wide "$built" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p')
failed=0
for library in libcuda.so.1 libcublas.so.13 libcurand.so.10 libcudart.so.13 libcudnn.so.9; do
    if grep --quiet --line-regexp --fixed-strings "$library" <<<"$needed"; then
        echo "needs $library"
    else
        echo "does not need $library: the binary was not linked for CUDA" >&2
        failed=1
    fi
done
exit "$failed"
