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
OPERATORS=(tests/opticam/masking tests/opticam/acceleration tests/dpnet/similarity/test_part_similarity.py tests/dpnet/similarity/test_forward_gradient.py)
ACCURACY=(tests/opticam/masking/test_accuracy.py tests/opticam/masking/test_masks.py
    tests/opticam/acceleration/test_float64_convolution.py tests/dpnet/similarity/test_part_similarity.py)
METHODS=(tests/opticam/saliency tests/opticam/test_foreign_networks.py)
BUILDS=(tests/dpnet/similarity/test_cuda_compiles.py)

failed=()
setting() { # setting NAME VARIABLE=VALUE... -- COMMAND...: run a command as a processor of this setting would
    # One cache of torch.compile would hand a set the code that was made for another, which corrupts memory.
    local name=$1 variables=()
    shift
    while [ "$1" != -- ]; do variables+=("$1"); shift; done
    shift
    printf '== %s: %s\n' "$name" "$*"
    env "${variables[@]}" TORCHINDUCTOR_CACHE_DIR="$PWD/build/inductor/${name//[^A-Za-z0-9]/-}" "$@" || failed+=("$name: $*")
}

install_oldest() {
    grep -vE '^(torch|torchvision|triton|setuptools)==' requirements.lock >.venv-oldest/others.txt
    .venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
        "${OLDEST[@]}" "${OLDEST_CUDA[@]}" -r .venv-oldest/others.txt
}

oldest() ( # oldest COMMAND...: make .venv-oldest and run a command in a copy of this tree that is built with it
    python=$PWD/.venv-oldest/bin/python tree=$PWD/build/oldest
    make_venv .venv-oldest
    unless_done .venv-oldest/.installed "$(digest requirements.lock) ${OLDEST[*]} ${OLDEST_CUDA[*]}" \
        "install the oldest PyTorch" install_oldest
    mkdir -p "$tree"
    git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --target-directory "$tree"
    cd "$tree" && export PYTHONPATH=$tree && "$python" setup.py --quiet build_ext --inplace && "$python" "$@"
)

tests=("${OPERATORS[@]}" "${METHODS[@]}")
mapfile -t settings < <("$PYTHON" -m reproduce.studies.instruction_sets)
if [ "$quick" = 1 ]; then settings=("${settings[0]}") tests=("${ACCURACY[@]}"); fi
for line in "${settings[@]}"; do
    IFS=$'\t' read -r -a words <<<"$line"
    setting "${words[@]}" -- "$PYTHON" -m pytest -x "${tests[@]}"
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
