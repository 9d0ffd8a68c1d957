// longsight plan: what a run would do, without doing it.

#include "launch/output.h"
#include "launch/plan_run.h"
#include "launch/planning/plan_report.h"
#include "launch/run_model.h"
#include "launch/samples/training_data.h"
#include "launch/verb.h"
#include "model/files/detect.h"
#include "runtime/base/json.h"

namespace longsight::launch {
namespace {

struct PlanOptions {
  std::string config, hardware;
  std::optional<i64> ranks;
  bool json = false;
  std::vector<std::string> overrides;
};

struct HardwareFile {
  planning::HardwareProfile profile;
  template <class S, class V>
  static void fields(S& f, V&& visit) {
    visit("name", f.profile.name);
    visit("source", f.profile.source);
    visit("gemm_flops", f.profile.gemm_flops);
    visit("attention_flops", f.profile.attention_flops);
    visit("memory_bandwidth", f.profile.memory_bandwidth);
    visit("link_bandwidth", f.profile.link_bandwidth);
    visit("latency", f.profile.latency);
  }
};

planning::HardwareProfile read_hardware(const std::string& path) {
  HardwareFile file;
  const YamlDocument doc = YamlDocument::read_file(path);
  read_fields(doc, file);
  for (const auto& [key, value] : {std::pair<const char*, double>{"gemm_flops", file.profile.gemm_flops},
                                   {"attention_flops", file.profile.attention_flops},
                                   {"memory_bandwidth", file.profile.memory_bandwidth},
                                   {"link_bandwidth", file.profile.link_bandwidth}}) {
    doc.require_at(value > 0, key, "{} must be positive", value);
  }
  return file.profile;
}

// A run, or a model's config.json: what any run of such a model would be.
LoadedConfig load_target(const PlanOptions& o) {
  if (!o.config.ends_with(".json")) return load_config(o.config, o.overrides);
  LoadedConfig loaded = load_config("", o.overrides);
  loaded.config.model.config = o.config;
  return loaded;
}

// "2.21 B", "135.4 M".
std::string count_text(i64 count) {
  const double n = static_cast<double>(count);
  if (n >= 1e9) return fmt::format("{:.2f} B", n / 1e9);
  if (n >= 1e6) return fmt::format("{:.1f} M", n / 1e6);
  return fmt::format("{:.1f} K", n / 1e3);
}

// What the model is made of: parameters by part, and what was found of attention and projection.
std::string model_text(const model::Vlm& model) {
  std::string parts;
  i64 all = 0;
  for (const char* part : {"vision", "connector", "language"}) {
    i64 values = 0, trained = 0;
    for (const Parameter& p : model.parameters().all()) {
      if (p.part != part) continue;
      values += p.elements();
      trained += p.used && p.trainable ? p.elements() : 0;
    }
    all += values;
    if (values == 0) continue;
    parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", part, count_text(values));
    if (trained < values) parts += fmt::format(" ({} trained)", count_text(trained));
  }
  std::vector<model::DetectedModule> modules =
      model::detect_modules(model::named_shapes(model.parameters()), model.config(), "");
  std::erase_if(modules, [](const model::DetectedModule& m) {
    return m.kind != model::ModuleKind::vision_attention && m.kind != model::ModuleKind::projection &&
           m.kind != model::ModuleKind::language_attention;
  });
  std::string text = fmt::format("{}: {} parameters; {}\n", model.config().family, all, parts);
  std::string table = model::module_table(modules);
  for (std::size_t begin = 0; begin < table.size(); begin = table.find('\n', begin) + 1) {
    table.insert(begin, "  ");
  }
  return text + table;
}

ExitCode run_plan(Job& job, const PlanOptions& o) {
  const LoadedConfig loaded = load_target(o);
  require(o.ranks.value_or(1) >= 1, ExitCode::usage, "--ranks {}: at least 1", o.ranks.value_or(1));
  const RunModel run = open_run_shape(loaded);  // shapes are enough: the plan traces
  run.model->parameters().allocate(DType::F32, true, Backend::trace);
  // Without data in the configuration, or data to read, a step of equal lengths is assumed and the plan says
  // so.
  std::vector<model::Sample> samples;
  if (!loaded.config.data.train.empty()) samples = open_training_data(loaded, run, job.open_data)->next();
  const planning::PlanResult result =
      plan_run(loaded, *run.model, o.ranks.value_or(job.world.size()), samples,
               o.hardware.empty() ? planning::HardwareProfile{} : read_hardware(o.hardware));
  if (!job.leads()) return ExitCode::done;
  std::string text = o.json ? json_text(plan_json(result)) : model_text(*run.model) + plan_table(result);
  if (text.ends_with('\n')) text.pop_back();
  print_line(text);
  return ExitCode::done;
}

}  // namespace

void add_plan(Command app, Run& run) {
  const Command verb =
      app.add_command("plan", "Print what a run would do and why; trains nothing, needs no MPI");
  auto o = std::make_shared<PlanOptions>();
  verb.add_option("config", o->config, "YAML configuration, or the config.json of a model").required();
  verb.add_option("--ranks", o->ranks, "ranks to plan for (default: those that run this command)");
  verb.add_option("--hardware", o->hardware, "YAML hardware profile");
  verb.add_flag("--json", o->json, "one line of JSON");
  verb.add_option("overrides", o->overrides, "key.path=value");
  verb.callback([o, &run] { run = [o](Job& job) { return run_plan(job, *o); }; });
}

}  // namespace longsight::launch
