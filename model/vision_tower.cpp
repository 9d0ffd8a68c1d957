#include "model/vision_tower.h"

#include "runtime/ops/rows.h"

namespace longsight::model {
namespace {

struct EmbeddingSaved {
  NormFrame norm;
};

Tensor as_matrix(Tensor weight) {
  return weight.reshape({weight.extent(0), weight.row_size()});
}

}  // namespace

VisionTower::VisionTower(const ModelConfig& config, const VisionIds& ids)
    : width_(config.vision.width), eps_(config.vision.eps), ids_(ids) {
  const VisionConfig& v = config.vision;
  const BlockShape shape{.width = v.width,
                         .heads = v.heads,
                         .kv_heads = v.heads,
                         .head_width = v.head_width(),
                         .intermediate = v.intermediate,
                         .eps = v.eps,
                         .activation = v.activation,
                         .gated = false};
  for (const BlockIds& block : ids.blocks) blocks_.emplace_back(shape, block);
}

bool VisionTower::needs_gradient_below(i64 count, const ParameterRegistry& p) const {
  if (p.has_grad(ids_.class_embedding) || p.has_grad(ids_.patch) || p.has_grad(ids_.position) ||
      any_grad(ids_.pre_norm, p))
    return true;
  for (i64 k = 0; k < count; ++k) {
    if (block(k).any_grad(p)) return true;
  }
  return false;
}

// ---- forward

std::vector<Tensor> VisionTower::forward(const VisionRows& rows, const BlockAttention& attention,
                                         const Workspace& w) const {
  std::vector<Tensor> states{forward_embedding(rows, w)};
  for (std::size_t k = 0; k < blocks_.size(); ++k)
    states.push_back(blocks_[k].forward(states.back(), {}, *attention[k], w));
  return states;
}

Tensor VisionTower::forward_embedding(const VisionRows& rows, const Workspace& w) const {
  const DType dtype = w.parameters.dtype();
  Tensor x = w.saved.take(dtype, {rows.count, width_}, "vision embedding");
  Tensor y = w.saved.take(dtype, {rows.count, width_}, "vision embedding");
  {
    const ArenaScope scope(w.scratch);
    Tensor embedded = w.scratch.take(dtype, {rows.patches.rows(), width_}, "patch embedding");
    ops::linear(embedded, rows.patches, as_matrix(w.parameters.value(ids_.patch)), {}, w.stream);
    ops::scatter_rows(x, embedded, rows.patch_rows, w.stream);
  }
  const Tensor class_embedding = w.parameters.value(ids_.class_embedding);
  for (i64 row : rows.class_rows) copy(x.row_range(row, 1).reshape({width_}), class_embedding, w.stream);
  {
    const ArenaScope scope(w.scratch);
    Tensor position = w.scratch.take(dtype, {rows.count, width_}, "position embedding");
    ops::gather_rows(position, w.parameters.value(ids_.position), rows.positions, w.stream);
    ops::add_matrix(x, position, w.stream);
  }
  EmbeddingSaved saved{.norm = norm_frame(x, ids_.pre_norm, w.saved)};
  norm_rows(y, saved.norm, 0, ids_.pre_norm, eps_, w.parameters, w.stream);
  w.frames.push(saved);
  return y;
}

// ---- backward

void VisionTower::backward_embedding(Tensor dy, const VisionRows& rows, const Workspace& w) const {
  const auto saved = w.frames.pop<EmbeddingSaved>();
  const ArenaScope scope(w.scratch);
  Tensor dx = w.scratch.take(dy.dtype(), dy.shape(), "gradient of vision embedding");
  fill_zero(dx, w.stream);
  norm_backward(dx, dy, saved.norm, 0, ids_.pre_norm, w.parameters, w.stream);
  if (w.parameters.has_grad(ids_.position)) {
    ops::scatter_add_rows(w.parameters.grad(ids_.position), dx, rows.positions, w.stream);
  }
  if (w.parameters.has_grad(ids_.class_embedding)) {
    const Tensor d_class = w.parameters.grad(ids_.class_embedding).reshape({1, width_});
    for (i64 row : rows.class_rows) ops::add_matrix(d_class, dx.row_range(row, 1), w.stream);
  }
  if (w.parameters.has_grad(ids_.patch)) {
    Tensor d_embedded =
        w.scratch.take(dy.dtype(), {rows.patches.rows(), width_}, "gradient of patch embedding");
    ops::gather_rows(d_embedded, dx, rows.patch_rows, w.stream);
    ops::linear_backward_weight(as_matrix(w.parameters.grad(ids_.patch)), {}, d_embedded, rows.patches,
                                w.stream);
  }
}

}  // namespace longsight::model
