// The table of model families. A family is one file in this folder and one line in families.cpp.
#pragma once

#include <span>
#include <string>

#include "model/config.h"

namespace longsight::model {

struct Family {
  const char* model_type;    // of config.json
  const char* architecture;  // written where the source names none
  const char* processor;     // class of transformers; null: none
  const char* chat;          // format, where no file says it
  ModelConfig (*read_config)(const nlohmann::json& file, const std::string& path);
  // The name under which a tensor of a file is registered here: files of several generations hold different
  // names.
  std::string (*canonical_name)(const std::string& name_in_file);
  // Takes from the files beside config.json what it does not say itself; null: nothing.
  void (*complete)(ModelConfig&, const std::string& folder);
  // The name that transformers 5 writes for a newly built model.
  std::string (*v5_name)(const std::string& canonical);
  // The name that it has in the module tree of transformers 5, which PEFT goes by.
  std::string (*memory_name)(const std::string& canonical);
};

std::span<const Family> families();
const Family& family_of(const ModelConfig&);

}  // namespace longsight::model
