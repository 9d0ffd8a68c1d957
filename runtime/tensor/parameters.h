// The parameters of a model: one flat buffer of values and one of gradients, in registration order and
// without gaps, so that neighbours in registration order (q, k and v; gate and up) can be used as one matrix,
// and optimizer shards and reduction buckets are plain intervals.
#pragma once

#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/base/philox.h"
#include "runtime/tensor/tensor.h"

namespace longsight {

// Random values at the start of a training run without a checkpoint; keyed by the parameter's name, so it
// does not depend on ranks or on the order of registration.
struct Init {
  enum class Kind { normal, zeros, ones, constant } kind = Kind::zeros;
  double value = 0;  // deviation of `normal`, value of `constant`
};
inline Init init_normal(double deviation) {
  return {Init::Kind::normal, deviation};
}
inline Init init_constant(double value) {
  return {Init::Kind::constant, value};
}
inline Init init_zeros() {
  return {Init::Kind::zeros, 0};
}
inline Init init_ones() {
  return {Init::Kind::ones, 0};
}

struct Parameter {
  std::string name;  // as in the canonical Hugging Face file
  Shape shape;       // as in the file: two or more dimensions are decayed
  std::string part;  // "vision", "connector", "language": switched on and off together
  Init init;
  bool used = true;       // false: carried from file to file, never run (a layer above the feature layer)
  bool adapter = false;   // comes to a weight of the file, and is not part of the file itself
  bool trainable = true;  // has a gradient and optimizer state; set before allocate()
  i64 offset = 0;         // element in the value buffer
  i64 grad_offset = -1;   // element in the gradient buffer; -1: none
  i64 elements() const { return shape.elements(); }
  bool decays() const { return shape.rank() >= 2; }
};

using ParameterId = i64;  // index in registration order

class ParameterRegistry {
 public:
  // Registration, before allocate(). Two parameters of one name are an error.
  ParameterId add(Parameter parameter);
  // Decides what is trained: called for each parameter.
  template <class F>
  void set_trainable(F&& decide) {
    check(!allocated(), "parameters are frozen or freed before they are allocated");
    for (Parameter& p : parameters_) p.trainable = decide(static_cast<const Parameter&>(p));
  }

  // Takes memory: values of all parameters; with `with_gradients` also gradients of the trainable ones that
  // are used.
  void allocate(DType dtype, bool with_gradients, Backend backend = Backend::host);
  bool allocated() const { return allocated_; }
  void initialise(u64 seed);                  // all values, from Init
  void initialise(ParameterId id, u64 seed);  // of one parameter, as if with all of them

  DType dtype() const { return dtype_; }
  i64 size() const { return static_cast<i64>(parameters_.size()); }
  const Parameter& operator[](ParameterId id) const { return parameters_[static_cast<std::size_t>(id)]; }
  std::span<const Parameter> all() const { return parameters_; }
  ParameterId find(std::string_view name) const;  // -1: no such parameter

  Tensor value(ParameterId id) const;
  bool has_grad(ParameterId id) const { return (*this)[id].grad_offset >= 0; }
  Tensor grad(ParameterId id) const;  // only where has_grad

  // Neighbours [first, first + count) of registration joined along the rows: [sum of rows, row size]; for
  // vectors [sum].
  Tensor joined_value(ParameterId first, i64 count) const;
  bool all_have_grad(ParameterId first, i64 count) const;
  Tensor joined_grad(ParameterId first, i64 count) const;

  Tensor values() const { return values_view_; }        // [all elements]
  Tensor gradients() const { return gradients_view_; }  // [elements with a gradient], zero elements without

 private:
  Shape joined_shape(ParameterId first, i64 count) const;

  std::vector<Parameter> parameters_;
  std::unordered_map<std::string, ParameterId> by_name_;
  DType dtype_ = DType::F32;
  bool allocated_ = false;
  Storage values_, gradients_;
  Tensor values_view_, gradients_view_;
};

}  // namespace longsight
