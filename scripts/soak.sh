#!/usr/bin/env bash
# Long loops that CI does not run: each section looks for what the tests' few examples miss.
# usage: scripts/soak.sh [--list] [SECTION ...]     (all of them without names)
#   SECONDS_EACH=600 scripts/soak.sh fuzz
set -euo pipefail
cd "$(dirname "$0")/.."

seconds_each=${SECONDS_EACH:-300}
sections=(templates fuzz pictures late_failures checkpoints kills power_cuts watchdog slurm ranks neighbours cuda mutations)

# Published and random chat templates against jinja2 (needs .venv: scripts/setup.sh --with-peers).
templates() {
  cmake --preset host >/dev/null
  cmake --build --preset host --target render
  .venv/bin/python -W ignore scripts/check_templates.py --random 10000 --seed "${SEED:-1}" --time
}

# Random bytes for every reader of files that strangers make, under sanitizers (needs clang: scripts/setup.sh --with-fuzz).
fuzz() { scripts/fuzz.sh --seconds "$seconds_each"; }

# 10,000 damaged pictures of six formats against Pillow: the same pixels, or both refuse (needs .venv).
pictures() {
  cmake --preset host >/dev/null
  cmake --build --preset host --target decode_pictures
  .venv/bin/python scripts/check_pictures.py --cases 13 --seed "${SEED:-1}"
}

# Every call of the operating system in a run fails once, by each kind of error; all ranks must end within 5 seconds.
late_failures() {
  cmake --preset host >/dev/null
  cmake --build --preset host --target longsight failing_io
  source scripts/mpi_environment.sh
  LONGSIGHT_ALL_FAULTS=1 LONGSIGHT_TEST_SECONDS=5 python3 tests/launch/late_failures_test.py
}

# Runs that end in every call of a save, on every failure of one, and STOPS times (30) by a signal at a random moment: they end as
# undisturbed ones. Every layout goes on from the bits of every other one.
checkpoints() {
  cmake --preset host >/dev/null
  cmake --build --preset host --target longsight failing_io
  source scripts/mpi_environment.sh
  LONGSIGHT_STOPS="${STOPS:-30}" LONGSIGHT_ALL_FAULTS=1 LONGSIGHT_ALL_LAYOUTS=1 LONGSIGHT_TEST_SECONDS=60 python3 tests/launch/checkpoint_test.py
}

# Runs on four ranks in three layouts killed KILLS times in all (1,000), a random rank or all of them, at random times: weights,
# moments, steps and logs are those of an undisturbed run, bit by bit.
kills() {
  cmake --preset host >/dev/null
  cmake --build --preset host --target longsight failing_io
  source scripts/mpi_environment.sh
  LONGSIGHT_KILLS=$(((${KILLS:-1000} + 2) / 3)) LONGSIGHT_SEED="${SEED:-0}" LONGSIGHT_TEST_SECONDS=60 python3 tests/launch/checkpoint_test.py \
    CheckpointTest.test_killed_at_any_time_it_ends_as_if_it_had_not_been
}

# The power fails at each operation on a file of a run, CUTS times (50): what was not synced is lost in part, at random.
power_cuts() {
  cmake --preset host >/dev/null
  cmake --build --preset host --target power_loss_test
  LONGSIGHT_POWER_CUTS="${CUTS:-50}" build/host/tests/power_loss_test
}

# Ranks stopped STOPS times (20): each is named, and the job ended within 8 s; a thousand steps beside a busy process per core, of
# which nothing is said.
watchdog() {
  cmake --preset host >/dev/null
  cmake --build --preset host --target longsight slow_threads
  source scripts/mpi_environment.sh
  LONGSIGHT_STOPS="${STOPS:-20}" LONGSIGHT_CLEAN_STEPS=1000 LONGSIGHT_BUSY=1 LONGSIGHT_TEST_SECONDS=60 python3 tests/launch/watchdog_test.py
}

# A batch job with a limit of a minute, queued again until it is done: its weights are those of an uninterrupted run. Needs a
# Slurm of two nodes with two processors each (SLURM_CONF).
slurm() {
  cmake --preset host >/dev/null
  cmake --build --preset host --target longsight
  source scripts/mpi_environment.sh
  scripts/check_slurm.sh
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

# The preset for GPUs as a whole, and all tests with it; most of them compute on the host (needs a toolkit: scripts/setup.sh --with-cuda).
cuda() {
  cmake --preset cuda -DLONGSIGHT_UNITY=ON
  cmake --build --preset cuda
  ctest --test-dir build/cuda --parallel "$(nproc)" --output-on-failure --no-tests=error
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
