// A pre-norm transformer block, of both towers: x += attention(norm(x)); x += mlp(norm(x)).
// Saved for backward per row (widths in elements): middle C, output C, attention result H D, projection (H +
// 2 Hkv) D, MLP input F or 2 F, and norm statistics; with norms of q and k their inputs, (H + Hkv) D, and
// their statistics, one number or, where heads are normalised, one a head. Norm outputs and activations are
// computed again. With recompute less is saved (parallel/plan.h): mlp: all but the MLP input; attention: the
// output, the attention result and its log-sums; block: the output. The rest is computed once more, to the
// same bits.
#pragma once

#include "model/gathered.h"
#include "model/layers.h"
#include "parallel/attention/attention.h"
#include "parallel/plan.h"
#include "runtime/ops/rope.h"

namespace longsight::model {

// Rows of an MLP that are worked on at a time: the widest activations exist for this many rows only.
inline constexpr i64 kMlpRows = 2048;

struct BlockShape {
  i64 width = 0;
  i64 heads = 0;
  i64 kv_heads = 0;
  i64 head_width = 0;
  i64 intermediate = 0;
  double eps = 0;
  double qk_eps = 0;  // of the norms of q and k, where there are: over all heads or each by itself, as their
                      // gains are wide
  ops::Activation activation = ops::Activation::none;
  bool gated = false;  // MLP of the form act(gate) * up

  i64 projection() const { return (heads + 2 * kv_heads) * head_width; }
  i64 mlp_input() const { return gated ? 2 * intermediate : intermediate; }
};
BlockShape block_shape(const VisionConfig&);
BlockShape block_shape(const TextConfig&);

// Angles of the rotary embedding for this rank's rows, [T, D/2] each; empty: no rotation.
struct RopeTable {
  Tensor cos;
  Tensor sin;
};

// How a block runs.
struct BlockSetting {
  parallel::AttentionStrategy* attention = nullptr;  // null: not at all, for a trace of some of many alike
  parallel::Recompute recompute = parallel::Recompute::none;
};
using BlockSettings = std::vector<BlockSetting>;

class Block {
 public:
  Block(BlockShape shape, BlockIds ids) : shape_(shape), ids_(ids) {}

  // x [T, C] must stay until backward; the result [T, C] lies in the saved arena. Collective over the
  // attention's group.
  Tensor forward(Tensor x, const RopeTable&, const BlockSetting&, const Workspace&) const;
  // dy [T, C] becomes dx in place. Frees what forward saved. Collective over the attention's group.
  void backward(Tensor dy, const RopeTable&, const BlockSetting&, const Workspace&) const;
  // Both are collective over the workspace's world too, where parameters are dealt over it: a rank with
  // nothing to run stands by while others run the block.
  void stand_by_forward(const Workspace& w) const { model::stand_by_forward({unit_member()}, w); }
  void stand_by_backward(const Workspace& w) const { model::stand_by_backward({unit_member()}, w); }

  const BlockShape& shape() const { return shape_; }
  const BlockIds& ids() const { return ids_; }
  bool any_grad(const ParameterRegistry&) const;
  // Equal for blocks of a tower that take the same memory and do the same work where their strategy is the
  // same: which parameters they have, and which of them are trained.
  std::string likeness(const ParameterRegistry&) const;

 private:
  ParameterId unit_member() const { return ids_.qkv.weight; }  // all of a block are of its unit
  Tensor forward_attention(Tensor x, const RopeTable&, parallel::AttentionStrategy&, const Workspace&) const;
  Tensor forward_mlp(Tensor x, bool keep_input, const Workspace&) const;
  Tensor forward_and_forget(Tensor x, const RopeTable&, const BlockSetting&, const Workspace&) const;
  void forward_again(const RopeTable&, const BlockSetting&, const Workspace&) const;
  void backward_mlp(Tensor dy, const Workspace&) const;
  void backward_attention(Tensor dy, const RopeTable&, parallel::AttentionStrategy&, const Workspace&) const;

  BlockShape shape_;
  BlockIds ids_;
};

// What the norms on the way to q, k and v leave for backward.
struct ProjectionSaved {
  NormFrame norm;            // of the block's input
  NormFrame q_norm, k_norm;  // empty without them
};

// The first half of attention: qkv [T, (H + 2 Hkv) D] = the projection of norm(x), q and k normed and turned
// where the block has that. What it leaves is taken from `keeper`. Shared with decoding.
ProjectionSaved project(Tensor qkv, Tensor x, const BlockShape&, const BlockIds&, const RopeTable&,
                        Arena& keeper, const Workspace&);

// The MLP alone: y = x + down(act(up(norm(x)))), x being the frame's. In row chunks, so that scratch does not
// grow with the sequence. up [T, F or 2F] receives what goes into the activation; empty: not kept. Shared
// with decoding.
void mlp(Tensor y, const NormFrame&, Tensor up, const BlockShape&, const BlockIds&, const Workspace&);

}  // namespace longsight::model
