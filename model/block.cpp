#include "model/block.h"

#include <algorithm>

#include "runtime/device/trace.h"
#include "runtime/ops/rope.h"
#include "runtime/ops/rows.h"

namespace longsight::model {
namespace {

struct AttentionSaved {
  Arena::Mark begin;  // of everything the block saved
  ProjectionSaved norms;
  Tensor projection;  // q, k, v where the strategy needs them again; freed otherwise
  Tensor result;      // [T, H D]
};

struct MlpSaved {
  NormFrame norm;
  Tensor up;  // [T, F or 2F]; empty: computed again
};

// With recompute of attention or block, in place of the two.
struct InputSaved {
  Arena::Mark begin;     // of everything the block saved
  Tensor x;              // [T, C], kept by the block below
  Tensor result = {};    // [T, H D], of attention; empty: computed again
  Tensor log_sums = {};  // of attention
};

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

namespace {

// q and k of qkv are turned in place; nothing without a table.
void turn(Matrix qkv, const BlockShape& s, const RopeTable& rope, ops::Turn direction, Stream stream) {
  if (!rope.cos) return;
  // q and k lie side by side, so one call turns both.
  const i64 heads = s.heads + s.kv_heads;
  ops::rope(Heads(qkv.columns(0, heads * s.head_width), heads, s.head_width), rope.cos, rope.sin, direction,
            stream);
}

}  // namespace

// ---- forward

ProjectionSaved project(Tensor qkv, Tensor x, const BlockShape& s, const BlockIds& ids, const RopeTable& rope,
                        Arena& keeper, const Workspace& w) {
  ProjectionSaved saved{.norm = norm_frame(x, ids.attention_norm, keeper), .q_norm = {}, .k_norm = {}};
  {
    const ArenaScope scope(w.scratch);
    const Tensor normed = w.scratch.take(x.dtype(), x.shape(), "norm output");
    norm_rows(normed, saved.norm, 0, ids.attention_norm, s.eps, w.parameters, w.stream);
    linear(qkv, normed, ids.qkv, w);
  }
  saved.q_norm = norm_columns(q_of(qkv, s), ids.q_norm, s.qk_eps, keeper, w);
  saved.k_norm = norm_columns(k_of(qkv, s), ids.k_norm, s.qk_eps, keeper, w);
  turn(qkv, s, rope, ops::Turn::forward, w.stream);
  return saved;
}

namespace {

// y [T, C] = x + attention, where the caller has taken y, the result and its log-sums. `known`: these two
// hold what they held before, and only what backward needs besides is made.
void attend(Tensor y, AttentionSaved saved, Tensor log_sums, bool known, Tensor x, const BlockShape& s,
            const BlockIds& ids, const RopeTable& rope, parallel::AttentionStrategy& attention,
            const Workspace& w) {
  const ArenaScope scope(w.scratch);
  Arena& keeper = attention.keeps_projection() ? w.saved : w.scratch;
  saved.projection = keeper.take(x.dtype(), {x.rows(), s.projection()}, "q, k, v");
  saved.norms = project(saved.projection, x, s, ids, rope, w.saved, w);
  if (known) {
    attention.forward_again(log_sums, saved.projection, w);
  } else {
    attention.forward(saved.result, log_sums, saved.projection, w);
  }
  linear(y, saved.result, ids.out, w, {.residual = x});
  w.frames.push(saved);
}

}  // namespace

Tensor Block::forward(Tensor x, const RopeTable& rope, const BlockSetting& setting,
                      const Workspace& w) const {
  const UnitScope of_block(w.stream, this);
  const Gathered parameters(Gathered::Need::values, {unit_member()}, w);
  const i64 before = w.saved.used();
  const bool keep_input = setting.recompute == parallel::Recompute::none;
  const Tensor y = setting.recompute >= parallel::Recompute::attention
                       ? forward_and_forget(x, rope, setting, w)
                       : forward_mlp(forward_attention(x, rope, *setting.attention, w), keep_input, w);
  record_kept(w.stream, w.saved.used() - before);
  return y;
}

Tensor Block::forward_attention(Tensor x, const RopeTable& rope, parallel::AttentionStrategy& attention,
                                const Workspace& w) const {
  const i64 rows = x.rows();
  const DType dtype = x.dtype();
  AttentionSaved saved{.begin = w.saved.mark(), .norms = {}, .projection = {}, .result = {}};
  Tensor y = w.saved.take(dtype, {rows, shape_.width}, "block middle");
  saved.result = w.saved.take(dtype, {rows, shape_.heads * shape_.head_width}, "attention result");
  const Tensor log_sums = w.saved.take(statistics_of(dtype), attention.log_sums(), "attention log-sums");
  attend(y, saved, log_sums, false, x, shape_, ids_, rope, attention, w);
  return y;
}

// Runs the block as if it kept everything, and then keeps little.
Tensor Block::forward_and_forget(Tensor x, const RopeTable& rope, const BlockSetting& setting,
                                 const Workspace& w) const {
  const DType dtype = x.dtype();
  InputSaved saved{.begin = w.saved.mark(), .x = x};
  const Tensor y = w.saved.take(dtype, x.shape(), "block output");
  const bool keep_attention = setting.recompute == parallel::Recompute::attention;
  Arena& keeper = keep_attention ? w.saved : w.scratch;
  const ArenaScope scope(w.scratch);
  const Tensor result = keeper.take(dtype, {x.rows(), shape_.heads * shape_.head_width}, "attention result");
  const Tensor log_sums =
      keeper.take(statistics_of(dtype), setting.attention->log_sums(), "attention log-sums");
  const Tensor middle = w.scratch.take(dtype, x.shape(), "block middle");
  {
    const ArenaScope forgotten(w.saved);
    const std::size_t frames = w.frames.size();
    attend(middle, {.begin = saved.begin, .norms = {}, .projection = {}, .result = result}, log_sums, false,
           x, shape_, ids_, rope, *setting.attention, w);
    w.frames.drop_to(frames);
  }
  mlp(y, norm_frame(middle, ids_.mlp_norm, w.scratch), {}, shape_, ids_, w);
  if (keep_attention) {
    saved.result = result;
    saved.log_sums = log_sums;
  }
  w.frames.push(saved);
  return y;
}

void mlp(Tensor y, const NormFrame& f, Tensor up, const BlockShape& s, const BlockIds& ids,
         const Workspace& w) {
  const Tensor x = f.x;
  const DType dtype = x.dtype();
  for_chunks(x.rows(), kMlpRows, w.stream, [&](i64 first, i64 n) {
    const ArenaScope scope(w.scratch);
    Tensor normed = w.scratch.take(dtype, {n, s.width}, "norm output");
    Tensor hidden = w.scratch.take(dtype, {n, s.intermediate}, "activated");
    const Tensor before =
        up ? up.row_range(first, n) : w.scratch.take(dtype, {n, s.mlp_input()}, "mlp input");
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

Tensor Block::forward_mlp(Tensor x, bool keep_input, const Workspace& w) const {
  const i64 rows = x.rows();
  Tensor y = w.saved.take(x.dtype(), {rows, shape_.width}, "block output");
  MlpSaved saved{.norm = norm_frame(x, ids_.mlp_norm, w.saved), .up = {}};
  if (keep_input) saved.up = w.saved.take(x.dtype(), {rows, shape_.mlp_input()}, "mlp input");
  mlp(y, saved.norm, saved.up, shape_, ids_, w);
  w.frames.push(saved);
  return y;
}

// ---- backward

void Block::backward(Tensor dy, const RopeTable& rope, const BlockSetting& setting,
                     const Workspace& w) const {
  const UnitScope of_block(w.stream, this);
  Gathered parameters(Gathered::Need::both, {unit_member()}, w);
  if (setting.recompute >= parallel::Recompute::attention) forward_again(rope, setting, w);
  backward_mlp(dy, w);
  backward_attention(dy, rope, *setting.attention, w);
  parameters.send_gradients();
}

// What forward would have left had it kept all but the MLP input.
void Block::forward_again(const RopeTable& rope, const BlockSetting& setting, const Workspace& w) const {
  const ComputingAgain again(w.stream);
  const auto kept = w.frames.pop<InputSaved>();
  const DType dtype = kept.x.dtype();
  const i64 rows = kept.x.rows();
  parallel::AttentionStrategy& attention = *setting.attention;
  AttentionSaved saved{.begin = kept.begin, .norms = {}, .projection = {}, .result = kept.result};
  const Tensor middle = w.saved.take(dtype, {rows, shape_.width}, "block middle");
  Tensor log_sums = kept.log_sums;
  if (!kept.result) {
    saved.result = w.saved.take(dtype, {rows, shape_.heads * shape_.head_width}, "attention result");
    log_sums = w.saved.take(statistics_of(dtype), attention.log_sums(), "attention log-sums");
  }
  const bool known = static_cast<bool>(kept.result);
  attend(middle, saved, log_sums, known, kept.x, shape_, ids_, rope, attention, w);
  w.frames.push(MlpSaved{.norm = norm_frame(middle, ids_.mlp_norm, w.saved), .up = {}});
}

void Block::backward_mlp(Tensor dy, const Workspace& w) const {
  const auto saved = w.frames.pop<MlpSaved>();
  for_chunks(dy.rows(), kMlpRows, w.stream, [&](i64 first, i64 n) {
    const ArenaScope scope(w.scratch);
    const Tensor dy_rows = dy.row_range(first, n);
    Tensor before;
    if (saved.up) {
      before = saved.up.row_range(first, n);
    } else {
      const ComputingAgain again(w.stream);
      before = w.scratch.take(dy.dtype(), {n, shape_.mlp_input()}, "mlp input");
      const ArenaScope inner(w.scratch);
      const Tensor normed = w.scratch.take(dy.dtype(), {n, shape_.width}, "norm output");
      norm_rows(normed, saved.norm, first, ids_.mlp_norm, shape_.eps, w.parameters, w.stream);
      linear(before, normed, ids_.up, w);
    }
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
    norm_columns_backward(q_of(d_projection, shape_), saved.norms.q_norm, ids_.q_norm, w);
    norm_columns_backward(k_of(d_projection, shape_), saved.norms.k_norm, ids_.k_norm, w);
    Tensor normed = w.scratch.take(dtype, {rows, shape_.width}, "norm output");
    norm_again(normed, saved.norms.norm, 0, ids_.attention_norm, w.parameters, w.stream);
    linear_backward_weight(d_projection, normed, ids_.qkv, w);
    const Tensor d_normed = normed;
    linear_backward_input(d_normed, d_projection, ids_.qkv, ops::Write::overwrite, w);
    norm_backward(dy, d_normed, saved.norms.norm, 0, ids_.attention_norm, w.parameters, w.stream);
  }
  w.saved.rewind(saved.begin);
}

bool Block::any_grad(const ParameterRegistry& p) const {
  return model::any_grad(ids_.attention_norm, p) || model::any_grad(ids_.qkv, p) ||
         model::any_grad(ids_.q_norm, p) || model::any_grad(ids_.k_norm, p) || model::any_grad(ids_.out, p) ||
         model::any_grad(ids_.mlp_norm, p) || model::any_grad(ids_.up, p) || model::any_grad(ids_.down, p);
}

std::string Block::likeness(const ParameterRegistry& p) const {
  std::string text;
  const auto add = [&](ParameterId id) {
    text += id == kNone ? "-" : fmt::format("{}{}", p[id].shape, p.has_grad(id) ? "*" : "");
  };
  for (const NormIds* norm : {&ids_.attention_norm, &ids_.q_norm, &ids_.k_norm, &ids_.mlp_norm}) {
    add(norm->gain);
    add(norm->bias);
  }
  for (const LinearIds* linear : {&ids_.qkv, &ids_.out, &ids_.up, &ids_.down}) {
    for (i64 part = 0; part < linear->parts; ++part) {
      add(linear->weight + part);
      add(linear->bias == kNone ? kNone : linear->bias + part);
    }
    add(linear->scale);
    for (const AdapterIds& adapter : linear->adapters) {
      add(adapter.a);
      add(adapter.b);
    }
  }
  return text;
}

}  // namespace longsight::model
