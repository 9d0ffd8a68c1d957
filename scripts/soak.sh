#!/usr/bin/env bash
# Long loops that CI does not run: each section looks for what the tests' few examples miss.
# usage: scripts/soak.sh [--list] [SECTION ...]     (all of them without names)
#   SECONDS_EACH=600 scripts/soak.sh templates_fuzz
set -euo pipefail
cd "$(dirname "$0")/.."

seconds_each=${SECONDS_EACH:-300}
sections=(templates templates_fuzz pictures_fuzz late_failures ranks neighbours mutations)

# Published and random chat templates against jinja2 (needs .venv: scripts/setup.sh --with-peers).
templates() {
  cmake --preset host >/dev/null
  cmake --build --preset host --target render
  .venv/bin/python -W ignore scripts/check_templates.py --random 10000 --seed "${SEED:-1}" --time
}

# Random bytes as chat templates, under AddressSanitizer and UndefinedBehaviorSanitizer (needs clang).
templates_fuzz() {
  cmake -S . -B build/fuzz -G Ninja -D CMAKE_BUILD_TYPE=None -D CMAKE_CXX_FLAGS="-O1 -g1" \
    -D CMAKE_CXX_COMPILER=clang++ -D CMAKE_C_COMPILER=clang -D LONGSIGHT_FUZZ=ON >/dev/null
  cmake --build build/fuzz --target jinja_fuzz
  mkdir -p build/fuzz/templates
  python3 - <<'PYTHON'
import json
for i, case in enumerate(json.load(open("tests/goldens/jinja/cases.json"))["cases"]):
    open(f"build/fuzz/templates/case{i}", "w").write(case["template"])
for i, line in enumerate(open("tests/goldens/jinja/random.jsonl")):
    open(f"build/fuzz/templates/random{i}", "w").write(json.loads(line)["template"])
PYTHON
  build/fuzz/tests/jinja_fuzz -max_total_time="$seconds_each" -max_len=2000 -timeout=20 -rss_limit_mb=3000 \
    -artifact_prefix=build/fuzz/ build/fuzz/templates
}

# Random bytes as pictures of each format, under AddressSanitizer and UndefinedBehaviorSanitizer (needs clang).
pictures_fuzz() {
  cmake -S . -B build/fuzz -G Ninja -D CMAKE_BUILD_TYPE=None -D CMAKE_CXX_FLAGS="-O1 -g1" \
    -D CMAKE_CXX_COMPILER=clang++ -D CMAKE_C_COMPILER=clang -D LONGSIGHT_FUZZ=ON >/dev/null
  local format
  for format in jpeg png gif webp bmp tiff; do
    cmake --build build/fuzz --target "${format}_fuzz"
    mkdir -p "build/fuzz/pictures_$format"
    "build/fuzz/tests/${format}_fuzz" -max_total_time="$seconds_each" -max_len=8000 -timeout=20 -rss_limit_mb=3000 \
      -artifact_prefix=build/fuzz/ "build/fuzz/pictures_$format" tests/goldens/decode
  done
}

# Every call of the operating system in a run fails once, by each kind of error; all ranks must end within 5 seconds.
late_failures() {
  cmake --preset host >/dev/null
  cmake --build --preset host --target longsight failing_io
  source scripts/mpi_environment.sh
  LONGSIGHT_ALL_FAULTS=1 LONGSIGHT_TEST_SECONDS=5 python3 tests/launch/late_failures_test.py
}

# The rank tests on more ranks than the tests' own counts.
ranks() {
  cmake --preset host >/dev/null
  cmake --build --preset host --target parallel_rank_test model_rank_test
  source scripts/mpi_environment.sh
  local binary count
  for binary in parallel_rank_test model_rank_test; do
    for count in 5 6 7; do
      OMP_NUM_THREADS=1 mpirun -n "$count" --oversubscribe --bind-to none "build/host/tests/$binary"
    done
  done
}

# A training step beside one busy process per core takes at most 2.5 times as long as alone.
neighbours() {
  cmake --preset host >/dev/null
  cmake --build --preset host --target longsight
  source scripts/mpi_environment.sh
  scripts/check_neighbours.py
}

# Every wrong variant of tests/mutations is caught.
mutations() { scripts/mutate.sh; }

if [[ ${1:-} == --list ]]; then
  printf '%s\n' "${sections[@]}"
  exit 0
fi
(($#)) || set -- "${sections[@]}"
for section in "$@"; do
  if [[ " ${sections[*]} " != *" $section "* ]]; then
    echo "soak: no section '$section'; there are: ${sections[*]}" >&2
    exit 64
  fi
  echo "== $section"
  "$section"
done
