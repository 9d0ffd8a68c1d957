// What a configuration trains: parts, layers, adapters, and how each parameter is optimised.
#pragma once

#include <functional>
#include <vector>

#include "launch/config.h"
#include "model/vlm.h"
#include "parallel/optimizer.h"

namespace longsight::launch {

// The adapters that the configuration asks for, new ones or those of a folder; none: rank 0. `random_b`: for
// an audit.
model::AdapterConfig adapters_of(const LoadedConfig&, const model::ModelConfig&, bool random_b);

// Whether a parameter is trained. With adapters the weights of the model are not, but for those that
// model.lora.train names or that the adapter folder holds whole.
std::function<bool(const Parameter&)> trainable(const LoadedConfig&, const model::ModelConfig&,
                                                const model::AdapterConfig& adapters);

// Every glob of the configuration matches some parameter, no part is asked for more blocks than it has, and
// something is trained: usage, with the place.
void check_trainable(const LoadedConfig&, const model::Vlm&);

// By parameter; empty where there are no groups.
std::vector<parallel::ParameterOptions> optimizer_options(const LoadedConfig&, const ParameterRegistry&);

}  // namespace longsight::launch
