#!/usr/bin/env bash
# The main job: set up, explain eight photographs with a pretrained network, run both papers' experiments on the
# sample profile, write tables, figures and the report.
#   bash reproduce/all.sh [--no-venv] [options of `python -m reproduce run`, for example --limit 8 or --quiet]
# A line says how long each stage took and was expected to; details go to results/all.log.
# It says how many claims hold, but does not fail where one does not: `python -m reproduce check` judges them.
set -euo pipefail
arguments=()
# Photographs are left out where the options choose something else, and nothing is expected of other work.
photographs=1 work_of=sample limit='' before=''
for argument in "$@"; do
    case $argument in
        --no-venv) NO_VENV=1; continue ;;
        --results* | --output*) photographs=0 ;;
        --only* | --profile* | --images* | --network* | --optimize*) photographs=0 work_of='' ;;
        --limit=*) limit=${argument#*=} ;;
    esac
    if [ "$before" = --limit ]; then limit=$argument; fi
    before=$argument
    arguments+=("$argument")
done
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
# Memory that is given back stays with the process, in large pages: else a tenth of the time goes into asking for it anew.
malloc=glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=1073741824
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-$malloc}
begin=$SECONDS
say_how_to_go_on
mkdir -p results
LOG=$PWD/results/all.log
: >"$LOG"
prepare
cd "$CALLED_FROM"  # paths among the options are the caller's
run=("$PYTHON" -m reproduce run --processes "$(processes)" --quiet)
work="experiments"
if [ $photographs = 1 ]; then
    run+=(--first photographs)
    work="eight photographs and experiments"
fi
EXPECTED_OF=$work_of,$limit stage "$work" "${run[@]}" "${arguments[@]+"${arguments[@]}"}"
show_result
printf '== all done in %d s; details: %s\n' $((SECONDS - begin)) "${LOG#"$CALLED_FROM"/}"
