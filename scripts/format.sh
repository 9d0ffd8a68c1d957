#!/usr/bin/env bash
# Formats all C++ and CUDA sources; with --check changes nothing and fails if something would change.
set -euo pipefail
cd "$(dirname "$0")/.."

how=(-i)
case "${1:-}" in
  "") ;;
  --check) how=(--dry-run -Werror) ;;
  -h | --help) echo "usage: scripts/format.sh [--check]"; exit 0 ;;
  *) echo "format: unknown argument '$1'; usage: scripts/format.sh [--check]" >&2; exit 64 ;;
esac

command -v clang-format >/dev/null || { echo "format: no clang-format; run scripts/setup.sh" >&2; exit 66; }

folders=()
for folder in runtime parallel model launch tests; do
  if [[ -d $folder ]]; then folders+=("$folder"); fi
done
mapfile -d '' -t files < <(find "${folders[@]}" -type f \
  \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' -o -name '*.inl' \) -print0 | sort -z)
if ((${#files[@]} == 0)); then echo "format: no sources"; exit 0; fi

if ! clang-format "${how[@]}" --style=file "${files[@]}"; then
  echo "format: run scripts/format.sh" >&2
  exit 1
fi
echo "format: ${#files[@]} files are in order"
