#!/bin/sh
# check_install.sh BUILD: what a user of the library does: installs BUILD, builds the example against it through pkg-config with the
# shared and the static library, and in a project that has this one as a subproject; runs all three; looks at what is exported.
set -eu
build=$1
source=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

meson install -C "$build" --destdir "$scratch/root" --quiet
pc=$(dirname "$(find "$scratch/root" -name tconv3d.pc)")
export PKG_CONFIG_PATH="$pc" PKG_CONFIG_SYSROOT_DIR="$scratch/root"
lib=$(dirname "$(find "$scratch/root" -name 'libtconv3d.so.0')")

# The include path of the sysroot may repeat the system's own; that does no harm.
# shellcheck disable=SC2046
cc -o "$scratch/shared" demos/example.c $(pkg-config --cflags tconv3d) -L"$lib" -ltconv3d -lOpenCL
# shellcheck disable=SC2046
cc -o "$scratch/static" demos/example.c $(pkg-config --cflags tconv3d) "$lib/libtconv3d.a" \
  $(pkg-config --static --libs-only-l tconv3d | sed 's/-ltconv3d//')
LD_LIBRARY_PATH=$lib "$scratch/shared"
"$scratch/static"

mkdir -p "$scratch/user/subprojects"
ln -s "$source" "$scratch/user/subprojects/tconv3d"
cp demos/example.c "$scratch/user/user.c"
cat >"$scratch/user/meson.build" <<'MESON'
project('user', 'c')
executable('user', 'user.c', dependencies: dependency('tconv3d'))
MESON
meson setup "$scratch/user/build" "$scratch/user" --force-fallback-for=tconv3d >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
ninja -C "$scratch/user/build" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
"$scratch/user/build/user"

# Nothing but the API leaves the shared library.
if nm -D --defined-only "$lib/libtconv3d.so.0" | awk '$2 ~ /[TDB]/ {print $3}' | grep -v '^tconv3d_'; then
  echo "exported symbols that are not the API's" >&2
  exit 1
fi
