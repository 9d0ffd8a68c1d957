#include "model/families/llava.h"

#include "model/families/text_models.h"
#include "model/families/v5_config.h"
#include "model/families/vision_towers.h"

namespace longsight::model {
namespace {

using nlohmann::json;

// A wholly absent vision_config means CLIP ViT-L/14-336.
constexpr TowerDefaults kAbsentTower{1024, 4096, 24, 16, 336, 14};

json absent_tower() {
  return {{"hidden_size", 1024},       {"intermediate_size", 4096}, {"num_hidden_layers", 24},
          {"num_attention_heads", 16}, {"image_size", 336},         {"patch_size", 14},
          {"projection_dim", 768}};
}

VisionConfig read_tower(ConfigReader& r, bool absent, std::vector<std::string>& warnings) {
  const std::string type = r.text("model_type", "clip_vision_model"), root = "vision_tower.vision_model.";
  if (type == "siglip_vision_model") return read_siglip(r, kSiglipDefaults, root, warnings);
  require(type == "clip_vision_model", ExitCode::bad_data,
          "{}: model_type \"{}\" is not supported (clip_vision_model and siglip_vision_model are)", r.where(),
          type);
  return read_clip(r, absent ? kAbsentTower : kClipDefaults, root, warnings);
}

std::vector<i64> read_feature_layers(ConfigReader& r, i64 layers) {
  const std::string where = r.where() + ": vision_feature_layer";
  const json* value = r.raw("vision_feature_layer");
  if (value == nullptr) return {hidden_state_index(-2, layers, where)};
  std::vector<i64> states;
  for (const json& item : value->is_array() ? *value : json::array({*value})) {
    require(item.is_number_integer(), ExitCode::bad_data,
            "{} must be an integer or a list of integers, not {}", where, value->dump());
    states.push_back(hidden_state_index(item.get<i64>(), layers, where));
  }
  require(!states.empty(), ExitCode::bad_data, "{} is an empty list", where);
  return states;
}

bool replace_prefix(std::string& name, std::string_view from, std::string_view to) {
  if (!name.starts_with(from)) return false;
  name = std::string(to) + name.substr(from.size());
  return true;
}

std::string without_vision_model(const std::string& canonical) {
  std::string n = canonical;
  replace_prefix(n, "vision_tower.vision_model.", "vision_tower.");
  return n;
}

}  // namespace

ModelConfig read_llava_config(const nlohmann::json& file, const std::string& path) {
  ModelConfig config;
  ConfigReader r(file, path);
  ConfigReader vision = r.object("vision_config");
  ConfigReader text = r.object("text_config");
  config.vision = read_tower(vision, !r.has("vision_config"), config.warnings);
  const TextKind kind = text_kind(text, TextKind::llama);
  require(kind == TextKind::llama || kind == TextKind::mistral || kind == TextKind::qwen2, ExitCode::bad_data,
          "{}: model_type {} is not supported inside of LLaVA (llama, mistral and qwen2 are)", text.where(),
          text.text("model_type", ""));
  config.text = read_text(text, kind, "language_model.model", "language_model.lm_head", config.warnings);
  text.note_unread(config.warnings);
  config.text.tied = r.boolean("tie_word_embeddings", false) || config.text.tied;
  config.image_token = r.token_id({"image_token_index", "image_token_id"}, 32000, config.text.vocab);
  ConnectorConfig& c = config.connector;
  c.feature_layers = read_feature_layers(r, config.vision.layers);
  const std::string strategy = r.text("vision_feature_select_strategy", "default");
  require(strategy == "default" || strategy == "full", ExitCode::bad_data,
          "{}: vision_feature_select_strategy \"{}\" is neither default nor full", path, strategy);
  c.drop_first_row = strategy == "default";
  c.middle = config.text.width;
  c.bias = r.boolean("multimodal_projector_bias", true);
  c.activation =
      ops::activation_from_hf(r.text("projector_hidden_act", "gelu"), path + ": projector_hidden_act");
  c.first_name = "multi_modal_projector.linear_1";
  c.second_name = "multi_modal_projector.linear_2";
  r.ignore({"model_type", "architectures", "torch_dtype", "dtype", "transformers_version", "image_seq_length",
            "pad_token_id", "bos_token_id", "eos_token_id", "ignore_index", "vocab_size", "_name_or_path",
            "image_token_id"});
  r.note_unread(config.warnings);
  return config;
}

std::string canonical_outer_name(const std::string& name_in_file) {
  std::string n = name_in_file;
  if (!replace_prefix(n, "model.language_model.", "language_model.model.") &&
      !replace_prefix(n, "lm_head.", "language_model.lm_head.") &&
      !replace_prefix(n, "model.vision_tower.", "vision_tower."))
    replace_prefix(n, "model.multi_modal_projector.", "multi_modal_projector.");
  return n;
}

std::string canonical_llava_name(const std::string& name_in_file) {
  std::string n = canonical_outer_name(name_in_file);
  if (n.starts_with("vision_tower.") && !n.starts_with("vision_tower.vision_model."))
    replace_prefix(n, "vision_tower.", "vision_tower.vision_model.");
  return n;
}

std::string memory_llava_name(const std::string& canonical) {
  std::string n = without_vision_model(canonical);
  if (!replace_prefix(n, "language_model.model.", "model.language_model.") &&
      !replace_prefix(n, "language_model.lm_head.", "lm_head."))
    n = "model." + n;
  return n;
}

std::vector<FileTensor> v5_llava_tensors(const ModelConfig&, const Parameter& parameter) {
  return {{.name = without_vision_model(parameter.name)}};
}

json v5_llava_config(const ModelConfig& c) {
  json config = v5_outer(c.source, "llava", c.text);
  config.erase("image_token_id");
  config["image_token_index"] = c.image_token;
  json vision = part_of(c.source, "vision_config");
  if (vision.empty()) vision = absent_tower();
  config["vision_config"] = v5_vision(vision, vision.value("model_type", "clip_vision_model"));
  const json text = part_of(c.source, "text_config");
  config["text_config"] = v5_text(text, c.text, text.value("model_type", "llama"));
  return config;
}

}  // namespace longsight::model
