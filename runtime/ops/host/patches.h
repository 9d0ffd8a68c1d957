// Host executor of runtime/ops/patches.h, whose contracts hold and are checked there.
#pragma once

#include <span>

#include "runtime/ops/patches.h"

namespace longsight::ops::host {

void patch_rows(Matrix rows, Tensor pixels, i64 patch, std::span<const i64> index);
void ready_patch_rows(Matrix rows, Tensor patches, std::span<const i64> index);

}  // namespace longsight::ops::host
