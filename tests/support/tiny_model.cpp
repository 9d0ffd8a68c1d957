#include "tests/support/tiny_model.h"

#include "model/inputs/synthetic.h"

namespace longsight::test {
nlohmann::json tiny_config() {
  return nlohmann::json::parse(R"({
    "model_type": "llava", "image_token_index": 90, "projector_hidden_act": "gelu",
    "vision_feature_layer": [-2, 1], "vision_feature_select_strategy": "default",
    "text_config": {"model_type": "llama", "vocab_size": 97, "hidden_size": 36, "intermediate_size": 50, "num_hidden_layers": 2,
      "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 8, "rms_norm_eps": 1e-5, "attention_bias": true, "mlp_bias": true},
    "vision_config": {"model_type": "clip_vision_model", "hidden_size": 30, "intermediate_size": 44, "num_hidden_layers": 3,
      "num_attention_heads": 5, "image_size": 12, "patch_size": 4, "hidden_act": "quick_gelu"}})");
}

std::unique_ptr<model::Vlm> tiny_model(DType dtype, const nlohmann::json& config, bool with_gradients,
                                       const model::AdapterConfig& adapters) {
  auto model = std::make_unique<model::Vlm>(model::read_model_config(config, "tiny"), adapters);
  ParameterRegistry& p = model->parameters();
  p.allocate(dtype, with_gradients);
  for (ParameterId id = 0; id < p.size(); ++id) {
    const Philox random(7, p[id].name);
    const Tensor value = p.value(id);
    dispatch(value.dtype(), [&](auto zero) {
      using T = decltype(zero);
      for (i64 i = 0; i < value.elements(); ++i) {
        const double centre = p[id].init.kind == Init::Kind::ones ? 1 : 0;
        value.host<T>()[i] =
            static_cast<T>(static_cast<float>(centre + 0.2 * random.normal(static_cast<u64>(i))));
      }
    });
  }
  p.round_weights({});
  return model;
}

std::vector<model::Sample> tiny_samples(const model::ModelConfig& config,
                                        const std::vector<SampleShape>& shapes, u64 seed) {
  std::vector<model::Sample> samples;
  i64 number = 0;
  for (std::size_t s = 0; s < shapes.size(); ++s) {
    const Philox random(seed, fmt::format("sample {}", s));
    model::Sample sample{.id = fmt::format("sample {}", s), .ids = {}, .labels = {}, .images = {}};
    std::vector<i64> places;  // the placeholders of the images, with text between two of them
    const i64 images = config.has_vision() ? shapes[s].images : 0;
    for (i64 i = 0; i < images; ++i, ++number) {
      // Images of any size: of several, wide and high.
      const data::ImageLayout layout = model::synthetic_layout(config, config.vision.merge * (1 + number % 3),
                                                               config.vision.merge * (2 + number % 2));
      sample.images.push_back(model::synthetic_image(config, layout, seed, fmt::format("image {}", number)));
      if (i > 0 && !config.text.rope.sections.empty()) places.push_back(-1);
      places.insert(places.end(), static_cast<std::size_t>(config.features(layout)), config.image_token);
    }
    const i64 visual = static_cast<i64>(places.size());
    const i64 tokens = std::max(shapes[s].tokens, visual + 1);
    // The text before the images is as long as half of what is left, so images come early, late or at an
    // edge.
    const i64 before = (tokens - visual) / 2;
    for (i64 t = 0; t < tokens; ++t) {
      const i64 place = t - before;
      const bool placeholder =
          place >= 0 && place < visual && places[static_cast<std::size_t>(place)] == config.image_token;
      i64 id = static_cast<i64>(random.below(static_cast<u64>(config.text.vocab), static_cast<u64>(t)));
      while (config.is_placeholder(id)) id = (id + 1) % config.text.vocab;
      if (placeholder) id = config.image_token;
      sample.ids.push_back(id);
      sample.labels.push_back(!placeholder && random.uniform(static_cast<u64>(1000 + t)) < 0.6 ? id : -100);
    }
    if (config.prefix_attention) sample.prefix = before + visual;
    samples.push_back(std::move(sample));
  }
  return samples;
}

}  // namespace longsight::test
