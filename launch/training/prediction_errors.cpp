#include "launch/training/prediction_errors.h"

#include <cmath>

#include "launch/measure.h"

namespace longsight::launch {

void PredictionErrors::add(i64 step, const StepFigures& figures, double measured_memory_mib) {
  if (first_ && !errors_.empty()) {
    errors_.clear();
    worst_error_ = 0;
    first_ = false;
  }
  const double error = figures.predicted_seconds / figures.seconds - 1;
  if (errors_.empty() || std::abs(error) > std::abs(worst_error_)) {
    worst_error_ = error;
    worst_step_ = step;
  }
  errors_.push_back(error);
  predicted_mib_ = figures.predicted_memory_mib;
  measured_mib_ = measured_memory_mib;
}

double PredictionErrors::median_error() const {
  return median(errors_);
}

nlohmann::ordered_json PredictionErrors::json() const {
  return {{"steps", errors_.size()},
          {"median_error", median_error()},
          {"worst_error", worst_error_},
          {"worst_step", worst_step_},
          {"predicted_memory_mib", predicted_mib_},
          {"measured_memory_mib", measured_mib_},
          {"memory_error", predicted_mib_ / measured_mib_ - 1}};
}

std::string PredictionErrors::text() const {
  return fmt::format(
      "predicted against measured, {} step{}: time {:+.0f} % in the median, {:+.0f} % at worst (step {}); "
      "memory {:.0f} against {:.0f} MiB ({:+.0f} %)",
      errors_.size(), errors_.size() == 1 ? "" : "s", 100 * median_error(), 100 * worst_error_, worst_step_,
      predicted_mib_, measured_mib_, 100 * (predicted_mib_ / measured_mib_ - 1));
}

}  // namespace longsight::launch
