#include "runtime/tensor/parameters.h"

namespace longsight {

ParameterId ParameterRegistry::add(Parameter parameter) {
  check(!allocated_, "parameter {} is registered after allocate()", parameter.name);
  const auto id = static_cast<ParameterId>(parameters_.size());
  check(by_name_.emplace(parameter.name, id).second, "two parameters are called {}", parameter.name);
  parameters_.push_back(std::move(parameter));
  return id;
}

void ParameterRegistry::allocate(DType dtype, bool with_gradients, Backend backend) {
  check(!allocated_, "parameters are allocated twice");
  dtype_ = dtype;
  i64 values = 0, gradients = 0;
  for (Parameter& p : parameters_) {
    p.offset = values;
    values += p.elements();
    p.grad_offset = with_gradients && p.used && p.trainable ? gradients : -1;
    if (p.grad_offset >= 0) gradients += p.elements();
  }
  values_ = Storage(values * size_of(dtype), "parameters", backend);
  gradients_ = Storage(gradients * size_of(dtype), "gradients", backend);
  values_view_ = values_.tensor(dtype, {values});
  gradients_view_ = gradients_.tensor(dtype, {gradients});
  allocated_ = true;
}

void ParameterRegistry::initialise(u64 seed) {
  for (ParameterId id = 0; id < size(); ++id) initialise(id, seed);
}

void ParameterRegistry::initialise(ParameterId id, u64 seed) {
  const Parameter& p = (*this)[id];
  const Philox random(seed, p.name);
  dispatch(dtype_, [&](auto zero) {
    using T = decltype(zero);
    T* x = values_view_.host<T>() + p.offset;
    for (i64 i = 0; i < p.elements(); ++i) {
      switch (p.init.kind) {
        case Init::Kind::zeros:
          x[i] = 0;
          break;
        case Init::Kind::ones:
          x[i] = 1;
          break;
        case Init::Kind::constant:
          x[i] = static_cast<float>(p.init.value);
          break;
        // Rounded to f32 in f64 too, so that both dtypes start from the same model.
        case Init::Kind::normal:
          x[i] = static_cast<float>(p.init.value * random.normal(static_cast<u64>(i)));
          break;
      }
    }
  });
}

ParameterId ParameterRegistry::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? -1 : found->second;
}

Tensor ParameterRegistry::value(ParameterId id) const {
  const Parameter& p = (*this)[id];
  return values_.tensor(dtype_, p.shape, p.offset * size_of(dtype_));
}

Tensor ParameterRegistry::grad(ParameterId id) const {
  const Parameter& p = (*this)[id];
  check(p.grad_offset >= 0, "{} has no gradient", p.name);
  return gradients_.tensor(dtype_, p.shape, p.grad_offset * size_of(dtype_));
}

Shape ParameterRegistry::joined_shape(ParameterId first, i64 count) const {
  const Parameter& head = (*this)[first];
  i64 rows = 0;
  for (i64 i = 0; i < count; ++i) {
    const Parameter& p = (*this)[first + i];
    check(p.shape.rank() == head.shape.rank() &&
              (p.shape.rank() == 1 || p.elements() / p.shape[0] == head.elements() / head.shape[0]),
          "{} {} and {} {} cannot be joined by rows", head.name, head.shape, p.name, p.shape);
    rows += p.shape[0];
  }
  return head.shape.rank() == 1 ? Shape{rows} : Shape{rows, head.elements() / head.shape[0]};
}

Tensor ParameterRegistry::joined_value(ParameterId first, i64 count) const {
  return values_.tensor(dtype_, joined_shape(first, count), (*this)[first].offset * size_of(dtype_));
}

bool ParameterRegistry::all_have_grad(ParameterId first, i64 count) const {
  for (i64 i = 0; i < count; ++i) {
    if (!has_grad(first + i)) return false;
  }
  return true;
}

Tensor ParameterRegistry::joined_grad(ParameterId first, i64 count) const {
  check(all_have_grad(first, count), "{} and its neighbours do not all have gradients", (*this)[first].name);
  return gradients_.tensor(dtype_, joined_shape(first, count), (*this)[first].grad_offset * size_of(dtype_));
}

}  // namespace longsight
