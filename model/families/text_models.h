// Reads the configuration of a language model, alone or inside of a family, by its row in text_rows.h.
#pragma once

#include "model/config.h"
#include "model/families/text_rows.h"
#include "model/files/config_reader.h"

namespace longsight::model {

// The language model inside of a family, by model_type of its configuration; absent: `fallback`. bad_data for
// others than those of `allowed` (empty: all that can be inside of families), with the known ones. `family`
// is its name in the error.
const TextRow& text_inside(ConfigReader&, const char* fallback, const char* family,
                           const std::string& allowed = "");

// What stands in front of the names of a row's tensors: of all but the head, and of the head.
struct TextPlace {
  std::string model = "language_model.model.";
  std::string head = "language_model.";
};

TextConfig read_text(ConfigReader&, const TextRow&, const TextPlace&, std::vector<std::string>& warnings);

}  // namespace longsight::model
