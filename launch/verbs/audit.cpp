// longsight audit: the gradient of every parameter on the ranks at hand against that of one rank, on the same
// data.
#include <cmath>

#include "launch/layouts.h"
#include "launch/output.h"
#include "launch/run_device.h"
#include "launch/run_model.h"
#include "launch/samples/same_on_all_ranks.h"
#include "launch/samples/training_data.h"
#include "launch/training/step.h"
#include "launch/verb.h"
#include "parallel/groups/device_group.h"
#include "parallel/groups/self_group.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/tensor/host_values.h"

namespace longsight::launch {
namespace {

struct AuditOptions {
  std::string config, layouts = "plan", dtype = "f64";
  i64 batches = 1;
  bool json = false;
  std::vector<std::string> overrides;
};

struct Worst {
  double loss = 0;      // relative
  double gradient = 0;  // of any parameter
  std::string parameter;
  std::string layout;  // where it was
};

// The same model with its parameters dealt over the ranks, where the stream computes.
std::unique_ptr<model::Vlm> dealt(const model::Vlm& whole, const Sharding& sharding, Stream stream) {
  auto model = std::make_unique<model::Vlm>(whole.config(), whole.adapters());
  ParameterRegistry& p = model->parameters();
  p.set_trainable([&](const Parameter& parameter) {
    return whole.parameters()[whole.parameters().find(parameter.name)].trainable;
  });
  p.allocate(whole.parameters().dtype(), true, Backend::host, sharding);
  for (ParameterId id = 0; id < p.size(); ++id) p.keep(id, whole.parameters().value(id));
  if (stream.device != nullptr) p.move_to(stream);
  return model;
}

double relative(double a, double b, double size) {
  const double error = std::abs(a - b) / size;
  return std::isfinite(error) ? error : std::numeric_limits<double>::infinity();
}

// max|a - b| / max(max|b|, 1e-3 G), b the one-rank gradient, G the largest |b| over all parameters.
void compare(const ParameterRegistry& parameters, Tensor got, Tensor expected, Stream stream,
             const std::string& layout, Worst& worst) {
  dispatch_statistics(parameters.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::vector<T> a = read_values<T>(got, stream), b = read_values<T>(expected, stream);
    double largest = 0;
    for (const T x : b) largest = std::max(largest, std::abs(static_cast<double>(x)));
    for (const Parameter& p : parameters.all()) {
      if (p.grad_offset < 0) continue;
      double difference = 0, size = 1e-3 * largest;
      const auto first = static_cast<std::size_t>(p.grad_offset);
      for (std::size_t i = first; i < first + static_cast<std::size_t>(p.elements()); ++i) {
        const double d = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
        if (!(d <= difference)) difference = d;  // a NaN stays
        size = std::max(size, std::abs(static_cast<double>(b[i])));
      }
      const double error = size > 0          ? relative(difference, 0, size)
                           : difference == 0 ? 0
                                             : std::numeric_limits<double>::infinity();
      if (error > worst.gradient || worst.parameter.empty()) {
        worst.gradient = std::max(error, worst.gradient);
        worst.parameter = p.name;
        worst.layout = layout;
      }
    }
  });
}

ExitCode run_audit(Job& on_host, const AuditOptions& o) {
  require(o.layouts == "plan" || o.layouts == "all", ExitCode::usage, "--layouts {}: plan or all", o.layouts);
  require(o.batches >= 1, ExitCode::usage, "--batches {}: at least 1", o.batches);
  const DType dtype = dtype_from_name(o.dtype);
  const double bound = dtype == DType::F64 ? 1e-9 : 1e-4;

  const LoadedConfig loaded = load_config(o.config, o.overrides);
  require_same_config(loaded.config, on_host.world);
  const RunDevice device = choose_device(loaded, on_host);
  Job job = device.on(on_host);
  RunModel run = open_run_model(loaded, dtype, true, true);
  const auto whole = device.device ? dealt(*run.model, {}, job.stream) : nullptr;
  model::Vlm& model = whole ? *whole : *run.model;
  const auto data = open_training_data(loaded, run, job.open_data);
  Worst worst;
  i64 layouts = 0;
  const OwnedTensor expected(dtype, model.parameters().gradients().shape(), "gradients of one rank",
                             job.stream),
      got_gradients(dtype, model.parameters().gradients().shape(), "gradients of all ranks", job.stream);
  parallel::SelfGroup self;
  const auto self_on_device = device.device ? make_device_group(self, *device.device, false) : nullptr;
  parallel::ProcessGroup& one = self_on_device ? *self_on_device : self;
  for (i64 b = 0; b < o.batches; ++b) {
    const std::vector<model::Sample> samples = data->next();
    const planning::PlanResult planned = plan_run(loaded, model, job.world.size(), samples);
    const auto one_rank = [&](std::span<const std::vector<model::Sample>> micro_batches, i64 supervised) {
      const parallel::Plan alone = one_rank_plan(model);
      parallel::MeshGroups groups(alone.mesh, one);
      StepRunner runner(model, alone, groups, job.stream);
      fill_zero(model.parameters().gradients(), job.stream);
      StepBatch step;
      step.supervised = supervised;
      step.samples = static_cast<i64>(samples.size());
      for (const auto& members : micro_batches)
        step.passes.push_back(make_inputs(pack(members, model.config()), model, alone, 0));
      upload(step, device.buffers.get());
      runner.run(step);
      return runner.read().loss;
    };
    i64 supervised = 0;
    for (const model::Sample& s : samples) supervised += supervised_tokens(s);
    const std::vector<std::vector<model::Sample>> packed{samples};
    const double loss = one_rank(packed, supervised);
    copy(expected, model.parameters().gradients(), job.stream);
    if (job.world.size() == 1) {
      // Nothing to shard: the packed micro-batch against its samples one by one.
      std::vector<std::vector<model::Sample>> single;
      for (const model::Sample& s : samples) single.push_back({s});
      const double apart = one_rank(single, supervised);
      worst.loss = std::max(worst.loss, relative(apart, loss, std::max(std::abs(loss), 1e-300)));
      compare(model.parameters(), model.parameters().gradients(), expected, job.stream, "samples one by one",
              worst);
      layouts = 1;
      continue;
    }
    const std::vector<parallel::Plan> plans =
        o.layouts == "all" ? all_layouts(planned.plan, model) : std::vector{planned.plan};
    layouts = static_cast<i64>(plans.size());
    for (const parallel::Plan& plan : plans) {
      parallel::MeshGroups groups(plan.mesh, job.world);
      const auto shares =
          plan.zero > 0 ? dealt(*run.model, plan.sharding(job.world.rank()), job.stream) : nullptr;
      model::Vlm& audited = shares ? *shares : model;
      StepRunner runner(audited, plan, groups, job.stream);
      const StepBatch step =
          deal_step(samples, audited, plan, job.world.rank(), plan.micro_batch_tokens, device.buffers.get());
      fill_zero(audited.parameters().gradients(), job.stream);
      runner.run(step);
      gather_gradients(got_gradients, audited.parameters(), job.world, job.stream);
      const double got = runner.read().loss;
      worst.loss = std::max(worst.loss, relative(got, loss, std::max(std::abs(loss), 1e-300)));
      const double before = worst.gradient;
      compare(model.parameters(), got_gradients, expected, job.stream, plan.text(), worst);
      if (worst.gradient > bound && worst.gradient > before)
        log_warn("{}: {} differs by {:.3g}", plan.text(), worst.parameter, worst.gradient);
    }
  }
  const bool good = worst.gradient <= bound && worst.loss <= bound;
  if (job.leads()) {
    i64 parameters = 0;
    for (const Parameter& p : model.parameters().all()) parameters += p.grad_offset >= 0;
    if (o.json) {
      nlohmann::ordered_json line;
      line["ranks"] = job.world.size();
      line["layouts"] = layouts;
      line["loss_relative_error"] = worst.loss;
      line["parameters"] = parameters;
      line["worst_parameter"] = worst.parameter;
      line["worst_relative_error"] = worst.gradient;
      print_line(json_text(line));
    } else {
      print_line(fmt::format("{} layouts on {} ranks, {} parameters, {}", layouts, job.world.size(),
                             parameters, o.dtype));
      print_line(fmt::format("  loss: worst relative difference {:.3g}", worst.loss));
      print_line(fmt::format("  gradients: worst relative difference {:.3g} ({}; {})", worst.gradient,
                             worst.parameter, worst.layout));
      print_line(fmt::format("{} (bound {:g})", good ? "equal to one rank" : "NOT equal to one rank", bound));
    }
  }
  job.world.barrier(job.stream);
  return good ? ExitCode::done : ExitCode::internal;
}

}  // namespace

void add_audit(Command app, Run& run) {
  const Command verb = app.add_command(
      "audit", "Compare the gradient of every parameter on these ranks with that of one rank");
  auto o = std::make_shared<AuditOptions>();
  verb.add_option("config", o->config, "YAML configuration").required();
  verb.add_option("--layouts", o->layouts,
                  "plan (default): the layout that training would use; all: every one there is");
  verb.add_option("--batches", o->batches, "steps of data to compare on (default 1)");
  verb.add_option("--dtype", o->dtype, "f64 (default, bound 1e-9) or f32 (bound 1e-4)")
      .one_of({"f64", "f32"});
  verb.add_flag("--json", o->json, "one line of JSON, last on stdout");
  verb.add_option("overrides", o->overrides, "key.path=value");
  verb.callback([o, &run] { run = [o](Job& job) { return run_audit(job, *o); }; });
}

}  // namespace longsight::launch
