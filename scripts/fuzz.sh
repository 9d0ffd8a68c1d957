#!/usr/bin/env bash
# Random bytes for every reader of files that strangers make (tests/fuzz), by libFuzzer under AddressSanitizer and
# UndefinedBehaviorSanitizer: whatever is read or refused is well, a crash, 5 seconds or 1 GiB for one input is a fault.
# Needs clang: scripts/setup.sh --with-fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=(bmp chat_template checkpoint_manifest config_yaml data_index data_record gif gzip image_processor jpeg model_config png
  safetensors safetensors_index sentencepiece tar tiff tokenizer_json webp)

usage() {
  cat <<EOF
usage: scripts/fuzz.sh [--seconds N] [--build-only] [TARGET ...]
  --seconds N   for each target (default: 60)
  --build-only  compile the targets, and stop
  TARGET        default: all of ${targets[*]}
Prints a line a target; 0: no fault, 1: the input is named, also for: build/fuzz/tests/TARGET_fuzz INPUT
EOF
}

seconds=60
build_only=false
chosen=()
while (($#)); do
  case "$1" in
    --seconds) seconds=${2:?--seconds needs a number}; shift ;;
    --build-only) build_only=true ;;
    -h | --help) usage; exit 0 ;;
    -*) echo "fuzz: unknown argument '$1'" >&2; usage >&2; exit 64 ;;
    *)
      [[ " ${targets[*]} " == *" $1 "* ]] || { echo "fuzz: no target '$1'; there are: ${targets[*]}" >&2; exit 64; }
      chosen+=("$1")
      ;;
  esac
  shift
done
((${#chosen[@]})) || chosen=("${targets[@]}")

command -v clang++ >/dev/null || { echo "fuzz: no clang++; run scripts/setup.sh --with-fuzz" >&2; exit 66; }
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target "${chosen[@]/%/_fuzz}"
$build_only && exit 0

folder=build/fuzz
python3 tests/fuzz/make_seeds.py "$folder/seeds"
mkdir -p "$folder/faults"
bad=0
for target in "${chosen[@]}"; do
  corpus=$folder/corpus/$target # what earlier runs found worth keeping
  log=$folder/$target.log
  mkdir -p "$corpus"
  status=0
  ASAN_OPTIONS=quarantine_size_mb=64 "$folder/tests/${target}_fuzz" -max_total_time="$seconds" -max_len=16384 -timeout=5 \
    -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$folder/faults/$target-" \
    "$corpus" "$folder/seeds/$target" >"$log" 2>&1 || status=$?
  stat() { sed -n "s/^stat::$1: *//p" "$log"; }
  printf '%-20s %10s executions, at most %5s MiB' "$target" "$(stat number_of_executed_units)" "$(stat peak_rss_mb)"
  if ((status == 0)); then
    echo
  else
    echo "  FAULT: $(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1) (see $log)"
    bad=1
  fi
done
exit "$bad"
