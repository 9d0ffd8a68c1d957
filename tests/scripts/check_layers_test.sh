#!/usr/bin/env bash
# scripts/check_layers.sh on small fabricated trees: each kind of violation is found, and the tree without one passes.
set -euo pipefail
check=$(cd "$(dirname "$0")/../.." && pwd)/scripts/check_layers.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

# fabricate FILE INCLUDE: the good tree, in which FILE has one more include line.
fabricate() {
  rm -rf "${tree:?}"/*
  mkdir -p "$tree"/{runtime/{base,tensor,io,data,ops},parallel,model,tests/support}
  echo '#include <vector>' >"$tree/runtime/base/error.h"
  echo '#include "runtime/base/error.h"' >"$tree/runtime/tensor/tensor.h"
  echo '#include "runtime/tensor/tensor.h"' >"$tree/runtime/ops/norm.h"
  echo '#include "runtime/base/error.h"' >"$tree/runtime/io/file.h"
  echo '#include "runtime/io/file.h"' >"$tree/runtime/data/image.h"
  echo '#include "runtime/data/image.h"' >"$tree/parallel/group.h"
  printf '#include "parallel/group.h"\n#include "runtime/ops/norm.h"\n' >"$tree/model/layer.h"
  printf '#include "model/layer.h"\n#include "tests/support/near.h"\n' >"$tree/tests/layer_test.cpp"
  echo '#include <cmath>' >"$tree/tests/support/near.h"
  if [[ -n ${1:-} ]]; then echo "$2" >>"$tree/$1"; fi
}

expect() { # expect pass|refuse WHAT [MESSAGE]
  local outcome=pass output
  output=$("$check" "$tree" 2>&1) || outcome=refuse
  if [[ $outcome != "$1" ]] || { [[ -n ${3:-} ]] && ! grep -qF -- "$3" <<<"$output"; }; then
    echo "FAILED: $2: expected $1${3:+ with '$3'}, got $outcome: $output"
    failures=$((failures + 1))
  fi
}

fabricate
expect pass "a tree without a violation"
fabricate runtime/base/error.h '#include "runtime/tensor/tensor.h"'
expect refuse "base includes tensor" "runtime/base/error.h:2: runtime/base includes runtime/tensor/tensor.h"
fabricate runtime/io/file.h '  #  include "runtime/data/image.h"  // with blanks'
expect refuse "io includes data" "runtime/io/file.h:2"
fabricate parallel/group.h '#include "model/layer.h"'
expect refuse "parallel includes model" "parallel includes model/layer.h"
fabricate model/layer.h '#include "tests/support/near.h"'
expect refuse "a source includes a test header" "only tests may"
fabricate runtime/data/image.h '#include "file.h"'
expect refuse "a header not included from the root" "is not a path from the root"
fabricate model/layer.h '#include "../runtime/ops/norm.h"'
expect refuse "a relative path upwards" "is not a path from the root"
fabricate model/layer.h '#include <runtime/ops/norm.h>'
expect refuse "a project header in angle brackets" "write it in quotes"
fabricate model/layer.h '#include "runtime/ops/nrom.h"'
expect refuse "a header that does not exist" "does not exist"
fabricate model/layer.h '  const float* x = weight->host<float>();'
expect refuse "a layer reads host memory" "model/layer.h:3: reads host memory"
fabricate runtime/io/file.h '  const float* x = weight.host<float>();  // of a file'
expect pass "a file is read on the host"

if ((failures)); then exit 1; fi
echo "check_layers_test: 11 cases passed"
