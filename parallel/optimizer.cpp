#include "parallel/optimizer.h"

namespace longsight::parallel {
namespace {

// Elements that lie side by side in each of the buffers.
struct Run {
  ParameterId first = 0;
  i64 elements = 0;
  i64 value = 0, weight = 0, gradient = 0, moment = 0;  // where they begin

  bool continued_by(const Run& next) const {
    return next.value == value + elements && next.weight == weight + elements &&
           next.gradient == gradient + elements && next.moment == moment + elements;
  }
};

// What this rank updates of a parameter.
Run run_of(const ParameterRegistry& p, ParameterId id) {
  const ParameterBucket& bucket = p.bucket_of(id);
  const Share part = p.part_of(id, bucket.own);
  const i64 at = p.in_bucket(id) + part.begin;
  return {.first = id,
          .elements = part.elements(),
          .value = bucket.values_at + at,
          .weight = bucket.weights_at + at,
          .gradient = bucket.gradients_at + at,
          .moment = bucket.moments_at + at};
}

// Calls f for the longest runs of parameters that `same` holds together.
template <class Member, class Same, class F>
void for_runs(const ParameterRegistry& p, Member&& member, Same&& same, F&& f) {
  Run open;
  for (ParameterId id = 0; id < p.size(); ++id) {
    const Run next = member(id) ? run_of(p, id) : Run{};
    if (next.elements == 0) continue;
    if (open.elements > 0 && open.continued_by(next) && same(open.first, id)) {
      open.elements += next.elements;
      continue;
    }
    if (open.elements > 0) f(open);
    open = next;
  }
  if (open.elements > 0) f(open);
}

i64 moment_bytes(const ParameterRegistry& p) {
  return p.moment_elements() * size_of(p.dtype());
}

}  // namespace

AdamW::AdamW(const ParameterRegistry& parameters, std::vector<ParameterOptions> own)
    : parameters_(parameters),
      first_(moment_bytes(parameters), "first moments", parameters.memory()),
      second_(moment_bytes(parameters), "second moments", parameters.memory()),
      steps_(static_cast<std::size_t>(parameters.size())),
      own_(std::move(own)) {
  check(own_.empty() || own_.size() == steps_.size(), "options for {} of {} parameters", own_.size(),
        steps_.size());
  own_.resize(steps_.size());
}

Tensor AdamW::first_moments() const {
  return first_.tensor(parameters_.dtype(), {parameters_.moment_elements()});
}
Tensor AdamW::second_moments() const {
  return second_.tensor(parameters_.dtype(), {parameters_.moment_elements()});
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
  for_runs(parameters_, member, same, [&](const Run& run) {
    const Parameter& p = parameters_[run.first];
    const ParameterOptions& of_these = own_[static_cast<std::size_t>(run.first)];
    ops::AdamWOptions own = options;
    own.step = steps(run.first) + 1;
    own.lr = options.lr * of_these.lr_factor;
    if (of_these.weight_decay >= 0) own.weight_decay = of_these.weight_decay;
    if (!p.decays()) own.weight_decay = 0;
    const Tensor weights = parameters_.precision().mixed()
                               ? parameters_.weights().row_range(run.weight, run.elements)
                               : Tensor();
    adamw_step(parameters_.values().row_range(run.value, run.elements),
               parameters_.gradients().row_range(run.gradient, run.elements),
               first_.tensor(dtype, {run.elements}, run.moment * width),
               second_.tensor(dtype, {run.elements}, run.moment * width), scale, own, stream, weights);
  });
}

void AdamW::count_step(const std::function<bool(const Parameter&)>& reached) {
  for (ParameterId id = 0; id < parameters_.size(); ++id)
    steps_[static_cast<std::size_t>(id)] += parameters_.has_grad(id) && reached(parameters_[id]) ? 1 : 0;
}

}  // namespace longsight::parallel
