#include "model/block.h"

#include <algorithm>

#include "runtime/ops/rope.h"
#include "runtime/ops/rows.h"

namespace longsight::model {
namespace {

// Rows of an MLP that are worked on at a time: the widest activations exist for this many rows only.
constexpr i64 kMlpRows = 2048;

struct AttentionSaved {
  Arena::Mark begin;  // of everything the block saved
  NormFrame norm;
  Tensor projection;  // q, k, v where the strategy needs them again; freed otherwise
  Tensor result;      // [T, H D]
};

struct MlpSaved {
  NormFrame norm;
  Tensor up;  // [T, F or 2F]
};

template <class F>
void for_row_chunks(i64 rows, F&& f) {
  for (i64 first = 0; first < rows; first += kMlpRows) f(first, std::min(kMlpRows, rows - first));
}

void turn(Tensor qkv, const BlockShape& s, const RopeTable& rope, ops::Turn direction, Stream stream) {
  if (!rope.cos) return;
  // q and k lie side by side, so one call turns both.
  const i64 heads = s.heads + s.kv_heads;
  ops::rope(Heads(Matrix(qkv).columns(0, heads * s.head_width), heads, s.head_width), rope.cos, rope.sin,
            direction, stream);
}

}  // namespace

// ---- forward

Tensor Block::forward(Tensor x, const RopeTable& rope, parallel::AttentionStrategy& attention,
                      const Workspace& w) const {
  return forward_mlp(forward_attention(x, rope, attention, w), w);
}

Tensor Block::forward_attention(Tensor x, const RopeTable& rope, parallel::AttentionStrategy& attention,
                                const Workspace& w) const {
  const i64 rows = x.rows();
  const DType dtype = x.dtype();
  AttentionSaved saved{.begin = w.saved.mark(), .norm = {}, .projection = {}, .result = {}};
  Tensor y = w.saved.take(dtype, {rows, shape_.width}, "block middle");
  saved.result = w.saved.take(dtype, {rows, shape_.heads * shape_.head_width}, "attention result");
  const ArenaScope scope(w.scratch);
  Tensor normed = w.scratch.take(dtype, {rows, shape_.width}, "norm output");
  saved.norm = norm_frame(x, ids_.attention_norm, w.saved);
  norm_rows(normed, saved.norm, 0, ids_.attention_norm, shape_.eps, w.parameters, w.stream);
  Arena& keeper = attention.keeps_projection() ? w.saved : w.scratch;
  saved.projection = keeper.take(dtype, {rows, shape_.projection()}, "q, k, v");
  linear(saved.projection, normed, ids_.qkv, w.parameters, w.stream);
  turn(saved.projection, shape_, rope, ops::Turn::forward, w.stream);
  attention.forward(saved.result, saved.projection, w);
  linear(y, saved.result, ids_.out, w.parameters, w.stream, {.residual = x});
  w.frames.push(saved);
  return y;
}

void mlp(Tensor y, const NormFrame& f, Tensor up, const BlockShape& s, const BlockIds& ids,
         const ParameterRegistry& p, Arena& scratch, Stream stream) {
  const Tensor x = f.x;
  const DType dtype = x.dtype();
  for_row_chunks(x.rows(), [&](i64 first, i64 n) {
    const ArenaScope scope(scratch);
    Tensor normed = scratch.take(dtype, {n, s.width}, "norm output");
    Tensor hidden = scratch.take(dtype, {n, s.intermediate}, "activated");
    Tensor before = up.row_range(first, n);
    norm_rows(normed, f, first, ids.mlp_norm, s.eps, p, stream);
    if (s.gated) {
      linear(before, normed, ids.up, p, stream);
      ops::gated(hidden, before, s.activation, stream);
    } else {
      linear(before, normed, ids.up, p, stream, {.activation = s.activation, .activated = hidden});
    }
    linear(y.row_range(first, n), hidden, ids.down, p, stream, {.residual = x.row_range(first, n)});
  });
}

Tensor Block::forward_mlp(Tensor x, const Workspace& w) const {
  const i64 rows = x.rows();
  Tensor y = w.saved.take(x.dtype(), {rows, shape_.width}, "block output");
  MlpSaved saved{.norm = norm_frame(x, ids_.mlp_norm, w.saved),
                 .up = w.saved.take(x.dtype(), {rows, shape_.mlp_input()}, "mlp input")};
  mlp(y, saved.norm, saved.up, shape_, ids_, w.parameters, w.scratch, w.stream);
  w.frames.push(saved);
  return y;
}

// ---- backward

void Block::backward(Tensor dy, const RopeTable& rope, parallel::AttentionStrategy& attention,
                     const Workspace& w) const {
  backward_mlp(dy, w);
  backward_attention(dy, rope, attention, w);
}

void Block::backward_mlp(Tensor dy, const Workspace& w) const {
  const auto saved = w.frames.pop<MlpSaved>();
  for_row_chunks(dy.rows(), [&](i64 first, i64 n) {
    const ArenaScope scope(w.scratch);
    const Tensor dy_rows = dy.row_range(first, n);
    const Tensor before = saved.up.row_range(first, n);
    Tensor hidden = w.scratch.take(dy.dtype(), {n, shape_.intermediate}, "activated");
    Tensor d_hidden = w.scratch.take(dy.dtype(), {n, shape_.intermediate}, "gradient of activated");
    linear_backward_input(d_hidden, dy_rows, ids_.down, ops::Write::overwrite, w.parameters, w.stream);
    // The gradient of the MLP's input takes the place of the input itself.
    if (shape_.gated) {
      ops::gated_backward(before, hidden, d_hidden, before, shape_.activation, w.stream);
      linear_backward_weight(dy_rows, hidden, ids_.down, w.parameters, w.stream);
    } else {
      ops::activation(hidden, before, shape_.activation, w.stream);
      linear_backward_weight(dy_rows, hidden, ids_.down, w.parameters, w.stream);
      ops::activation_backward(before, d_hidden, before, shape_.activation, w.stream);
    }
    Tensor normed = w.scratch.take(dy.dtype(), {n, shape_.width}, "norm output");
    norm_again(normed, saved.norm, first, ids_.mlp_norm, w.parameters, w.stream);
    linear_backward_weight(before, normed, ids_.up, w.parameters, w.stream);
    const Tensor d_normed = normed;
    linear_backward_input(d_normed, before, ids_.up, ops::Write::overwrite, w.parameters, w.stream);
    norm_backward(dy_rows, d_normed, saved.norm, first, ids_.mlp_norm, w.parameters, w.stream);
  });
}

void Block::backward_attention(Tensor dy, const RopeTable& rope, parallel::AttentionStrategy& attention,
                               const Workspace& w) const {
  const auto saved = w.frames.pop<AttentionSaved>();
  const i64 rows = dy.rows();
  const DType dtype = dy.dtype();
  {
    const ArenaScope scope(w.scratch);
    Tensor d_projection = w.scratch.take(dtype, {rows, shape_.projection()}, "gradient of q, k, v");
    {
      const ArenaScope inner(w.scratch);
      Tensor d_result =
          w.scratch.take(dtype, {rows, shape_.heads * shape_.head_width}, "gradient of attention result");
      linear_backward_weight(dy, saved.result, ids_.out, w.parameters, w.stream);
      linear_backward_input(d_result, dy, ids_.out, ops::Write::overwrite, w.parameters, w.stream);
      attention.backward(d_projection, d_result, saved.result, w);
    }
    turn(d_projection, shape_, rope, ops::Turn::inverse, w.stream);
    Tensor normed = w.scratch.take(dtype, {rows, shape_.width}, "norm output");
    norm_again(normed, saved.norm, 0, ids_.attention_norm, w.parameters, w.stream);
    linear_backward_weight(d_projection, normed, ids_.qkv, w.parameters, w.stream);
    const Tensor d_normed = normed;
    linear_backward_input(d_normed, d_projection, ids_.qkv, ops::Write::overwrite, w.parameters, w.stream);
    norm_backward(dy, d_normed, saved.norm, 0, ids_.attention_norm, w.parameters, w.stream);
  }
  w.saved.rewind(saved.begin);
}

bool Block::any_grad(const ParameterRegistry& p) const {
  return model::any_grad(ids_.attention_norm, p) || model::any_grad(ids_.qkv, p) ||
         model::any_grad(ids_.out, p) || model::any_grad(ids_.mlp_norm, p) || model::any_grad(ids_.up, p) ||
         model::any_grad(ids_.down, p);
}

}  // namespace longsight::model
