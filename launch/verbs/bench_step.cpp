// longsight bench step: whole training steps, predicted and measured.
#include <algorithm>
#include <cmath>

#include <omp.h>

#include "launch/layouts.h"
#include "launch/measure.h"
#include "launch/plan_run.h"
#include "launch/run_model.h"
#include "launch/training/train_step.h"
#include "launch/verb.h"
#include "launch/verbs/bench_shared.h"
#include "model/files/checkpoint.h"
#include "model/inputs/synthetic.h"
#include "runtime/base/clock.h"

namespace longsight::launch {
namespace {

struct BenchStep : BenchOptions {
  std::string model;
  std::string layouts = "plan", hardware;
  i64 tokens = 2048, images = 8, steps = 5;
  std::vector<std::string> overrides;
};

// One sample: images at equal distances, text between them, all text supervised.
model::Sample synthetic_sample(const model::ModelConfig& config, i64 tokens, i64 images) {
  require(images == 0 || config.has_vision(), ExitCode::usage,
          "--images {} for a model without a vision tower", images);
  const data::ImageLayout layout = model::synthetic_layout(config, 32, 32);
  const i64 visual = images > 0 ? config.features(layout) : 0, gap = images > 0 ? tokens / images : tokens;
  require(tokens > 0 && images >= 0 && (images == 0 || gap >= visual), ExitCode::usage,
          "{} tokens cannot hold {} images of {}", tokens, images, visual);
  model::Sample sample{.id = "synthetic", .ids = {}, .labels = {}, .images = {}};
  const Philox random(1, "text");
  for (i64 t = 0; t < tokens; ++t) {
    const bool placeholder = images > 0 && t / gap < images && t % gap < visual;
    i64 id = static_cast<i64>(random.below(static_cast<u64>(config.text.vocab), static_cast<u64>(t)));
    while (config.is_placeholder(id)) id = (id + 1) % config.text.vocab;
    sample.ids.push_back(placeholder ? config.image_token : id);
    sample.labels.push_back(placeholder ? -100 : id);
  }
  for (i64 i = 0; i < images; ++i)
    sample.images.push_back(model::synthetic_image(config, layout, 1, fmt::format("image {}", i)));
  return sample;
}

// Of a whole step: three times the forward pass. The head is counted for every token, also where it has no
// label; that is how scripts/peers counts.
double step_flops(model::Vlm& model, const model::Sample& sample) {
  const model::ModelConfig& config = model.config();
  const model::MicroBatch packed = model::pack({&sample, 1}, config);
  const model::PassInputs inputs = make_inputs(packed, model, one_rank_plan(model), 0);
  model::PassMemory traced(Backend::trace);
  const double unlabelled = static_cast<double>(sample.tokens() - packed.geometry.supervised());
  return 3 * (trace_pass(model, inputs, false, traced, "sequence").work.useful_flops() +
              unlabelled * 2 * static_cast<double>(config.text.width * config.text.vocab));
}

// What a plan was predicted to take, and takes.
struct MeasuredPlan {
  parallel::Plan plan;
  planning::StepPrediction predicted;
  std::vector<double> seconds;  // of the timed steps
  double first_step = 0;        // when it was done, seconds from `start`
  double communication = 0;     // seconds of this rank
  double loss = 0;
  i64 exchanged = 0;                                 // bytes from rank to rank, all ranks
  i64 activations = 0, scratch = 0;                  // most bytes of a rank
  i64 parameters = 0, gradients = 0, optimizer = 0;  // bytes of this one

  double median_seconds() const { return median(seconds); }
  double error() const { return predicted.seconds / median_seconds() - 1; }
};

MeasuredPlan run_plan(Job& job, const model::ModelConfig& config, DType precision,
                      std::span<const model::Sample> samples, const parallel::Plan& plan, i64 steps,
                      double start) {
  MeasuredPlan m{.plan = plan, .predicted = {}, .seconds = {}};
  model::Vlm model(config);
  model.parameters().allocate(precision, true, Backend::host, plan.sharding(job.world.rank()));
  model.parameters().initialise(1);
  TrainState state{.model = model, .optimizer = parallel::AdamW(model.parameters())};
  parallel::MeshGroups groups(plan.mesh, job.world);
  StepRunner runner(state.model, plan, groups, job.stream);
  const StepBatch batch = deal_step(samples, state.model, plan, job.world.rank(), plan.micro_batch_tokens);
  const StepOptions options{
      .adamw = {.lr = 1e-4, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01}};
  for (i64 i = -2; i < steps; ++i) {
    groups.reset_counters();
    job.world.barrier(job.stream);
    const double begin = steady_seconds();
    const StepResult result = train_step(state, batch, options, runner);
    require(result.finite, ExitCode::non_finite, "step {}: loss {} and gradient norm {}", state.step + 1,
            result.loss, result.gradient_norm);
    m.loss = result.loss;
    job.world.barrier(job.stream);
    if (i == -2) m.first_step = steady_seconds() - start;
    if (i < 0) continue;
    m.seconds.push_back(steady_seconds() - begin);
    m.communication = groups.counters().seconds;
    m.exchanged = groups.counters().bytes_sent;
  }
  m.parameters = model.parameters().value_bytes();
  m.gradients = model.parameters().gradients().bytes();
  m.optimizer = state.optimizer.bytes();
  m.exchanged = job.world.all_reduce_sum(m.exchanged, job.stream);
  m.activations = job.world.all_reduce_max(runner.memory().saved.high_water(), job.stream);
  m.scratch = job.world.all_reduce_max(runner.memory().scratch.high_water(), job.stream);
  return m;
}

double mib(i64 bytes) {
  return static_cast<double>(bytes) / 1048576;
}

// Predicted beside measured.
nlohmann::ordered_json figures_of(const MeasuredPlan& m) {
  return {{"plan", m.plan.text()},
          {"seconds", m.median_seconds()},
          {"predicted_seconds", m.predicted.seconds},
          {"time_error", m.error()},
          {"parameters_mib", mib(m.parameters)},
          {"gradients_mib", mib(m.gradients)},
          {"optimizer_mib", mib(m.optimizer)},
          {"exchange_mib", mib(m.exchanged)},
          {"predicted_exchange_mib", mib(m.predicted.exchange_bytes)},
          {"activation_mib", mib(m.activations)},
          {"predicted_activation_mib", mib(m.predicted.memory.activations)},
          {"scratch_mib", mib(m.scratch)},
          {"predicted_scratch_mib", mib(m.predicted.memory.scratch + m.predicted.memory.loss_chunk)}};
}

void print_layouts(const std::vector<MeasuredPlan>& all, const planning::HardwareProfile& hardware,
                   bool json) {
  std::vector<double> errors;
  double worst = 0;
  nlohmann::ordered_json layouts = nlohmann::ordered_json::array();
  for (const MeasuredPlan& m : all) {
    errors.push_back(m.error());
    if (std::abs(m.error()) > std::abs(worst)) worst = m.error();
    layouts.push_back(figures_of(m));
  }
  if (json)
    return print_figures({{"layouts", layouts},
                          {"median_error", median(errors)},
                          {"worst_error", worst},
                          {"hardware", hardware.text()}},
                         true);
  fmt::print("{:>10} {:>10} {:>7} {:>13} {:>13} {:>12} {:>12}  layout\n", "seconds", "predicted", "error",
             "exchange MiB", "predicted", "activations", "predicted");
  for (const MeasuredPlan& m : all)
    fmt::print("{:10.4f} {:10.4f} {:+6.0f} % {:13.3f} {:13.3f} {:12.2f} {:12.2f}  {}\n", m.median_seconds(),
               m.predicted.seconds, 100 * m.error(), mib(m.exchanged), mib(m.predicted.exchange_bytes),
               mib(m.activations), mib(m.predicted.memory.activations), m.plan.text());
  fmt::print("time: {:+.0f} % in the median of {} layouts, {:+.0f} % at worst; hardware: {}\n",
             100 * median(errors), all.size(), 100 * worst, hardware.text());
}

ExitCode bench_step(Job& job, const BenchStep& o) {
  o.apply();
  require(o.layouts == "plan" || o.layouts == "all", ExitCode::usage, "--layouts {}: plan or all", o.layouts);
  const double process_start = steady_seconds(), resident_before = resident_memory_mib();
  LoadedConfig loaded = load_config("", o.overrides);
  if (!o.hardware.empty()) loaded.config.parallel.hardware = o.hardware;
  model::Vlm model(model::read_config(o.model));  // its shapes
  const DType precision = precision_of(loaded);
  model.parameters().allocate(precision, true, Backend::trace);
  const std::vector<model::Sample> samples{synthetic_sample(model.config(), o.tokens, o.images)};
  const planning::PlanRequest request = plan_request(loaded, model, job.world.size(), statistics_of(samples));
  const planning::PlanResult planned = make_plan(request);
  require_fits(planned);
  const std::vector<parallel::Plan> plans =
      o.layouts == "all" ? all_layouts(planned.plan, model) : std::vector{planned.plan};
  std::vector<MeasuredPlan> measured;
  for (const parallel::Plan& plan : plans) {
    measured.push_back(run_plan(job, model.config(), precision, samples, plan, o.steps, process_start));
    measured.back().predicted = predict_step(request, plan);
  }
  if (o.layouts == "all") {
    if (job.leads()) print_layouts(measured, planned.hardware, o.json);
    return ExitCode::done;
  }
  const MeasuredPlan& m = measured.front();
  const double rss = peak_memory_mib(), peak = job.world.all_reduce_sum(gemm_peak(), job.stream);
  if (!job.leads()) return ExitCode::done;
  const double seconds = m.median_seconds(), gflops = step_flops(model, samples.front()) / seconds / 1e9;
  nlohmann::ordered_json line{{"model", o.model},          {"tokens", o.tokens},
                              {"images", o.images},        {"precision", name_of(precision)},
                              {"ranks", job.world.size()}, {"threads", omp_get_max_threads()}};
  line.update(figures_of(m));
  line.update({{"seconds_min", *std::min_element(m.seconds.begin(), m.seconds.end())},
               {"seconds_max", *std::max_element(m.seconds.begin(), m.seconds.end())},
               {"tokens_per_second", static_cast<double>(o.tokens) / seconds},
               {"gflops", gflops},
               {"gemm_peak_gflops", peak},
               {"share_of_peak", gflops / peak},
               {"peak_rss_mib", rss},
               {"predicted_memory_mib", resident_before + mib(m.predicted.memory.total())},
               {"comm_seconds", m.communication},
               {"seconds_to_first_step", m.first_step},
               {"loss", m.loss}});
  print_figures(line, o.json);
  return ExitCode::done;
}

}  // namespace

void add_bench_step(Command app, Run& run) {
  const Command verb = app.add_command("step", "A whole training step on synthetic data, random weights");
  auto o = std::make_shared<BenchStep>();
  o->add(verb);
  verb.add_option("--model", o->model, "folder with config.json, or the file").required();
  verb.add_option("--tokens", o->tokens, "of the one sample, visual tokens included");
  verb.add_option("--images", o->images, "in it");
  verb.add_option("--steps", o->steps, "timed steps after two to warm up; the median is printed").positive();
  verb.add_option("--layouts", o->layouts, "plan, or all: measured beside predicted for each");
  verb.add_option("--hardware", o->hardware, "YAML hardware profile that predictions are made with");
  verb.add_option("overrides", o->overrides, "configuration, key.path=value");
  verb.callback([o, &run] { run = [o](Job& job) { return bench_step(job, *o); }; });
}

}  // namespace longsight::launch
