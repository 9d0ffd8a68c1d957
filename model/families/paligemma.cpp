#include "model/families/paligemma.h"

#include "model/families/text_models.h"
#include "model/families/v5_config.h"
#include "model/families/vision_towers.h"

namespace longsight::model {
namespace {

// What a wholly absent sub-configuration stands for.
constexpr TowerDefaults kAbsentTower{1152, 4096, 27, 16, 224, 14};

nlohmann::json absent_tower() {
  return {{"hidden_size", 1152},       {"intermediate_size", 4096}, {"num_hidden_layers", 27},
          {"num_attention_heads", 16}, {"image_size", 224},         {"patch_size", 14},
          {"vision_use_head", false}};
}

nlohmann::json absent_text() {
  return {{"hidden_size", 2048},      {"intermediate_size", 16384}, {"num_hidden_layers", 18},
          {"num_attention_heads", 8}, {"num_key_value_heads", 1},   {"vocab_size", 257152}};
}

}  // namespace

ModelConfig read_paligemma_config(const nlohmann::json& file, const std::string& path) {
  ModelConfig config;
  ConfigReader r(file, path);
  const bool tower_absent = !r.has("vision_config"), text_absent = !r.has("text_config");
  ConfigReader vision = r.object("vision_config");
  ConfigReader text =
      text_absent ? ConfigReader(absent_text(), path + ": text_config") : r.object("text_config");
  r.ignore({"text_config"});
  if (const std::string type = vision.text("model_type", "siglip_vision_model");
      type != "siglip_vision_model")
    fail(ExitCode::bad_data, "{}: model_type \"{}\" is not supported (siglip_vision_model is)",
         vision.where(), type);
  config.vision = read_siglip(vision, tower_absent ? kAbsentTower : kSiglipDefaults,
                              "vision_tower.vision_model.", config.warnings);
  if (tower_absent) config.vision.carried.clear();
  const TextKind kind = text_kind(text, TextKind::gemma);
  require(kind == TextKind::gemma, ExitCode::bad_data,
          "{}: model_type {} is not supported inside of PaliGemma (gemma is)", text.where(),
          text.text("model_type", ""));
  config.text = read_text(text, kind, "language_model.model", "language_model.lm_head", config.warnings);
  // Says that the prefix sees itself, which it always does.
  text.ignore({"num_image_tokens", "use_bidirectional_attention"});
  text.note_unread(config.warnings);
  config.text.tied = r.boolean("tie_word_embeddings", true);
  config.text.first_position = 1;
  config.prefix_attention = true;
  const i64 projection = r.positive("projection_dim", 2048);
  require(projection == config.text.width, ExitCode::bad_data,
          "{}: projection_dim {} is not the hidden_size {} of the language model", path, projection,
          config.text.width);
  config.image_token = r.token_id({"image_token_index", "image_token_id"}, 256000, config.text.vocab);
  ConnectorConfig& c = config.connector;
  c.feature_layers = {config.vision.layers};
  c.drop_first_row = false;
  c.row_norm = true;
  c.row_norm_eps = config.vision.eps;
  c.first_name = "multi_modal_projector.linear";
  r.ignore({"model_type", "architectures", "torch_dtype", "dtype", "transformers_version", "hidden_size",
            "vocab_size", "ignore_index", "pad_token_id", "bos_token_id", "eos_token_id", "_name_or_path",
            "image_token_id", "_vocab_size"});
  r.note_unread(config.warnings);
  return config;
}

nlohmann::json v5_paligemma_config(const ModelConfig& c) {
  nlohmann::json config = v5_outer(c.source, "paligemma", c.text);
  nlohmann::json text = part_of(c.source, "text_config"), vision = part_of(c.source, "vision_config");
  if (text.empty()) text = absent_text();
  if (vision.empty()) vision = absent_tower();
  // Ids that older files have at the top; and what no class knows any more.
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (!config.contains(key)) continue;
    if (!text.contains(key)) text[key] = config[key];
    config.erase(key);
  }
  for (const char* key : {"ignore_index", "image_token_id", "_vocab_size"}) config.erase(key);
  for (const char* key : {"num_image_tokens", "projector_hidden_act"}) vision.erase(key);
  text.erase("hidden_activation");
  if (c.text.activation == ops::Activation::gelu_tanh) text["hidden_act"] = "gelu_pytorch_tanh";
  config["image_token_index"] = c.image_token;
  config["hidden_size"] = c.text.width;
  config["vocab_size"] = c.text.vocab;
  text = v5_text(text, c.text, "gemma");
  text["num_image_tokens"] = c.vision.grid() * c.vision.grid();
  text["use_bidirectional_attention"] = true;
  config["text_config"] = text;
  vision["projection_dim"] = config["projection_dim"];
  config["vision_config"] = v5_vision(vision, "siglip_vision_model");
  return config;
}

}  // namespace longsight::model
