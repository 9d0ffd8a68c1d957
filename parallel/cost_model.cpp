#include "parallel/cost_model.h"

#include <algorithm>
#include <map>

#include "parallel/block_memory.h"
#include "parallel/fusion_exchange.h"
#include "parallel/layout.h"
#include "parallel/loss_balance.h"

namespace longsight::parallel {
namespace {

double number(i64 value) {
  return static_cast<double>(value);
}

i64 most_rows(const Cuts& cuts) {
  i64 most = 0;
  for (i64 r = 0; r < cuts.ranks(); ++r) most = std::max(most, cuts.rows(r));
  return most;
}

// Products of the forward pass, times one plus those of backward.
double with_gradients(double forward, bool backward, bool weight_gradients) {
  return forward * (1 + (backward ? 1 + (weight_gradients ? 1 : 0) : 0));
}

}  // namespace

// ---- sums

Cost& Cost::operator+=(const Cost& other) {
  gemm_flops += other.gemm_flops;
  attention_flops += other.attention_flops;
  touched_bytes += other.touched_bytes;
  wire += other.wire;
  return *this;
}

Cost Cost::times(i64 n) const {
  return {gemm_flops * number(n),
          attention_flops * number(n),
          touched_bytes * number(n),
          {wire.total * n, wire.fullest * n, wire.messages * n}};
}

double Cost::seconds(const HardwareProfile& h) const {
  return gemm_flops / h.gemm_flops + attention_flops / h.attention_flops +
         touched_bytes / h.memory_bandwidth + number(wire.fullest) / h.link_bandwidth +
         number(wire.messages) * h.latency;
}

double PassCost::seconds(const HardwareProfile& h) const {
  return vision.seconds(h) + connector.seconds(h) + fusion.seconds(h) + language.seconds(h) + loss.seconds(h);
}

i64 PassCost::wire_bytes() const {
  return vision.wire.total + connector.wire.total + fusion.wire.total + language.wire.total + loss.wire.total;
}

// ---- attention

i64 fullest_heads(i64 heads, i64 ranks) {
  return ceil_div(heads, ranks);
}

double head_efficiency(i64 heads, i64 ranks) {
  return number(heads) / number(ranks * fullest_heads(heads, ranks));
}

// ---- blocks

BlockCost block_cost(const TowerShape& t, AttentionKind kind, const PackedSequences& sequences,
                     const Cuts& cuts, i64 element_bytes, bool with_backward, std::span<const i64> prefixes) {
  const double rows = number(most_rows(cuts)), bytes = number(element_bytes);
  const double c = number(t.width), p = number(t.projection()), result = number(t.heads * t.head_width),
               f = number(t.intermediate);
  BlockCost cost;
  cost.attention.gemm_flops = with_gradients(2 * rows * c * (p + result), with_backward, t.weight_gradients);
  cost.mlp.gemm_flops =
      with_gradients(2 * rows * c * f * (t.gated ? 3 : 2), with_backward, t.weight_gradients);

  PaperGroup paper(0, narrow<int>(cuts.ranks()));
  const auto attention =
      make_attention(kind, attention_shape(t, t.window > 0), {sequences, cuts, prefixes}, paper, t.name);
  const std::vector<double> pairs = attention->head_pairs();
  const double products = with_backward ? 7 : 2;
  cost.attention.attention_flops =
      products * 2 * *std::max_element(pairs.begin(), pairs.end()) * number(t.head_width);

  for (const Exchange& e : attention->forward_exchanges()) cost.attention.wire += e.wire(element_bytes);
  if (with_backward) {
    for (const Exchange& e : attention->backward_exchanges()) cost.attention.wire += e.wire(element_bytes);
  }

  // Norm: read and write. Rotation, bias and residual: once over what they touch. Backward: each of these,
  // and its gradient.
  const double passes = with_backward ? 3 : 1;
  cost.attention.touched_bytes =
      passes * rows * bytes * (3 * c + p) + 4 * number(cost.attention.wire.fullest);
  cost.mlp.touched_bytes = passes * rows * bytes * (3 * c + number(t.mlp_input()) + f);
  return cost;
}

Cost tower_cost(const TowerShape& t, const std::vector<AttentionKind>& kinds,
                const PackedSequences& sequences, const PackedSequences& windows, const Cuts& cuts,
                i64 element_bytes, std::span<const i64> prefixes) {
  check(static_cast<i64>(kinds.size()) == t.blocks, "{} strategies for {} {} blocks", kinds.size(), t.blocks,
        t.name);
  check(t.windowed.empty() || static_cast<i64>(t.windowed.size()) == t.blocks,
        "{} of {} {} blocks are windowed or not", t.windowed.size(), t.blocks, t.name);
  TowerShape whole = t;
  whole.window = 0;
  // Statistics of a typical step hold no windows: the whole sequences are an upper bound.
  const PackedSequences& in_windows = windows.rows() == sequences.rows() ? windows : sequences;
  struct What {
    AttentionKind kind;
    bool with_backward, windowed;
    auto operator<=>(const What&) const = default;
  };
  std::map<What, i64> blocks;
  for (i64 i = 0; i < t.blocks; ++i) {
    const auto b = static_cast<std::size_t>(i);
    ++blocks[{
        .kind = kinds[b], .with_backward = i >= t.blocks - t.backward_blocks, .windowed = t.is_windowed(i)}];
  }
  Cost total;
  for (const auto& [what, count] : blocks) {
    const BlockCost block = block_cost(what.windowed && t.causal ? t : whole, what.kind,
                                       what.windowed && !t.causal ? in_windows : sequences, cuts,
                                       element_bytes, what.with_backward, prefixes);
    total += block.attention.times(count);
    total += block.mlp.times(count);
  }
  return total;
}

// ---- a micro-batch, a step

PassCost pass_cost(const ModelShape& m, const Plan& plan, const BatchShape& batch) {
  const Layout layout = make_layout(plan, batch.frame);
  const i64 bytes = m.element_bytes(), width = m.language.width;
  PassCost cost;
  if (batch.frame.images.count() > 0) {
    cost.vision =
        tower_cost(m.vision, plan.vision, batch.frame.images, batch.frame.windows, layout.vision, bytes);
    const double rows = number(most_rows(layout.vision)), c = number(m.vision.width);
    cost.vision.gemm_flops += 2 * rows * c * number(m.patch_inputs) * (m.vision_embedding_trained ? 2 : 1);
    cost.vision.touched_bytes += 6 * rows * c * number(bytes);

    const TwoWays fusion = fusion_exchanges(plan.fusion, batch.features, layout);
    const Counts rows_of = fusion_exchanges(FusionKind::owner, batch.features, layout).forth.counts;
    i64 most_features = 0;
    for (i64 r = 0; r < layout.ranks; ++r) most_features = std::max(most_features, rows_of.total_sent_by(r));
    const double features = number(most_features);
    const double products =
        2 * features *
        (number(m.connector.input) * number(m.connector.middle > 0 ? m.connector.middle : width) +
         number(m.connector.middle) * number(width));
    cost.connector.gemm_flops =
        with_gradients(products, m.features_need_gradient(), m.connector_parameters.trained > 0);
    cost.connector.touched_bytes =
        2 * features * number(bytes * (m.connector.input + m.connector.middle + width));

    cost.fusion.wire = fusion.forth.times(width).wire(bytes);
    if (m.features_need_gradient()) cost.fusion.wire += fusion.back.times(width).wire(bytes);
    cost.fusion.touched_bytes = 4 * number(cost.fusion.wire.fullest);
  }
  TowerShape language = m.language;
  language.backward_blocks = m.language_backward_blocks(batch.frame.images.count() > 0);
  cost.language = tower_cost(language, plan.language, batch.frame.samples, batch.frame.samples,
                             layout.language, bytes, batch.frame.prefixes);
  cost.language.touched_bytes +=
      4 * number(most_rows(layout.language) * width * bytes);  // embedding rows and their gradient

  const double supervised = number(ceil_div(batch.supervised_count(), layout.ranks));
  cost.loss.gemm_flops =
      with_gradients(2 * supervised * number(width) * number(m.vocab), true, m.head_trained);
  cost.loss.touched_bytes = 4 * supervised * number(m.vocab) * number(bytes);
  const TwoWays balance = loss_exchanges(batch.supervised, layout.language);
  cost.loss.wire = balance.forth.times(width).wire(bytes);
  cost.loss.wire += balance.back.times(width).wire(bytes);
  return cost;
}

Cost gradient_sum_cost(const ModelShape& m, i64 world) {
  Cost cost;
  cost.wire = all_reduce_wire(m.trained(), world, m.element_bytes());
  cost.touched_bytes = 3 * number(cost.wire.fullest);
  return cost;
}

Cost optimizer_cost(const ModelShape& m) {
  Cost cost;
  // The norm reads the gradient; AdamW reads and writes value and moments, and reads the gradient.
  cost.touched_bytes = 8 * number(m.trained() * m.element_bytes());
  return cost;
}

}  // namespace longsight::parallel
