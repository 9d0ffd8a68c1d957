#include "launch/training/step.h"

#include <algorithm>
#include <array>

#include "parallel/groups/flight_record.h"
#include "parallel/groups/trace_group.h"
#include "parallel/layout/batch_shape.h"
#include "parallel/replica_check.h"
#include "runtime/ops/adamw.h"
#include "runtime/ops/rows.h"
#include "runtime/tensor/host_values.h"

namespace longsight::launch {
namespace {

constexpr const char* kLoss = "loss";
// Rows of the numbers: those that are summed over ranks come first.
constexpr i64 kLossRow = 0, kFlopsRow = 1, kVotesRow = 2, kVotes = 4, kSummed = kVotesRow + kVotes;
constexpr i64 kSquaresRow = kSummed, kScaleRow = kSummed + 1, kNumbers = kSummed + 2;

}  // namespace

StepBatch deal_step(std::span<const model::Sample> samples, const model::Vlm& model,
                    const parallel::Plan& plan, i64 rank, i64 limit) {
  const model::ModelConfig& config = model.config();
  StepBatch step;
  std::vector<i64> lengths;
  for (const model::Sample& s : samples) {
    lengths.push_back(s.tokens());
    step.samples += 1;
    step.tokens += s.tokens();
    step.supervised += supervised_tokens(s);
    step.images += static_cast<i64>(s.images.size());
    step.visual_tokens += visual_tokens(s, config);
  }
  const auto dealt = parallel::deal_samples(lengths, plan.mesh.data, limit);
  std::size_t passes = 0;  // of the group that has most
  for (const auto& group : dealt) passes = std::max(passes, group.size());
  const auto& own = dealt[static_cast<std::size_t>(plan.mesh.data_rank(rank))];
  for (std::size_t pass = 0; pass < passes; ++pass) {
    std::vector<model::Sample> members;
    if (pass < own.size()) {
      for (i64 i : own[pass]) members.push_back(samples[static_cast<std::size_t>(i)]);
    }
    step.ids.emplace_back();
    for (const model::Sample& s : members) step.ids.back().push_back(s.id);
    step.passes.push_back(make_inputs(pack(members, config), model, plan, plan.mesh.sequence_rank(rank)));
  }
  return step;
}

StepRunner::StepRunner(model::Vlm& model, const parallel::Plan& plan, parallel::MeshGroups& groups,
                       Stream stream)
    : model_(model),
      plan_(plan),
      groups_(groups),
      stream_(stream),
      memory_(stream.backend),
      world_(groups.world(), cursor_),
      numbers_(DType::F64, {kNumbers}, "numbers of the step", stream.backend),
      hashes_(DType::I64, {groups.world().size(), 2}, "hashes of the parameters", stream.backend) {}

StepNumbers StepRunner::numbers() const {
  const auto number = [&](i64 row) { return numbers_->row_range(row, 1); };
  return {.loss = number(kLossRow),
          .flops = number(kFlopsRow),
          .votes = numbers_->row_range(kVotesRow, kVotes),
          .squares = number(kSquaresRow),
          .scale = number(kScaleRow)};
}

StepValues StepRunner::read() const {
  const std::vector<double> values = read_values<double>(numbers_, stream_);
  return {.loss = without_nan_sign(values[kLossRow]),
          .flops = values[kFlopsRow],
          .votes = {.stop = values[kVotesRow],
                    .save = values[kVotesRow + 1],
                    .busy = values[kVotesRow + 2],
                    .seconds = values[kVotesRow + 3]},
          .squares = values[kSquaresRow],
          .scale = values[kScaleRow]};
}

// ---- with gradients

// The list of what follows the passes, told by the program itself.
void StepRunner::begin(const StepBatch& step, End end) {
  std::vector<parallel::Interval> intervals;
  for (const Parameter& p : model_.parameters().all()) {
    if (reached(p, step)) intervals.push_back({p.grad_offset, p.elements()});
  }
  buckets_ = parallel::gradient_buckets(intervals);
  end_ = end;
  Trace trace;
  parallel::TraceGroup listed(world_.rank(), world_.size(), world_.label());
  sum_over_ranks(listed, memory_.traced().scratch, trace.stream());
  if (end == End::replica_check)
    parallel::hash_replicas(hashes_, model_.parameters().values(), listed, trace.stream());
  parallel::agree(listed.schedule(), groups_.world(), stream_);
  cursor_.follow(listed.take_schedule());
}

void StepRunner::run(const StepBatch& step, End end, const StepVotes& own) {
  require(step.supervised > 0, ExitCode::bad_data,
          "a step of {} samples has no supervised token: label some text, or raise train.tokens_per_step",
          step.samples);
  groups_.world().enter(parallel::Phase::compute);
  begin(step, end);
  const double scale = 1 / static_cast<double>(step.supervised);
  const StepNumbers of_step = numbers();
  fill_zero(of_step.loss, stream_);
  own_flops_ = 0;
  for (const model::PassInputs& inputs : step.passes) {
    model::Pass pass(model_, inputs, true, groups_.sequence(), memory_, stream_);
    pass.forward();
    ops::add_matrix(of_step.loss, pass.loss_and_backward(scale), stream_);
    own_flops_ += pass.trace().useful_flops();
  }
  write_scalar(of_step.flops, own_flops_, stream_);
  write_values<double>(of_step.votes, std::array{own.stop, own.save, own.busy, own.seconds}, stream_);
  groups_.world().enter(parallel::Phase::gradient_sum);
  sum_over_ranks(world_, memory_.scratch, stream_);
  groups_.world().enter(parallel::Phase::update);
  if (end_ == End::gradients) cursor_.finish();
}

std::vector<PassValues> StepRunner::run_alone(const StepBatch& step) {
  const Tensor gradients = model_.parameters().gradients();
  const double scale = 1 / static_cast<double>(step.supervised);
  std::vector<PassValues> found;
  fill_zero(gradients, stream_);
  for (const model::PassInputs& inputs : step.passes) {
    model::Pass pass(model_, inputs, true, groups_.sequence(), memory_, stream_);
    pass.forward();
    const double loss = read_scalar(pass.loss_and_backward(scale), stream_);
    const Tensor squares = numbers().squares;
    fill_zero(squares, stream_);
    ops::sum_of_squares(squares, gradients, stream_);
    found.push_back({.loss = loss, .squares = read_scalar(squares, stream_)});
    fill_zero(gradients, stream_);
  }
  return found;
}

void StepRunner::sum_over_ranks(parallel::ProcessGroup& world, Arena& scratch, Stream stream) {
  world.all_reduce_sum(numbers_->row_range(kLossRow, kSummed), stream, kLoss);
  parallel::sum_gradients(model_.parameters().gradients(), buckets_, world, scratch, stream);
}

// ---- without

void StepRunner::queue_evaluation(const StepBatch& step) {
  const Tensor loss = numbers().loss;
  fill_zero(loss, stream_);
  for (const model::PassInputs& inputs : step.passes) {
    model::Pass pass(model_, inputs, false, groups_.sequence(), memory_, stream_);
    pass.forward();
    ops::add_matrix(loss, pass.loss(), stream_);
  }
  groups_.world().all_reduce_sum(loss, stream_, kLoss);
}

double StepRunner::evaluate(const StepBatch& step) {
  queue_evaluation(step);
  return read().loss;
}

bool StepRunner::reached(const Parameter& p, const StepBatch& step) {
  return p.grad_offset >= 0 && (step.images > 0 || p.part == "language");
}

void StepRunner::hash_replicas() {
  parallel::hash_replicas(hashes_, model_.parameters().values(), world_, stream_);
  cursor_.finish();
}

void StepRunner::check_replicas() {
  // Says which.
  if (parallel::replicas_differ(hashes_, stream_))
    parallel::check_replicas(model_.parameters(), groups_.world(), stream_);
}

}  // namespace longsight::launch
