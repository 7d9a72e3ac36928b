#!/usr/bin/env bash
# Everything that needs a GPU, in calls of at most 6 minutes: build with CUDA, GPU tests, sanitizers, benchmarks, and
# what a profiler says of each kernel; a second call does what the first had no time for.
#   bash reproduce/gpu.sh OUTDIR [--no-venv]
# Tests and sanitizers that passed with today's sources, versions and GPU are named in OUTDIR/passed and do not run
# again. Benchmarks measure the rows that the CSV in OUTDIR, or else the committed one, lacks of today's sources, versions and
# GPU; a run that was cut short goes on from its OUTDIR. Leaves gpu.log and the CSV files with their tables and plots
# there, and `fastest_cuda.csv`, which belongs into dpnet/similarity/. A part that fails does not stop the others; the
# exit status then is 1. --no-venv uses the current Python and installs nothing.
set -uo pipefail
out=
for argument in "$@"; do
    if [ "$argument" = --no-venv ]; then export NO_VENV=1; else out=$argument; fi
done
if [ -z "$out" ]; then
    echo "usage: bash reproduce/gpu.sh OUTDIR [--no-venv]" >&2
    exit 2
fi
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2
exec > >(tee -a "$out/gpu.log") 2>&1
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
export FORCE_CUDA=${FORCE_CUDA:-1} MAX_JOBS=${MAX_JOBS:-$(nproc)} PYTHONUNBUFFERED=1

failed=0
deadline=350 # seconds after the start, the build counted: what is left of it bounds every part
part() { # part SECONDS NAME COMMAND...: run a command for at most SECONDS and go on whatever becomes of it
    local limit=$1 name=$2 start=$SECONDS left=$((deadline - SECONDS))
    shift 2
    if [ $left -lt "$limit" ]; then limit=$left; fi
    if [ $limit -lt 10 ]; then
        printf '== %s: left out, no time is left\n' "$name"
        failed=1
        return 1
    fi
    printf '== %s\n' "$name"
    timeout "$limit" "$@"
    local status=$?
    [ $status -eq 0 ] || failed=1
    printf '== %s: exit status %d after %d s\n' "$name" $status $((SECONDS - start))
    return $status
}
once() { # once SECONDS NAME COMMAND...: a part that is left out where it has passed
    if grep -qxF "$facts: $2" "$out/passed" 2>/dev/null; then printf '== %s: passed before\n' "$2"; return; fi
    part "$@" && echo "$facts: $2" >>"$out/passed"
}

# Nothing is silent for long. The last sleep outlives the loop: it must not keep the log open.
while sleep 20 >/dev/null 2>&1; do printf '.. %d s\n' $SECONDS; done &
trap "kill $!" EXIT

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv || true
part $deadline "set-up" bash -c 'source reproduce/environment.sh && prepare'
[ $failed = 0 ] || exit 1
prepare # up to date: says which Python it is
facts=$("$PYTHON" -c 'import sys, torch
from dpnet.similarity.library import cuda_obstacle
from reproduce.benchmarks.harness import fingerprint
sources = ["csrc", "dpnet", "opticam", "reproduce/benchmarks", "tests"]
sys.exit(cuda_obstacle() or print("torch", torch.__version__, torch.cuda.get_device_name(), fingerprint(sources)))') || exit 1
echo "$facts"
# What is right comes before what is fast: these limits leave time for a benchmark, those below are of a second call.
mapfile -t tests < <(find tests -name 'test_*_gpu.py' | sort)
once 120 "GPU tests" "$PYTHON" -m pytest -q -rfE -n 4 "${tests[@]}"
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
if [ -n "$sanitizer" ]; then
    for tool in memcheck racecheck; do
        for kernel in masking similarity; do # without the cache memcheck sees each tensor's bounds
            once 25 "$kernel under $tool" env PYTORCH_NO_CUDA_MEMORY_CACHING=1 "$sanitizer" --tool "$tool" \
                --error-exitcode 1 "$PYTHON" -m "reproduce.benchmarks.${kernel}.sanitize"
        done
    done
else
    echo "== compute-sanitizer is not installed: memory and race checks did not run"
fi
part 15 "what runs where" "$PYTHON" -m opticam info
part 30 "host's time" "$PYTHON" -m reproduce.benchmarks.overhead --device cuda --changed-only --out "$out"
part 80 "similarity benchmark" \
    "$PYTHON" -m reproduce.benchmarks.similarity --device cuda --quick --changed-only --out "$out"
part 15 "what auto is to choose" "$PYTHON" -m reproduce.benchmarks.similarity.choices \
    "$out/similarity_cuda.csv" --out "$out/fastest_cuda.csv"
part 80 "masking benchmark" "$PYTHON" -m reproduce.benchmarks.masking --device cuda --quick --changed-only --out "$out"
part 60 "Opti-CAM loop benchmark" "$PYTHON" -m reproduce.benchmarks.loop --device cuda \
    --part opti-cam --batches 1 8 64 --repeats 1 --changed-only --out "$out"
part 50 "part training benchmark" "$PYTHON" -m reproduce.benchmarks.part_training --device cuda \
    --images 3000 --classes 200 1000 --changed-only --out "$out"
profiler=$(command -v ncu || ls /usr/local/cuda/bin/ncu 2>/dev/null)
if [ -n "$profiler" ]; then
    kernels='(combine|mask|channel|step|row|cell|project|unit_parts|forward|hopper|reduce|slope|grad_parts)_kernel|nvjet|gemm'
    for step in masking similarity; do
        part 60 "$step under the profiler" "$profiler" --clock-control none --section SpeedOfLight -k "regex:$kernels" \
            --csv --page details --log-file "$out/profile_$step.csv" "$PYTHON" -m reproduce.benchmarks.profiled "$step"
    done
else
    echo "== ncu is not installed: no kernel was profiled"
fi
printf '== all done in %d s\n' $SECONDS
exit $failed
