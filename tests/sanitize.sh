#!/usr/bin/env bash
# The C++ extensions under AddressSanitizer and UBSan: build them so in build/sanitized, then run the operators' tests
# and their fuzzing on them. About ten minutes, most of it compilation.
#   bash tests/sanitize.sh
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../reproduce/environment.sh"
prepare
root=$PWD
CXX=${CXX:-g++}
checks="-fsanitize=address,undefined -fno-sanitize=vptr -fno-omit-frame-pointer"

build() {
    rm -rf build/sanitized && mkdir -p build/sanitized
    cp -r csrc opticam dpnet reproduce tests setup.py pyproject.toml README.md LICENSE build/sanitized
    find build/sanitized -name '*.so' -delete
    (cd build/sanitized && CFLAGS="$checks" LDFLAGS="$checks" FORCE_CUDA=0 MAX_JOBS=${MAX_JOBS:-2} \
        "$PYTHON" setup.py --quiet build_ext --inplace >../sanitized.log 2>&1) || { tail -n 40 build/sanitized.log >&2; return 1; }
}

checked() { # a command in the sanitized tree: the runtimes come first, and the first fault ends the process
    (cd build/sanitized && env LD_PRELOAD="$("$CXX" -print-file-name=libasan.so) $("$CXX" -print-file-name=libubsan.so)" \
        ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
        PYTHONPATH="$root/build/sanitized:$root/build/sanitized/tests:$root/build/sanitized/tests/robustness/programs" \
        OMP_NUM_THREADS=2 "$PYTHON" "$@")
}

stage "build with sanitizers" build
masking=tests/opticam/masking
similarity=tests/dpnet/similarity
stage "masking" checked -m pytest -p no:cacheprovider $masking/test_{cpp,edges,accuracy,masks,operations,adam}.py
stage "float64 convolutions" checked -m pytest -p no:cacheprovider tests/opticam/acceleration/test_float64_convolution.py
stage "part similarity" checked -m pytest -p no:cacheprovider \
    $similarity/test_{part_similarity,screened,forward_gradient,whole_products}.py
stage "part similarity in pieces" checked -m pytest -p no:cacheprovider $similarity/test_chunked.py \
    -k "not memory"  # the sanitizers' own would be counted
for operation in saliency_mask channel_masks step_masks part_similarity; do
    stage "fuzzing of $operation" checked tests/robustness/programs/fuzz.py "$operation" 500
done
