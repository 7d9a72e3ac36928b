#!/usr/bin/env bash
# All tests: set up, build, run pytest.
#   bash tests/all.sh [--no-venv] [options of pytest]
# One process per core shares the test files. Tests on real pictures run when OPTICAM_DATA names a folder that has them.
set -euo pipefail
arguments=()
for argument in "$@"; do
    if [ "$argument" = --no-venv ]; then NO_VENV=1; else arguments+=("$argument"); fi
done
source "$(dirname "${BASH_SOURCE[0]}")/../reproduce/environment.sh"
begin=$SECONDS
prepare
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
stage "tests" "$PYTHON" -m pytest --numprocesses "$(processes)" --dist loadfile "${arguments[@]+"${arguments[@]}"}"
printf '== all done in %d s\n' $((SECONDS - begin))
