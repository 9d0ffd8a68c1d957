#include "launch/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace longsight::launch {

double learning_rate(const OptimizerSection& o, i64 step, i64 steps) {
  if (step <= o.warmup) return o.lr * static_cast<double>(step) / static_cast<double>(o.warmup);
  if (o.schedule == "constant") return o.lr;
  const double part =
      static_cast<double>(step - o.warmup) / static_cast<double>(std::max<i64>(steps - o.warmup, 1));
  const double left = o.schedule == "cosine" ? (1 + std::cos(std::numbers::pi * part)) / 2 : 1 - part;
  return o.min_lr + (o.lr - o.min_lr) * left;
}

}  // namespace longsight::launch
