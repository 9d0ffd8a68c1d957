// The work on one tile of attention. Included once per instruction set, after its `#pragma GCC target`, with
//   kVectorBytes: bytes of a vector register;
//   kStrip: rows of a micro-kernel, so that kStrip x 2 accumulators fit into the registers.
// The .inl files use the compiler's vectors and their own functions only, all in an unnamed namespace:
// nothing that is compiled for one instruction set can be linked into the other. T is the type that is
// computed with, In that of the tensors.
//
// Layouts of a tile, L lanes to a vector:
//   panels      x[c][row][L]: lane of row is column c * L + lane. As left side of a product a row gives its
//               elements one by one, as right side a vector of L columns.
//   transposed  x[v][d][L]: lane is element d of row v * L + lane; behind it up to kFew<T> rows as panels,
//   which
//               a vector of their own would not pay for.
//   scores      x[row][kLd], row-major.
#pragma once

#include "runtime/ops/host/attention_backward.inl"
#include "runtime/ops/host/attention_forward.inl"

namespace longsight::ops::host {
namespace {

template <class In>
constexpr TileKernels<In> kTileKernels = {ForwardScratch<Statistics<In>>::size,
                                          forward<In>,
                                          BackwardScratch<Statistics<In>>::size,
                                          begin_keys<In>,
                                          visit_queries<In>,
                                          write_dq<In>,
                                          finish_keys<In>};

}  // namespace
}  // namespace longsight::ops::host
