#include "launch/planning/model_facts.h"

namespace longsight::planning {

ModelFacts model_facts(const model::ModelConfig& config) {
  const model::VisionConfig& v = config.vision;
  const model::TextConfig& t = config.text;
  ModelFacts facts{.vision = {.name = "vision"},
                   .language = {.name = "language",
                                .module = t.names.blocks,
                                .blocks = t.layers,
                                .heads = t.heads,
                                .kv_heads = t.kv_heads},
                   .tile = {}};
  if (!config.has_vision()) return facts;
  facts.vision.module = v.names.root + v.names.blocks;
  facts.vision.blocks = config.vision_blocks_run();
  facts.vision.heads = facts.vision.kv_heads = v.heads;
  // Where images have any size: one of 448 pixels an edge.
  const i64 grid = v.image_size > 0 ? v.grid() : 448 / v.patch / v.merge * v.merge;
  const data::ImageLayout tile{.tiles = 1, .rows = grid, .columns = grid};
  facts.tile = {.class_rows = v.class_rows(), .merge = v.merged(), .patches_per_tile = grid * grid};
  facts.tile.first_feature_row =
      config.rows_per_tile(tile) - config.features_per_tile(tile) * facts.tile.merge;
  return facts;
}

}  // namespace longsight::planning
