#include "launch/plan_run.h"

#include "launch/planning/plan_rules.h"
#include "launch/planning/units.h"

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
  const MemorySection& memory = loaded.config.memory;
  if (!memory.recompute.is_auto())
    options.recompute =
        parallel::recompute_from_name(*memory.recompute.value, place(loaded.document, "memory.recompute"));
  if (!p.zero.is_auto())
    options.zero = parallel::zero_from_name(*p.zero.value, place(loaded.document, "parallel.zero"));
  if (!memory.budget.is_auto())
    options.memory_budget =
        planning::bytes_from_text(*memory.budget.value, place(loaded.document, "memory.budget"));
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

planning::PlanResult plan_run(const LoadedConfig& loaded, model::Vlm& model, i64 ranks,
                              std::span<const model::Sample> samples,
                              const planning::HardwareProfile& hardware) {
  check_parallel(loaded, model, ranks);
  planning::PlanRequest request{
      .model = model, .world = ranks, .hardware = hardware, .batch = {}, .options = plan_options(loaded)};
  request.batch.tokens_per_step = loaded.config.train.tokens_per_step;
  request.batch.micro_batch_tokens = loaded.config.memory.micro_batch_tokens.value_or(0);
  for (const model::Sample& s : samples) {
    planning::SampleStatistics statistics{
        .tokens = s.tokens(), .images = 0, .supervised = supervised_tokens(s), .patches = 0};
    for (const auto& image : s.images) {
      statistics.images += image->layout().tiles;
      statistics.patches += image->layout().patches();
    }
    request.batch.samples.push_back(statistics);
  }
  return make_plan(request);
}

}  // namespace longsight::launch
