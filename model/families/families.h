// The table of model families. A family is one file in this folder and one line in families.cpp.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/config.h"
#include "runtime/tensor/parameters.h"

namespace longsight::model {

// Rows of a parameter, as they lie in memory, that are a tensor of their own in a file.
struct FileTensor {
  std::string name;
  i64 first_row = 0;
  i64 rows = 0;  // 0: the whole parameter
};

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
  // The name that a tensor has in the module tree of transformers 5, which PEFT goes by.
  std::string (*memory_name)(const std::string& canonical);
  // What transformers 5 writes for a newly built model: the tensors of a parameter, and config.json without
  // dtype. Throws usage for a model that its classes cannot compute.
  std::vector<FileTensor> (*v5_tensors)(const ModelConfig&, const Parameter&);
  nlohmann::json (*v5_config)(const ModelConfig&);
  // processor_config.json for the class of version 5, made of the folder's preprocessor_config.json; null:
  // the folder's own files are right.
  nlohmann::json (*v5_processor)(const ModelConfig&, const nlohmann::json& preprocessor) = nullptr;
};

std::span<const Family> families();
const Family& family_of(const ModelConfig&);

}  // namespace longsight::model
