// Floating-point operations of a pass, as they are done: two per multiply-add; causal attention counts
// visible pairs, the head counts supervised rows.
#pragma once

#include "model/config.h"
#include "parallel/geometry.h"

namespace longsight::model {

double forward_flops(const ModelConfig&, const parallel::Geometry&);

}  // namespace longsight::model
