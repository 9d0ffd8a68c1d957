#include "runtime/ops/cuda/rope.h"

#include "runtime/ops/no_cuda/not_built.h"

namespace longsight::ops::cuda {

void rope(Heads, Tensor, Tensor, Turn, Stream) {
  not_built("rope");
}

void rope_angles(Tensor, Tensor, const RopeAngles&, Stream) {
  not_built("rope_angles");
}

}  // namespace longsight::ops::cuda
