#!/bin/sh
# The virtual environment from the hashed lock file: with uv where it is installed, else with pip.
# Usage: PYTHON=python3 setup.sh VENV
set -eu
venv=${1:-.venv}

fail() { printf '\n%s\n\n' "$*" >&2; exit 1; }

# The python that was asked for, else the first that is new enough.
found=
for python in "${PYTHON:-python3}" python3 python3.14 python3.13 python3.12 python3.11; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$python; break; fi
done

if command -v uv >/dev/null 2>&1; then
    echo "Setting up $venv with uv ..."
    [ -x "$venv/bin/python" ] || uv venv --quiet --python "${found:->=3.11}" "$venv"
    uv pip install --quiet --python "$venv/bin/python" --require-hashes --compile-bytecode -r requirements.lock
    uv pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
    exit 0
fi

[ -n "$found" ] || fail "Relata needs Python 3.11 or newer, and \"${PYTHON:-python3}\" is not. Install one, or name it: make run PYTHON=/path/to/python3.12"
# Debian and Ubuntu ship python3 without the module that puts pip into a virtual environment.
"$found" -c 'import venv, ensurepip' 2>/dev/null || fail "\"$found\" cannot make virtual environments here. On Debian and Ubuntu: apt-get install python3-venv
Or install uv (https://docs.astral.sh/uv/), which needs nothing else."

echo "Setting up $venv with pip (about half a minute) ..."
[ -x "$venv/bin/pip" ] || "$found" -m venv "$venv"
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$venv/bin/python" -m pip install --quiet --compile --require-hashes -r requirements.lock
"$venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation --editable .
