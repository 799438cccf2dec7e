#!/bin/sh
# `make image`: builds deploy/Dockerfile with whatever this machine has, or says why it cannot and exits 0 (1 under CI
# with IMAGE=required). With docker: `docker buildx`. As root with buildah and mmdebstrap (Debian packages): without an
# engine and without a registry, from a base made of Debian packages; chroot isolation needs no namespaces.
#
# IMAGE_NAME (lastframe), VERSION and REVISION may be set. The result: `lastframe:VERSION`, also `lastframe:latest`.
set -eu
cd "$(dirname "$0")/../.."
name=${IMAGE_NAME:-lastframe}
version=${VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)}
revision=${REVISION:-$(git rev-parse HEAD 2>/dev/null || echo unknown)}
set -- --build-arg VERSION="$version" --build-arg REVISION="$revision" \
       --tag "$name:$version" --tag "$name:latest" --file deploy/Dockerfile

skip() {
    echo "image: skipped: $*"
    [ "${IMAGE:-}" = required ] && exit 1
    exit 0
}

if command -v docker >/dev/null && docker info --format '{{.ServerVersion}}' >/dev/null 2>&1; then
    docker buildx build --load "$@" .
    docker image ls "$name"
    exit 0
fi
command -v buildah >/dev/null || skip "no docker engine answers, and buildah is not installed (apt: buildah mmdebstrap)"
command -v mmdebstrap >/dev/null || skip "no docker engine answers, and mmdebstrap is not installed"
[ "$(id -u)" = 0 ] || skip "no docker engine answers, and building without one needs root"

export STORAGE_DRIVER=${STORAGE_DRIVER:-vfs}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! buildah inspect --type image lastframe-base >/dev/null 2>&1; then
    echo "image: making a base of Debian packages"
    # The same Python 3.11 and Debian 12 as python:3.11-slim-bookworm. Documentation and locales stay out.
    mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,python-is-python3,ca-certificates \
        --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*' \
        bookworm "$work/base.tar"
    base=$(buildah from scratch)
    buildah add --quiet "$base" "$work/base.tar" / >/dev/null
    buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$base"
    buildah commit --quiet --rm "$base" lastframe-base >/dev/null
fi
# What pip and TLS need on this machine, for the build only: nothing of it enters a layer.
for shared in /etc/ssl/certs /etc/pip.conf /etc/resolv.conf /usr/local/share/ca-certificates; do
    [ -e "$shared" ] && set -- --volume "$shared:$shared:ro" "$@"
done
buildah bud --isolation chroot --network host --layers=false --build-arg BASE=localhost/lastframe-base \
    --ignorefile deploy/Dockerfile.dockerignore "$@" .
buildah images "$name"
