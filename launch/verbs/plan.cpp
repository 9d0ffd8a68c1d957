// longsight plan: what a run would do, without doing it.

#include <algorithm>

#include <unistd.h>

#include "launch/node_memory.h"
#include "launch/output.h"
#include "launch/plan_run.h"
#include "launch/planning/fitting.h"
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
  std::optional<i64> ranks, tokens, images, samples;
  bool max_tokens = false, json = false;
  std::vector<std::string> overrides;
};

// A run, or a model's config.json: what any run of such a model would be.
LoadedConfig load_target(const PlanOptions& o) {
  const bool of_model = o.config.ends_with(".json");
  LoadedConfig loaded = load_config(of_model ? "" : o.config, o.overrides);
  if (of_model) loaded.config.model.config = o.config;
  if (!o.hardware.empty()) loaded.config.parallel.hardware = o.hardware;
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

void check_options(const PlanOptions& o) {
  // Bounds are beyond what anybody has, and what a plan takes time or memory for grows with them.
  constexpr i64 kMostRanks = 1 << 17, kMostSamples = 1 << 20, kMostImages = 1 << 20;
  for (const auto& [name, value, least, most] : {std::tuple("--ranks", o.ranks, 1, kMostRanks),
                                                 std::tuple("--tokens", o.tokens, 1, planning::kMostTokens),
                                                 std::tuple("--samples", o.samples, 1, kMostSamples),
                                                 std::tuple("--images", o.images, 0, kMostImages)}) {
    if (!value) continue;
    require(*value >= least, ExitCode::usage, "{} {}: at least {}", name, *value, least);
    require(*value <= most, ExitCode::usage, "{} {}: at most {}", name, *value, most);
  }
  require(!o.max_tokens || (!o.tokens && !o.samples), ExitCode::usage,
          "--max-tokens looks for the length of one sequence: without --tokens and --samples");
  require(o.tokens || o.max_tokens || (!o.images && !o.samples), ExitCode::usage,
          "--images and --samples say more of a sample of --tokens N");
}

// Samples that are alike, of pictures of the model's usual size; all their text has a label.
std::vector<planning::SampleStatistics> given_lengths(const PlanOptions& o, const model::ModelConfig& model) {
  const planning::TileFacts tile = planning::model_facts(model).tile;
  const i64 images = o.images.value_or(0);
  require(images == 0 || model.has_vision(), ExitCode::usage,
          "--images {} for a model without a vision tower", images);
  const i64 each = tile.features_of(tile.patches_per_tile), visual = images * each;
  const i64 tokens = o.tokens.value_or(visual + 2);
  require(visual < tokens, ExitCode::usage,
          "--tokens {}: {} images of {} visual tokens, and text, do not fit into that", tokens, images, each);
  return std::vector<planning::SampleStatistics>(
      static_cast<std::size_t>(o.samples.value_or(1)),
      {.tokens = tokens, .images = images, .supervised = tokens - visual - 1, .patches = 0});
}

std::vector<planning::SampleStatistics> lengths(Job& job, const PlanOptions& o, const LoadedConfig& loaded,
                                                const RunModel& run) {
  if (o.tokens || o.max_tokens) return given_lengths(o, run.model->config());
  loaded.document.require_at(
      !loaded.config.data.train.empty(), "data.train",
      "nothing is known about the length of samples: name data, or give --tokens N, of them --images K");
  return statistics_of(open_training_data(loaded, run, job.open_data)->next());
}

// Of the profile's devices; without one, of this machine, which as many ranks share as it has processors.
AutoBudget budget(Job& job, const LoadedConfig& loaded, i64 ranks) {
  if (!loaded.config.parallel.hardware.empty()) return budget_of_hardware(hardware_of(loaded));
  if (ranks == job.world.size()) return budget_of_nodes(job);
  const i64 sharing = std::min<i64>(ranks, ::sysconf(_SC_NPROCESSORS_ONLN));
  return {
      .bytes = share_of_memory(memory_left().value_or(0), sharing),
      .source = fmt::format("memory.budget auto: what this machine has left, for {} of the ranks", sharing)};
}

void print(const std::string& table, const nlohmann::ordered_json& json, const PlanOptions& o) {
  std::string text = o.json ? json_text(json) : table;
  if (text.ends_with('\n')) text.pop_back();
  print_line(text);
}

ExitCode run_plan(Job& job, const PlanOptions& o) {
  check_options(o);
  const LoadedConfig loaded = load_target(o);
  const RunModel run = open_run_shape(loaded);  // shapes are enough: the plan traces
  run.model->parameters().allocate(precision_of(loaded), true, Backend::trace);
  const i64 ranks = o.ranks.value_or(job.world.size());
  const planning::PlanRequest request =
      plan_request(loaded, *run.model, ranks, lengths(job, o, loaded, run), budget(job, loaded, ranks));
  if (o.max_tokens) {
    const planning::LongestSequence longest = longest_sequence(request);
    if (job.leads()) print(model_text(*run.model) + longest_table(longest), longest_json(longest), o);
    return ExitCode::done;
  }
  const planning::PlanResult result = make_plan(request);
  if (job.leads()) print(model_text(*run.model) + plan_table(result), plan_json(result), o);
  require_fits(result);
  return ExitCode::done;
}

}  // namespace

void add_plan(Command app, Run& run) {
  const Command verb =
      app.add_command("plan", "Print what a run would do and why; trains nothing, needs no MPI");
  auto o = std::make_shared<PlanOptions>();
  verb.add_option("config", o->config, "YAML configuration, or the config.json of a model").required();
  verb.add_option("--ranks", o->ranks, "ranks to plan for (default: those that run this command)");
  verb.add_option("--hardware", o->hardware, "YAML hardware profile (configs/hardware)");
  verb.add_option("--tokens", o->tokens, "length of a sample, visual tokens included, instead of the data's");
  verb.add_option("--images", o->images,
                  "in each sample, of the model's size (448 x 448 where it takes any)");
  verb.add_option("--samples", o->samples, "of a step, alike (default 1)");
  verb.add_flag("--max-tokens", o->max_tokens,
                "the longest sequence that memory.budget allows, with --images in it");
  verb.add_flag("--json", o->json, "one line of JSON");
  verb.add_option("overrides", o->overrides, "key.path=value");
  verb.callback([o, &run] { run = [o](Job& job) { return run_plan(job, *o); }; });
}

}  // namespace longsight::launch
