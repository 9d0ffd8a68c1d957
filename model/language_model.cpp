#include "model/language_model.h"

#include <algorithm>

#include "runtime/ops/cross_entropy.h"
#include "runtime/ops/row_scale.h"
#include "runtime/ops/rows.h"

namespace longsight::model {
namespace {

// Rows whose logits exist at a time: about 4 M elements, whatever the vocabulary.
i64 loss_chunk_rows(i64 vocab) {
  return std::clamp<i64>((i64{4} << 20) / std::max<i64>(vocab, 1), 64, 1024);
}

}  // namespace

LanguageModel::LanguageModel(const ModelConfig& config, const LanguageIds& ids)
    : width_(config.text.width),
      vocab_(config.text.vocab),
      eps_(config.text.eps),
      embedding_scale_(config.text.embedding_scale),
      ids_(ids) {
  for (const BlockIds& block : ids.blocks) blocks_.emplace_back(block_shape(config.text), block);
}

// ---- embedding

void LanguageModel::embed(Tensor x, const IndexList& ids, const Workspace& w) const {
  const Gathered parameters(Gathered::Need::values, {ids_.embedding}, w);
  ops::gather_rows(x, w.parameters.weight(ids_.embedding), ids, w.stream);
  if (embedding_scale_ != 1) ops::scale_matrix(x, embedding_scale_, w.stream);
}

void LanguageModel::embed_backward(Tensor dx, const IndexList& text_rows, const IndexList& text_ids,
                                   const Workspace& w) const {
  if (!w.parameters.has_grad(ids_.embedding)) return;
  const ArenaScope scope(w.scratch);
  Gathered parameters(Gathered::Need::gradients, {ids_.embedding}, w);
  Tensor text = w.scratch.take(dx.dtype(), {text_rows.size(), width_}, "gradient of text embeddings");
  ops::gather_rows(text, dx, text_rows, w.stream);
  if (embedding_scale_ != 1) ops::scale_matrix(text, embedding_scale_, w.stream);
  ops::scatter_add_rows(w.parameters.grad(ids_.embedding), text, text_ids, w.stream);
  parameters.send_gradients();
}

// ---- blocks

Tensor LanguageModel::forward(Tensor x, const RopeTable& rope, const BlockSettings& settings,
                              const Workspace& w) const {
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    if (settings[i].attention != nullptr) x = blocks_[i].forward(x, rope, settings[i], w);
  }
  return x;
}

bool LanguageModel::backward(Tensor dy, const RopeTable& rope, const BlockSettings& settings,
                             bool input_needs_gradient, bool elsewhere, const Workspace& w) const {
  const i64 lowest = blocks() - blocks_in_backward(input_needs_gradient, w.parameters),
            elsewhere_lowest = blocks() - blocks_in_backward(elsewhere, w.parameters);
  for (i64 i = blocks() - 1; i >= std::min(lowest, elsewhere_lowest); --i) {
    const BlockSetting& setting = settings[static_cast<std::size_t>(i)];
    if (setting.attention == nullptr) continue;
    if (i >= lowest) {
      block(i).backward(dy, rope, setting, w);
    } else {
      block(i).stand_by_backward(w);
    }
  }
  return input_needs_gradient;
}

i64 LanguageModel::blocks_in_backward(bool input_needs_gradient, const ParameterRegistry& p) const {
  if (input_needs_gradient) return blocks();
  for (i64 i = 0; i < blocks(); ++i) {
    if (block(i).any_grad(p)) return blocks() - i;
  }
  return 0;
}

// ---- head

void LanguageModel::loss(Tensor loss, Tensor hidden, const parallel::LossBalance& balance,
                         const Workspace& w) const {
  const ArenaScope scope(w.scratch);
  const Gathered parameters(Gathered::Need::values, {ids_.final_norm.gain, ids_.head}, w);
  Tensor x = w.scratch.take(hidden.dtype(), {balance.rows(), width_}, "supervised rows");
  balance.forward(x, hidden, w);
  const NormFrame frame = norm_frame(x, ids_.final_norm, w.scratch);
  norm_rows(x, frame, 0, ids_.final_norm, eps_, w.parameters, w.stream);
  ops::projected_loss(loss,
                      {.x = x,
                       .weight = w.parameters.weight(ids_.head),
                       .targets = balance.targets(),
                       .chunk_rows = loss_chunk_rows(vocab_)},
                      w.scratch, w.stream);
}

void LanguageModel::loss_and_gradient(Tensor loss, Tensor d_hidden, Tensor hidden,
                                      const parallel::LossBalance& balance, double scale,
                                      const Workspace& w) const {
  const DType dtype = hidden.dtype();
  const ArenaScope scope(w.scratch);
  Gathered parameters(Gathered::Need::both, {ids_.final_norm.gain, ids_.head}, w);
  Tensor x = w.scratch.take(dtype, {balance.rows(), width_}, "supervised rows");
  Tensor normed = w.scratch.take(dtype, {balance.rows(), width_}, "supervised rows, normed");
  Tensor d_normed = w.scratch.take(dtype, {balance.rows(), width_}, "gradient of supervised rows, normed");
  balance.forward(x, hidden, w);
  const NormFrame frame = norm_frame(x, ids_.final_norm, w.scratch);
  norm_rows(normed, frame, 0, ids_.final_norm, eps_, w.parameters, w.stream);
  const Tensor d_head = w.parameters.has_grad(ids_.head) ? w.parameters.grad(ids_.head) : Tensor();
  ops::projected_loss_with_gradient(loss, d_normed, d_head,
                                    {.x = normed,
                                     .weight = w.parameters.weight(ids_.head),
                                     .targets = balance.targets(),
                                     .scale = scale,
                                     .chunk_rows = loss_chunk_rows(vocab_)},
                                    w.scratch, w.stream);
  const Tensor dx = normed;  // no longer needed
  fill_zero(dx, w.stream);
  norm_backward(dx, d_normed, frame, 0, ids_.final_norm, w.parameters, w.stream);
  balance.backward(d_hidden, dx, w);
  parameters.send_gradients();
}

void LanguageModel::logits(Tensor out, Tensor hidden, const Workspace& w) const {
  const ArenaScope scope(w.scratch);
  const Gathered parameters(Gathered::Need::values, {ids_.final_norm.gain, ids_.head}, w);
  Tensor normed = w.scratch.take(hidden.dtype(), hidden.shape(), "norm output");
  const NormFrame frame = norm_frame(hidden, ids_.final_norm, w.scratch);
  norm_rows(normed, frame, 0, ids_.final_norm, eps_, w.parameters, w.stream);
  ops::linear(out, normed, w.parameters.weight(ids_.head), {}, w.stream);
}

}  // namespace longsight::model
