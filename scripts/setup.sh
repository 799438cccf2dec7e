#!/usr/bin/env bash
# Makes .venv from the hashed locks and links this tree into it.  usage: scripts/setup.sh runtime|test|dev
# On a bare Debian, as root, it also installs the Debian packages that are missing; elsewhere it says which.
set -euo pipefail
cd "$(dirname "$0")/.."
level=${1:-runtime}
python=${PYTHON:-python3}

apt_install() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "note: not installed, and not installable from here: $* (apt-get install $*)" >&2
        return 0
    fi
    # Servers that packages bring must not start on the machine's own ports.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    apt-get update -qq >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11" >&2
    exit 1
}

if [ ! -x .venv/bin/pip ]; then
    rm -rf .venv
    "$python" -m venv .venv 2>/dev/null || { rm -rf .venv; apt_install python3-venv; "$python" -m venv .venv; }
fi

locks=(requirements/"$level".txt requirements/assets.txt)
[ "$level" = runtime ] || locks+=(requirements/test-assets.txt)
stamp=.venv/installed-$level
wanted=$(cat "${locks[@]}" | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "installing $level requirements into .venv ..."
    .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes "${locks[@]/#/-r}"
    echo "$wanted" >"$stamp"
fi
site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
printf '%s\n%s\n' "$PWD" "$PWD/protos" >"$site/lastframe.pth"

if [ "$level" != runtime ]; then
    missing=()
    command -v redis-server >/dev/null || missing+=(redis-server)
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing+=(rabbitmq-server)
    command -v ffmpeg >/dev/null || missing+=(ffmpeg)
    command -v chromium >/dev/null || missing+=(chromium)
    command -v curl >/dev/null || missing+=(curl)
    command -v openssl >/dev/null || missing+=(openssl)
    command -v node >/dev/null || missing+=(nodejs) # the guide's JavaScript
    command -v jq >/dev/null || missing+=(jq)
    ldconfig -p | grep -q libcurl.so.4 || missing+=(libcurl4)
    if [ ${#missing[@]} -gt 0 ]; then
        echo "installing Debian packages for the tests: ${missing[*]} ..."
        apt_install "${missing[@]}"
    fi
fi
