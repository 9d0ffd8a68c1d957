#include "launch/watchdog/deadline.h"

#include <algorithm>

namespace longsight::launch {
namespace {

constexpr i64 kWarmUp = 5;          // steps
constexpr double kStartFloors = 6;  // the deadline before that
constexpr double kTimesSlowest = 5;
constexpr i64 kKeptSteps = 1024;

}  // namespace

void Deadline::saw_step(double seconds) {
  if (seen_ < kKeptSteps)
    steps_.push_back(seconds);
  else
    steps_[static_cast<std::size_t>(seen_ % kKeptSteps)] = seconds;
  ++seen_;
}

double Deadline::seconds() const {
  if (seen_ < kWarmUp) return kStartFloors * floor_;
  std::vector<double> sorted = steps_;
  const auto n = static_cast<i64>(sorted.size());
  const auto p99 = sorted.begin() + (99 * n + 99) / 100 - 1;  // of n values the ceil(0.99 n)-th
  std::nth_element(sorted.begin(), p99, sorted.end());
  return std::max(floor_, kTimesSlowest * *p99);
}

}  // namespace longsight::launch
