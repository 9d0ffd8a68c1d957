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
                    const parallel::Plan& plan, i64 rank, i64 limit, UploadBuffers* buffers) {
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
    step.passes.back().images_elsewhere = step.images > 0 && plan.mesh.data > 1;
  }
  upload(step, buffers);
  return step;
}

void upload(StepBatch& step, UploadBuffers* buffers) {
  if (buffers == nullptr) return;
  step.upload = Upload(*buffers);
  for (model::PassInputs& inputs : step.passes) inputs.add_to(step.upload);
  step.upload.run();
}

StepRunner::StepRunner(model::Vlm& model, const parallel::Plan& plan, parallel::MeshGroups& groups,
                       Stream stream, UploadBuffers* buffers)
    : model_(model),
      plan_(plan),
      groups_(groups),
      stream_(stream),
      buffers_(buffers),
      memory_(stream),
      world_(groups.world(), cursor_),
      numbers_(DType::F64, {kNumbers}, "numbers of the step", stream),
      hashes_(DType::I64, {groups.world().size(), 2}, "hashes of the parameters", stream) {
  const i64 rank = groups.world().rank(), ranks = groups.world().size();
  check(plan.zero == sharding().stage, "a plan of ZeRO stage {} for parameters in stage {}", plan.zero,
        sharding().stage);
  check(plan.zero == 0 || (sharding().rank == rank && sharding().ranks == ranks),
        "parameters dealt for rank {} of {} on rank {} of {}", sharding().rank, sharding().ranks, rank,
        ranks);
}

model::DealtOver StepRunner::dealt_over(Tensor own_squares) {
  if (!sharding().gradients()) return {};
  return {.world = &groups_.world(), .own_squares = own_squares};
}

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
  reached_ = [images = step.images > 0](const Parameter& p) { return reached(p, images); };
  std::vector<parallel::Interval> intervals;
  for (const Parameter& p : model_.parameters().all()) {
    if (reached_(p)) intervals.push_back({p.grad_offset, p.elements()});
  }
  buckets_ = parallel::gradient_buckets(intervals);
  end_ = end;
  Trace trace;
  parallel::TraceGroup listed(world_.rank(), world_.size(), world_.label());
  const Side traced{listed, memory_.traced().scratch, trace.stream()};
  sum_over_ranks(traced);
  if (end != End::gradients) end_step(traced, [] {});
  parallel::agree(listed.schedule(), groups_.world(), stream_);
  cursor_.follow(listed.take_schedule());
}

void StepRunner::run(const StepBatch& step, End end, const StepVotes& own) {
  require(step.supervised > 0, ExitCode::bad_data,
          "a step of {} samples has no supervised token: label some text, or raise train.tokens_per_step",
          step.samples);
  groups_.world().enter(parallel::Phase::compute);
  begin(step, end);
  step.upload.wait(stream_);
  const double scale = 1 / static_cast<double>(step.supervised);
  const StepNumbers of_step = numbers();
  fill_zero(of_step.loss, stream_);
  own_flops_ = 0;
  for (const model::PassInputs& inputs : step.passes) {
    model::Pass pass(model_, inputs, true, groups_.sequence(), memory_, stream_, dealt_over());
    pass.forward();
    ops::add_matrix(of_step.loss, pass.loss_and_backward(scale), stream_);
    own_flops_ += pass.trace().work.useful_flops();
  }
  write_scalar(of_step.flops, own_flops_, stream_);
  write_values<double>(of_step.votes, std::array{own.stop, own.save, own.busy, own.seconds}, stream_);
  groups_.world().enter(parallel::Phase::gradient_sum);
  sum_over_ranks({world_, memory_.scratch, stream_});
  groups_.world().enter(parallel::Phase::update);
  if (end_ == End::gradients) cursor_.finish();
}

std::vector<PassValues> StepRunner::run_alone(const StepBatch& step) {
  const Tensor gradients = model_.parameters().gradients(), squares = numbers().squares;
  const bool sent = sharding().gradients();  // as soon as they are there
  const double scale = 1 / static_cast<double>(step.supervised);
  std::vector<PassValues> found;
  fill_zero(gradients, stream_);
  for (const model::PassInputs& inputs : step.passes) {
    fill_zero(squares, stream_);
    model::Pass pass(model_, inputs, true, groups_.sequence(), memory_, stream_,
                     dealt_over(sent ? squares : Tensor()));
    pass.forward();
    const double loss = read_scalar(pass.loss_and_backward(scale), stream_);
    if (!sent) ops::sum_of_squares(squares, gradients, stream_);
    found.push_back({.loss = loss, .squares = read_scalar(squares, stream_)});
    fill_zero(gradients, stream_);
  }
  return found;
}

// Gradients that are dealt are summed within the passes.
void StepRunner::sum_over_ranks(const Side& side) {
  const ParameterRegistry& p = model_.parameters();
  side.world.all_reduce_sum(numbers_->row_range(kLossRow, kSummed), side.stream, kLoss);
  if (sharding().stage == 0)
    parallel::sum_gradients(p.gradients(), buckets_, side.world, side.scratch, side.stream);
  if (sharding().stage == 1) parallel::sum_to_owners(p, reached_, side.world, side.stream);
}

// ---- the end of a step

// `update` is not collective.
void StepRunner::end_step(const Side& side, const std::function<void()>& update) {
  const ParameterRegistry& p = model_.parameters();
  const bool owners_send = sharding().stage == 1 || sharding().stage == 2, replicas = !sharding().values();
  const auto compare = [&](bool now) {
    if (now && replicas && end_ == End::replica_check)
      parallel::hash_replicas(hashes_, p.replicated(), side.world, side.stream);
  };
  parallel::sum_of_squared_gradients(numbers().squares, p, reached_, side.world, side.stream);
  // What this step was computed with: behind it all have copies of the same.
  compare(owners_send);
  update();
  if (owners_send) parallel::gather_updated(p, reached_, side.world, side.stream);
  compare(!owners_send);
}

void StepRunner::update(const parallel::AdamW& optimizer, const ops::AdamWOptions& options, double clip) {
  const StepNumbers of_step = numbers();
  end_step({world_, memory_.scratch, stream_}, [&] {
    ops::clip_scale(of_step.scale, of_step.squares, of_step.loss, clip, stream_);
    optimizer.step(reached_, of_step.scale, options, stream_);
  });
  cursor_.finish();
}

// ---- without

void StepRunner::queue_evaluation(const StepBatch& step) {
  const Tensor loss = numbers().loss;
  step.upload.wait(stream_);
  fill_zero(loss, stream_);
  for (const model::PassInputs& inputs : step.passes) {
    model::Pass pass(model_, inputs, false, groups_.sequence(), memory_, stream_, dealt_over());
    pass.forward();
    ops::add_matrix(loss, pass.loss(), stream_);
  }
  groups_.world().all_reduce_sum(loss, stream_, kLoss);
}

double StepRunner::evaluate(const StepBatch& step) {
  queue_evaluation(step);
  return read().loss;
}

bool StepRunner::reached(const Parameter& p, bool images) {
  return p.grad_offset >= 0 && (images || p.part == "language");
}

void StepRunner::check_replicas() {
  if (sharding().values() || !parallel::replicas_differ(hashes_, stream_)) return;
  // Says which parameter, where it has not been overwritten by its owner.
  if (sharding().stage == 0) parallel::check_replicas(model_.parameters(), groups_.world(), stream_);
  parallel::require_same_hashes(hashes_, groups_.world(), stream_);
}

}  // namespace longsight::launch
