#!/bin/bash
# run.sh: installs what is missing, builds, and runs every test: the suite as built for use, the suite under AddressSanitizer and
# UndefinedBehaviorSanitizer, clang's warnings, the format and cppcheck. Ends with the count of all tests.
set -euo pipefail
cd "$(dirname "$0")/.."
demos/packages.sh
export PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin${PATH:+:$PATH}"
failures=0

step() { # step NAME COMMAND...: runs the command, counts its failure and goes on
  echo "== $1"
  shift
  "$@" || { echo "FAILED: $*"; failures=$((failures + 1)); }
}

build() { # build DIR OPTION...
  local dir=$1
  shift
  [ -f "$dir/build.ninja" ] || meson setup "$dir" -Dwerror=true "$@" >"$dir.log" 2>&1 || { cat "$dir.log"; return 1; }
  rm -f "$dir.log"
  ninja -C "$dir"
}

format() {
  local wrong=0
  git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror || wrong=1
  for kernel in cl/*.cl; do clang-format --assume-filename=kernel.c <"$kernel" | diff -u "$kernel" - || wrong=1; done
  return $wrong
}

static_analysis() {
  cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability --inline-suppr \
    --suppress=missingIncludeSystem -Iinclude -Ilib -Idemos -I. lib demos tests
}

step "build" build build -Dtests=enabled -Ddemos=enabled
step "tests" meson test -C build --print-errorlogs
step "install and use" tests/check_install.sh build
step "build with sanitizers" build build-asan -Dtests=enabled -Ddemos=enabled -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false
# Code that the OpenCL runtime generated is no sanitizer's: the second run takes it from the first one's cache.
mkdir -p build/tests/pocl && rm -rf build-asan/tests/pocl && ln -s "$PWD/build/tests/pocl" build-asan/tests/pocl
step "tests with sanitizers" python3 tests/sanitized.py build-asan
# The suite above ran on PoCL; of the other OpenCL implementations a chosen part, whose counts are the last line.
rm -f build/runtimes.log
others() { tests/runtimes.py --timeout 240 intel-cpu intel-fpga rusticl oclgrind pocl-two-devices | tee build/runtimes.log; }
step "other runtimes" others
CC=clang step "build with clang" build build-clang -Dtests=enabled -Ddemos=enabled -Doptimization=0 # for its warnings
step "format" format
step "cppcheck" static_analysis

# cmocka's own counts, from the logs of both runs; a step that failed counts as one more.
logs=""
for dir in build build-asan; do [ -f $dir/meson-logs/testlog.txt ] && logs="$logs $dir/meson-logs/testlog.txt"; done
count() { # shellcheck disable=SC2086
  [ -z "$logs" ] || sed -n "s/.*\[  $1  \] \([0-9]*\) test(s).*/\1/p" $logs | awk '{sum += $1} END {print sum + 0}'
}
other() { [ ! -f build/runtimes.log ] || sed -n "s/^other runtimes:.* \([0-9]*\) $1.*/\1/p" build/runtimes.log; }
total() { echo $(($(count "$1") + $(other "$2" | tail -1) + 0)); }
echo "$(total PASSED passed) passed, $(($(total FAILED failed) + failures)) failed, $(total SKIPPED skipped) skipped"
[ "$failures" = 0 ]
