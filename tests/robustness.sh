#!/usr/bin/env bash
# Everything of tests/robustness as often as docs/faults.md says, and that table; about half an hour on two cores.
#   bash tests/robustness.sh [--no-venv] [options of pytest]
set -euo pipefail
arguments=()
for argument in "$@"; do
    if [ "$argument" = --no-venv ]; then export NO_VENV=1; else arguments+=("$argument"); fi
done
source "$(dirname "${BASH_SOURCE[0]}")/../reproduce/environment.sh"
prepare
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
stage "faults" "$PYTHON" -m pytest --numprocesses "$(processes)" tests/robustness --long --write-faults docs/faults.md "${arguments[@]+"${arguments[@]}"}"
