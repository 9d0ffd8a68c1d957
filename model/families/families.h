// The table of model families. A family is one file in this folder and one line in families.cpp.
#pragma once

#include <span>
#include <string>

#include "model/config.h"

namespace longsight::model {

struct Family {
  const char* model_type;  // of config.json
  ModelConfig (*read_config)(const nlohmann::json& file, const std::string& path);
  // The name under which a tensor of a file is registered here: files of several generations hold different
  // names.
  std::string (*canonical_name)(const std::string& name_in_file);
};

std::span<const Family> families();
const Family& family_of(const ModelConfig&);

}  // namespace longsight::model
