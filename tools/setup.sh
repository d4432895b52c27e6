#!/usr/bin/env bash
# Makes .venv from a lock file: tools/setup.sh PYTHON LOCKFILE. Uses uv when it is there, and brings it when it is not.
set -euo pipefail
python=$1 lock=$2
cd "$(dirname "$0")/.."

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "Mainstay needs Python 3.11 or newer; '$python' is not. Try: make PYTHON=python3.11 demo" >&2
    exit 2
}

if [ ! -x .venv/bin/python ]; then
    # Debian splits venv off; where we may, we install it.
    "$python" -m venv .venv 2>/dev/null || {
        rm -rf .venv
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            apt-get update -qq
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
            "$python" -m venv .venv
        else
            echo "'$python -m venv' failed. On Debian or Ubuntu: sudo apt-get install python3-venv" >&2
            exit 2
        fi
    }
fi

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    [ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check uv
    uv=.venv/bin/uv
fi

# The system's certificates, not uv's own: behind a company's proxy only those know it. (Two names, by uv's version.)
export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1
# Byte code is written once here, so that every later start of the command is three to four times faster.
export UV_COMPILE_BYTECODE=1 VIRTUAL_ENV="$PWD/.venv" UV_LINK_MODE=copy
"$uv" pip install --quiet --require-hashes -r "$lock"
"$uv" pip install --quiet --no-deps --editable .
.venv/bin/python -m compileall -q src
