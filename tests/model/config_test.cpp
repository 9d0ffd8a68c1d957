#include "model/config.h"

#include <doctest/doctest.h>

#include "model/families/text_models.h"
#include "tests/support/failure.h"
#include "tests/support/tiny_model.h"

namespace longsight::model {
namespace {

using Json = nlohmann::json;

Json with(std::initializer_list<std::pair<const char*, Json>> changes) {
  Json config = test::tiny_config();
  for (const auto& [pointer, value] : changes) config[Json::json_pointer(pointer)] = value;
  return config;
}

void refused(const Json& config, const std::string& what) {
  const auto failure = failure_of([&] { read_model_config(config, "config.json"); });
  INFO(failure.message);
  CHECK(static_cast<int>(failure.code) >= 64);
  CHECK(contains(failure.message, what));
}

TEST_CASE("keys that are absent take the defaults of their class") {
  const Json config =
      Json::parse(R"({"model_type": "llava", "text_config": {"vocab_size": 32064, "rms_norm_eps": 1e-5}})");
  const ModelConfig c = read_model_config(config, "config.json");
  CHECK(c.text.width == 4096);
  CHECK(c.text.layers == 32);
  CHECK(c.text.kv_heads == 32);
  CHECK(c.text.head_width == 128);
  // A wholly absent tower is CLIP ViT-L/14 at 336 pixels.
  CHECK(c.vision.width == 1024);
  CHECK(c.tile_layout().patches() == 576);
  CHECK(c.connector.feature_layers == std::vector<i64>{23});
  CHECK(c.image_token == 32000);
  CHECK(c.features(c.tile_layout()) == 576);
}

TEST_CASE("RoPE is read in the old and the new form") {
  CHECK(read_model_config(with({{"/text_config/rope_theta", 5e5}}), "c").text.rope.theta == 5e5);
  CHECK(read_model_config(
            with({{"/text_config/rope_parameters", {{"rope_theta", 7e4}, {"rope_type", "default"}}}}), "c")
            .text.rope.theta == 7e4);
  const auto linear =
      read_model_config(with({{"/text_config/rope_scaling", {{"type", "linear"}, {"factor", 4.0}}}}), "c")
          .text.rope;
  CHECK(linear.scaling == RopeConfig::Scaling::linear);
  CHECK(linear.factor == 4);
  const auto dynamic =
      read_model_config(with({{"/text_config/rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2.0}}}}),
                        "c")
          .text.rope;
  CHECK(dynamic.scaling == RopeConfig::Scaling::dynamic);
  CHECK(dynamic.original_positions == 2048);  // max_position_embeddings
  // Of both forms the old one counts, and nothing of the new one.
  const Json yarn{{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 64}};
  const Json plain{{"rope_type", "default"}, {"rope_theta", 7e4}};
  const auto both = read_model_config(
      with({{"/text_config/rope_scaling", yarn}, {"/text_config/rope_parameters", plain}}), "c");
  CHECK(both.text.rope.scaling == RopeConfig::Scaling::yarn);
  CHECK(both.text.rope.theta == 10000);
  const auto empty = read_model_config(
      with({{"/text_config/rope_scaling", Json::object()}, {"/text_config/rope_parameters", yarn}}), "c");
  CHECK(empty.text.rope.scaling == RopeConfig::Scaling::yarn);
  refused(with({{"/text_config/rope_scaling", {{"rope_type", "longrope"}, {"factor", 2.0}}}}), "longrope");
  refused(with({{"/text_config/rope_scaling", {{"type", "mrope"}, {"mrope_section", {1, 1, 1}}}}}),
          "mrope_section");
}

TEST_CASE("norms of q and k in InternVL's tower have the norms' own epsilon in the original files only") {
  const auto eps = [](const char* type, const char* text, const char* norm) {
    const nlohmann::json file{
        {"model_type", type},
        {"image_token_id", 7},
        {"vision_config", {{norm, true}, {"layer_norm_eps", 1e-3}, {"image_size", 448}}},
        {text, {{"model_type", "qwen2"}, {"architectures", {"Qwen2ForCausalLM"}}}}};
    return read_model_config(file, "c").vision.qk_eps;
  };
  CHECK(eps("internvl", "text_config", "use_qk_norm") == 1e-6);
  CHECK(eps("internvl_chat", "llm_config", "qk_normalization") == 1e-3);
}

TEST_CASE("layer_types of a class that has the key say which blocks have its window; others have it in all") {
  Json file = test::tiny_config()["text_config"];
  for (const char* bias : {"attention_bias", "mlp_bias"}) file.erase(bias);
  file["num_hidden_layers"] = 2;
  file["sliding_window"] = 3;
  file["layer_types"] = {"full_attention", "sliding_attention"};
  const auto first_windowed = [&](const TextRow& row) {
    ConfigReader r(file, "config.json");
    std::vector<std::string> warnings;
    const TextConfig t = read_text(r, row, {}, warnings);
    CHECK(t.window == 3);
    return t.first_windowed_block;
  };
  TextRow row = text_row("mistral");
  CHECK(first_windowed(row) == 0);
  row.defaults["layer_types"] = nullptr;
  CHECK(first_windowed(row) == 1);
  file["layer_types"] = {"sliding_attention", "full_attention"};
  CHECK(failure_of([&] { first_windowed(row); }).code == ExitCode::bad_data);
}

TEST_CASE("what changes the computation and is not supported is refused by name") {
  refused(with({{"/model_type", "chameleon"}}), "chameleon");
  refused(with({{"/vision_config/model_type", "dinov2"}}), "dinov2");
  refused(with({{"/text_config/model_type", "phi3"}}), "phi3");
  refused(with({{"/text_config/hidden_act", "mish"}}), "mish");
  refused(with({{"/vision_config/num_channels", 4}}), "num_channels");
  refused(with({{"/vision_feature_select_strategy", "cls"}}), "cls");
  refused(with({{"/vision_feature_layer", 9}}), "vision_feature_layer");
  refused(with({{"/text_config/num_key_value_heads", 4}}), "num_key_value_heads");
  refused(with({{"/text_config/hidden_size", "wide"}}), "hidden_size");
  refused(with({{"/text_config/head_dim", 7}}), "head_dim");
  refused(with({{"/image_token_index", 97}}), "image_token_index");
  // What transformers looks for in any configuration.
  refused(with({{"/text_config/is_causal", false}}), "text_config: is_causal = false is not supported");
  refused(with({{"/text_config/partial_rotary_factor", 0.5}}),
          "partial_rotary_factor = 0.5 is not supported");
  refused(with({{"/text_config/final_logit_softcapping", 30.0}}), "final_logit_softcapping = 30.0");
  refused(with({{"/per_layer_config", {{"0", {{"intermediate_size", 8}}}}}}), "per_layer_config");
  refused(with({{"/fusion_config", {{"a", 1}}}}), "fusion_config");
  refused(with({{"/text_config/layer_types", {"sliding_attention", "full_attention"}}}), "layer_types");
  CHECK(read_model_config(with({{"/text_config/is_causal", true}}), "c").warnings.empty());
}

TEST_CASE("dropout and unknown keys are reported, not applied") {
  const auto c =
      read_model_config(with({{"/text_config/attention_dropout", 0.1}, {"/text_config/frobnicate", 1}}), "c");
  REQUIRE(c.warnings.size() == 2);
  CHECK(contains(c.warnings[0] + c.warnings[1], "attention_dropout"));
  CHECK(contains(c.warnings[0] + c.warnings[1], "frobnicate"));
}

TEST_CASE("either tie flag ties") {
  CHECK_FALSE(read_model_config(test::tiny_config(), "c").text.tied);
  CHECK(read_model_config(with({{"/tie_word_embeddings", true}}), "c").text.tied);
  CHECK(read_model_config(with({{"/text_config/tie_word_embeddings", true}}), "c").text.tied);
}

}  // namespace
}  // namespace longsight::model
