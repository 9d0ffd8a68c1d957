// Images and samples of random values, for measurements and tests.
#pragma once

#include "model/inputs/micro_batch.h"

namespace longsight::model {

// Normal values of this deviation, in the form that the model takes images of this layout.
std::shared_ptr<data::ImageSource> synthetic_image(const ModelConfig&, const data::ImageLayout&, u64 seed,
                                                   const std::string& name, double deviation = 1);

// The layout of a typical image: one tile of a tower with tiles, else `rows` x `columns` patches.
data::ImageLayout synthetic_layout(const ModelConfig&, i64 rows, i64 columns);

}  // namespace longsight::model
