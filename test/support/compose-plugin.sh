#!/bin/sh
# Brings Docker's plugin `compose` (version 2) into .runtime/docker-cli, from the package of Debian 13 on Debian 12, which has
# version 1 alone: so that the suite runs with both. apt checks Debian's signature; nothing of it is installed or kept.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
plugins=$root/.runtime/docker-cli/cli-plugins
plugin=$plugins/docker-compose

# shellcheck disable=SC1091 # the system's
. /etc/os-release
if docker compose version >/dev/null 2>&1 || [ -x "$plugin" ] || [ "${VERSION_CODENAME-}" != bookworm ]; then exit 0; fi

staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
mkdir -p "$plugins" "$staging/parts" "$staging/lists/partial" "$staging/cache/archives/partial"
# shellcheck disable=SC2016 # for apt
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
  sed -n 's/ bookworm main$//p' | head -n 1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$staging/sources.list"

# apt ARGUMENT...: apt-get that knows of that one source alone, and of nothing that is installed.
apt() {
  apt-get -qq -o APT::Sandbox::User=root -o Dir::Cache="$staging/cache" -o Dir::State::Lists="$staging/lists" \
    -o Dir::Etc::SourceList="$staging/sources.list" -o Dir::Etc::SourceParts="$staging/parts" "$@" >&2
}

echo "Bringing Docker Compose 2 (13 MB), which Debian 12 does not have" >&2
cd "$staging"
apt update
apt download docker-compose
dpkg-deb --extract docker-compose_*.deb "$staging/package"
found=$staging/package/usr/libexec/docker/cli-plugins/docker-compose
"$found" version >&2
cp "$found" "$plugin.$$"
mv "$plugin.$$" "$plugin"
