// The vision towers that several families share: CLIP, SigLIP and Idefics3's form of it; and what InternVL's
// has in common with them. Defaults are those
// of the configuration classes of transformers 5.23.
#pragma once

#include "model/config.h"
#include "model/config_reader.h"

namespace longsight::model {

// What a family assumes where its vision_config is wholly absent, instead of the class's own defaults.
struct TowerDefaults {
  i64 width, intermediate, layers, heads, image_size, patch;
};

// Sizes and initial range, under the keys that all of these have.
VisionConfig read_sizes(ConfigReader&, const TowerDefaults&);

// `root` stands in front of all names.
VisionConfig read_clip(ConfigReader&, const TowerDefaults&, const std::string& root,
                       std::vector<std::string>& warnings);
VisionConfig read_siglip(ConfigReader&, const TowerDefaults&, const std::string& root,
                         std::vector<std::string>& warnings);

inline constexpr TowerDefaults kClipDefaults{768, 3072, 12, 12, 224, 32};
inline constexpr TowerDefaults kSiglipDefaults{768, 3072, 12, 12, 224, 16};

// heads divide the width, patches fit into the image.
void check_tower(ConfigReader&, const VisionConfig&);

// Index into [input of block 1, output of block 1, ...], from a Python index that may be negative.
i64 hidden_state_index(i64 index, i64 layers, const std::string& where);

}  // namespace longsight::model
