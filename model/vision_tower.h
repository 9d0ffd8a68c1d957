// The vision transformer: patch embedding; class token, positions and norm where the tower has them; blocks.
#pragma once

#include "model/block.h"
#include "runtime/tensor/index_list.h"

namespace longsight::model {

// This rank's rows of the vision stream: a range that may begin and end inside an image, or be empty.
struct VisionRows {
  i64 count = 0;
  IndexList patch_rows = {};    // row of each patch
  IndexList class_rows = {};    // rows that are class tokens
  IndexList class_tokens = {};  // the one class token there is, for each of them
  IndexList positions = {};     // index of each row in the position table; empty without one
  Tensor patches = {};          // [patch rows, inputs of a patch]
  RopeTable rope = {};          // of each row; empty without 2-D RoPE
};

class VisionTower {
 public:
  VisionTower(const ModelConfig&, const VisionIds&);

  i64 blocks() const { return static_cast<i64>(blocks_.size()); }
  const Block& block(i64 i) const { return blocks_[static_cast<std::size_t>(i)]; }

  // Hidden states 0 .. blocks(): the input of the first block and the output of each, [rows, C] in the saved
  // arena. Collective over the group of the strategies.
  std::vector<Tensor> forward(const VisionRows&, const BlockSettings&, const Workspace&) const;

  // d_state(k, d) adds the gradient of hidden state k to d [rows, C]; it is asked for every k from the last
  // to 0.
  template <class F>
  void backward(const VisionRows& rows, const BlockSettings& settings, const Workspace& w,
                F&& d_state) const {
    const ArenaScope scope(w.scratch);
    Tensor d =
        w.scratch.take(w.parameters.precision().activations, {rows.count, width_}, "gradient of vision rows");
    fill_zero(d, w.stream);
    d_state(blocks(), d);
    for (i64 k = blocks() - 1; k >= 0; --k) {
      if (!needs_gradient_below(k + 1, w.parameters)) return;
      const BlockSetting& setting = settings[static_cast<std::size_t>(k)];
      if (setting.attention != nullptr) block(k).backward(d, rows.rope, setting, w);
      d_state(k, d);
    }
    if (needs_gradient_below(0, w.parameters)) backward_embedding(d, rows, w);
  }

  // What other data groups run that have images, on a rank whose micro-batch has none: collective over the
  // workspace's world, where parameters are dealt over it.
  void stand_by_forward(const Workspace&) const;
  void stand_by_backward(const Workspace&) const;

  // Whether any parameter of blocks 0 .. count - 1 or of the embedding has a gradient.
  bool needs_gradient_below(i64 count, const ParameterRegistry&) const;

 private:
  Tensor forward_embedding(const VisionRows&, const Workspace&) const;
  void backward_embedding(Tensor dy, const VisionRows&, const Workspace&) const;

  i64 width_;
  double eps_;
  VisionIds ids_;
  std::vector<Block> blocks_;
};

}  // namespace longsight::model
