#include "model/vision_tower.h"

#include "runtime/ops/rows.h"

namespace longsight::model {
namespace {

struct EmbeddingSaved {
  NormFrame norm;
};

// A convolution's weight as the matrix of a product with patch rows.
Tensor as_rows(Tensor weight) {
  return weight.reshape({weight.extent(0), weight.row_size()});
}

// [positions, C], also where the file has a leading dimension of one.
Tensor position_table(Tensor stored) {
  return stored.shape().rank() == 3 ? stored.reshape({stored.extent(1), stored.extent(2)}) : stored;
}

}  // namespace

VisionTower::VisionTower(const ModelConfig& config, const VisionIds& ids)
    : width_(config.vision.width), eps_(config.vision.eps), ids_(ids) {
  for (const BlockIds& block : ids.blocks) blocks_.emplace_back(block_shape(config.vision), block);
}

bool VisionTower::needs_gradient_below(i64 count, const ParameterRegistry& p) const {
  const auto trained = [&](ParameterId id) { return id != kNone && p.has_grad(id); };
  if (trained(ids_.class_row) || any_grad(ids_.patch, p) || trained(ids_.position) ||
      any_grad(ids_.pre_norm, p))
    return true;
  for (i64 k = 0; k < count; ++k) {
    if (block(k).any_grad(p)) return true;
  }
  return false;
}

// ---- forward

std::vector<Tensor> VisionTower::forward(const VisionRows& rows, const BlockSettings& settings,
                                         const Workspace& w) const {
  std::vector<Tensor> states{forward_embedding(rows, w)};
  for (std::size_t k = 0; k < blocks_.size(); ++k)
    states.push_back(settings[k].attention == nullptr
                         ? states.back()
                         : blocks_[k].forward(states.back(), rows.rope, settings[k], w));
  return states;
}

void VisionTower::stand_by_forward(const Workspace& w) const {
  model::stand_by_forward({ids_.patch.weight}, w);
  for (const Block& block : blocks_) block.stand_by_forward(w);
}

Tensor VisionTower::forward_embedding(const VisionRows& rows, const Workspace& w) const {
  const Gathered parameters(Gathered::Need::values, {ids_.patch.weight}, w);
  const DType dtype = w.parameters.precision().activations;
  const ParameterRegistry& p = w.parameters;
  Tensor x = w.saved.take(dtype, {rows.count, width_}, "vision embedding");
  {
    const ArenaScope scope(w.scratch);
    Tensor embedded = w.scratch.take(dtype, {rows.patches.rows(), width_}, "patch embedding");
    ops::LinearOptions options;
    if (ids_.patch.bias != kNone) options.bias = p.weight(ids_.patch.bias);
    ops::linear(embedded, rows.patches, as_rows(p.weight(ids_.patch.weight)), options, w.stream);
    ops::scatter_rows(x, embedded, rows.patch_rows, w.stream);
  }
  if (rows.class_rows.size() > 0) {
    const ArenaScope scope(w.scratch);
    const Tensor tokens = w.scratch.take(dtype, {rows.class_rows.size(), width_}, "class tokens");
    ops::gather_rows(tokens, p.weight(ids_.class_row).reshape({1, width_}), rows.class_tokens, w.stream);
    ops::scatter_rows(x, tokens, rows.class_rows, w.stream);
  }
  if (ids_.position != kNone) {
    const ArenaScope scope(w.scratch);
    Tensor position = w.scratch.take(dtype, {rows.count, width_}, "position embedding");
    ops::gather_rows(position, position_table(p.weight(ids_.position)), rows.positions, w.stream);
    ops::add_matrix(x, position, w.stream);
  }
  if (!ids_.pre_norm.present()) return x;
  Tensor y = w.saved.take(dtype, {rows.count, width_}, "vision embedding");
  EmbeddingSaved saved{.norm = norm_frame(x, ids_.pre_norm, w.saved)};
  norm_rows(y, saved.norm, 0, ids_.pre_norm, eps_, p, w.stream);
  w.frames.push(saved);
  return y;
}

// ---- backward

void VisionTower::stand_by_backward(const Workspace& w) const {
  for (i64 k = blocks() - 1; k >= 0; --k) {
    if (!needs_gradient_below(k + 1, w.parameters)) return;
    block(k).stand_by_backward(w);
  }
  if (needs_gradient_below(0, w.parameters)) model::stand_by_backward({ids_.patch.weight}, w);
}

void VisionTower::backward_embedding(Tensor dy, const VisionRows& rows, const Workspace& w) const {
  Gathered parameters(Gathered::Need::both, {ids_.patch.weight}, w);
  const ParameterRegistry& p = w.parameters;
  const ArenaScope scope(w.scratch);
  Tensor dx = dy;
  if (ids_.pre_norm.present()) {
    const auto saved = w.frames.pop<EmbeddingSaved>();
    dx = w.scratch.take(dy.dtype(), dy.shape(), "gradient of vision embedding");
    fill_zero(dx, w.stream);
    norm_backward(dx, dy, saved.norm, 0, ids_.pre_norm, p, w.stream);
  }
  if (ids_.position != kNone && p.has_grad(ids_.position))
    ops::scatter_add_rows(position_table(p.grad(ids_.position)), dx, rows.positions, w.stream);
  if (ids_.class_row != kNone && p.has_grad(ids_.class_row)) {
    const ArenaScope inner(w.scratch);
    const Tensor d_tokens =
        w.scratch.take(dx.dtype(), {rows.class_rows.size(), width_}, "gradient of class tokens");
    ops::gather_rows(d_tokens, dx, rows.class_rows, w.stream);
    ops::scatter_add_rows(p.grad(ids_.class_row).reshape({1, width_}), d_tokens, rows.class_tokens, w.stream);
  }
  if (any_grad(ids_.patch, p)) {
    Tensor d_embedded =
        w.scratch.take(dy.dtype(), {rows.patches.rows(), width_}, "gradient of patch embedding");
    ops::gather_rows(d_embedded, dx, rows.patch_rows, w.stream);
    const Tensor d_weight = p.has_grad(ids_.patch.weight) ? as_rows(p.grad(ids_.patch.weight)) : Tensor();
    const bool bias = ids_.patch.bias != kNone && p.has_grad(ids_.patch.bias);
    ops::linear_backward_weight(d_weight, bias ? p.grad(ids_.patch.bias) : Tensor(), d_embedded, rows.patches,
                                w.stream);
  }
  parameters.send_gradients();
}

}  // namespace longsight::model
