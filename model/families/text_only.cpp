// Language models alone: checkpoints without a vision tower, one family for each row that is `alone`.
#include "model/families/families.h"
#include "model/families/text_models.h"
#include "model/families/v5_config.h"

namespace longsight::model {
namespace {

ModelConfig read_text_only(const Family& family, const nlohmann::json& file, const std::string& path) {
  ModelConfig config;
  ConfigReader r(file, path);
  const TextPlace place{.model = "model.", .head = ""};
  config.text = read_text(r, text_row(family.model_type), place, config.warnings);
  r.note_unread(config.warnings);
  config.vision.class_row = false;
  config.vision.patch = 1;
  config.connector.drop_first_row = false;
  return config;
}

nlohmann::json text_only_v5(const Family& family, const ModelConfig& c) {
  nlohmann::json config = v5_text(c.source, c.text, family.model_type);
  config["tie_word_embeddings"] = c.text.tied;
  return config;
}

}  // namespace

std::vector<Family> text_only_families() {
  std::vector<Family> all;
  for (const TextRow& row : text_rows()) {
    if (!row.alone) continue;
    all.push_back({.model_type = row.type(),
                   .architecture = row.architecture,
                   .chat = row.chat,
                   .read_config = read_text_only,
                   .v5_config = text_only_v5});
  }
  return all;
}

}  // namespace longsight::model
