// Floating-point operations of a pass, as they are done: two per multiply-add; causal attention counts
// visible pairs, the head counts supervised rows.
#pragma once

#include "model/config.h"
#include "parallel/geometry.h"

namespace longsight::model {

double forward_flops(const ModelConfig&, const parallel::Geometry&);
// Its share that is the attention of one block itself, without projections.
double vision_attention_flops(const ModelConfig&, const parallel::Geometry&, i64 block);
double language_attention_flops(const ModelConfig&, const parallel::Geometry&, i64 block);

}  // namespace longsight::model
