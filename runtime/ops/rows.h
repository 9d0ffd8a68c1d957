// Moving whole rows: embedding look-up, packing for an exchange, and their adjoints.
#pragma once

#include <span>

#include "runtime/tensor/matrix.h"

namespace longsight::ops {

// An index outside the source or the destination throws. Same bits for every thread count.
void gather_rows(Matrix y, Matrix x, std::span<const i64> index, Stream);  // y[i] = x[index[i]]
void scatter_rows(Matrix y, Matrix x, std::span<const i64> index,
                  Stream);  // y[index[i]] = x[i]; no index twice
void scatter_add_rows(Matrix y, Matrix x, std::span<const i64> index,
                      Stream);  // y[index[i]] += x[i], in order of i

void copy_matrix(Matrix to, Matrix from, Stream);  // same dtype and shape, any strides
void add_matrix(Matrix y, Matrix x, Stream);       // y += x

}  // namespace longsight::ops
