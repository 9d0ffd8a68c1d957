// A held-out set of a configuration, ready to be evaluated.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/inputs/micro_batch.h"

namespace longsight::launch {

struct HeldOutSet {
  std::string name;
  i64 steps = 0;  // groups of samples that fit into a step
  // Those of one group, made anew: no picture stays in memory. Throws what is wrong with them by now.
  std::function<std::vector<model::Sample>(i64 step)> make;
};

}  // namespace longsight::launch
