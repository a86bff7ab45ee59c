#!/usr/bin/env bash
# Makes .venv in the project: `environment.sh serve` for running it, `environment.sh test` for its tests as well.
# Does nothing where that was done before with the same Python, pyproject.toml, constraints.txt and place;
# `environment.sh test --ask` does nothing at all, and fails where something would be done.
set -euo pipefail
cd "$(dirname "$0")/../.."

wanted=${1:-serve}
torch=torch==2.13.0
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_CACHE_DIR=${PIP_NO_CACHE_DIR-1}
export PYTHONNOUSERSITE=1
unset PYTHONPATH PYTHONHOME

say() { printf '\n== %s\n' "$*"; }

recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# ensurepip is what Debian leaves out of python3: without it a venv has no pip.
complete() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

find_python() {  # find_python TEST: the first interpreter from 3.11 on that passes TEST
    local name
    for name in ${PYTHON:-python3.11 python3.12 python3.13 python3 python3.14}; do
        if command -v "$name" >/dev/null && recent "$name" && "$1" "$name"; then
            command -v "$name"
            return
        fi
    done
    return 1
}

python_or_stop() {
    find_python complete && return
    local short package
    if ! short=$(find_python true); then
        echo "Triage Gateway needs Python 3.11 or newer, and there is none here (PYTHON=/path/to/python3 names one)." >&2
        return 1
    fi
    package=$("$short" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "$short cannot make virtual environments: installing $package" >&2
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$package"; } >&2
        find_python complete && return
    fi
    printf '%s cannot make virtual environments. Run this one line, then the same command again:\n\n' "$short" >&2
    printf '    sudo apt-get install -y %s\n\n' "$package" >&2
    return 1
}

state() {  # what an environment depends on; one line that changes when it must be made again
    { cat pyproject.toml constraints.txt config/setup/environment.sh adapters/dicom/transport/_alike.c; pwd -P; command -v cc || true; .venv/bin/python -V; } | sha256sum
}

done_before() {  # the test environment serves as well
    local stamp
    for stamp in ".venv/.$wanted" .venv/.test; do
        [ -f "$stamp" ] && .venv/bin/python -c '' 2>/dev/null && [ "$(cat "$stamp")" = "$(state)" ] && return
    done
    return 1
}

make_venv() {
    [ "$(cat .venv/.place 2>/dev/null)" = "$(pwd -P)" ] && .venv/bin/python -m pip --version >/dev/null 2>&1 && return
    local python
    python=$(python_or_stop)
    say "Making .venv with $("$python" -V) ($python)"
    "$python" -m venv --clear .venv
    pwd -P > .venv/.place
}

install() { .venv/bin/python -m pip install -c constraints.txt "$@"; }

done_before && exit 0
[ "${2:-}" = --ask ] && exit 1
make_venv
# setuptools first and no build isolation: what builds the package is pinned like the rest.
if [ "$wanted" = test ]; then
    say "Installing PyTorch, for training and its tests (about 200 MB for CPU only, up to 3 GB with CUDA)"
    install 'setuptools>=77' "$torch"
    say "Installing the rest of what the tests need (about 280 MB)"
    install --no-build-isolation -e '.[train,dev,bench]'
else
    say "Installing what serving, validating and benchmarking need (about 180 MB to download, 790 MB on disk; no PyTorch)"
    install 'setuptools>=77'
    install --no-build-isolation -e '.[bench]'
fi
state > ".venv/.$wanted"
say "Ready: $(du -sh .venv | cut -f1) in .venv"
