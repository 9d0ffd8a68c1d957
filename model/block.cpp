#include "model/block.h"

#include <algorithm>

#include "parallel/model_shape.h"
#include "runtime/ops/rope.h"
#include "runtime/ops/rows.h"

namespace longsight::model {
namespace {

using parallel::kMlpRows;

struct AttentionSaved {
  Arena::Mark begin;  // of everything the block saved
  NormFrame norm;
  NormFrame q_norm, k_norm;
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

// The columns of q, and of k, of a projection.
Matrix q_of(Matrix qkv, const BlockShape& s) {
  return qkv.columns(0, s.heads * s.head_width);
}
Matrix k_of(Matrix qkv, const BlockShape& s) {
  return qkv.columns(s.heads * s.head_width, s.kv_heads * s.head_width);
}

// [T, columns] as the rows that a norm's gain fits: each row whole, or each of its heads.
Tensor rows_of_norm(Tensor columns, const NormIds& ids, const ParameterRegistry& p) {
  const i64 width = p[ids.gain].elements();
  return columns.reshape({columns.elements() / width, width});
}

// The columns become their norm. The input stays in the frame, for backward.
NormFrame norm_columns(Matrix columns, const NormIds& ids, double eps, Arena& saved, const Workspace& w) {
  if (!ids.present()) return {};
  const Tensor input = saved.take(columns.dtype, {columns.rows, columns.cols}, "input of q and k norm");
  ops::copy_matrix(input, columns, w.stream);
  NormFrame frame = norm_frame(rows_of_norm(input, ids, w.parameters), ids, saved);
  const ArenaScope scope(w.scratch);
  const Tensor normed = w.scratch.take(columns.dtype, input.shape(), "q and k norm");
  norm_rows(rows_of_norm(normed, ids, w.parameters), frame, 0, ids, eps, w.parameters, w.stream);
  ops::copy_matrix(columns, normed, w.stream);
  return frame;
}

// The gradient of the norm's output becomes that of its input.
void norm_columns_backward(Matrix d_columns, const NormFrame& frame, const NormIds& ids, const Workspace& w) {
  if (!ids.present()) return;
  const ArenaScope scope(w.scratch);
  const Shape shape{d_columns.rows, d_columns.cols};
  const Tensor d_output = w.scratch.take(d_columns.dtype, shape, "gradient of q and k norm");
  const Tensor d_input = w.scratch.take(d_columns.dtype, shape, "gradient of q and k norm's input");
  ops::copy_matrix(d_output, d_columns, w.stream);
  fill_zero(d_input, w.stream);
  const ParameterRegistry& p = w.parameters;
  norm_backward(rows_of_norm(d_input, ids, p), rows_of_norm(d_output, ids, p), frame, 0, ids, p, w.stream);
  ops::copy_matrix(d_columns, d_input, w.stream);
}

}  // namespace

BlockShape block_shape(const VisionConfig& v) {
  return {.width = v.width,
          .heads = v.heads,
          .kv_heads = v.heads,
          .head_width = v.head_width(),
          .intermediate = v.intermediate,
          .eps = v.eps,
          .qk_eps = v.qk_eps,
          .activation = v.activation,
          .gated = v.gated};
}

BlockShape block_shape(const TextConfig& t) {
  return {.width = t.width,
          .heads = t.heads,
          .kv_heads = t.kv_heads,
          .head_width = t.head_width,
          .intermediate = t.intermediate,
          .eps = t.eps,
          .qk_eps = t.eps,
          .activation = t.activation,
          .gated = true};
}

void norm_q_and_k(Matrix qkv, const BlockShape& s, const BlockIds& ids, const Workspace& w) {
  const ArenaScope scope(w.scratch);
  norm_columns(q_of(qkv, s), ids.q_norm, s.qk_eps, w.scratch, w);
  norm_columns(k_of(qkv, s), ids.k_norm, s.qk_eps, w.scratch, w);
}

void turn(Matrix qkv, const BlockShape& s, const RopeTable& rope, ops::Turn direction, Stream stream) {
  if (!rope.cos) return;
  // q and k lie side by side, so one call turns both.
  const i64 heads = s.heads + s.kv_heads;
  ops::rope(Heads(qkv.columns(0, heads * s.head_width), heads, s.head_width), rope.cos, rope.sin, direction,
            stream);
}

// ---- forward

Tensor Block::forward(Tensor x, const RopeTable& rope, parallel::AttentionStrategy& attention,
                      const Workspace& w) const {
  return forward_mlp(forward_attention(x, rope, attention, w), w);
}

Tensor Block::forward_attention(Tensor x, const RopeTable& rope, parallel::AttentionStrategy& attention,
                                const Workspace& w) const {
  const i64 rows = x.rows();
  const DType dtype = x.dtype();
  AttentionSaved saved{
      .begin = w.saved.mark(), .norm = {}, .q_norm = {}, .k_norm = {}, .projection = {}, .result = {}};
  Tensor y = w.saved.take(dtype, {rows, shape_.width}, "block middle");
  saved.result = w.saved.take(dtype, {rows, shape_.heads * shape_.head_width}, "attention result");
  const ArenaScope scope(w.scratch);
  Tensor normed = w.scratch.take(dtype, {rows, shape_.width}, "norm output");
  saved.norm = norm_frame(x, ids_.attention_norm, w.saved);
  norm_rows(normed, saved.norm, 0, ids_.attention_norm, shape_.eps, w.parameters, w.stream);
  Arena& keeper = attention.keeps_projection() ? w.saved : w.scratch;
  saved.projection = keeper.take(dtype, {rows, shape_.projection()}, "q, k, v");
  linear(saved.projection, normed, ids_.qkv, w);
  saved.q_norm = norm_columns(q_of(saved.projection, shape_), ids_.q_norm, shape_.qk_eps, w.saved, w);
  saved.k_norm = norm_columns(k_of(saved.projection, shape_), ids_.k_norm, shape_.qk_eps, w.saved, w);
  turn(saved.projection, shape_, rope, ops::Turn::forward, w.stream);
  attention.forward(saved.result, saved.projection, w);
  linear(y, saved.result, ids_.out, w, {.residual = x});
  w.frames.push(saved);
  return y;
}

void mlp(Tensor y, const NormFrame& f, Tensor up, const BlockShape& s, const BlockIds& ids,
         const Workspace& w) {
  const Tensor x = f.x;
  const DType dtype = x.dtype();
  for_row_chunks(x.rows(), [&](i64 first, i64 n) {
    const ArenaScope scope(w.scratch);
    Tensor normed = w.scratch.take(dtype, {n, s.width}, "norm output");
    Tensor hidden = w.scratch.take(dtype, {n, s.intermediate}, "activated");
    Tensor before = up.row_range(first, n);
    norm_rows(normed, f, first, ids.mlp_norm, s.eps, w.parameters, w.stream);
    if (s.gated) {
      linear(before, normed, ids.up, w);
      ops::gated(hidden, before, s.activation, w.stream);
    } else {
      linear(before, normed, ids.up, w, {.activation = s.activation, .activated = hidden});
    }
    linear(y.row_range(first, n), hidden, ids.down, w, {.residual = x.row_range(first, n)});
  });
}

Tensor Block::forward_mlp(Tensor x, const Workspace& w) const {
  const i64 rows = x.rows();
  Tensor y = w.saved.take(x.dtype(), {rows, shape_.width}, "block output");
  MlpSaved saved{.norm = norm_frame(x, ids_.mlp_norm, w.saved),
                 .up = w.saved.take(x.dtype(), {rows, shape_.mlp_input()}, "mlp input")};
  mlp(y, saved.norm, saved.up, shape_, ids_, w);
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
    linear_backward_input(d_hidden, dy_rows, ids_.down, ops::Write::overwrite, w);
    // The gradient of the MLP's input takes the place of the input itself.
    if (shape_.gated) {
      ops::gated_backward(before, hidden, d_hidden, before, shape_.activation, w.stream);
      linear_backward_weight(dy_rows, hidden, ids_.down, w);
    } else {
      ops::activation(hidden, before, shape_.activation, w.stream);
      linear_backward_weight(dy_rows, hidden, ids_.down, w);
      ops::activation_backward(before, d_hidden, before, shape_.activation, w.stream);
    }
    Tensor normed = w.scratch.take(dy.dtype(), {n, shape_.width}, "norm output");
    norm_again(normed, saved.norm, first, ids_.mlp_norm, w.parameters, w.stream);
    linear_backward_weight(before, normed, ids_.up, w);
    const Tensor d_normed = normed;
    linear_backward_input(d_normed, before, ids_.up, ops::Write::overwrite, w);
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
      linear_backward_weight(dy, saved.result, ids_.out, w);
      linear_backward_input(d_result, dy, ids_.out, ops::Write::overwrite, w);
      attention.backward(d_projection, d_result, saved.result, w);
    }
    turn(d_projection, shape_, rope, ops::Turn::inverse, w.stream);
    norm_columns_backward(q_of(d_projection, shape_), saved.q_norm, ids_.q_norm, w);
    norm_columns_backward(k_of(d_projection, shape_), saved.k_norm, ids_.k_norm, w);
    Tensor normed = w.scratch.take(dtype, {rows, shape_.width}, "norm output");
    norm_again(normed, saved.norm, 0, ids_.attention_norm, w.parameters, w.stream);
    linear_backward_weight(d_projection, normed, ids_.qkv, w);
    const Tensor d_normed = normed;
    linear_backward_input(d_normed, d_projection, ids_.qkv, ops::Write::overwrite, w);
    norm_backward(dy, d_normed, saved.norm, 0, ids_.attention_norm, w.parameters, w.stream);
  }
  w.saved.rewind(saved.begin);
}

bool Block::any_grad(const ParameterRegistry& p) const {
  return model::any_grad(ids_.attention_norm, p) || model::any_grad(ids_.qkv, p) ||
         model::any_grad(ids_.q_norm, p) || model::any_grad(ids_.k_norm, p) || model::any_grad(ids_.out, p) ||
         model::any_grad(ids_.mlp_norm, p) || model::any_grad(ids_.up, p) || model::any_grad(ids_.down, p);
}

}  // namespace longsight::model
