#include "parallel/optimizer.h"

#include <algorithm>
#include <cmath>

namespace longsight::parallel {
namespace {

// Calls f(first, last, elements) for the longest runs of neighbouring parameters that `same` holds together.
template <class Member, class Same, class F>
void for_runs(const ParameterRegistry& p, Member&& member, Same&& same, F&& f) {
  for (ParameterId first = 0; first < p.size();) {
    if (!member(first)) {
      ++first;
      continue;
    }
    ParameterId last = first + 1;
    i64 elements = p[first].elements();
    while (last < p.size() && member(last) && same(first, last)) elements += p[last++].elements();
    f(first, last, elements);
    first = last;
  }
}

}  // namespace

AdamW::AdamW(const ParameterRegistry& parameters, std::vector<ParameterOptions> own)
    : parameters_(parameters),
      first_(parameters.gradients().bytes(), "first moments"),
      second_(parameters.gradients().bytes(), "second moments"),
      steps_(static_cast<std::size_t>(parameters.size())),
      own_(std::move(own)) {
  check(own_.empty() || own_.size() == steps_.size(), "options for {} of {} parameters", own_.size(),
        steps_.size());
  own_.resize(steps_.size());
}

void AdamW::step(const std::function<bool(const Parameter&)>& reached, const ops::AdamWOptions& options,
                 Stream stream) {
  const DType dtype = parameters_.dtype();
  const i64 width = size_of(dtype);
  const auto member = [&](ParameterId id) { return parameters_.has_grad(id) && reached(parameters_[id]); };
  const auto steps = [&](ParameterId id) -> i64& { return steps_[static_cast<std::size_t>(id)]; };
  const auto same = [&](ParameterId a, ParameterId b) {
    return parameters_[a].decays() == parameters_[b].decays() && steps(a) == steps(b) &&
           own_[static_cast<std::size_t>(a)] == own_[static_cast<std::size_t>(b)];
  };
  // Runs are found before any count moves, so that neighbours of equal age stay together.
  for_runs(parameters_, member, same, [&](ParameterId first, ParameterId last, i64 elements) {
    const Parameter& p = parameters_[first];
    const auto flat = [&](Tensor all, i64 offset) {
      return Tensor(static_cast<std::byte*>(all.data()) + offset * width, dtype, {elements}, all.backend());
    };
    const ParameterOptions& of_these = own_[static_cast<std::size_t>(first)];
    ops::AdamWOptions own = options;
    own.step = steps(first) + 1;
    own.lr = options.lr * of_these.lr_factor;
    if (of_these.weight_decay >= 0) own.weight_decay = of_these.weight_decay;
    if (!p.decays()) own.weight_decay = 0;
    adamw_step(flat(parameters_.values(), p.offset), flat(parameters_.gradients(), p.grad_offset),
               first_.tensor(dtype, {elements}, p.grad_offset * width),
               second_.tensor(dtype, {elements}, p.grad_offset * width), own, stream);
    for (ParameterId id = first; id < last; ++id) steps(id) += 1;
  });
}

double gradient_norm(const ParameterRegistry& p, const std::function<bool(const Parameter&)>& reached,
                     Stream stream) {
  double sum = 0;
  const auto member = [&](ParameterId id) { return p.has_grad(id) && reached(p[id]); };
  for_runs(
      p, member, [](ParameterId, ParameterId) { return true; },
      [&](ParameterId first, ParameterId, i64 elements) {
        const Tensor all = p.gradients();
        sum += ops::sum_of_squares(
            {static_cast<std::byte*>(all.data()) + p[first].grad_offset * size_of(p.dtype()),
             p.dtype(),
             {elements},
             all.backend()},
            stream);
      });
  return std::sqrt(sum);
}

double clip_factor(double norm, double clip) {
  return std::min(1.0, clip / (norm + 1e-6));
}

}  // namespace longsight::parallel
