#!/usr/bin/env bash
# Measures Longsight against PyTorch on this machine and prints a markdown table: builds, makes .venv if it is not there,
# and runs scripts/bench_peers.py (its options: scripts/bench_peers.sh --help). Half an hour; leave the machine alone.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/mpi_environment.sh

case " $* " in
  *" --help "* | *" -h "*) exec /usr/bin/python3 scripts/bench_peers.py --help ;;
esac
scripts/setup.sh --with-peers >&2
cmake --preset host -DLONGSIGHT_NATIVE=ON >/dev/null
cmake --build --preset host --parallel "$(nproc)" --target longsight >&2
exec /usr/bin/python3 scripts/bench_peers.py "$@"
