// Reads the configuration of a vision tower inside of a family, by its row in tower_rows.h.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "model/files/config_reader.h"

namespace longsight::model {

// The tower of a vision_config: one of `types`, by its model_type, or the first where it names none. `root`
// stands in front of all names. bad_data for others, with the known ones.
VisionConfig read_tower(ConfigReader&, const std::vector<std::string>& types, const std::string& root,
                        std::vector<std::string>& warnings);

// Index into [input of block 1, output of block 1, ...], from a Python index that may be negative.
i64 hidden_state_index(i64 index, i64 layers, const std::string& where);

}  // namespace longsight::model
