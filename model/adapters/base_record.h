// Which weights adapters were trained on, in a file beside them that PEFT passes over: on other weights they
// make a model that nobody trained, and nothing else in their files tells.
#pragma once

#include <string>

#include "model/vlm.h"

namespace longsight::model {

inline constexpr const char* kBaseRecord = "longsight_base.json";

// Hashes of all weights that the base contributes: of those that are neither trained nor brought along whole
// by adapters. The base as bf16 or f16, in any names and files, counts as the same. `base`: the folder that
// they came from, for people; empty: none. `values`: where parameters are dealt over ranks.
void write_base_record(const Vlm&, const std::string& folder, const std::string& base, const ValueOf& values);
void write_base_record(const Vlm&, const std::string& folder, const std::string& base);

// That the adapters of `folder` belong to the model's weights, which came from `base`: bad_data, naming both
// and the first weight that differs. Adapters without a record only name a folder: a warning where that is
// another one.
void check_base(const Vlm&, const std::string& folder, const std::string& base);

}  // namespace longsight::model
