#include "model/families/text_only.h"

#include "model/families/text_models.h"
#include "model/families/v5_config.h"

namespace longsight::model {

ModelConfig read_text_only_config(const nlohmann::json& file, const std::string& path) {
  ModelConfig config;
  ConfigReader r(file, path);
  config.text = read_text(r, text_kind(r, TextKind::llama), "model", "lm_head", config.warnings);
  r.note_unread(config.warnings);
  config.vision.class_row = false;
  config.vision.patch = 1;
  config.connector.drop_first_row = false;
  return config;
}

nlohmann::json v5_text_only_config(const ModelConfig& c) {
  nlohmann::json config = v5_text(c.source, c.text, c.family);
  config["tie_word_embeddings"] = c.text.tied;
  return config;
}

}  // namespace longsight::model
