// A model as the planner sees it.
#pragma once

#include "model/vlm.h"
#include "parallel/model_shape.h"

namespace longsight::model {

// With what the registry says is trained; before or after it is allocated.
parallel::ModelShape model_shape(const Vlm& model, DType dtype = DType::F32);
// Everything that runs is trained.
parallel::ModelShape model_shape(const ModelConfig& config, DType dtype = DType::F32);

}  // namespace longsight::model
