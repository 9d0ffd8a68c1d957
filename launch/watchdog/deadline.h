// How long a run may get nowhere before it counts as hanging: learnt from its own steps.
#pragma once

#include <vector>

#include "runtime/base/number.h"

namespace longsight::launch {

class Deadline {
 public:
  explicit Deadline(double floor_seconds) : floor_(floor_seconds) {}

  void saw_step(double seconds);
  // max(floor, 5 x the 99th percentile of the last 1,024 steps). Before five steps were seen: six floors, as
  // a first step has much to do that later ones have not.
  double seconds() const;

 private:
  double floor_;
  std::vector<double> steps_;  // a ring
  i64 seen_ = 0;
};

}  // namespace longsight::launch
