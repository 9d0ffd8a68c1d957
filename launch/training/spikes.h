// Steps whose loss or gradient norm stands out of those before. A warning and a count: nothing in training
// follows from it.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "runtime/base/json.h"

namespace longsight::launch {

// The numbers of the last steps. One stands out that is more than ten times the largest of them, or more than
// ten standard deviations above their mean, of which a tenth of the mean is the least: so never one below
// twice the mean.
class RecentNumbers {
 public:
  static constexpr std::size_t kWindow = 128, kFewest = 16;  // steps; before that nothing stands out

  // "81.2 (the last 128 steps: 7.1 on average, 7.4 at most)"; empty: it does not stand out. It is one of them
  // from then on, unless it is not finite.
  std::string add(double number);

 private:
  std::deque<double> numbers_;
};

class SpikeWatch {
 public:
  static constexpr std::size_t kSteps = 2 * RecentNumbers::kWindow;  // some had no number

  // What stands out in a step, for a warning; empty: nothing.
  std::string add(double loss, double gradient_norm);
  i64 spikes() const { return spikes_; }  // steps of the run in which something did

  // As after the steps of these lines of metrics.jsonl, the last kSteps that there are: a run that goes on
  // says what it would have said undisturbed.
  void recall(const std::vector<Json>& lines);

 private:
  RecentNumbers losses_, norms_;
  i64 spikes_ = 0;
};

}  // namespace longsight::launch
