// AdamW over the parameters of a registry: on every rank, or each rank's share of them.
#pragma once

#include <functional>
#include <vector>

#include "runtime/ops/adamw.h"
#include "runtime/tensor/parameters.h"

namespace longsight::parallel {

// How a parameter differs from the options of a step.
struct ParameterOptions {
  double lr_factor = 1;
  double weight_decay = -1;  // below 0: that of the step
  friend bool operator==(const ParameterOptions&, const ParameterOptions&) = default;
};

class AdamW {
 public:
  // Moments for every parameter with a gradient, or this rank's shares of them, as the registry deals them.
  // `own` has an entry for each parameter, or none at all.
  explicit AdamW(const ParameterRegistry& parameters, std::vector<ParameterOptions> own = {});

  // Updates the parameters that `reached` names, or this rank's shares, in mixed precision their weights too,
  // with their gradients times scale [1] (f64; NaN: not at all), and zeroes these; the others keep values,
  // moments and their own step count, as parameters without a gradient do in PyTorch. `options.step` is
  // ignored: each parameter counts its own, once count_step says that the step was taken. Parameters of two
  // or more dimensions are decayed.
  void step(const std::function<bool(const Parameter&)>& reached, Tensor scale,
            const ops::AdamWOptions& options, Stream stream) const;
  void count_step(const std::function<bool(const Parameter&)>& reached);

  i64 bytes() const { return first_.bytes() + second_.bytes(); }

  // What a checkpoint holds besides the parameters: [moment_elements] of the registry. Element e of a bucket
  // lies at moments_at + e.
  Tensor first_moments() const;
  Tensor second_moments() const;
  i64 steps(ParameterId id) const { return steps_[static_cast<std::size_t>(id)]; }  // that updated it
  void set_steps(ParameterId id, i64 steps) { steps_[static_cast<std::size_t>(id)] = steps; }

 private:
  const ParameterRegistry& parameters_;
  Storage first_, second_;
  std::vector<i64> steps_;             // by parameter
  std::vector<ParameterOptions> own_;  // by parameter
};

}  // namespace longsight::parallel
