// Parts of config.json as transformers 5 writes them for a newly built model: every key of a class with its
// value (of its row: text_rows.h, tower_rows.h, families.h), RoPE in rope_parameters, no dtype but that of
// the whole. Keys that no class knows are carried over.
#pragma once

#include "model/config.h"

namespace longsight::model {

// The language model's keys. `source` holds them in any older form; `type` is the class ("qwen2_vl_text").
nlohmann::json v5_text(const nlohmann::json& source, const TextConfig&, const std::string& type);

// A tower's keys.
nlohmann::json v5_vision(const nlohmann::json& source, const std::string& type);

// The outer keys of a vision-language model, without its two parts.
nlohmann::json v5_outer(const nlohmann::json& source, const std::string& type, const TextConfig&);

// The object `key` of a configuration; `absent` where it is absent or null.
nlohmann::json part_of(const nlohmann::json& source, const char* key,
                       const nlohmann::json& absent = nlohmann::json::object());

// Of `source`, the keys that the class has.
nlohmann::json keys_of_class(const nlohmann::json& source, const std::string& type);

}  // namespace longsight::model
