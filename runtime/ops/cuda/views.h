// Private to the executors for CUDA: what kernels are made of.
#pragma once

#include "runtime/tensor/cuda/lane_views.h"

namespace longsight::ops::cuda {

using namespace lanes;

}  // namespace longsight::ops::cuda
