#!/bin/sh
# Make .venv with the locked requirements: with uv where it is installed, else with pip.
set -u

supported='import sys; sys.exit(sys.version_info < (3, 11))'
python=
for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c "$supported" >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "Stockpot needs Python 3.11 or newer, and this machine has $(python3 --version 2>/dev/null || echo none). Install a newer one and run make again." >&2
    exit 1
fi

if ! command -v uv >/dev/null 2>&1 && ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    echo "Stockpot needs Python's venv module, which $python lacks. Install it (on Debian and Ubuntu it is the package python3-venv) and run make again." >&2
    exit 1
fi

# What makes an environment anew empties the folder first, and would empty the one of another checkout.
if [ -L .venv ]; then
    echo "The packages have changed, and .venv is a link to an environment elsewhere, which is not touched. Bring that one up to date, or remove the link and run make again." >&2
    exit 1
fi

mkdir -p instance
log=instance/install.log
echo "Installing the locked packages into .venv; this happens once and takes a minute or less ..."
if command -v uv >/dev/null 2>&1; then
    uv venv --quiet --clear --no-python-downloads --python "$python" .venv >"$log" 2>&1 &&
        uv pip install --quiet --no-deps --require-hashes --python .venv/bin/python -r requirements-dev.txt >>"$log" 2>&1
else
    "$python" -m venv --clear .venv >"$log" 2>&1 &&
        .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --retries 1 --timeout 20 -r requirements-dev.txt >>"$log" 2>&1
fi
if [ $? -ne 0 ]; then
    echo "The packages could not be installed: $(grep -iE 'error|failed' "$log" | tail -n 1 | cut -c 1-300). Check that this machine reaches a Python package index and run make again; $log has the details." >&2
    exit 1
fi
touch .venv/installed
