// Floating-point operations of a training pass, as they are done for the parameters that are trained: frozen
// matrices have no gradient of their own, nothing is done below the lowest parameter that has one, and
// adapters come to the matrices that they belong to. What is computed a second time is counted once.
#pragma once

#include "model/vlm.h"

namespace longsight::model {

struct PassFlops {
  double forward = 0;
  double backward = 0;
  double total() const { return forward + backward; }
};

// Of a micro-batch, on all ranks of its sequence group. Parameters are allocated: their gradients say what is
// trained.
PassFlops pass_flops(const Vlm&, const parallel::Geometry&);

}  // namespace longsight::model
