// The table of model families. A family is one file in this folder and a line in families.cpp: a tower and a
// language model by their rows (tower_rows.h, text_rows.h), and what joins them. Each language model that
// stands alone is a family too, by its row.
#pragma once

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
  std::string model_type;      // of config.json
  std::string architecture;    // written where the source names none
  std::string processor = {};  // class of transformers; empty: none
  std::string chat;            // format, where no file says it

  // The class's own keys with their values where a file has none, but for the two parts; and what a part is
  // that is wholly absent.
  nlohmann::json defaults = nlohmann::json::object();
  nlohmann::json absent_vision = nlohmann::json::object();
  nlohmann::json absent_text = nlohmann::json::object();

  ModelConfig (*read_config)(const Family&, const nlohmann::json& file, const std::string& path);
  // The name under which a tensor of a file is registered here: files of several generations hold different
  // names. Null: as in the file.
  std::string (*canonical_name)(const std::string& name_in_file) = nullptr;
  // Takes from the files beside config.json what it does not say itself; null: nothing.
  void (*complete)(ModelConfig&, const std::string& folder) = nullptr;
  // The name that a tensor has in the module tree of transformers 5, which PEFT goes by. Null: the same.
  std::string (*memory_name)(const std::string& canonical) = nullptr;
  // What transformers 5 writes for a newly built model: the tensors of a parameter (null: itself), and
  // config.json without dtype. Throws usage for a model that its classes cannot compute.
  std::vector<FileTensor> (*v5_tensors)(const ModelConfig&, const Parameter&) = nullptr;
  nlohmann::json (*v5_config)(const Family&, const ModelConfig&);
  // processor_config.json for the class of version 5, made of the folder's preprocessor_config.json; null:
  // the folder's own files are right.
  nlohmann::json (*v5_processor)(const ModelConfig&, const nlohmann::json& preprocessor) = nullptr;

  std::string canonical(const std::string& name_in_file) const {
    return canonical_name == nullptr ? name_in_file : canonical_name(name_in_file);
  }
  std::string in_memory(const std::string& canonical) const {
    return memory_name == nullptr ? canonical : memory_name(canonical);
  }
};

const std::vector<Family>& families();
const Family* find_family(const std::string& model_type);  // null: there is none
const Family& family_of(const ModelConfig&);

// Defined in the file of each.
Family llava_family();
Family internvl_family();
Family internvl_chat_family();
Family qwen2_vl_family();
Family qwen2_5_vl_family();
Family smolvlm_family();
Family idefics3_family();
Family paligemma_family();
std::vector<Family> text_only_families();

}  // namespace longsight::model
