#include "parallel/sharded_parameters.h"

#include "parallel/groups/exchange.h"
#include "runtime/ops/adamw.h"
#include "runtime/ops/rows.h"
#include "runtime/tensor/host_values.h"

namespace longsight::parallel {
namespace {

constexpr const char* kNorm = "gradient norm";
constexpr const char* kWhole = "whole parameter";
constexpr ParameterId kEnd = -1;

const ParameterUnit& unit_of(const ParameterRegistry& p, const ParameterBucket& bucket) {
  return p.units()[static_cast<std::size_t>(bucket.unit)];
}

Exchange gathered(const ParameterRegistry& p, const ParameterBucket& bucket, i64 ranks) {
  return all_gather("values " + unit_of(p, bucket).name, bucket.elements, ranks);
}

Exchange summed(const ParameterRegistry& p, const ParameterBucket& bucket, i64 ranks) {
  return reduce_scatter("gradients " + unit_of(p, bucket).name, bucket.elements, ranks);
}

void check_world(const ParameterRegistry& p, const ProcessGroup& world) {
  check(p.sharding().stage == 0 || (p.sharding().rank == world.rank() && p.sharding().ranks == world.size()),
        "parameters dealt for rank {} of {} on rank {} of {}", p.sharding().rank, p.sharding().ranks,
        world.rank(), world.size());
}

template <class F>
void each_bucket_of(const ParameterRegistry& p, i64 unit, F&& f) {
  for (const i64 bucket : p.units()[static_cast<std::size_t>(unit)].buckets)
    f(p.buckets()[static_cast<std::size_t>(bucket)]);
}

template <class F>
void each_reached(const ParameterRegistry& p, const Reached& reached, F&& f) {
  for (const ParameterBucket& bucket : p.buckets()) {
    if (!bucket.trained || !reached(p[bucket.first])) continue;
    for (i64 i = 1; i < bucket.count; ++i)
      check(reached(p[bucket.first + i]), "a step reaches {}, but not {} beside it", p[bucket.first].name,
            p[bucket.first + i].name);
    f(bucket);
  }
}

// The weights of a bucket, which every rank holds, as their owners have them.
void gather_bucket(const ParameterRegistry& p, const ParameterBucket& bucket, ProcessGroup& world,
                   Stream stream) {
  gathered(p, bucket, world.size())
      .run(p.bucket_weights(bucket, bucket.own), p.bucket_weights(bucket, {0, bucket.elements}), world,
           stream);
}

void zero(Tensor x, Stream stream) {
  if (x.elements() > 0) fill_zero(x, stream);
}

}  // namespace

Share share_in(const ParameterBucket& bucket, const ProcessGroup& world) {
  return share_of(bucket.elements, world.rank(), world.size());
}

void gather_unit(const ParameterRegistry& p, i64 unit, Tensor weights, ProcessGroup& world, Stream stream) {
  check_world(p, world);
  each_bucket_of(p, unit, [&](const ParameterBucket& bucket) {
    gathered(p, bucket, world.size())
        .run(p.bucket_weights(bucket, bucket.own), weights.row_range(bucket.in_unit, bucket.elements), world,
             stream);
  });
}

void send_gradients(const ParameterRegistry& p, i64 unit, Tensor gradients, ProcessGroup& world,
                    Stream stream) {
  check_world(p, world);
  each_bucket_of(p, unit, [&](const ParameterBucket& bucket) {
    if (!bucket.trained) return;
    const Tensor all = gradients.row_range(bucket.gradient_in_unit, bucket.elements);
    const i64 count = bucket.own.elements();
    const Tensor own = all.row_range(bucket.own.begin, count);
    summed(p, bucket, world.size()).run(all, own, world, stream);
    if (count > 0)
      ops::add_matrix(p.bucket_gradients(bucket, bucket.own).reshape({1, count}), own.reshape({1, count}),
                      stream);
  });
}

void sum_to_owners(const ParameterRegistry& p, const Reached& reached, ProcessGroup& world, Stream stream) {
  check_world(p, world);
  each_reached(p, reached, [&](const ParameterBucket& bucket) {
    const Share own = bucket.own;
    const Tensor all = p.bucket_gradients(bucket, {0, bucket.elements});
    summed(p, bucket, world.size()).run(all, p.bucket_gradients(bucket, own), world, stream);
    zero(all.row_range(0, own.begin), stream);
    zero(all.row_range(own.end, bucket.elements - own.end), stream);
  });
}

void sum_of_squared_gradients(Tensor sum, const ParameterRegistry& p, const Reached& reached,
                              ProcessGroup& world, Stream stream) {
  check_world(p, world);
  fill_zero(sum, stream);
  each_reached(p, reached, [&](const ParameterBucket& bucket) {
    const Share own = share_in(bucket, world);
    if (own.elements() > 0) ops::sum_of_squares(sum, p.bucket_gradients(bucket, own), stream);
  });
  world.all_reduce_sum(sum, stream, kNorm);
}

void gather_updated(const ParameterRegistry& p, const Reached& reached, ProcessGroup& world, Stream stream) {
  check_world(p, world);
  each_reached(p, reached, [&](const ParameterBucket& bucket) { gather_bucket(p, bucket, world, stream); });
}

void refresh_weights(const ParameterRegistry& p, ProcessGroup* world, Stream stream) {
  p.round_weights(stream);
  if (!p.values_dealt() || p.sharding().values()) return;
  check(world != nullptr, "weights of values that are dealt over ranks are refreshed by one");
  check_world(p, *world);
  for (const ParameterBucket& bucket : p.buckets()) gather_bucket(p, bucket, *world, stream);
}

// ---- whole parameters

namespace {

// The elements of a parameter that each rank holds.
std::vector<i64> parts_of(const ParameterRegistry& p, ParameterId id, i64 ranks) {
  const ParameterBucket& bucket = p.bucket_of(id);
  std::vector<i64> counts;
  for (i64 r = 0; r < ranks; ++r)
    counts.push_back(p.part_of(id, share_of(bucket.elements, r, ranks)).elements());
  return counts;
}

}  // namespace

OwnedTensor whole_value(const ParameterRegistry& p, ParameterId id, ProcessGroup& world, Stream stream) {
  OwnedTensor whole(p.dtype(), p[id].shape, kWhole, p.memory());
  if (!p.values_dealt()) {
    copy(whole, p.value(id), stream);
    return whole;
  }
  check_world(p, world);
  world.all_gather_v(p.held_value(id), whole->reshape({whole->elements()}), parts_of(p, id, world.size()),
                     stream, kWhole);
  return whole;
}

void gather_gradients(Tensor all, const ParameterRegistry& p, ProcessGroup& world, Stream stream) {
  check_world(p, world);
  check(all.elements() == p.trained_elements(), "{} elements for the gradients of {}", all.elements(),
        p.trained_elements());
  if (p.sharding().stage == 0) return copy(all, p.gradients(), stream);
  for (const ParameterBucket& bucket : p.buckets()) {
    if (!bucket.trained) continue;
    gathered(p, bucket, world.size())
        .run(p.bucket_gradients(bucket, bucket.own),
             all.row_range(p[bucket.first].grad_offset, bucket.elements), world, stream);
  }
}

void WholeValues::lend(const std::function<void()>& work) {
  const bool leads = world_.rank() == 0;
  if (!parameters_.values_dealt()) {
    if (leads) work();
    forget();  // it may change
    return;
  }
  check_world(parameters_, world_);
  const auto asked = [&](ParameterId id) {
    tell(id);
    return id;
  };
  if (!leads) {
    for (ParameterId id = asked(kEnd); id != kEnd; id = asked(kEnd)) {
      collect(id);
      // It has left before rank 0, who waits for it, is waited for.
      if (stream_.device != nullptr) stream_.device->synchronize(stream_);
    }
    return;
  }
  const auto end = [&] {
    forget();
    asked(kEnd);
  };
  try {
    work();
  } catch (...) {
    end();
    throw;
  }
  end();
}

void WholeValues::forget() {
  last_ = {};
  last_id_ = kEnd;
}

Tensor WholeValues::operator()(ParameterId id) {
  const bool on_host = parameters_.memory().device == nullptr, whole = !parameters_.values_dealt();
  if (whole && on_host) return parameters_.value(id);
  if (id != last_id_) {
    if (whole) {
      last_ = host_copy(parameters_.value(id), stream_);
    } else {
      ParameterId told = id;
      tell(told);
      last_ = collect(id);
      if (!on_host) last_ = host_copy(last_, stream_);
    }
    last_id_ = id;
  }
  return last_;
}

void WholeValues::tell(ParameterId& id) const {
  ProcessGroup& control = world_.control();
  control.broadcast(&id, 1, DType::I64, 0, &control == &world_ ? stream_ : Stream{}, kWhole);
}

// Of rank 0; empty on the others.
OwnedTensor WholeValues::collect(ParameterId id) const {
  const std::vector<i64> parts = parts_of(parameters_, id, world_.size());
  const std::vector<i64> nothing(parts.size(), 0);
  const Tensor own = parameters_.held_value(id);
  std::vector<i64> sent = nothing;
  sent[0] = own.elements();
  const bool leads = world_.rank() == 0;
  OwnedTensor whole(parameters_.dtype(), leads ? parameters_[id].shape : Shape{0}, kWhole,
                    parameters_.memory());
  world_.all_to_all_v(own, sent, whole->reshape({whole->elements()}), leads ? parts : nothing, stream_,
                      kWhole);
  return whole;
}

}  // namespace longsight::parallel
