#!/bin/sh
# packages.sh [PACKAGE...]: installs these packages, else what building, running and testing need, as far as the machine lacks
# them. Debian 12 (or a relative with these names); root, or a user with sudo. Nothing is touched when nothing is missing.
set -eu
export PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin${PATH:+:$PATH}"
packages="ocl-icd-opencl-dev opencl-headers pocl-opencl-icd libclblast-dev libsqlite3-dev libxxhash-dev zlib1g-dev libspng-dev
  libcjson-dev libcmocka-dev meson ninja-build pkg-config gcc g++ libc6-dev clang clang-format cppcheck git python3"
[ $# = 0 ] || packages="$*"
missing=""
for package in $packages; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q
# shellcheck disable=SC2086
$as_root apt-get install -q -y --no-install-recommends $missing
