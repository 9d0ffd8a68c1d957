#include "launch/planning.h"

#include "model/model_shape.h"

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

}  // namespace

std::function<bool(const Parameter&)> trainable_parts(const TrainParts& train) {
  return [train](const Parameter& p) {
    return p.part == "vision" ? train.vision : p.part == "connector" ? train.connector : train.language;
  };
}

parallel::PlanOptions plan_options(const LoadedConfig& loaded) {
  const ParallelSection& p = loaded.config.parallel;
  parallel::PlanOptions options;
  options.sequence = p.sequence.value;
  options.vision = attention(loaded.document, "parallel.vision.attention", p.vision.attention);
  options.language = attention(loaded.document, "parallel.language.attention", p.language.attention);
  if (!p.fusion.exchange.is_auto()) {
    options.fusion = parallel::fusion_from_name(*p.fusion.exchange.value,
                                                place(loaded.document, "parallel.fusion.exchange"));
  }
  for (std::size_t i = 0; i < p.rules.size(); ++i) {
    const std::string key = fmt::format("parallel.rules.{}", i);
    options.rules.push_back(
        {p.rules[i].blocks,
         parallel::attention_from_name(p.rules[i].attention, place(loaded.document, key + ".attention"))});
  }
  return options;
}

parallel::PlanResult plan_run(const LoadedConfig& loaded, const model::Vlm& model, i64 ranks,
                              std::span<const model::Sample> samples, DType dtype,
                              const parallel::HardwareProfile& hardware) {
  parallel::PlanRequest request{.model = model::model_shape(model, dtype),
                                .world = ranks,
                                .hardware = hardware,
                                .batch = {},
                                .options = plan_options(loaded)};
  request.batch.tokens_per_step = loaded.config.train.tokens_per_step;
  request.batch.micro_batch_tokens = loaded.config.memory.micro_batch_tokens.value_or(0);
  for (const model::Sample& s : samples) {
    request.batch.samples.push_back({s.tokens(), static_cast<i64>(s.images.size()), supervised_tokens(s)});
  }
  return make_plan(request);
}

}  // namespace longsight::launch
