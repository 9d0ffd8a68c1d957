#include "model/families/v5_config.h"

#include "model/families/families.h"
#include "model/families/text_rows.h"
#include "model/families/tower_rows.h"

namespace longsight::model {
namespace {

using nlohmann::json;

const json& class_of(const std::string& type) {
  // qwen2_vl is a family, and an older name of its parts too.
  if (const Family* family = find_family(type); family != nullptr && !family->defaults.empty())
    return family->defaults;
  if (const TowerRow* row = find_tower_row(type); row != nullptr) return row->defaults;
  return text_row(type).defaults;
}

// About the file and not the model, or said elsewhere in version 5.
void drop_stale(json& config) {
  for (const char* key :
       {"torch_dtype", "dtype", "transformers_version", "_name_or_path", "_commit_hash", "architectures",
        "auto_map", "attn_implementation", "_attn_implementation_autoset", "_flash_attn_2_enabled"})
    config.erase(key);
}

// The defaults of a class under what the source says.
json with_defaults(const json& source, const std::string& type) {
  json config = class_of(type);
  config.update(source);
  drop_stale(config);
  config["model_type"] = type;
  return config;
}

json rope_parameters(const json& source, const TextConfig& text) {
  json rope = part_of(source, "rope_parameters");
  if (rope.empty()) rope = part_of(source, "rope_scaling");
  if (!rope.contains("rope_type")) rope["rope_type"] = rope.value("type", json("default"));
  if (rope["rope_type"] == "mrope") rope["rope_type"] = "default";
  rope.erase("type");
  rope["rope_theta"] = text.rope.theta;
  const RopeConfig::Scaling scaling = text.rope.scaling;
  if (scaling == RopeConfig::Scaling::llama3 || scaling == RopeConfig::Scaling::yarn)
    rope["original_max_position_embeddings"] = text.rope.original_positions;
  return rope;
}

}  // namespace

json part_of(const json& source, const char* key, const json& absent) {
  const auto found = source.find(key);
  return found == source.end() || found->is_null() ? absent : *found;
}

json keys_of_class(const json& source, const std::string& type) {
  json kept = json::object();
  for (const auto& [key, value] : source.items()) {
    if (class_of(type).contains(key)) kept[key] = value;
  }
  return kept;
}

json v5_text(const json& source, const TextConfig& text, const std::string& type) {
  json config = with_defaults(source, type);
  config["num_key_value_heads"] = text.kv_heads;
  if (class_of(type).contains("head_dim")) config["head_dim"] = text.head_width;
  config["rope_parameters"] = rope_parameters(source, text);
  config.erase("rope_theta");
  config.erase("rope_scaling");
  if (!class_of(type).contains("layer_types")) return config;
  if (text.window == 0) config["sliding_window"] = nullptr;
  config["layer_types"] = json::array();
  for (i64 i = 0; i < text.layers; ++i)
    config["layer_types"].push_back(text.windowed(i) ? "sliding_attention" : "full_attention");
  return config;
}

json v5_vision(const json& source, const std::string& type) {
  json config = with_defaults(source, type);
  if (find_tower_row(type)->fixed.rope && !config.contains("rope_parameters"))
    config["rope_parameters"] = {{"rope_theta", 10000.0}, {"rope_type", "axial"}};
  return config;
}

json v5_outer(const json& source, const std::string& type, const TextConfig& text) {
  json config = with_defaults(source, type);
  for (const char* part : {"vision_config", "text_config"}) config.erase(part);
  config["tie_word_embeddings"] = text.tied;
  return config;
}

}  // namespace longsight::model
