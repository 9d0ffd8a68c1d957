#!/usr/bin/env bash
# Everything from a fresh Debian 12 to test results: packages, build (preset host), all tests.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOF'
usage: scripts/test.sh [--skip-setup] [--portable] [--jobs N] [-- CTEST ARGUMENTS]
  --skip-setup  do not look for missing packages
  --portable    build for any x86-64-v3 machine instead of this one (LONGSIGHT_NATIVE=OFF)
  --jobs N      compile N files at a time (default: number of cores)
  --            the rest goes to ctest, for example: scripts/test.sh --skip-setup -- -R ops_test
EOF
}

setup=true
native=ON
jobs=$(nproc)
while (($#)); do
  case "$1" in
    --skip-setup) setup=false ;;
    --portable) native=OFF ;;
    --jobs) jobs=${2:?--jobs needs a number}; shift ;;
    --) shift; break ;;
    -h | --help) usage; exit 0 ;;
    *) echo "test: unknown argument '$1'" >&2; usage >&2; exit 64 ;;
  esac
  shift
done

step=setup
explain() {
  local status=$?
  ((status == 0)) && return
  echo
  case "$step" in
    setup) echo "test: the packages could not be installed; scripts/setup.sh alone shows why" ;;
    configure) echo "test: cmake could not configure. A missing package? scripts/setup.sh. Else: rm -rf build/host, and again" ;;
    build) echo "test: the build failed; the first error above counts. Again: cmake --build --preset host" ;;
    tests)
      echo "test: some tests failed. Again, only those: scripts/test.sh --skip-setup -- --rerun-failed"
      echo "      full output: build/host/Testing/Temporary/LastTest.log"
      ;;
  esac >&2
}
trap explain EXIT

source scripts/mpi_environment.sh
if $setup; then scripts/setup.sh; fi
step=configure
cmake --preset host -DLONGSIGHT_NATIVE=$native -DLONGSIGHT_UNITY=ON
step=build
cmake --build --preset host --parallel "$jobs"
step="tests"
# One more than there are processors: tests that start jobs wait half of their time.
ctest --test-dir build/host --parallel "$((jobs + 1))" --output-on-failure --no-tests=error --timeout 900 "$@"
