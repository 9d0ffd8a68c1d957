#include "parallel/checkpoint/snapshot.h"

#include <algorithm>

#include "parallel/checkpoint/restore.h"
#include "runtime/io/safetensors.h"

namespace longsight::parallel {
namespace {

struct Share {
  i64 begin = 0, end = 0;
  i64 elements() const { return std::max(i64{0}, end - begin); }
};

Share share_of(i64 elements, i64 rank, i64 ranks) {
  const i64 each = elements / ranks, more = elements % ranks;
  const i64 begin = each * rank + std::min(rank, more);
  return {begin, begin + each + (rank < more ? 1 : 0)};
}

// The part of a parameter that lies in the interval, in elements of the parameter.
Share within(const Parameter& p, const Share& share) {
  return {std::max(share.begin, p.grad_offset) - p.grad_offset,
          std::min(share.end, p.grad_offset + p.elements()) - p.grad_offset};
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
  return ceil_div(3 * parameters.gradients().bytes(), ranks) + kHeader * parameters.size();
}

std::vector<CheckpointTensor> deal_tensors(const ParameterRegistry& parameters, const AdamW& optimizer,
                                           i64 ranks) {
  const i64 elements = parameters.gradients().elements();
  std::vector<CheckpointTensor> tensors;
  i64 rank = 0;
  for (ParameterId id = 0; id < parameters.size(); ++id) {
    const Parameter& p = parameters[id];
    if (!parameters.has_grad(id)) continue;
    CheckpointTensor tensor{.name = p.name,
                            .dtype = parameters.dtype(),
                            .shape = p.shape,
                            .steps = optimizer.steps(id),
                            .slices = {}};
    while (share_of(elements, rank, ranks).end <= p.grad_offset && rank + 1 < ranks) ++rank;
    for (i64 r = rank; r < ranks; ++r) {
      const Share part = within(p, share_of(elements, r, ranks));
      if (part.elements() > 0) tensor.slices.push_back({r, part.begin, part.end});
      if (part.end >= p.elements()) break;
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

Snapshot::Snapshot(const ParameterRegistry& parameters, const AdamW& optimizer, i64 rank, i64 ranks,
                   Stream stream)
    : file_(share_name(rank, ranks)), dtype_(parameters.dtype()) {
  const Share share = share_of(parameters.gradients().elements(), rank, ranks);
  const Shape shape{share.elements()};
  values_ = OwnedTensor(dtype_, shape, "checkpoint");
  first_ = OwnedTensor(dtype_, shape, "checkpoint");
  second_ = OwnedTensor(dtype_, shape, "checkpoint");
  const auto take = [&](const OwnedTensor& to, Tensor from, i64 begin, const Piece& piece) {
    copy(to->row_range(piece.at, piece.elements), from.row_range(begin, piece.elements), stream);
  };
  for (ParameterId id = 0; id < parameters.size(); ++id) {
    if (!parameters.has_grad(id)) continue;
    const Parameter& p = parameters[id];
    const Share part = within(p, share);
    if (part.elements() == 0) continue;
    const Piece piece{p.name, p.grad_offset + part.begin - share.begin, part.elements()};
    take(values_, parameters.values(), p.offset + part.begin, piece);
    take(first_, optimizer.first_moments(), p.grad_offset + part.begin, piece);
    take(second_, optimizer.second_moments(), p.grad_offset + part.begin, piece);
    pieces_.push_back(piece);
  }
}

i64 Snapshot::bytes(const ParameterRegistry& parameters, i64 ranks) {
  const i64 elements = parameters.gradients().elements();
  return 3 * share_of(elements, 0, ranks).elements() *
         size_of(parameters.dtype());  // the first is no smaller
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
