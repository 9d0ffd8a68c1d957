// How far what the plan predicts for a run's steps is from what they take.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "launch/training/metrics.h"

namespace longsight::launch {

// The first step of a process, which touches its memory for the first time, counts only where there is no
// other.
class PredictionErrors {
 public:
  void add(i64 step, const StepFigures&, double measured_memory_mib);

  bool empty() const { return errors_.empty(); }
  // Errors are predicted / measured - 1. The worst is that of the largest size.
  nlohmann::ordered_json json() const;  // steps, median_error, worst_error, worst_step, memory_error, ...
  std::string text() const;

 private:
  double median_error() const;

  std::vector<double> errors_;  // of the time of each step
  double worst_error_ = 0, predicted_mib_ = 0, measured_mib_ = 0;
  i64 worst_step_ = 0;
  bool first_ = true;  // the only step so far was the first
};

}  // namespace longsight::launch
