#!/usr/bin/env bash
# The documentation, every warning an error: build/site/index.html, which opens offline.
#   bash docs/build.sh
# First it makes .venv-docs with the packages of docs/requirements.lock; the project itself is read, not imported.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../reproduce/environment.sh"

install_tools() {
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-input -r docs/requirements.lock
}

make_venv .venv-docs
PYTHON=$PWD/.venv-docs/bin/python
unless_done .venv-docs/.installed "$(digest docs/requirements.lock)" "install the pinned tools" install_tools
export NO_MKDOCS_2_WARNING=1 # an announcement of the theme's next version
stage "documentation in build/site" "$PYTHON" -m mkdocs build --strict
