#include "launch/watchdog/slow_rank.h"

#include <algorithm>

namespace longsight::launch {
namespace {

// Of so many steps in a row so many: single ones that a neighbour, or the first touch of memory, slows down
// say nothing.
constexpr std::size_t kLookedAt = 16;
constexpr i64 kSlowSteps = 14, kFastAgain = 4;
constexpr double kLeastSeconds = 0.05;  // on a busy machine a rank waits that long for a processor
constexpr double kLeastShare = 0.3;     // of what the others take

}  // namespace

bool SlowRank::after_step(double told_by_all, double seconds, double own_flops, double all_flops) {
  // What the others told is of the step before, and of the first two steps it is of no use.
  if (ranks_ > 1 && ++steps_ > 2) {
    const double others = (told_by_all - told_) / static_cast<double>(ranks_ - 1);
    const double expected = others * std::max(1.0, more_work_);
    window_.push_back({told_, others, told_ - expected > std::max(kLeastSeconds, kLeastShare * expected)});
    if (window_.size() > kLookedAt) window_.pop_front();
  }
  told_ = seconds;
  const double others_flops = (all_flops - own_flops) / static_cast<double>(std::max<i64>(ranks_ - 1, 1));
  more_work_ = others_flops > 0 ? own_flops / others_flops : 1;
  const std::ptrdiff_t slow =
      std::count_if(window_.begin(), window_.end(), [](const Step& s) { return s.slow; });
  const bool before = is_slow_;
  is_slow_ = slow >= (before ? kFastAgain : kSlowSteps);
  return is_slow_ && !before;
}

double SlowRank::own() const {
  double sum = 0;
  for (const Step& step : window_) sum += step.own;
  return window_.empty() ? 0 : sum / static_cast<double>(window_.size());
}

double SlowRank::others() const {
  double sum = 0;
  for (const Step& step : window_) sum += step.others;
  return window_.empty() ? 0 : sum / static_cast<double>(window_.size());
}

}  // namespace longsight::launch
