#include "model/config.h"

#include <algorithm>

#include "model/families/families.h"
#include "model/files/folder_kind.h"

namespace longsight::model {

bool VisionConfig::windowed(i64 block) const {
  return window > 0 && std::find(full_blocks.begin(), full_blocks.end(), block) == full_blocks.end();
}

i64 ModelConfig::vision_blocks_run() const {
  if (!has_vision()) return 0;
  return *std::max_element(connector.feature_layers.begin(), connector.feature_layers.end());
}

i64 ModelConfig::features_per_tile(const data::ImageLayout& layout) const {
  if (vision.merge > 1) return layout.rows / vision.merge * (layout.columns / vision.merge);
  return rows_per_tile(layout) - (connector.drop_first_row ? 1 : 0);
}

ModelConfig read_model_config(const nlohmann::json& file, const std::string& path) {
  if (file.is_object()) check_config_form(file, path);
  require(file.is_object() && file.contains("model_type") && file["model_type"].is_string(),
          ExitCode::bad_data, "{}: model_type is missing: not a Hugging Face model configuration", path);
  const auto type = file["model_type"].get<std::string>();
  const Family* family = find_family(type);
  if (family == nullptr) {
    std::string known;
    for (const Family& f : families()) known += (known.empty() ? "" : ", ") + f.model_type;
    fail(ExitCode::bad_data, "{}: model_type \"{}\" is not available (available: {})", path, type, known);
  }
  ModelConfig config = family->read_config(*family, file, path);
  config.family = family->model_type;
  config.source = file;
  return config;
}

}  // namespace longsight::model
