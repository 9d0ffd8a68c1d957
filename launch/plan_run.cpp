#include "launch/plan_run.h"

#include "launch/node_memory.h"
#include "launch/planning/plan_rules.h"
#include "launch/planning/units.h"
#include "parallel/groups/agreement.h"

namespace longsight::launch {
namespace {

std::string place(const YamlDocument& doc, const std::string& key) {
  return fmt::format("{} ({})", key, doc.place_of(key));
}

std::optional<parallel::AttentionKind> attention(const YamlDocument& doc, const std::string& key,
                                                 const OrAuto<std::string>& value) {
  if (value.is_auto()) return std::nullopt;
  return parallel::attention_from_name(*value.value, place(doc, key));
}

// What the planner refuses names the key; here the place in the file is known too.
template <class F>
void with_place(const YamlDocument& doc, const std::string& key, F&& work) {
  try {
    work();
  } catch (const Error& error) {
    fail(error.code(), "{} ({})", error.what(), doc.place_of(key));
  }
}

}  // namespace

planning::PlanOptions plan_options(const LoadedConfig& loaded) {
  const ParallelSection& p = loaded.config.parallel;
  planning::PlanOptions options;
  options.sequence = p.sequence.value;
  options.vision = attention(loaded.document, "parallel.vision.attention", p.vision.attention);
  options.language = attention(loaded.document, "parallel.language.attention", p.language.attention);
  if (!p.fusion.exchange.is_auto()) {
    options.fusion = parallel::fusion_from_name(*p.fusion.exchange.value,
                                                place(loaded.document, "parallel.fusion.exchange"));
  }
  if (!p.fusion.split.is_auto())
    options.split =
        parallel::split_from_name(*p.fusion.split.value, place(loaded.document, "parallel.fusion.split"));
  const MemorySection& memory = loaded.config.memory;
  if (!memory.recompute.is_auto())
    options.recompute =
        parallel::recompute_from_name(*memory.recompute.value, place(loaded.document, "memory.recompute"));
  if (!p.zero.is_auto())
    options.zero = parallel::zero_from_name(*p.zero.value, place(loaded.document, "parallel.zero"));
  if (!memory.budget.is_auto() && *memory.budget.value != "none")
    options.memory_budget =
        planning::bytes_from_text(*memory.budget.value, place(loaded.document, "memory.budget"));
  options.micro_batch_tokens = memory.micro_batch_tokens.value;
  for (std::size_t i = 0; i < p.rules.size(); ++i) {
    const std::string key = fmt::format("parallel.rules.{}", i);
    options.rules.push_back(
        {p.rules[i].blocks,
         parallel::attention_from_name(p.rules[i].attention, place(loaded.document, key + ".attention"))});
  }
  return options;
}

void check_parallel(const LoadedConfig& loaded, const model::Vlm& model, i64 ranks) {
  const YamlDocument& doc = loaded.document;
  const planning::PlanOptions options = plan_options(loaded);
  if (options.sequence)
    with_place(doc, "parallel.sequence", [&] { parallel::make_mesh(ranks, *options.sequence); });
  planning::require_complete(hardware_of(loaded), ranks);
  // Rule by rule: what one more of them breaks is its own fault.
  const planning::ModelFacts facts = planning::model_facts(model.config());
  planning::PlanOptions so_far = options;
  so_far.rules.clear();
  with_place(doc, "parallel.language.attention", [&] { block_requests(facts, so_far); });
  for (std::size_t i = 0; i < options.rules.size(); ++i) {
    so_far.rules.push_back(options.rules[i]);
    with_place(doc, fmt::format("parallel.rules.{}", i), [&] { block_requests(facts, so_far); });
  }
}

planning::HardwareProfile hardware_of(const LoadedConfig& loaded) {
  const std::string& file = loaded.config.parallel.hardware;
  return file.empty() ? planning::HardwareProfile{} : planning::read_hardware(file);
}

AutoBudget budget_of_nodes(const Job& job) {
  const i64 ranks = job.node == nullptr ? 1 : job.node->size();
  return {.bytes = memory_of_each_rank(job.world, ranks, job.stream),
          .source = fmt::format("memory.budget auto: {} of a node's ranks share what it has left", ranks)};
}

AutoBudget budget_of_hardware(const planning::HardwareProfile& hardware) {
  return {.bytes = share_of_memory(hardware.memory, 1),
          .source = fmt::format("memory.budget auto: 90 % of {}", planning::bytes_text(hardware.memory))};
}

std::vector<planning::SampleStatistics> statistics_of(std::span<const model::Sample> samples) {
  std::vector<planning::SampleStatistics> all;
  for (const model::Sample& s : samples) {
    planning::SampleStatistics statistics{
        .tokens = s.tokens(), .images = 0, .supervised = supervised_tokens(s), .patches = 0};
    for (const auto& image : s.images) {
      statistics.images += image->layout().tiles;
      statistics.patches += image->layout().patches();
    }
    all.push_back(statistics);
  }
  return all;
}

planning::PlanRequest plan_request(const LoadedConfig& loaded, model::Vlm& model, i64 ranks,
                                   std::vector<planning::SampleStatistics> samples,
                                   const AutoBudget& budget) {
  check_parallel(loaded, model, ranks);
  planning::PlanRequest request{.model = model,
                                .world = ranks,
                                .hardware = hardware_of(loaded).computing_in(model.parameters().precision()),
                                .samples = std::move(samples),
                                .options = plan_options(loaded)};
  if (loaded.config.memory.budget.is_auto()) {
    request.options.memory_budget = budget.bytes;
    request.options.budget_source = budget.source;
  }
  return request;
}

void require_same_plan(const parallel::Plan& plan, parallel::ProcessGroup& world) {
  if (world.size() == 1) return;
  parallel::require_agreement({{"the plan", plan.text()}}, ExitCode::usage,
                              "give every node the same hardware profile (parallel.hardware)", world, {});
}

planning::PlanResult plan_run(const LoadedConfig& loaded, model::Vlm& model, i64 ranks,
                              std::span<const model::Sample> samples, const AutoBudget& budget) {
  return make_plan(plan_request(loaded, model, ranks, statistics_of(samples), budget));
}

}  // namespace longsight::launch
