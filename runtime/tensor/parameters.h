// The parameters of a model: one flat buffer of values and one of gradients, in registration order and
// without gaps, so that neighbours in registration order (q, k and v; gate and up) can be used as one matrix,
// and optimizer shards and reduction buckets are plain intervals. Where they are dealt over ranks
// (runtime/tensor/sharding.h), each buffer holds this rank's shares, end to end.
//
// Values are what is read from files, optimised and written; weights are what layers compute with: the same
// memory, or in mixed precision (runtime/tensor/precision.h) a copy that is rounded from them.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/base/philox.h"
#include "runtime/tensor/precision.h"
#include "runtime/tensor/sharding.h"
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
  std::string unit = {};  // "language.3": what is used together, and gathered together where it is dealt
  bool used = true;       // false: carried from file to file, never run (a layer above the feature layer)
  bool adapter = false;   // comes to a weight of the file, and is not part of the file itself
  bool trainable = true;  // has a gradient and optimizer state; set before allocate()
  i64 offset = 0;         // element among those of all parameters
  i64 grad_offset = -1;   // element among those that have a gradient; -1: none
  i64 elements() const { return shape.elements(); }
  bool decays() const { return shape.rank() >= 2; }
};

using ParameterId = i64;  // index in registration order

// Neighbours of one unit that are all trained, or all not: what is dealt over ranks as one row.
struct ParameterBucket {
  ParameterId first = 0;
  i64 count = 0;  // parameters
  i64 unit = 0;
  i64 elements = 0;
  bool trained = false;
  Share own = {};  // of this rank, where it is dealt; otherwise all
  // Where its first element is: among those of its unit, in order of registration; and in the buffers, those
  // of a rank that holds its own share alone beginning somewhere else.
  i64 in_unit = 0, gradient_in_unit = 0;
  i64 values_at = 0, weights_at = 0, gradients_at = 0, moments_at = 0;
};

struct ParameterUnit {
  std::string name;
  i64 elements = 0, trained = 0;
  std::vector<i64> buckets = {};
};

// Whether a rank has its shares of the values alone. In mixed precision they are a part of what is optimised,
// and dealt as soon as moments are; weights are dealt in stage 3.
inline bool values_dealt(const Precision& precision, const Sharding& sharding) {
  return sharding.values() || (precision.mixed() && sharding.moments());
}

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

  // Takes memory: values of all parameters, in mixed precision weights too; with `with_gradients` also
  // gradients of the trainable ones that are used. With a sharding, of what it deals only this rank's shares.
  void allocate(const Precision& precision, bool with_gradients, MemoryPlace place = {},
                const Sharding& = {});
  bool allocated() const { return allocated_; }
  const MemoryPlace& memory() const { return memory_; }
  // From the host to the device of a stream: values are copied, gradients are zeros there, and the host's
  // memory is freed. Waits for the stream.
  void move_to(Stream);
  // Deals what has been allocated whole: keeps this rank's shares of the values, and frees the rest.
  void shard(const Sharding&);
  void initialise(u64 seed);                  // all values, from Init
  void initialise(ParameterId id, u64 seed);  // of one parameter, as if with all of them
  // `fill` writes all values of a parameter, of which this rank's share is kept.
  void write(ParameterId id, const std::function<void(Tensor)>& fill);
  void keep(ParameterId id, Tensor whole, Stream stream = {});  // the same with values that are there
  // In mixed precision: the weights of the values that this rank holds. For whoever changes values in place;
  // where they are dealt and weights are not, see refresh_weights (parallel/sharded_parameters.h).
  void round_weights(Stream) const;
  // Of all elements, as they came to a rank that keeps a share of them alone: whether ranks were given the
  // same is not to be seen later.
  u64 hash_as_given(ParameterId id) const { return given_[static_cast<std::size_t>(id)]; }

  const Precision& precision() const { return precision_; }
  DType dtype() const { return precision_.master; }  // of the values
  i64 size() const { return static_cast<i64>(parameters_.size()); }
  const Parameter& operator[](ParameterId id) const { return parameters_[static_cast<std::size_t>(id)]; }
  std::span<const Parameter> all() const { return parameters_; }
  ParameterId find(std::string_view name) const;  // -1: no such parameter

  // Of values that are dealt this rank has its share alone: internal, but for weights and values of one type
  // while they are gathered. Weights and gradients that are dealt are there while their unit is gathered.
  Tensor value(ParameterId id) const;
  Tensor weight(ParameterId id) const;
  bool has_grad(ParameterId id) const { return (*this)[id].grad_offset >= 0; }
  Tensor grad(ParameterId id) const;  // only where has_grad

  // Neighbours [first, first + count) of registration joined along the rows: [sum of rows, row size]; for
  // vectors [sum].
  Tensor joined_weight(ParameterId first, i64 count) const;
  bool all_have_grad(ParameterId first, i64 count) const;
  Tensor joined_grad(ParameterId first, i64 count) const;

  // What this rank holds: [all elements], or its shares end to end.
  Tensor values() const { return values_view_; }
  Tensor weights() const { return weights_view_; }
  i64 value_bytes() const;                              // of both together
  Tensor replicated() const;                            // what every rank holds of them, as bytes [n]
  Tensor gradients() const { return gradients_view_; }  // of those with a gradient
  i64 moment_elements() const { return moments_; }      // of an optimizer
  i64 trained_elements() const { return trained_; }     // with a gradient, of all ranks together

  // ---- dealt over ranks

  const Sharding& sharding() const { return sharding_; }
  bool values_dealt() const { return longsight::values_dealt(precision_, sharding_); }
  std::span<const ParameterBucket> buckets() const { return buckets_; }  // in registration order
  const ParameterBucket& bucket_of(ParameterId id) const {
    return buckets_[static_cast<std::size_t>(places_[static_cast<std::size_t>(id)].bucket)];
  }
  std::span<const ParameterUnit> units() const { return units_; }
  i64 unit_of(ParameterId id) const { return bucket_of(id).unit; }
  // Where a parameter begins in its bucket, and the elements of it that lie within a share of the bucket.
  i64 in_bucket(ParameterId id) const { return places_[static_cast<std::size_t>(id)].in_bucket; }
  Share part_of(ParameterId id, const Share& of_bucket) const;
  Tensor held_value(ParameterId id) const;  // [elements of it that this rank holds]
  // Elements of a bucket, of those that this rank holds.
  Tensor bucket_values(const ParameterBucket&, const Share&) const;
  Tensor bucket_weights(const ParameterBucket&, const Share&) const;
  Tensor bucket_gradients(const ParameterBucket&, const Share&) const;

  // A unit's weights and gradients lie, in order of registration, in memory of the caller until they are
  // released; empty: what is not dealt, or not there.
  void place(i64 unit, Tensor weights, Tensor gradients);
  void release(i64 unit);

  // For traces alone: as if it were dealt so, until the object is gone.
  class Pretence {
   public:
    Pretence(ParameterRegistry&, const Sharding&);
    ~Pretence();
    Pretence(const Pretence&) = delete;
    Pretence& operator=(const Pretence&) = delete;

   private:
    ParameterRegistry& parameters_;
    Sharding before_;
  };

 private:
  struct Place {  // of a parameter
    i64 bucket = 0, in_bucket = 0;
  };
  struct Placed {  // of a unit
    Tensor weights, gradients;
  };
  static void initialise(Tensor value, const Parameter&, u64 seed);
  void lay_out(const Sharding&);
  void take_buffers();
  void view_buffers();
  i64 weights_begin() const;  // byte of the storage, behind the values
  Tensor weight_of(ParameterId first, Shape) const;
  Tensor gradient_of(ParameterId first, Shape) const;
  Shape joined_shape(ParameterId first, i64 count) const;

  std::vector<Parameter> parameters_;
  std::unordered_map<std::string, ParameterId> by_name_;
  Precision precision_;
  bool allocated_ = false;
  MemoryPlace memory_;
  Sharding sharding_;
  i64 elements_ = 0, trained_ = 0;                                             // of all ranks together
  i64 held_values_ = 0, held_weights_ = 0, held_gradients_ = 0, moments_ = 0;  // of this one
  std::vector<ParameterBucket> buckets_;
  std::vector<ParameterUnit> units_;
  std::vector<Place> places_;
  std::vector<Placed> placed_;
  std::vector<u64> given_;      // by parameter
  Storage values_, gradients_;  // the first holds the weights too
  Tensor values_view_, weights_view_, gradients_view_;
};

}  // namespace longsight
