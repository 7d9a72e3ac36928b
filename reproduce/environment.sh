# Sourced by reproduce/all.sh and tests/all.sh: make or reuse the Python environment and build the extensions.
# docs/build.sh takes its stages from here, too.
# Sets PYTHON to the interpreter to use. Honours NO_VENV=1 (use the current Python, install nothing).

CALLED_FROM=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
ROOT=$PWD
# Threads that wait give their core away: spinning ones make a busy machine ten times slower (measured here).
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}

say_how_to_go_on() { # on Ctrl-C: a stage that was stopped goes on where it was when the script runs again
    trap 'printf "\n== interrupted; nothing that was finished is lost, the same command goes on from here\n" >&2; exit 130' INT
}

CLEAR=''
if [ -t 1 ]; then CLEAR=$'\r\033[K'; fi  # on a terminal a stage's line is written when it begins, and over when it ends

logged() { # run a command, all that it says into $LOG; here one line for each stage that it tells of
    # Ctrl-C is for the command: what it says then must still reach the log.
    "$@" 2>&1 | (trap '' INT; exec tee -a "$LOG") | (trap '' INT; exec awk -v clear="$CLEAR" '
        /^stage .*: begins/ && clear { sub(/^stage /, ""); printf "%s   %s", clear, $0; fflush() }
        /^stage .*: done in/ { sub(/^stage /, ""); printf "%s   %s\n", clear, $0; fflush() }')
    return "${PIPESTATUS[0]}"
}

expected() { # expected STAGE: ", expected N s" where reproduce/profiles/stage_seconds.csv has it
    awk -F, -v stage="$1" -v run="${EXPECTED_OF:-,}" '$3 == stage && ($1 == "setup" || $1 "," $2 == run) {
        printf ", expected %d s", $4; exit }' "$ROOT/reproduce/profiles/stage_seconds.csv"
}

stage() { # stage NAME COMMAND...: run a command, say what it is and how long it took; with LOG set what it says goes there
    local name=$1 start=$SECONDS
    shift
    if [ -n "${LOG:-}" ]; then
        printf '== %s\n' "$name" >>"$LOG"
        if [ -n "$CLEAR" ]; then printf '== %s%s' "$name" "$(expected "$name")"; fi
        logged "$@" || {
            local status=$?
            printf '%s' "$CLEAR"
            tail -n 40 "$LOG" >&2
            printf '== %s: failed after %d s (exit status %d); all of it: %s\n' \
                "$name" $((SECONDS - start)) "$status" "$LOG" >&2
            exit "$status"
        }
        printf '%s== %s: done in %d s%s\n' "$CLEAR" "$name" $((SECONDS - start)) "$(expected "$name")"
        return
    fi
    printf '== %s\n' "$name"
    "$@" || { local status=$?; printf '== %s: failed after %d s (exit status %d)\n' "$name" $((SECONDS - start)) "$status" >&2; exit "$status"; }
    printf '== %s: done in %d s\n' "$name" $((SECONDS - start))
}

show_result() { # what the log says after its last report: where it lies, verdicts, failures
    local line
    line=$(grep -n '^report  .*\.html' "$LOG" | tail -n 1) || return 0  # a run of a few experiments writes none
    tail -n "+$((${line%%:*} + 1))" "$LOG" | sed '/^report  /d'
    line=${line#*:report  }
    line=${line% is up to date}
    printf 'open %s\n' "${line#"$CALLED_FROM"/}"
}

find_python() { # the interpreter that makes .venv: $PYTHON, or the first of a supported version on PATH
    local candidate candidates=(python3 python python3.13 python3.12 python3.11 python3.10)
    if [ -n "${PYTHON:-}" ]; then candidates=("$PYTHON"); fi
    for candidate in "${candidates[@]}"; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "no Python 3.10 to 3.13 found; install one or set PYTHON=/path/to/python" >&2
    return 1
}

digest() { "$PYTHON" - "$@" <<'PY'
import hashlib, pathlib, sys
digest = hashlib.sha256(sys.version.encode())
for name in sys.argv[1:]:
    path = pathlib.Path(name)
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(file.as_posix().encode() + b"\0" + file.read_bytes())
print(digest.hexdigest())
PY
}

build_digest() { # digest of the sources, and what setup.py is told besides: what was built otherwise is built again
    local name
    digest "$@"
    for name in FORCE_CUDA TORCH_CUDA_ARCH_LIST CXX; do
        if [ -n "${!name:-}" ]; then printf '%s=%s\n' "$name" "${!name}"; fi
    done
}

make_venv() { # make_venv FOLDER: a Python environment, unless a whole one is there; Ctrl-C may leave one without pip
    local python
    if "$1/bin/python" -m pip --version >/dev/null 2>&1; then return; fi
    python=$(find_python) || exit 1
    stage "make $1 with $("$python" --version)" "$python" -m venv "$1"
}

install_packages() {
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-input -r requirements.lock
}

build_extensions() { # compile csrc/ beside the packages; MAX_JOBS keeps the memory of small machines
    local log=.build.log
    if [ "${NO_VENV:-}" = 1 ]; then
        MAX_JOBS=${MAX_JOBS:-2} "$PYTHON" setup.py --quiet build_ext --inplace >"$log" 2>&1
    else
        MAX_JOBS=${MAX_JOBS:-2} "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-input \
            --no-build-isolation --no-deps --editable . >"$log" 2>&1
    fi || { tail -n 40 "$log" >&2; return 1; }
}

unless_done() { # unless_done STAMP DIGEST NAME COMMAND...: skip a stage whose inputs are as they were
    local stamp=$1 now=$2 name=$3
    shift 3
    if [ "$(cat "$stamp" 2>/dev/null)" = "$now" ]; then
        printf '== %s: up to date\n' "$name"
    else
        stage "$name" "$@"
        printf '%s\n' "$now" >"$stamp"
    fi
}

prepare() {
    if [ "${NO_VENV:-}" = 1 ]; then
        PYTHON=$(find_python) || exit 1
        "$PYTHON" -c 'import sys; from importlib.util import find_spec
sys.exit(not (find_spec("torch") and find_spec("torchvision")))' ||
            { echo "--no-venv: this Python lacks torch or torchvision" >&2; exit 1; }
        mkdir -p build
        unless_done build/.built "$(build_digest csrc setup.py)" "build the extensions" build_extensions
        return
    fi
    make_venv .venv
    PYTHON=$PWD/.venv/bin/python
    unless_done .venv/.installed "$(digest requirements.lock)" "install the pinned packages (about 6 GB)" install_packages
    unless_done .venv/.built "$(build_digest requirements.lock csrc setup.py pyproject.toml)" \
        "build the extensions" build_extensions
}

processes() { # one for each core, up to four: single threads share small networks better; with a GPU one
    if nvidia-smi -L >/dev/null 2>&1; then echo 1; else "$PYTHON" -c 'import os; print(min(4, os.cpu_count() or 1))'; fi
}
