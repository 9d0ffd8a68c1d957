// The language model: embedding, blocks, and the head that ends in the loss.
#pragma once

#include "model/block.h"
#include "model/vision_tower.h"
#include "parallel/loss_balance.h"

namespace longsight::model {

class LanguageModel {
 public:
  LanguageModel(const ModelConfig&, const LanguageIds&);

  i64 blocks() const { return static_cast<i64>(blocks_.size()); }
  const Block& block(i64 i) const { return blocks_[static_cast<std::size_t>(i)]; }
  i64 width() const { return width_; }

  // x [T, C] = embedding rows of the ids, scaled where the family does so; rows of visual tokens are
  // overwritten later by the fusion exchange.
  void embed(Tensor x, const IndexList& ids, const Workspace&) const;
  // Adds the rows of dx that are text, and stand for these ids, to the embedding's gradient.
  void embed_backward(Tensor dx, const IndexList& text_rows, const IndexList& text_ids,
                      const Workspace&) const;

  // Collective over the group of the strategies.
  Tensor forward(Tensor x, const RopeTable&, const BlockSettings&, const Workspace&) const;
  // dy becomes the gradient of x, or is left somewhere above it if nothing below needs one. Returns whether
  // it is that of x. `elsewhere`: whether it does on ranks of other groups; for the blocks that only they run
  // this one stands by.
  bool backward(Tensor dy, const RopeTable&, const BlockSettings&, bool input_needs_gradient, bool elsewhere,
                const Workspace&) const;
  // How many blocks backward runs: those above the lowest parameter with a gradient.
  i64 blocks_in_backward(bool input_needs_gradient, const ParameterRegistry&) const;

  // loss [1] (f64) += the token losses of the rows that this rank projects. Collective over the workspace's
  // group.
  void loss(Tensor loss, Tensor hidden, const parallel::LossBalance&, const Workspace&) const;
  // The same, d_hidden [T, C] overwritten with scale * its gradient, and head gradients added.
  void loss_and_gradient(Tensor loss, Tensor d_hidden, Tensor hidden, const parallel::LossBalance&,
                         double scale, const Workspace&) const;
  // logits [n, V] of hidden rows [n, C].
  void logits(Tensor out, Tensor hidden, const Workspace&) const;

 private:
  i64 width_;
  i64 vocab_;
  double eps_;
  double embedding_scale_;
  LanguageIds ids_;
  std::vector<Block> blocks_;
};

}  // namespace longsight::model
