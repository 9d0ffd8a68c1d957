#include "launch/learning_rate.h"

#include <cmath>
#include <numbers>

namespace longsight::launch {

double learning_rate(const OptimizerSection& o, i64 step, i64 steps) {
  if (step <= o.warmup) return o.lr * static_cast<double>(step) / static_cast<double>(o.warmup);
  if (o.schedule == "constant") return o.lr;
  const double part = static_cast<double>(step - o.warmup - 1) / static_cast<double>(steps - o.warmup);
  const double left = o.schedule == "cosine" ? (1 + std::cos(std::numbers::pi * part)) / 2 : 1 - part;
  return o.min_lr + (o.lr - o.min_lr) * left;
}

void check_warmup(const LoadedConfig& loaded, i64 steps) {
  const i64 warmup = loaded.config.train.optimizer.warmup;
  loaded.document.require_at(steps == 0 || warmup <= steps, "train.optimizer.warmup",
                             "{} steps of warm-up do not end within the {} steps of the run; lower it, or "
                             "train longer",
                             warmup, steps);
}

}  // namespace longsight::launch
