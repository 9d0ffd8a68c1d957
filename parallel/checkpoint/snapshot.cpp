#include "parallel/checkpoint/snapshot.h"

#include <algorithm>

#include "parallel/checkpoint/restore.h"
#include "runtime/io/safetensors.h"

namespace longsight::parallel {
namespace {

// The elements of a parameter that a rank writes.
Share part_of(const ParameterRegistry& parameters, ParameterId id, i64 rank, i64 ranks) {
  return parameters.part_of(id, share_of(parameters.bucket_of(id).elements, rank, ranks));
}

// Of all trained parameters together.
i64 elements_of(const ParameterRegistry& parameters, i64 rank, i64 ranks) {
  i64 elements = 0;
  for (const ParameterBucket& bucket : parameters.buckets()) {
    if (bucket.trained) elements += share_of(bucket.elements, rank, ranks).elements();
  }
  return elements;
}

}  // namespace

std::string value_name(const std::string& parameter) {
  return "value:" + parameter;
}
std::string first_name(const std::string& parameter) {
  return "first:" + parameter;
}
std::string second_name(const std::string& parameter) {
  return "second:" + parameter;
}

std::string share_name(i64 rank, i64 ranks) {
  return fmt::format("rank-{:05}-of-{:05}.safetensors", rank, ranks);
}

i64 share_bytes(const ParameterRegistry& parameters, i64 ranks) {
  constexpr i64 kHeader = 3 * 200;  // of a tensor, about
  return ceil_div(3 * parameters.trained_elements() * size_of(parameters.dtype()), ranks) +
         kHeader * parameters.size();
}

std::vector<CheckpointTensor> deal_tensors(const ParameterRegistry& parameters, const AdamW& optimizer,
                                           i64 ranks) {
  std::vector<CheckpointTensor> tensors;
  for (ParameterId id = 0; id < parameters.size(); ++id) {
    const Parameter& p = parameters[id];
    if (!parameters.has_grad(id)) continue;
    CheckpointTensor tensor{.name = p.name,
                            .dtype = parameters.dtype(),
                            .shape = p.shape,
                            .steps = optimizer.steps(id),
                            .slices = {}};
    for (i64 r = 0; r < ranks; ++r) {
      const Share part = part_of(parameters, id, r, ranks);
      if (part.elements() > 0) tensor.slices.push_back({r, part.begin, part.end});
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

Snapshot::Snapshot(const ParameterRegistry& parameters, const AdamW& optimizer, i64 rank, i64 ranks,
                   Stream stream)
    : file_(share_name(rank, ranks)), dtype_(parameters.dtype()) {
  check(parameters.sharding().stage == 0 ||
            (parameters.sharding().rank == rank && parameters.sharding().ranks == ranks),
        "rank {} of {} takes the share of rank {} of {}", rank, ranks, parameters.sharding().rank,
        parameters.sharding().ranks);
  const Shape shape{elements_of(parameters, rank, ranks)};
  values_ = OwnedTensor(dtype_, shape, "checkpoint");
  first_ = OwnedTensor(dtype_, shape, "checkpoint");
  second_ = OwnedTensor(dtype_, shape, "checkpoint");
  const auto take = [&](const OwnedTensor& to, Tensor from, i64 begin, const Piece& piece) {
    copy(to->row_range(piece.at, piece.elements), from.row_range(begin, piece.elements), stream);
  };
  i64 taken = 0;
  for (ParameterId id = 0; id < parameters.size(); ++id) {
    if (!parameters.has_grad(id)) continue;
    const Share part = part_of(parameters, id, rank, ranks);
    if (part.elements() == 0) continue;
    const ParameterBucket& bucket = parameters.bucket_of(id);
    const i64 at = parameters.in_bucket(id) + part.begin;
    const Piece piece{parameters[id].name, taken, part.elements()};
    take(values_, parameters.values(), bucket.values_at + at, piece);
    take(first_, optimizer.first_moments(), bucket.moments_at + at, piece);
    take(second_, optimizer.second_moments(), bucket.moments_at + at, piece);
    pieces_.push_back(piece);
    taken += piece.elements;
  }
}

i64 Snapshot::bytes(const ParameterRegistry& parameters, i64 ranks) {
  return 3 * elements_of(parameters, 0, ranks) * size_of(parameters.dtype());  // no smaller than another
}

CheckpointFile Snapshot::write(const std::string& folder) const {
  std::vector<io::TensorPlan> plans;
  for (const Piece& piece : pieces_) {
    for (const std::string& name : {value_name(piece.name), first_name(piece.name), second_name(piece.name)})
      plans.push_back({name, {piece.elements}, dtype_});
  }
  io::SafetensorsWriter file(folder + "/" + file_, std::move(plans), {});
  for (const Piece& piece : pieces_) {
    const auto part = [&](const OwnedTensor& all) { return all->row_range(piece.at, piece.elements); };
    file.write(value_name(piece.name), part(values_));
    file.write(first_name(piece.name), part(first_));
    file.write(second_name(piece.name), part(second_));
  }
  const CheckpointFile written{file_, file.bytes(), file.hash()};
  file.commit();
  const std::string problem = problem_of_file(folder, written);
  require(problem.empty(), ExitCode::cannot_write, "cannot write {}: read again it is {}", folder, problem);
  return written;
}

}  // namespace longsight::parallel
