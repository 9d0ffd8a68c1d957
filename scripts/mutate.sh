#!/usr/bin/env bash
# Tests the tests: builds named wrong variants of the program (tests/mutations/NAME.patch) and expects the tests that a
# patch names to fail. Works on a copy of the tree in build/mutate; the tree itself is not touched.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOF'
usage: scripts/mutate.sh [--list | --check] [NAME ...]
  --list   print the names, the tests that must go red, and what is wrong in each
  --check  build nothing: say which patches do not apply to the tree as it is
  NAME     only these (default: all in tests/mutations)

A patch begins with header lines, then the diff (git diff, paths a/ and b/):
  why:   one line: what is wrong, and what it would do to a user
  red:   regular expression of ctest names; each named test is run, at least one must fail
  build: targets to build for them
EOF
}

fail() {
  echo "mutate: $1" >&2
  exit "${2:-70}"
}

folder=tests/mutations
header() { # header NAME KEY
  sed -n "/^--- /q; s/^$2: *//p" "$folder/$1.patch" | head -n 1
}

list=false
check=false
names=()
for argument in "$@"; do
  case "$argument" in
    --list) list=true ;;
    --check) check=true ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; fail "unknown argument '$argument'" 64 ;;
    *) names+=("$(basename "$argument" .patch)") ;;
  esac
done
if ((${#names[@]} == 0)); then
  mapfile -t names < <(find "$folder" -name '*.patch' -printf '%f\n' | sed 's/\.patch$//' | sort)
fi
((${#names[@]})) || fail "no patches in $folder" 66

for name in "${names[@]}"; do
  [[ -f $folder/$name.patch ]] || fail "no $folder/$name.patch; scripts/mutate.sh --list shows the names" 66
  for key in why red build; do
    [[ -n $(header "$name" $key) ]] || fail "$folder/$name.patch has no line '$key: ...' above its diff" 65
  done
done

if $list; then
  for name in "${names[@]}"; do
    printf '%-32s %-28s %s\n' "$name" "$(header "$name" red)" "$(header "$name" why)"
  done
  exit 0
fi

applies() { # applies NAME FOLDER
  patch -p1 -d "$2" --dry-run --fuzz=0 <"$folder/$1.patch" 2>&1
}

if $check; then
  stale=0
  for name in "${names[@]}"; do
    if ! said=$(applies "$name" .); then
      echo "mutate: $folder/$name.patch does not apply: make it anew"
      sed 's/^/  /' <<<"$said"
      stale=$((stale + 1))
    fi
  done
  if ((stale)); then fail "$stale of ${#names[@]} patches do not apply"; fi
  echo "mutate: all ${#names[@]} patches apply"
  exit 0
fi

source scripts/mpi_environment.sh
copy=build/mutate/source
build=$PWD/build/mutate/build
logs=$PWD/build/mutate/logs
mkdir -p "$copy" "$logs"

# A file is copied only if its content differs, and gets the time of now: an interrupted run may have left objects of a
# mutant, and ninja goes by time.
sync_copy() {
  local file
  while IFS= read -r -d '' file; do
    [[ -f $file ]] || continue
    if ! cmp -s "$file" "$copy/$file"; then
      mkdir -p "$copy/$(dirname "$file")"
      cp "$file" "$copy/$file"
    fi
  done < <(git ls-files -z --cached --others --exclude-standard)
  while IFS= read -r -d '' file; do
    [[ -f $file ]] || rm "$copy/$file"
  done < <(cd "$copy" && find . -type f -printf '%P\0')
}

build_targets() { # build_targets "TARGETS" LOG
  # shellcheck disable=SC2086  # several targets
  cmake --build "$build" --parallel "$(nproc)" --target $1 >"$2" 2>&1
}

run_tests() { # run_tests REGEX LOG
  (cd "$build" && ctest -R "$1" --no-tests=error --output-on-failure --timeout 300) >"$2" 2>&1
}

sync_copy
cmake -G Ninja -S "$copy" -B "$build" -DCMAKE_BUILD_TYPE=Release -DLONGSIGHT_NATIVE=ON -DLONGSIGHT_UNITY=ON \
  -DLONGSIGHT_UNITY_FILES=3 -DLONGSIGHT_RANK_COUNTS="${LONGSIGHT_RANK_COUNTS:-1;2;3}" >"$logs/configure.log" 2>&1 ||
  fail "cannot configure the copy: $logs/configure.log"

# Red means nothing unless the same tests are green on the right program.
declare -A green
for name in "${names[@]}"; do
  targets=$(header "$name" build) tests=$(header "$name" red)
  [[ -z ${green["$targets/$tests"]:-} ]] || continue
  echo "mutate: $tests must be green without a mutation"
  log=$logs/unmutated.log
  build_targets "$targets" "$log" || fail "the unmutated program does not build: $log"
  run_tests "$tests" "$log" || fail "$tests: not green on the unmutated program (or no such test): $log"
  green["$targets/$tests"]=1
done

rows=()
survivors=0
record() { # record NAME OUTCOME
  rows+=("$(printf '%-32s %-28s %s' "$1" "$(header "$1" red)" "$2")")
  if [[ $2 != caught* ]]; then survivors=$((survivors + 1)); fi
  echo "mutate: $1: $2"
}
for name in "${names[@]}"; do
  patch_file=$PWD/$folder/$name.patch
  log=$logs/$name.log
  if ! applies "$name" "$copy" >"$log"; then
    record "$name" "DOES NOT APPLY ($log)"
    continue
  fi
  patch -p1 -d "$copy" --no-backup-if-mismatch <"$patch_file" >>"$log" 2>&1
  if ! build_targets "$(header "$name" build)" "$log"; then
    record "$name" "DOES NOT BUILD ($log)"
  elif run_tests "$(header "$name" red)" "$log"; then
    record "$name" "SURVIVED ($log)"
  else
    # The names of the failed tests stand between ctest's summary and its last line.
    failed=$(sed -n '/The following tests FAILED/,$ s/^[[:space:]]*[0-9]* - \([^ ]*\) .*/\1/p' "$log" | paste -sd' ')
    if [[ -n $failed ]]; then record "$name" "caught by $failed"; else record "$name" "NO TEST RAN ($log)"; fi
  fi
  # What a patch wrote back is newer than the mutant's objects; so is what sync_copy brings back.
  sync_copy
done

echo
printf '%-32s %-28s %s\n' mutation "must go red" result
printf '%s\n' "${rows[@]}"
echo
if ((survivors)); then
  echo "mutate: $survivors of ${#names[@]} not caught"
  exit 1
fi
echo "mutate: all ${#names[@]} caught"
