// Models and batches for tests of the planner: shapes on a trace, without memory.
#pragma once

#include <memory>
#include <random>

#include "launch/planning/planner.h"
#include "launch/planning/typical_step.h"

namespace longsight::planning {

struct LlavaSizes {
  i64 vision_heads = 16, heads = 32, kv_heads = 32;
  i64 vision_blocks = 23, blocks = 32;  // that run
  i64 grid = 24;                        // patches along an edge of an image
  i64 vocab = 32064;
};

inline nlohmann::json llava_config(const LlavaSizes& s) {
  return {{"model_type", "llava"},
          {"image_token_index", s.vocab - 1},
          {"projector_hidden_act", "gelu"},
          {"vision_feature_layer", -2},
          {"vision_feature_select_strategy", "default"},
          {"text_config",
           {{"model_type", "llama"},
            {"vocab_size", s.vocab},
            {"hidden_size", 128 * s.heads},
            {"intermediate_size", 344 * s.heads},
            {"num_hidden_layers", s.blocks},
            {"num_attention_heads", s.heads},
            {"num_key_value_heads", s.kv_heads},
            {"rms_norm_eps", 1e-5}}},
          {"vision_config",
           {{"model_type", "clip_vision_model"},
            {"hidden_size", 64 * s.vision_heads},
            {"intermediate_size", 256 * s.vision_heads},
            {"num_hidden_layers", s.vision_blocks + 1},
            {"num_attention_heads", s.vision_heads},
            {"image_size", 14 * s.grid},
            {"patch_size", 14},
            {"hidden_act", "quick_gelu"}}}};
}

using TracedModel = std::shared_ptr<model::Vlm>;

inline TracedModel traced_model(const nlohmann::json& config) {
  auto vlm = std::make_shared<model::Vlm>(model::read_model_config(config, "test"));
  vlm->parameters().allocate(DType::F32, true, Backend::trace);
  return vlm;
}

// A LLaVA-shaped model; head counts as given, all of it trained.
inline TracedModel llava_shape(i64 vision_heads, i64 heads, i64 kv_heads, i64 vision_blocks = 23,
                               i64 blocks = 32) {
  return traced_model(llava_config({vision_heads, heads, kv_heads, vision_blocks, blocks}));
}

// The same, small enough that layouts can be walked token by token: 9 patches an image.
inline TracedModel tiny_shape(i64 vision_heads, i64 heads, i64 kv_heads) {
  return traced_model(llava_config({vision_heads, heads, kv_heads, 2, 3, 3, 97}));
}

inline TileFacts tile_of(const TracedModel& model) {
  return model_facts(model->config()).tile;
}

inline i64 draw(std::mt19937& random, i64 first, i64 last) {
  return std::uniform_int_distribution<i64>(first, last)(random);
}

// Samples of every kind: with several images, with one, without; a few or no targets.
inline std::vector<SampleStatistics> random_samples(std::mt19937& random, const TileFacts& tile, i64 count) {
  std::vector<SampleStatistics> samples;
  for (i64 i = 0; i < count; ++i) {
    const i64 images = draw(random, 0, 3);
    const i64 text = draw(random, 1, 40);
    samples.push_back(
        {images * tile.features_of(tile.patches_per_tile) + text, images, draw(random, 0, text - 1), 0});
  }
  return samples;
}

// The samples of a step, and how they are packed.
struct BatchStatistics {
  std::vector<SampleStatistics> samples;
  std::optional<i64> micro_batch_tokens = {};
};

// Samples of equal length, `tokens` in all.
inline BatchStatistics equal_samples(i64 tokens, i64 tokens_per_sample, i64 images_per_sample,
                                     i64 supervised_per_sample) {
  const auto count = static_cast<std::size_t>(std::max<i64>(1, tokens / tokens_per_sample));
  return {.samples = std::vector<SampleStatistics>(
              count, {tokens_per_sample, images_per_sample, supervised_per_sample})};
}

// A request, and the model that it borrows.
struct Asked {
  TracedModel model;
  PlanRequest request;
};

inline Asked request_of(TracedModel model, i64 world, BatchStatistics batch, PlanOptions options = {}) {
  PlanRequest request{.model = *model,
                      .world = world,
                      .hardware = {},
                      .samples = std::move(batch.samples),
                      .options = std::move(options)};
  if (batch.micro_batch_tokens) request.options.micro_batch_tokens = batch.micro_batch_tokens;
  return {std::move(model), std::move(request)};
}

inline PlanResult make_plan(const Asked& asked) {
  return planning::make_plan(asked.request);
}

inline BatchStatistics of(std::vector<SampleStatistics> samples) {
  return {.samples = std::move(samples)};
}

}  // namespace longsight::planning
