// A factor for each row of a matrix: layer scale (Touvron et al. 2021), folded into the weights of the layer
// in front of it.
#pragma once

#include "runtime/tensor/matrix.h"

namespace longsight::ops {

// y [R, C] = scale [R] * x [R, C], all of one type; y may be x.
void scale_rows(Matrix y, Matrix x, Tensor scale, Stream);
// dx [R, C] += scale * dy, d_scale [R] += sum over C of dy * x. Either may be empty: not wanted. x and scale
// are weights: their gradients dx, dy and d_scale are of the statistics' type of theirs.
void scale_rows_backward(Matrix dx, Tensor d_scale, Matrix dy, Matrix x, Tensor scale, Stream);

// x [R, C] *= factor, which is rounded to the statistics' type of x.
void scale_matrix(Matrix x, double factor, Stream);

}  // namespace longsight::ops
