// Moving whole rows: embedding look-up, packing for an exchange, and their adjoints.
#pragma once

#include "runtime/tensor/index_list.h"
#include "runtime/tensor/matrix.h"

namespace longsight::ops {

// An index list made for more rows than the source or the destination has throws. Same bits for every thread
// count. Both matrices are of one type; what is added to (+=) may be of the statistics' type of x.
void gather_rows(Matrix y, Matrix x, const IndexList& index, Stream);       // y[i] = x[index[i]]
void scatter_rows(Matrix y, Matrix x, const IndexList& index, Stream);      // y[index[i]] = x[i]; none twice
void scatter_add_rows(Matrix y, Matrix x, const IndexList& index, Stream);  // y[index[i]] += x[i], in order
                                                                            // of i

// Same shape, any strides; of one type, or one of the statistics' type of the other: widened, or rounded.
void copy_matrix(Matrix to, Matrix from, Stream);
void add_matrix(Matrix y, Matrix x, Stream);  // y += x
void zero_matrix(Matrix y, Stream);

}  // namespace longsight::ops
