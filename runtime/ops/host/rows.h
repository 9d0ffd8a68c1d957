// Host executor of runtime/ops/rows.h, whose contracts hold and are checked there.
#pragma once

#include <span>

#include "runtime/ops/rows.h"

namespace longsight::ops::host {

void gather_rows(Matrix y, Matrix x, std::span<const i64> index);
void scatter_rows(Matrix y, Matrix x, std::span<const i64> index);
void scatter_add_rows(Matrix y, Matrix x, std::span<const i64> index);
void copy_matrix(Matrix to, Matrix from);
void add_matrix(Matrix y, Matrix x);
void zero_matrix(Matrix y);

}  // namespace longsight::ops::host
