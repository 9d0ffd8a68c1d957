// How much of the ops' work, as traces count it, this rank does in a second, by the size of a call.
#pragma once

#include <vector>

#include "launch/planning/hardware_profile.h"

namespace longsight::launch {

// Of ascending sizes. Each size is run for at least so many seconds, with activations of a type.
std::vector<planning::Rate> gemm_rates(DType, double seconds_each);
std::vector<planning::Rate> attention_rates(DType, double seconds_each);
std::vector<planning::Rate> copy_rates(double seconds_each);

}  // namespace longsight::launch
