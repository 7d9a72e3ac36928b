#!/usr/bin/env bash
# The operators' and methods' tests under other instruction sets, numbers of threads and with the oldest PyTorch;
# then the smallest main job under each of them, its printed cells compared.
#   bash tests/matrix.sh [--quick]       --quick: the operators' accuracy alone, under the smallest set
# What the processor lacks it leaves out and says so. Ends with 1 where any setting failed.
set -uo pipefail
quick=0
if [ "${1:-}" = --quick ]; then quick=1; fi
source "$(dirname "${BASH_SOURCE[0]}")/../reproduce/environment.sh"
prepare
OLDEST=(torch==2.11.0 torchvision==0.26.0 "setuptools>=77,<82")
OLDEST_CUDA=("nvidia-cuda-nvcc==13.0.*" "nvidia-cuda-crt==13.0.*" "nvidia-nvvm==13.0.*")
OPERATORS=(tests/opticam/masking tests/dpnet/similarity/test_part_similarity.py tests/dpnet/similarity/test_forward_gradient.py)
ACCURACY=(tests/opticam/masking/test_accuracy.py tests/opticam/masking/test_masks.py tests/dpnet/similarity/test_part_similarity.py)
METHODS=(tests/opticam/saliency tests/opticam/test_foreign_networks.py)
BUILDS=(tests/dpnet/similarity/test_cuda_compiles.py)

has() { # has FLAG: whether the processor has an instruction set; any where there is no way to ask
    [ "$1" = none ] || ! [ -r /proc/cpuinfo ] || grep -qw "$1" /proc/cpuinfo
}

failed=()
setting() { # setting FLAG THREADS CAPABILITY ISA COMMAND...: run a command as a processor with these sets would
    local flag=$1 threads=$2 capability=$3 isa=$4 name="$3, oneDNN $4, $2 threads"
    shift 4
    if ! has "$flag"; then
        printf '== %s: left out, the processor has no %s\n' "$name" "$flag"
        return
    fi
    printf '== %s: %s\n' "$name" "$*"
    OMP_NUM_THREADS=$threads ATEN_CPU_CAPABILITY=$capability ONEDNN_MAX_CPU_ISA=$isa "$@" || failed+=("$name: $*")
}

oldest() { # oldest COMMAND...: make .venv-oldest and run a command in a copy of this tree that is built with it
    local python=$PWD/.venv-oldest/bin/python tree=$PWD/build/oldest
    if [ ! -x "$python" ]; then
        .venv/bin/python -m venv .venv-oldest
        grep -vE '^(torch|torchvision|triton|setuptools)==' requirements.lock >.venv-oldest/others.txt
        "$python" -m pip install --quiet --disable-pip-version-check --no-input \
            "${OLDEST[@]}" "${OLDEST_CUDA[@]}" -r .venv-oldest/others.txt
    fi
    mkdir -p "$tree"
    git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --target-directory "$tree"
    (cd "$tree" && export PYTHONPATH=$tree && "$python" setup.py --quiet build_ext --inplace && "$python" "$@")
}

SETTINGS=("none 1 default SSE41" "avx2 1 avx2 AVX2" "avx512f 1 avx512 AVX512_CORE" "avx512f 2 avx512 AVX512_CORE" "amx_tile 1 avx512 ALL")
tests=("${OPERATORS[@]}" "${METHODS[@]}")
if [ "$quick" = 1 ]; then SETTINGS=("none 1 default SSE41") tests=("${ACCURACY[@]}"); fi
for words in "${SETTINGS[@]}"; do
    read -r -a words <<<"$words"
    setting "${words[@]}" "$PYTHON" -m pytest -x "${tests[@]}"
done
if [ "$quick" = 0 ]; then
    printf '== torch 2.11: build, tests, CUDA sources\n'
    oldest -m pytest -x "${OPERATORS[@]}" "${METHODS[@]}" "${BUILDS[@]}" || failed+=("torch 2.11")
    printf '== the smallest main job under each setting\n'
    "$PYTHON" -m reproduce.studies.machine_spread --limit 1 --only opticam-main --only dpnet-main \
        --interpreter "torch 2.11=$PWD/.venv-oldest/bin/python" || failed+=("the smallest main job")
fi

if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED  %s\n' "${failed[@]}" >&2
    exit 1
fi
echo "passed under every setting that the processor has"
