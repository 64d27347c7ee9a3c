#!/bin/sh
# Make .venv hold exactly what constraints.txt says, or say in one line why it cannot.
#
# A stamp in .venv keeps the hash of pyproject.toml, constraints.txt and this script, so that a second
# call costs milliseconds. PYTHON chooses the interpreter of a new environment (default: the system's python3
# where it fits, else the first in PATH).
set -eu
cd "$(dirname "$0")/.."

# A Python built without profile-guided optimisation (pyenv's default) runs a round a quarter slower than
# the system's; where both can carry the environment, the system's is taken unless PYTHON says otherwise.
fit='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python3
    /usr/bin/python3 -c "$fit" 2>/dev/null && PYTHON=/usr/bin/python3
fi
python=$PYTHON
stamp=.venv/.parley-setup
say() { echo "setup: $*" >&2; }
hash() { pwd; cat pyproject.toml constraints.txt tools/setup.sh | cksum; }

# The marker is the last thing an installation writes: with it, .venv is complete.
if [ -x .venv/bin/python ] && [ -x .venv/bin/parley ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(hash)" ]; then
    exit 0
fi

supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'
# Scripts in an environment hold its absolute path, so one that was moved or copied is made anew.
if [ -e "$stamp" ] && [ "$(head -n 1 "$stamp")" != "$(pwd)" ]; then
    rm -rf .venv
fi
if ! .venv/bin/python -c "$supported" 2>/dev/null; then
    command -v "$python" >/dev/null 2>&1 || { say "no $python found; install Python 3.11 to 3.14 or set PYTHON=/path/to/python"; exit 1; }
    "$python" -c "$supported" 2>/dev/null || {
        say "$python is $("$python" --version 2>&1), Parley needs Python 3.11 to 3.14; set PYTHON=/path/to/python"; exit 1; }
    "$python" -c 'import venv, ensurepip' 2>/dev/null || {
        say "$python has no venv module; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi
.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null

rm -f "$stamp"
say "installing into .venv (about a minute and a half the first time, all but silent)"
# pip and setuptools warn by the hundred, about caches and editable installations; what went wrong is an error,
# which twice quiet leaves. Which requirements conflict, pip only tells when it may talk.
what='.[desk,backtest,test,check]'
PYTHONWARNINGS=ignore .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check \
    -c constraints.txt -e "$what" || {
    say "pip could not install, see above; all of it: .venv/bin/python -m pip install -c constraints.txt -e '$what'"
    exit 1; }
hash > "$stamp"
say "ready"
