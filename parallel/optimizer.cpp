#include "parallel/optimizer.h"

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
      first_(parameters.gradients().bytes(), "first moments", parameters.gradients().backend()),
      second_(parameters.gradients().bytes(), "second moments", parameters.gradients().backend()),
      steps_(static_cast<std::size_t>(parameters.size())),
      own_(std::move(own)) {
  check(own_.empty() || own_.size() == steps_.size(), "options for {} of {} parameters", own_.size(),
        steps_.size());
  own_.resize(steps_.size());
}

Tensor AdamW::first_moments() const {
  return first_.tensor(parameters_.dtype(), parameters_.gradients().shape());
}
Tensor AdamW::second_moments() const {
  return second_.tensor(parameters_.dtype(), parameters_.gradients().shape());
}

void AdamW::step(const std::function<bool(const Parameter&)>& reached, Tensor scale,
                 const ops::AdamWOptions& options, Stream stream) const {
  const DType dtype = parameters_.dtype();
  const i64 width = size_of(dtype);
  const auto member = [&](ParameterId id) { return parameters_.has_grad(id) && reached(parameters_[id]); };
  const auto steps = [&](ParameterId id) { return steps_[static_cast<std::size_t>(id)]; };
  const auto same = [&](ParameterId a, ParameterId b) {
    return parameters_[a].decays() == parameters_[b].decays() && steps(a) == steps(b) &&
           own_[static_cast<std::size_t>(a)] == own_[static_cast<std::size_t>(b)];
  };
  for_runs(parameters_, member, same, [&](ParameterId first, ParameterId, i64 elements) {
    const Parameter& p = parameters_[first];
    const ParameterOptions& of_these = own_[static_cast<std::size_t>(first)];
    ops::AdamWOptions own = options;
    own.step = steps(first) + 1;
    own.lr = options.lr * of_these.lr_factor;
    if (of_these.weight_decay >= 0) own.weight_decay = of_these.weight_decay;
    if (!p.decays()) own.weight_decay = 0;
    adamw_step(parameters_.values().row_range(p.offset, elements),
               parameters_.gradients().row_range(p.grad_offset, elements),
               first_.tensor(dtype, {elements}, p.grad_offset * width),
               second_.tensor(dtype, {elements}, p.grad_offset * width), scale, own, stream);
  });
}

void AdamW::count_step(const std::function<bool(const Parameter&)>& reached) {
  for (ParameterId id = 0; id < parameters_.size(); ++id)
    steps_[static_cast<std::size_t>(id)] += parameters_.has_grad(id) && reached(parameters_[id]) ? 1 : 0;
}

void sum_of_squared_gradients(Tensor sum, const ParameterRegistry& p,
                              const std::function<bool(const Parameter&)>& reached, Stream stream) {
  fill_zero(sum, stream);
  const auto member = [&](ParameterId id) { return p.has_grad(id) && reached(p[id]); };
  for_runs(
      p, member, [](ParameterId, ParameterId) { return true; },
      [&](ParameterId first, ParameterId, i64 elements) {
        ops::sum_of_squares(sum, p.gradients().row_range(p[first].grad_offset, elements), stream);
      });
}

}  // namespace longsight::parallel
