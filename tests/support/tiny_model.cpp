#include "tests/support/tiny_model.h"

namespace longsight::test {
namespace {

class RandomImage final : public data::ImageSource {
 public:
  RandomImage(i64 size, data::ImageLayout layout, u64 seed, i64 index)
      : pixels_(DType::F32, {3, size, size}), layout_(layout) {
    const Philox random(seed, fmt::format("image {}", index));
    for (i64 i = 0; i < pixels_->elements(); ++i)
      pixels_->as<float>()[i] = static_cast<float>(random.normal(static_cast<u64>(i)));
  }
  Tensor pixels() override { return pixels_; }
  const data::ImageLayout& layout() const override { return layout_; }

 private:
  OwnedTensor pixels_;
  data::ImageLayout layout_;
};

}  // namespace

nlohmann::json tiny_config() {
  return nlohmann::json::parse(R"({
    "model_type": "llava", "image_token_index": 90, "projector_hidden_act": "gelu",
    "vision_feature_layer": [-2, 1], "vision_feature_select_strategy": "default",
    "text_config": {"model_type": "llama", "vocab_size": 97, "hidden_size": 36, "intermediate_size": 50, "num_hidden_layers": 2,
      "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 8, "rms_norm_eps": 1e-5, "attention_bias": true, "mlp_bias": true},
    "vision_config": {"model_type": "clip_vision_model", "hidden_size": 30, "intermediate_size": 44, "num_hidden_layers": 3,
      "num_attention_heads": 5, "image_size": 12, "patch_size": 4, "hidden_act": "quick_gelu"}})");
}

std::unique_ptr<model::Vlm> tiny_model(DType dtype, const nlohmann::json& config, bool with_gradients) {
  auto model = std::make_unique<model::Vlm>(model::read_model_config(config, "tiny"));
  ParameterRegistry& p = model->parameters();
  p.allocate(dtype, with_gradients);
  for (ParameterId id = 0; id < p.size(); ++id) {
    const Philox random(7, p[id].name);
    const Tensor value = p.value(id);
    dispatch(dtype, [&](auto zero) {
      using T = decltype(zero);
      for (i64 i = 0; i < value.elements(); ++i) {
        const double centre = p[id].init.kind == Init::Kind::ones ? 1 : 0;
        value.as<T>()[i] =
            static_cast<T>(static_cast<float>(centre + 0.2 * random.normal(static_cast<u64>(i))));
      }
    });
  }
  return model;
}

std::vector<model::Sample> tiny_samples(const model::ModelConfig& config,
                                        const std::vector<SampleShape>& shapes, u64 seed) {
  std::vector<model::Sample> samples;
  i64 image = 0;
  for (std::size_t s = 0; s < shapes.size(); ++s) {
    const Philox random(seed, fmt::format("sample {}", s));
    model::Sample sample{.id = fmt::format("sample {}", s), .ids = {}, .labels = {}, .images = {}};
    const i64 visual = shapes[s].images * config.features_per_image();
    check(shapes[s].tokens >= visual, "sample {}: {} tokens cannot hold {} visual ones", s, shapes[s].tokens,
          visual);
    // The text before the images is as long as half of what is left, so images come early, late or at an
    // edge.
    const i64 before = (shapes[s].tokens - visual) / 2;
    for (i64 t = 0; t < shapes[s].tokens; ++t) {
      const bool placeholder = t >= before && t < before + visual;
      const i64 id =
          placeholder
              ? config.image_token
              : static_cast<i64>(random.below(static_cast<u64>(config.image_token), static_cast<u64>(t)));
      sample.ids.push_back(id);
      sample.labels.push_back(!placeholder && random.uniform(static_cast<u64>(1000 + t)) < 0.6 ? id : -100);
    }
    for (i64 i = 0; i < shapes[s].images; ++i)
      sample.images.push_back(
          std::make_shared<RandomImage>(config.vision.image_size, config.image_layout(), seed, image++));
    samples.push_back(std::move(sample));
  }
  return samples;
}

}  // namespace longsight::test
