#!/bin/sh
# Create .venv with a Python that the PJSIP wheel supports (3.11 or 3.12), and install what is asked for into it.
# Usage: tools/bootstrap.sh [EXTRA]      with EXTRA the package's optional dependencies, as pip names them
set -eu
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
    echo "needs root to run: $*" >&2; return 1; fi; }

find_python() {
    for candidate in ${PYTHON:-} python3.11 python3.12 python3; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            echo "$candidate"; return
        fi
    done
    echo "sipcore needs Python 3.11 or 3.12 (PJSIP's wheel exists for no other); name one with PYTHON=..." >&2
    exit 1
}

if [ ! -x .venv/bin/python ]; then
    python=$(find_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        as_root apt-get update -qq && as_root apt-get install -y -qq "python$version-venv"
    fi
    "$python" -m venv .venv
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${1:+[$1]}"
