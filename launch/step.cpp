#include "launch/step.h"

#include "model/step_flops.h"
#include "parallel/batch_shape.h"
#include "parallel/replica_check.h"

namespace longsight::launch {
namespace {

constexpr const char* kLoss = "loss";

}  // namespace

StepBatch deal_step(std::span<const model::Sample> samples, const model::ModelConfig& config,
                    const parallel::Mesh& mesh, i64 data_rank, i64 limit) {
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
  const auto dealt = parallel::deal_samples(lengths, mesh.data, limit);
  for (const std::vector<i64>& members : dealt[static_cast<std::size_t>(data_rank)]) {
    std::vector<model::Sample> mine;
    for (i64 i : members) mine.push_back(samples[static_cast<std::size_t>(i)]);
    step.micro_batches.push_back(pack(mine, config));
  }
  return step;
}

void prepare_images(const StepBatch& step, const parallel::Plan& plan, i64 sequence_rank) {
  for (const model::MicroBatch& batch : step.micro_batches) {
    const parallel::Layout layout = make_layout(plan, batch.geometry);
    const i64 begin = layout.vision.begin(sequence_rank), end = layout.vision.end(sequence_rank);
    std::size_t tile = 0;  // first of the image
    for (const auto& image : batch.images) {
      const std::size_t next = tile + static_cast<std::size_t>(image->layout().tiles);
      if (batch.geometry.images.starts[tile] < end && batch.geometry.images.starts[next] > begin)
        image->pixels();
      tile = next;
    }
  }
}

StepRunner::StepRunner(model::Vlm& model, const parallel::Plan& plan, parallel::MeshGroups& groups,
                       Stream stream)
    : model_(model), plan_(plan), groups_(groups), stream_(stream), world_(groups.world(), cursor_) {}

void StepRunner::begin(const StepBatch& step, End end) {
  std::vector<parallel::Interval> intervals;
  for (const Parameter& p : model_.parameters().all()) {
    if (reached(p, step)) intervals.push_back({p.grad_offset, p.elements()});
  }
  buckets_ = parallel::gradient_buckets(intervals);
  end_ = end;
  const std::string& world = world_.label();
  parallel::Schedule list;
  list.add_all_reduce_sum(world, kLoss, DType::F64, 2);
  parallel::add_gradient_sum(list, buckets_, model_.parameters().dtype(), world);
  if (end == End::replica_check) parallel::add_replica_check(list, world);
  parallel::agree(list, groups_.world(), stream_);
  cursor_.follow(std::move(list));
}

StepSums StepRunner::run(const StepBatch& step, End end) {
  require(step.supervised > 0, ExitCode::bad_data,
          "a step of {} samples has no supervised token: label some text, or raise train.tokens_per_step",
          step.samples);
  begin(step, end);
  const double scale = 1 / static_cast<double>(step.supervised);
  // The ranks of a sequence group have the same micro-batches; groups have different ones.
  const bool counts = plan_.mesh.sequence_rank(groups_.world().rank()) == 0;
  double sums[2] = {0, 0};
  for (const model::MicroBatch& batch : step.micro_batches) {
    model::Pass pass(model_, batch, plan_, true, groups_.sequence(), memory_, stream_);
    pass.forward();
    sums[0] += pass.loss_and_backward(scale);
    if (counts) sums[1] += model::pass_flops(model_, batch.geometry).total();
  }
  world_.all_reduce_sum(Tensor(sums, DType::F64, {2}), stream_, kLoss);
  return {.loss = without_nan_sign(sums[0]), .flops = sums[1]};
}

double StepRunner::evaluate(const StepBatch& step) {
  double sum = 0;
  for (const model::MicroBatch& batch : step.micro_batches) {
    model::Pass pass(model_, batch, plan_, false, groups_.sequence(), memory_, stream_);
    pass.forward();
    sum += pass.loss();
  }
  return without_nan_sign(groups_.world().all_reduce_sum(sum, stream_, kLoss));
}

bool StepRunner::reached(const Parameter& p, const StepBatch& step) {
  return p.grad_offset >= 0 && (step.images > 0 || p.part == "language");
}

void StepRunner::sum_gradients() {
  parallel::sum_gradients(model_.parameters().gradients(), buckets_, world_, memory_.scratch, stream_);
  if (end_ == End::gradients) cursor_.finish();
}

void StepRunner::check_replicas() {
  const bool differ = parallel::replicas_differ(model_.parameters(), world_, stream_);
  cursor_.finish();
  // Says which.
  if (differ) parallel::check_replicas(model_.parameters(), groups_.world(), stream_);
}

}  // namespace longsight::launch
