#include "runtime/tensor/parameters.h"

#include <xxhash.h>

namespace longsight {

ParameterId ParameterRegistry::add(Parameter parameter) {
  check(!allocated_, "parameter {} is registered after allocate()", parameter.name);
  const auto id = static_cast<ParameterId>(parameters_.size());
  check(by_name_.emplace(parameter.name, id).second, "two parameters are called {}", parameter.name);
  parameters_.push_back(std::move(parameter));
  return id;
}

void ParameterRegistry::allocate(const Precision& precision, bool with_gradients, MemoryPlace place,
                                 const Sharding& sharding) {
  check(!allocated_, "parameters are allocated twice");
  precision_ = precision;
  memory_ = place;
  elements_ = trained_ = 0;
  for (Parameter& p : parameters_) {
    p.offset = elements_;
    elements_ += p.elements();
    p.grad_offset = with_gradients && p.used && p.trainable ? trained_ : -1;
    if (p.grad_offset >= 0) trained_ += p.elements();
  }
  lay_out(sharding);
  take_buffers();
  allocated_ = true;
}

// ---- dealt over ranks

void ParameterRegistry::lay_out(const Sharding& sharding) {
  check(sharding.stage >= 0 && sharding.stage <= 3 && sharding.rank >= 0 && sharding.rank < sharding.ranks,
        "parameters dealt in stage {} for rank {} of {}", sharding.stage, sharding.rank, sharding.ranks);
  sharding_ = sharding;
  buckets_.clear();
  units_.clear();
  places_.clear();
  std::unordered_map<std::string, i64> by_name;
  i64 held = 0, held_trained = 0;
  const auto close = [&](ParameterBucket& bucket) {
    const Parameter& first = (*this)[bucket.first];
    bucket.own = {0, bucket.elements};
    if (sharding.stage > 0) bucket.own = share_of(bucket.elements, sharding.rank, sharding.ranks);
    bucket.values_at = values_dealt() ? held - bucket.own.begin : first.offset;
    bucket.weights_at = sharding.values() ? held - bucket.own.begin : first.offset;
    held += bucket.own.elements();
    if (!bucket.trained) return;
    const i64 own_at = held_trained - bucket.own.begin;
    bucket.gradients_at = sharding.gradients() ? own_at : first.grad_offset;
    bucket.moments_at = sharding.moments() ? own_at : first.grad_offset;
    held_trained += bucket.own.elements();
  };
  for (ParameterId id = 0; id < size(); ++id) {
    const Parameter& p = (*this)[id];
    const bool trained = p.grad_offset >= 0;
    const auto unit = by_name.emplace(p.unit, std::ssize(units_)).first->second;
    if (unit == std::ssize(units_)) units_.push_back({.name = p.unit});
    ParameterUnit& whole = units_[static_cast<std::size_t>(unit)];
    const bool goes_on = id > 0 && buckets_.back().unit == unit && buckets_.back().trained == trained &&
                         (*this)[id - 1].part == p.part;
    if (!goes_on) {
      if (id > 0) close(buckets_.back());
      whole.buckets.push_back(std::ssize(buckets_));
      buckets_.push_back({.first = id,
                          .unit = unit,
                          .trained = trained,
                          .in_unit = whole.elements,
                          .gradient_in_unit = whole.trained});
    }
    ParameterBucket& bucket = buckets_.back();
    places_.push_back({std::ssize(buckets_) - 1, bucket.elements});
    bucket.count += 1;
    bucket.elements += p.elements();
    whole.elements += p.elements();
    if (trained) whole.trained += p.elements();
  }
  if (!buckets_.empty()) close(buckets_.back());
  placed_.assign(units_.size(), {});
  given_.resize(parameters_.size());
  held_values_ = values_dealt() ? held : elements_;
  held_weights_ = sharding.values() ? held : elements_;
  held_gradients_ = sharding.gradients() ? held_trained : trained_;
  moments_ = sharding.moments() ? held_trained : trained_;
}

i64 ParameterRegistry::weights_begin() const {
  constexpr i64 kAlign = 64;
  return ceil_div(held_values_ * size_of(precision_.master), kAlign) * kAlign;
}

void ParameterRegistry::take_buffers() {
  const i64 bytes = precision_.mixed() ? weights_begin() + held_weights_ * size_of(precision_.activations)
                                       : held_values_ * size_of(precision_.master);
  values_ = Storage(bytes, "parameters", memory_);
  gradients_ = Storage(held_gradients_ * size_of(precision_.gradients), "gradients", memory_);
  view_buffers();
}

void ParameterRegistry::view_buffers() {
  values_view_ = values_.tensor(precision_.master, {held_values_});
  weights_view_ = precision_.mixed()
                      ? values_.tensor(precision_.activations, {held_weights_}, weights_begin())
                      : values_view_;
  gradients_view_ = gradients_.tensor(precision_.gradients, {held_gradients_});
}

i64 ParameterRegistry::value_bytes() const {
  return values_view_.bytes() + (precision_.mixed() ? weights_view_.bytes() : 0);
}

Tensor ParameterRegistry::replicated() const {
  if (sharding_.values()) return values_.tensor(DType::U8, {0});
  const i64 begin = values_dealt() ? weights_begin() : 0;
  return values_.tensor(DType::U8, {values_.bytes() - begin}, begin);
}

void ParameterRegistry::move_to(Stream stream) {
  check(allocated_ && memory_.backend == Backend::host && stream.device != nullptr,
        "parameters of {} are moved to {}", name_of(memory_.backend), name_of(stream.backend));
  gradients_ = {};
  gradients_view_ = {};
  Storage there(values_.bytes(), "parameters", *stream.device);
  const Shape bytes{values_.bytes()};
  copy(there.tensor(DType::U8, bytes), values_.tensor(DType::U8, bytes), stream);
  stream.device->synchronize(stream);
  values_ = std::move(there);
  gradients_ = Storage(held_gradients_ * size_of(precision_.gradients), "gradients", *stream.device);
  memory_ = *stream.device;
  view_buffers();
}

void ParameterRegistry::shard(const Sharding& sharding) {
  check(allocated_ && sharding_.stage == 0, "parameters that are dealt are dealt again");
  if (sharding.stage == 0) return;
  const Storage before = std::move(values_);
  const Tensor whole = before.tensor(precision_.master, {elements_});
  lay_out(sharding);
  take_buffers();
  for (ParameterId id = 0; id < size(); ++id)
    keep(id, whole.row_range((*this)[id].offset, (*this)[id].elements()));
}

Share ParameterRegistry::part_of(ParameterId id, const Share& of_bucket) const {
  const i64 at = in_bucket(id);
  const Share part = common_part(of_bucket, {at, at + (*this)[id].elements()});
  return {part.begin - at, part.end - at};
}

Tensor ParameterRegistry::held_value(ParameterId id) const {
  const ParameterBucket& bucket = bucket_of(id);
  const Share part = part_of(id, values_dealt() ? bucket.own : Share{0, bucket.elements});
  if (part.elements() == 0) return values_view_.row_range(0, 0);
  const i64 at = in_bucket(id);
  return bucket_values(bucket, {at + part.begin, at + part.end});
}

Tensor ParameterRegistry::bucket_values(const ParameterBucket& bucket, const Share& share) const {
  return values_view_.row_range(bucket.values_at + share.begin, share.elements());
}

Tensor ParameterRegistry::bucket_weights(const ParameterBucket& bucket, const Share& share) const {
  return weights_view_.row_range(bucket.weights_at + share.begin, share.elements());
}

Tensor ParameterRegistry::bucket_gradients(const ParameterBucket& bucket, const Share& share) const {
  return gradients_view_.row_range(bucket.gradients_at + share.begin, share.elements());
}

void ParameterRegistry::place(i64 unit, Tensor weights, Tensor gradients) {
  Placed& placed = placed_[static_cast<std::size_t>(unit)];
  check(!placed.weights && !placed.gradients, "the parameters of {} are gathered twice",
        units_[static_cast<std::size_t>(unit)].name);
  placed = {weights, gradients};
}

void ParameterRegistry::release(i64 unit) {
  placed_[static_cast<std::size_t>(unit)] = {};
}

ParameterRegistry::Pretence::Pretence(ParameterRegistry& parameters, const Sharding& sharding)
    : parameters_(parameters), before_(parameters.sharding()) {
  check(before_.stage == 0 || before_ == sharding, "parameters that are dealt cannot be traced otherwise");
  if (before_ == sharding || (before_.stage == 0 && sharding.stage == 0)) return;  // nothing lies elsewhere
  parameters_.lay_out(sharding);
  parameters_.view_buffers();
}

ParameterRegistry::Pretence::~Pretence() {
  if (parameters_.sharding() == before_) return;
  parameters_.lay_out(before_);
  parameters_.view_buffers();
}

// ---- values

void ParameterRegistry::initialise(u64 seed) {
  for (ParameterId id = 0; id < size(); ++id) initialise(id, seed);
}

void ParameterRegistry::initialise(ParameterId id, u64 seed) {
  write(id, [&](Tensor value) { initialise(value, (*this)[id], seed); });
}

void ParameterRegistry::write(ParameterId id, const std::function<void(Tensor)>& fill) {
  if (!values_dealt() && !precision_.mixed()) return fill(value(id));
  const OwnedTensor whole(dtype(), (*this)[id].shape, "parameter", memory_);
  fill(whole);
  keep(id, whole);
}

void ParameterRegistry::keep(ParameterId id, Tensor whole, Stream stream) {
  if (values_dealt() && whole.backend() == Backend::host)
    given_[static_cast<std::size_t>(id)] = XXH3_64bits(whole.data(), static_cast<std::size_t>(whole.bytes()));
  const ParameterBucket& bucket = bucket_of(id);
  const Tensor flat = whole.reshape({whole.elements()});
  const auto put = [&](Tensor held, i64 at, bool dealt) {
    const Share part = part_of(id, dealt ? bucket.own : Share{0, bucket.elements});
    if (part.elements() == 0) return;
    copy(held.row_range(at + in_bucket(id) + part.begin, part.elements()),
         flat.row_range(part.begin, part.elements()), stream);
  };
  put(values_view_, bucket.values_at, values_dealt());
  if (precision_.mixed()) put(weights_view_, bucket.weights_at, sharding_.values());
}

void ParameterRegistry::round_weights(Stream stream) const {
  if (!precision_.mixed()) return;
  if (values_dealt() == sharding_.values()) return copy(weights_view_, values_view_, stream);
  for (const ParameterBucket& bucket : buckets_) {
    if (bucket.own.elements() > 0)
      copy(bucket_weights(bucket, bucket.own), bucket_values(bucket, bucket.own), stream);
  }
}

void ParameterRegistry::initialise(Tensor value, const Parameter& p, u64 seed) {
  const Philox random(seed, p.name);
  dispatch(value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* x = value.host<T>();
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
  if (!precision_.mixed()) return weight(id);
  const Parameter& p = (*this)[id];
  check(!values_dealt(), "the value of {} is dealt over the ranks", p.name);
  return values_view_.row_range(p.offset, p.elements()).reshape(p.shape);
}

Tensor ParameterRegistry::weight(ParameterId id) const {
  return weight_of(id, (*this)[id].shape);
}

Tensor ParameterRegistry::grad(ParameterId id) const {
  check(has_grad(id), "{} has no gradient", (*this)[id].name);
  return gradient_of(id, (*this)[id].shape);
}

// Of a parameter and its neighbours, where the shape has more elements.
Tensor ParameterRegistry::weight_of(ParameterId first, Shape shape) const {
  if (!sharding_.values())
    return weights_view_.row_range((*this)[first].offset, shape.elements()).reshape(shape);
  const ParameterBucket& bucket = bucket_of(first);
  const Tensor gathered = placed_[static_cast<std::size_t>(bucket.unit)].weights;
  check(static_cast<bool>(gathered), "{} is used while it is not gathered", (*this)[first].name);
  return gathered.row_range(bucket.in_unit + in_bucket(first), shape.elements()).reshape(shape);
}

Tensor ParameterRegistry::gradient_of(ParameterId first, Shape shape) const {
  if (!sharding_.gradients())
    return gradients_view_.row_range((*this)[first].grad_offset, shape.elements()).reshape(shape);
  const ParameterBucket& bucket = bucket_of(first);
  const Tensor gathered = placed_[static_cast<std::size_t>(bucket.unit)].gradients;
  check(static_cast<bool>(gathered), "the gradient of {} is used while there is no memory for it",
        (*this)[first].name);
  return gathered.row_range(bucket.gradient_in_unit + in_bucket(first), shape.elements()).reshape(shape);
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

Tensor ParameterRegistry::joined_weight(ParameterId first, i64 count) const {
  return weight_of(first, joined_shape(first, count));
}

bool ParameterRegistry::all_have_grad(ParameterId first, i64 count) const {
  for (i64 i = 0; i < count; ++i) {
    if (!has_grad(first + i)) return false;
  }
  return true;
}

Tensor ParameterRegistry::joined_grad(ParameterId first, i64 count) const {
  check(all_have_grad(first, count), "{} and its neighbours do not all have gradients", (*this)[first].name);
  return gradient_of(first, joined_shape(first, count));
}

}  // namespace longsight
