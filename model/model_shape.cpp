#include "model/model_shape.h"

#include <algorithm>

namespace longsight::model {
namespace {

using parallel::ModelShape;
using parallel::PartParameters;
using parallel::TowerShape;

bool trained(const ParameterRegistry& p, ParameterId id) {
  return id != kNone && p[id].trainable;
}

bool trained(const ParameterRegistry& p, const NormIds& ids) {
  return trained(p, ids.gain) || trained(p, ids.bias);
}

bool trained(const ParameterRegistry& p, const LinearIds& ids) {
  if (trained(p, ids.scale)) return true;
  for (const AdapterIds& adapter : ids.adapters) {
    if (trained(p, adapter.a) || trained(p, adapter.b)) return true;
  }
  for (i64 part = 0; part < ids.parts; ++part) {
    if (trained(p, ids.weight + part) || (ids.bias != kNone && trained(p, ids.bias + part))) return true;
  }
  return false;
}

bool matrices_trained(const ParameterRegistry& p, const BlockIds& b) {
  return trained(p, b.qkv) || trained(p, b.out) || trained(p, b.up) || trained(p, b.down);
}

bool trained(const ParameterRegistry& p, const BlockIds& b) {
  return matrices_trained(p, b) || trained(p, b.attention_norm) || trained(p, b.mlp_norm) ||
         trained(p, b.q_norm) || trained(p, b.k_norm);
}

parallel::LinearExtras extras_of(const ParameterRegistry& p, const LinearIds& ids) {
  parallel::LinearExtras extras;
  if (!ids.present()) return extras;
  LinearIds base = ids;
  base.adapters.clear();
  extras.base_trained = trained(p, base);
  if (ids.scale != kNone) {
    extras.scaled_weight = p[ids.weight].elements();
    extras.scaled_bias = ids.bias == kNone ? 0 : p[ids.bias].elements();
  }
  for (std::size_t part = 0; part < ids.adapters.size(); ++part) {
    const AdapterIds& adapter = ids.adapters[part];
    if (!adapter.present()) continue;
    const Shape& b = p[adapter.b].shape;
    extras.adapters.push_back({.rank = b[1],
                               .outputs = b[0],
                               .a_trained = trained(p, adapter.a),
                               .b_trained = trained(p, adapter.b)});
  }
  return extras;
}

// The kinds of blocks that there are, and the kind of each.
void set_extras(TowerShape& tower, const std::vector<BlockIds>& blocks, const ParameterRegistry& p) {
  for (const BlockIds& b : blocks) {
    const parallel::BlockExtras extras{extras_of(p, b.qkv), extras_of(p, b.out), extras_of(p, b.up),
                                       extras_of(p, b.down)};
    const auto known = std::find(tower.extras.begin(), tower.extras.end(), extras);
    tower.extras_of.push_back(known - tower.extras.begin());
    if (known == tower.extras.end()) tower.extras.push_back(extras);
  }
}

// What the blocks of a tower are made of, as those who run them see it.
TowerShape tower_of(const BlockShape& s, const std::vector<BlockIds>& blocks, const ParameterRegistry& p) {
  TowerShape tower{.width = s.width,
                   .heads = s.heads,
                   .kv_heads = s.kv_heads,
                   .head_width = s.head_width,
                   .intermediate = s.intermediate,
                   .gated = s.gated};
  if (blocks.empty()) return tower;
  const BlockIds& block = blocks.front();
  const auto norms = [&](const NormIds& ids, i64 heads) {
    return ids.present() ? exact_div(heads * s.head_width, p[ids.gain].elements()) : 0;
  };
  tower.norm_statistics = block.attention_norm.bias == kNone ? 1 : 2;
  tower.q_norm_statistics = norms(block.q_norm, s.heads);
  tower.k_norm_statistics = norms(block.k_norm, s.kv_heads);
  set_extras(tower, blocks, p);
  return tower;
}

// Backward runs from the last block down to the lowest one that, or below which, something is trained.
void set_backward(TowerShape& tower, const std::vector<BlockIds>& blocks, bool below_trained,
                  const ParameterRegistry& p) {
  tower.blocks = static_cast<i64>(blocks.size());
  tower.trained_blocks = 0;
  tower.weight_gradients = false;
  for (i64 i = tower.blocks - 1; i >= 0; --i) {
    const BlockIds& block = blocks[static_cast<std::size_t>(i)];
    if (trained(p, block)) tower.trained_blocks = tower.blocks - i;
    tower.weight_gradients = tower.weight_gradients || matrices_trained(p, block);
  }
  tower.backward_blocks = below_trained ? tower.blocks : tower.trained_blocks;
}

PartParameters& parameters_of(ModelShape& shape, const std::string& part) {
  if (part == "vision") return shape.vision_parameters;
  if (part == "connector") return shape.connector_parameters;
  check(part == "language", "parameters of a part {}", part);
  return shape.language_parameters;
}

ModelShape shape_of(const ModelConfig& config, const ModelIds& ids, const ParameterRegistry& p, DType dtype) {
  const VisionConfig& v = config.vision;
  const TextConfig& t = config.text;
  ModelShape shape;
  shape.dtype = dtype;
  for (const Parameter& parameter : p.all()) {
    PartParameters& part = parameters_of(shape, parameter.part);
    part.values += parameter.elements();
    if (parameter.used && parameter.trainable) part.trained += parameter.elements();
  }
  shape.vision_embedding_trained = trained(p, ids.vision.class_row) ||
                                   (config.has_vision() && trained(p, ids.vision.patch)) ||
                                   trained(p, ids.vision.position) || trained(p, ids.vision.pre_norm);
  shape.token_embedding_trained = trained(p, ids.language.embedding);
  shape.head_trained = trained(p, ids.language.head);

  shape.vision = tower_of(block_shape(v), ids.vision.blocks, p);
  shape.vision.name = "vision";
  shape.vision.module = v.names.root + v.names.blocks;
  shape.vision.window = v.window;
  for (i64 i = 0; v.window > 0 && i < static_cast<i64>(ids.vision.blocks.size()); ++i)
    shape.vision.windowed.push_back(v.windowed(i));
  set_backward(shape.vision, ids.vision.blocks, shape.vision_embedding_trained, p);
  shape.language = tower_of(block_shape(t), ids.language.blocks, p);
  shape.language.name = "language";
  shape.language.module = t.names.blocks;
  shape.language.causal = true;
  shape.language.window = t.window;
  for (i64 i = 0; t.window > 0 && i < t.layers; ++i) shape.language.windowed.push_back(t.windowed(i));
  set_backward(shape.language, ids.language.blocks,
               shape.features_need_gradient() || shape.token_embedding_trained, p);

  shape.patch_inputs = v.patch_inputs();
  shape.vision_pre_norm = v.pre_norm;
  shape.vision_rope = v.rope;
  shape.vision_positions = ids.vision.position != kNone;
  shape.patch_embedding_trained = config.has_vision() && trained(p, ids.vision.patch);
  shape.class_rows = v.class_rows();
  shape.merge = v.merged();
  if (config.has_vision()) {
    // Where images have any size: one of 448 pixels an edge.
    const i64 grid = v.image_size > 0 ? v.grid() : 448 / v.patch / v.merge * v.merge;
    shape.patches_per_tile = grid * grid;
    const data::ImageLayout tile{.tiles = 1, .rows = grid, .columns = grid};
    shape.first_feature_row = config.rows_per_tile(tile) - config.features_per_tile(tile) * shape.merge;
  }
  const NormIds& row_norm = ids.connector.row_norm;
  shape.connector = {.input = config.connector_input(),
                     .middle = config.connector.middle,
                     .row_norm_statistics = row_norm.present() ? (row_norm.bias == kNone ? 1 : 2) : 0,
                     .joined_norm_statistics = ids.connector.joined_norm.present() ? 2 : 0,
                     .norms_trained = trained(p, row_norm) || trained(p, ids.connector.joined_norm),
                     .first = extras_of(p, ids.connector.first),
                     .second = extras_of(p, ids.connector.second)};
  shape.vocab = t.vocab;
  return shape;
}

}  // namespace

ModelShape model_shape(const Vlm& model, DType dtype) {
  return shape_of(model.config(), model.ids(), model.parameters(), dtype);
}

ModelShape model_shape(const ModelConfig& config, DType dtype) {
  ParameterRegistry registry;
  const ModelIds ids = register_parameters(config, registry);
  return shape_of(config, ids, registry, dtype);
}

}  // namespace longsight::model
