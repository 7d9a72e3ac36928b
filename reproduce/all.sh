#!/usr/bin/env bash
# The main job: set up, run both papers' experiments, write tables, figures and the report.
#   bash reproduce/all.sh [--no-venv] [options of `python -m reproduce run`, for example --limit 8 or --quiet]
# It says how many claims hold, but does not fail where one does not: `python -m reproduce check` judges them.
set -euo pipefail
arguments=()
for argument in "$@"; do
    if [ "$argument" = --no-venv ]; then NO_VENV=1; else arguments+=("$argument"); fi
done
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
begin=$SECONDS
say_how_to_go_on
prepare
cd "$CALLED_FROM"  # paths among the options are the caller's
stage "experiments" "$PYTHON" -m reproduce run --processes "$(processes)" "${arguments[@]+"${arguments[@]}"}"
printf '== all done in %d s\n' $((SECONDS - begin))
