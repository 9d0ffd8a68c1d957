// longsight gradients: loss and gradients of a ready batch, as safetensors.
#include <cmath>

#include "launch/output.h"
#include "launch/plan_run.h"
#include "launch/run_model.h"
#include "launch/samples/model_source.h"
#include "launch/training/step.h"
#include "launch/training/trainable.h"
#include "launch/verb.h"
#include "model/files/checkpoint.h"
#include "model/inputs/batch_file.h"
#include "runtime/base/log.h"
#include "runtime/io/safetensors.h"
#include "runtime/tensor/host_values.h"

namespace longsight::launch {
namespace {

struct GradientsOptions {
  std::string model, batch, out, dtype = "f64";
  bool logits = false;
  std::vector<std::string> allow_missing, overrides;
};

// Rows that the ranks hold, put where they belong: the columns of `mine` are this rank's rows, `index` their
// places.
void gather_to_places(Tensor all, Tensor mine, const std::vector<i64>& index, parallel::ProcessGroup& world,
                      Stream stream) {
  const i64 columns = all.row_size();
  const std::vector<i64> rows = world.all_gather<i64>(mine.rows(), stream);
  std::vector<i64> elements;
  i64 total = 0;
  for (i64 n : rows) {
    elements.push_back(n * columns);
    total += n;
  }
  const OwnedTensor gathered(all.dtype(), {total, columns});
  std::vector<i64> places(static_cast<std::size_t>(total));
  world.all_gather_v(mine.data(), gathered->data(), elements, all.dtype(), stream, "rows");
  world.all_gather_v(index.data(), places.data(), rows, DType::I64, stream, "places");
  for (i64 i = 0; i < total; ++i)
    copy(all.row_range(places[static_cast<std::size_t>(i)], 1), gathered->row_range(i, 1), stream);
}

ExitCode run_gradients(Job& job, const GradientsOptions& o) {
  const LoadedConfig loaded = load_config("", o.overrides);
  const DType dtype = dtype_from_name(o.dtype), numbers = statistics_of(dtype);  // of what is written
  if (job.leads()) require_writable_file(o.out);
  const auto model =
      model::load_model(o.model, {.dtype = dtype,
                                  .with_gradients = true,
                                  .trainable = trainable(loaded, model::read_config(o.model), {}),
                                  .rules = weight_rules(loaded, o.allow_missing)});
  const model::BatchFile batch = model::read_batch_file(o.batch, model->config());
  require(batch.supervised() > 0, ExitCode::bad_data,
          "{}: no supervised token (every label is -100): there is no loss", o.batch);
  const planning::PlanResult planned = plan_run(loaded, *model, job.world.size(), batch.samples);
  parallel::MeshGroups groups(planned.plan.mesh, job.world);
  const parallel::Mesh& mesh = planned.plan.mesh;
  const i64 data_rank = mesh.data_rank(job.world.rank());
  const StepBatch step =
      deal_step(batch.samples, *model, planned.plan, job.world.rank(), planned.plan.micro_batch_tokens);

  const i64 vocab = model->config().text.vocab, width = model->config().text.width;
  OwnedTensor logits(numbers, {o.logits ? batch.rows * batch.columns : 0, vocab});
  OwnedTensor features(numbers, {o.logits ? step.visual_tokens : 0, width});
  if (o.logits) {
    model::PassMemory memory;
    // Every sample in a micro-batch of its own, so that places in the file are easy to tell; the loss below
    // is the packed one.
    i64 feature_base = 0;
    for (i64 row = 0; row < batch.rows; ++row) {
      const model::Sample& sample = batch.samples[static_cast<std::size_t>(row)];
      const model::MicroBatch one = model::pack({&sample, 1}, model->config());
      const bool runs_here = row % mesh.data == data_rank;
      std::vector<i64> places, feature_places;
      OwnedTensor mine(numbers, {0, vocab}), my_features(numbers, {0, width});
      if (runs_here) {
        const i64 rank = groups.sequence().rank();
        const model::PassInputs inputs = make_inputs(one, *model, planned.plan, rank);
        model::Pass pass(*model, inputs, false, groups.sequence(), memory, job.stream);
        pass.forward();
        mine = OwnedTensor(numbers, {pass.hidden().rows(), vocab});
        pass.logits(mine);
        for (const parallel::RowRange& range : inputs.layout().language.ranges(rank)) {
          for (i64 t = range.begin; t < range.end; ++t) places.push_back(row * batch.columns + t);
        }
        if (pass.features()) {
          my_features = OwnedTensor(numbers, pass.features().shape());
          copy(my_features, pass.features(), job.stream);
          for (i64 f : inputs.fusion.owned()) feature_places.push_back(feature_base + f);
        }
        pass.loss();
      }
      gather_to_places(logits, mine, places, job.world, job.stream);
      gather_to_places(features, my_features, feature_places, job.world, job.stream);
      feature_base += one.geometry.features();
    }
  }

  ParameterRegistry& parameters = model->parameters();
  parameters.shard(planned.plan.sharding(job.world.rank()));
  StepRunner runner(*model, planned.plan, groups, job.stream);
  runner.run(step);
  const double loss = runner.read().loss / static_cast<double>(step.supervised);
  require(std::isfinite(loss), ExitCode::non_finite,
          "{}: the loss of {} is {}: the weights are damaged, or too large for {}", o.batch, o.model, loss,
          name_of(dtype));
  const OwnedTensor summed(numbers, {parameters.trained_elements()});
  gather_gradients(summed, parameters, job.world, job.stream);
  if (!job.leads()) return ExitCode::done;
  OwnedTensor loss_scalar(DType::F64, Shape{}), count(DType::I64, Shape{});
  write_scalar(loss_scalar, loss, job.stream);
  write_values<i64>(count, {&step.supervised, 1}, job.stream);
  std::vector<io::NamedTensor> out{{"loss", loss_scalar, DType::F64},
                                   {"supervised_tokens", count, DType::I64}};
  if (o.logits) {
    out.push_back({"logits", logits->reshape({batch.rows, batch.columns, vocab}), numbers});
    out.push_back({"image_features", features, numbers});
  }
  std::vector<OwnedTensor> gradients;
  for (ParameterId id = 0; id < parameters.size(); ++id) {
    const Parameter& p = parameters[id];
    if (!StepRunner::reached(p, step.images > 0)) continue;
    const Tensor gradient = summed->row_range(p.grad_offset, p.elements()).reshape(p.shape);
    gradients.push_back(in_file_order(*model, id, gradient));
    out.push_back({"grad." + model->name_in_file(id), gradients.back(), numbers});
  }
  io::write_safetensors(o.out, out);
  log_info("loss {:.9g} over {} supervised tokens; {} gradients written to {}", loss, step.supervised,
           gradients.size(), o.out);
  return ExitCode::done;
}

}  // namespace

void add_gradients(Command app, Run& run) {
  const Command verb =
      app.add_command("gradients", "Loss and the gradient of every parameter for a given batch");
  auto o = std::make_shared<GradientsOptions>();
  verb.add_option("--model", o->model, "Hugging Face model folder").required();
  verb.add_option("--batch", o->batch, "safetensors file: input_ids, labels, attention_mask, pixel_values")
      .required();
  verb.add_option("--out", o->out, "safetensors file to write").required();
  verb.add_option("--dtype", o->dtype,
                  "f64 (default), f32, or bf16 as train.precision: gradients are f32 then")
      .one_of({"f64", "f32", "bf16"});
  verb.add_flag("--logits", o->logits, "write logits and image features too");
  add_allow_missing(verb, o->allow_missing);
  verb.add_option("overrides", o->overrides, "configuration, key.path=value");
  verb.callback([o, &run] { run = [o](Job& job) { return run_gradients(job, *o); }; });
}

}  // namespace longsight::launch
