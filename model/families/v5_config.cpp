#include "model/families/v5_config.h"

#include "model/families/families.h"
#include "model/families/text_rows.h"
#include "model/families/tower_rows.h"
#include "model/files/config_reader.h"
#include "runtime/base/json.h"

namespace longsight::model {
namespace {

const Json& class_of(const std::string& type) {
  // qwen2_vl is a family, and an older name of its parts too.
  if (const Family* family = find_family(type); family != nullptr && !family->defaults.empty())
    return family->defaults;
  if (const TowerRow* row = find_tower_row(type); row != nullptr) return row->defaults;
  return text_row(type).defaults;
}

// About the file and not the model, or said elsewhere in version 5.
void drop_stale(Json& config) {
  for (const char* key :
       {"torch_dtype", "dtype", "transformers_version", "_name_or_path", "_commit_hash", "architectures",
        "auto_map", "attn_implementation", "_attn_implementation_autoset", "_flash_attn_2_enabled"})
    config.erase(key);
}

// The defaults of a class under what the source says.
Json with_defaults(const Json& source, const std::string& type) {
  Json config = class_of(type);
  config.update(source);
  drop_stale(config);
  config["model_type"] = type;
  return config;
}

Json rope_parameters(const Json& source, const TextConfig& text) {
  Json rope = part_of(source, ConfigReader(source, "").rope_key().c_str());
  if (!rope.contains("rope_type")) rope["rope_type"] = rope.value("type", Json("default"));
  if (rope["rope_type"] == "mrope") rope["rope_type"] = "default";
  rope.erase("type");
  rope["rope_theta"] = text.rope.theta;
  const RopeConfig::Scaling scaling = text.rope.scaling;
  if (scaling == RopeConfig::Scaling::llama3 || scaling == RopeConfig::Scaling::yarn)
    rope["original_max_position_embeddings"] = text.rope.original_positions;
  return rope;
}

}  // namespace

Json part_of(const Json& source, const char* key, const Json& absent) {
  const auto found = source.find(key);
  return found == source.end() || found->is_null() ? absent : *found;
}

Json keys_of_class(const Json& source, const std::string& type) {
  Json kept = Json::object();
  for (const auto& [key, value] : source.items()) {
    if (class_of(type).contains(key)) kept[key] = value;
  }
  return kept;
}

Json v5_text(const Json& source, const TextConfig& text, const std::string& type) {
  Json config = with_defaults(source, type);
  config["num_key_value_heads"] = text.kv_heads;
  if (class_of(type).contains("head_dim")) config["head_dim"] = text.head_width;
  config["rope_parameters"] = rope_parameters(source, text);
  config.erase("rope_theta");
  config.erase("rope_scaling");
  if (!class_of(type).contains("layer_types")) return config;
  if (text.window == 0) config["sliding_window"] = nullptr;
  config["layer_types"] = Json::array();
  for (i64 i = 0; i < text.layers; ++i)
    config["layer_types"].push_back(text.windowed(i) ? "sliding_attention" : "full_attention");
  return config;
}

Json v5_vision(const Json& source, const std::string& type) {
  Json config = with_defaults(source, type);
  if (find_tower_row(type)->fixed.rope && !config.contains("rope_parameters"))
    config["rope_parameters"] = {{"rope_theta", 10000.0}, {"rope_type", "axial"}};
  return config;
}

Json v5_outer(const Json& source, const std::string& type, const TextConfig& text) {
  Json config = with_defaults(source, type);
  for (const char* part : {"vision_config", "text_config"}) config.erase(part);
  config["tie_word_embeddings"] = text.tied;
  return config;
}

}  // namespace longsight::model
