#!/usr/bin/env bash
# The operators' and methods' tests, and the smallest main job, under other instruction sets and numbers of threads.
#   bash tests/matrix.sh [--quick]       --quick: the operators' tests alone, under the smallest and the largest set
# What the processor lacks it leaves out and says so. Ends with 1 where any setting failed.
set -uo pipefail
quick=0
if [ "${1:-}" = --quick ]; then quick=1; fi
source "$(dirname "${BASH_SOURCE[0]}")/../reproduce/environment.sh"
prepare
OPERATORS=(tests/opticam/masking tests/dpnet/similarity/test_part_similarity.py tests/dpnet/similarity/test_forward_gradient.py)
METHODS=(tests/opticam/saliency tests/opticam/test_foreign_networks.py)

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

SETTINGS=("none 1 default SSE41" "avx2 1 avx2 AVX2" "avx512f 1 avx512 AVX512_CORE" "avx512f 2 avx512 AVX512_CORE" "amx_tile 1 avx512 ALL")
if [ "$quick" = 1 ]; then SETTINGS=("none 1 default SSE41" "avx512f 2 avx512 ALL"); fi
for words in "${SETTINGS[@]}"; do
    read -r -a words <<<"$words"
    tests=("${OPERATORS[@]}")
    if [ "$quick" = 0 ]; then tests+=("${METHODS[@]}"); fi
    setting "${words[@]}" "$PYTHON" -m pytest -x "${tests[@]}"
    if [ "$quick" = 0 ]; then
        results=$(mktemp -d)
        setting "${words[@]}" "$PYTHON" -m reproduce run --limit 1 --quiet --only opticam-main --results "$results"
        rm -r "$results"
    fi
done

if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED  %s\n' "${failed[@]}" >&2
    exit 1
fi
echo "passed under every setting that the processor has"
