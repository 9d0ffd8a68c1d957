// What plans say of a model, and what a typical step counts its images by. Everything else the planner learns
// from traces of the model itself.
#pragma once

#include <string>

#include "model/config.h"

namespace longsight::planning {

struct TowerFacts {
  std::string name = {};    // "vision", "language": blocks are called NAME.0, NAME.1, ... in plans and rules
  std::string module = {};  // where the blocks lie in a checkpoint; may be empty
  i64 blocks = 0;           // that run
  i64 heads = 0;
  i64 kv_heads = 0;
};

// Of images and videos: a tile is what attention does not cross.
struct TileFacts {
  i64 class_rows = 0;         // rows before the patches
  i64 merge = 1;              // patch rows that one visual token merges
  i64 patches_per_tile = 0;   // of a typical tile, where samples do not say it
  i64 first_feature_row = 0;  // of a tile: the row that its first visual token is made of

  i64 rows_of(i64 patches) const { return class_rows + patches; }  // of the vision stream
  i64 features_of(i64 patches) const { return (rows_of(patches) - first_feature_row) / merge; }
};

struct ModelFacts {
  TowerFacts vision, language;
  TileFacts tile;
};

ModelFacts model_facts(const model::ModelConfig&);

}  // namespace longsight::planning
