// AdamW over the parameters of a registry, replicated on every rank.
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
  // Moments for every parameter with a gradient. `own` has an entry for each parameter, or none at all.
  explicit AdamW(const ParameterRegistry& parameters, std::vector<ParameterOptions> own = {});

  // Updates the parameters that `reached` names and zeroes their gradients; the others keep values, moments
  // and their own step count, as parameters without a gradient do in PyTorch. `options.step` is ignored: each
  // parameter counts its own. Parameters of two or more dimensions are decayed.
  void step(const std::function<bool(const Parameter&)>& reached, const ops::AdamWOptions& options,
            Stream stream);

  i64 bytes() const { return first_.bytes() + second_.bytes(); }

 private:
  const ParameterRegistry& parameters_;
  Storage first_, second_;
  std::vector<i64> steps_;             // by parameter
  std::vector<ParameterOptions> own_;  // by parameter
};

// Euclidean norm of the gradients of the parameters that `reached` names.
double gradient_norm(const ParameterRegistry& parameters,
                     const std::function<bool(const Parameter&)>& reached, Stream stream);

// What gradients of this norm are multiplied by, as torch.nn.utils.clip_grad_norm_ does: min(1, clip / (norm
// + 1e-6)).
double clip_factor(double norm, double clip);

}  // namespace longsight::parallel
