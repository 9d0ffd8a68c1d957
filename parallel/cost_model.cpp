#include "parallel/cost_model.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "parallel/head_split.h"

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

// Calls f(sequence, first, last) for the rows [first, last) of each sequence that lie in each rank's range,
// rank by rank.
template <class F>
void for_overlaps(const PackedSequences& sequences, const Cuts& cuts, F&& f) {
  i64 s = 0;
  for (i64 r = 0; r < cuts.ranks(); ++r) {
    const i64 begin = cuts.begin(r), end = cuts.end(r);
    for (; s < sequences.count(); ++s) {
      const i64 first = sequences.starts[static_cast<std::size_t>(s)],
                last = sequences.starts[static_cast<std::size_t>(s) + 1];
      if (first >= end) break;
      if (last > begin) f(r, s, std::max(first, begin), std::min(last, end));
      if (last >= end) break;
    }
  }
}

// Every rank sends columns(heads of `to`) elements of each of its rows to rank `to`.
template <class F>
Wire rows_to_heads(const std::vector<HeadRange>& heads, const Cuts& cuts, i64 element_bytes, F&& columns) {
  const i64 ranks = cuts.ranks(), rows = cuts.at.back();
  i64 all_columns = 0, with_heads = 0, with_rows = 0;
  for (i64 r = 0; r < ranks; ++r) {
    const i64 mine = columns(heads[static_cast<std::size_t>(r)]);
    all_columns += mine;
    with_heads += mine > 0;
    with_rows += cuts.rows(r) > 0;
  }
  Wire wire;
  for (i64 r = 0; r < ranks; ++r) {
    const i64 mine = columns(heads[static_cast<std::size_t>(r)]), own = cuts.rows(r);
    const i64 sent = own * (all_columns - mine), received = mine * (rows - own);
    wire.total += sent;
    wire.fullest = std::max({wire.fullest, sent, received});
    wire.messages = std::max(
        {wire.messages, own > 0 ? with_heads - (mine > 0) : 0, mine > 0 ? with_rows - (own > 0) : 0});
  }
  return {wire.total * element_bytes, wire.fullest * element_bytes, wire.messages};
}

// The rows that ranges [begin, end), both ascending, have in common with a prefix of the stream.
class Coverage {
 public:
  explicit Coverage(const std::vector<RowRange>& ranges) {
    for (const RowRange& range : ranges) {
      if (range.begin == range.end) continue;
      begins_.push_back(range.begin);
      ends_.push_back(range.end);
    }
    begin_sums_ = sums(begins_);
    end_sums_ = sums(ends_);
  }

  i64 rows_before(i64 row) const {
    const std::size_t ended = count_below(ends_, row + 1), begun = count_below(begins_, row);
    return end_sums_[ended] + row * static_cast<i64>(begun - ended) - begin_sums_[begun];
  }
  // How many ranges have a row in [begin, end).
  i64 touching(i64 begin, i64 end) const {
    return static_cast<i64>(count_below(begins_, end)) - static_cast<i64>(count_below(ends_, begin + 1));
  }

 private:
  static std::vector<i64> sums(const std::vector<i64>& values) {
    std::vector<i64> result{0};
    for (i64 value : values) result.push_back(result.back() + value);
    return result;
  }
  static std::size_t count_below(const std::vector<i64>& ascending, i64 value) {
    return static_cast<std::size_t>(std::lower_bound(ascending.begin(), ascending.end(), value) -
                                    ascending.begin());
  }
  std::vector<i64> begins_, ends_, begin_sums_, end_sums_;
};

Wire gather_wire(const PackedSequences& sequences, const Cuts& cuts, bool causal, i64 row_bytes) {
  const std::vector<RowRange> needed = needed_rows(sequences, cuts, causal);
  const Coverage readers(needed);
  Wire wire;
  for (i64 r = 0; r < cuts.ranks(); ++r) {
    const i64 begin = cuts.begin(r), end = cuts.end(r), own = end - begin;
    if (own == 0) continue;
    const RowRange want = needed[static_cast<std::size_t>(r)];
    const i64 sent = readers.rows_before(end) - readers.rows_before(begin) - own;
    const i64 received = want.end - want.begin - own;
    wire.total += sent;
    wire.fullest = std::max({wire.fullest, sent, received});
    wire.messages = std::max(
        {wire.messages, readers.touching(begin, end) - 1, cuts.owner(want.end - 1) - cuts.owner(want.begin)});
  }
  return {wire.total * row_bytes, wire.fullest * row_bytes, wire.messages};
}

// Products of the forward pass, times one plus those of backward.
double with_gradients(double forward, bool backward, bool weight_gradients) {
  return forward * (1 + (backward ? 1 + (weight_gradients ? 1 : 0) : 0));
}

}  // namespace

// ---- sums

Wire& Wire::operator+=(const Wire& other) {
  total += other.total;
  fullest += other.fullest;
  messages += other.messages;
  return *this;
}

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

std::vector<double> attention_pairs(const PackedSequences& sequences, const Cuts& cuts, bool causal) {
  std::vector<double> pairs(static_cast<std::size_t>(cuts.ranks()), 0.0);
  for_overlaps(sequences, cuts, [&](i64 rank, i64 s, i64 first, i64 last) {
    const i64 start = sequences.starts[static_cast<std::size_t>(s)],
              end = sequences.starts[static_cast<std::size_t>(s) + 1];
    // Row i of a causal sequence sees i + 1 keys.
    const double a = number(first - start), b = number(last - start);
    pairs[static_cast<std::size_t>(rank)] +=
        causal ? (b * (b + 1) - a * (a + 1)) / 2 : (b - a) * number(end - start);
  });
  return pairs;
}

std::vector<RowRange> needed_rows(const PackedSequences& sequences, const Cuts& cuts, bool causal) {
  std::vector<RowRange> needed;
  const auto& starts = sequences.starts;
  for (i64 r = 0; r < cuts.ranks(); ++r) {
    const i64 begin = cuts.begin(r), end = cuts.end(r);
    if (begin == end) {
      needed.push_back({begin, begin});
    } else {
      needed.push_back({*(std::upper_bound(starts.begin(), starts.end(), begin) - 1),
                        causal ? end : *std::lower_bound(starts.begin(), starts.end(), end)});
    }
  }
  return needed;
}

AttentionWire attention_wire(const TowerShape& t, AttentionKind kind, const PackedSequences& sequences,
                             const Cuts& cuts, i64 element_bytes) {
  // A way back has the transposed counts: the same Wire, which looks at what is sent and at what is received.
  const i64 d = t.head_width;
  switch (kind) {
    case AttentionKind::local:
    case AttentionKind::images:
      return {};
    case AttentionKind::ulysses: {
      std::vector<HeadRange> heads;
      for (i64 r = 0; r < cuts.ranks(); ++r)
        heads.push_back(head_range(t.heads, t.kv_heads, cuts.ranks(), r));
      const auto wire = [&](auto&& columns) { return rows_to_heads(heads, cuts, element_bytes, columns); };
      const Wire qkv = wire([&](const HeadRange& h) { return h.heads() * d; });
      Wire forward = qkv,
           backward = wire([&](const HeadRange&h) { return h.q * (d + 1); });  // delta beside d_o
      forward += wire([&](const HeadRange& h) { return h.q * d; });
      backward += qkv;
      return {forward, backward};
    }
    case AttentionKind::gather: {
      const Wire wire = gather_wire(sequences, cuts, t.causal, 2 * t.kv_heads * d * element_bytes);
      return {wire, wire};
    }
  }
  fail(ExitCode::internal, "no attention strategy {}", static_cast<int>(kind));
}

i64 fullest_heads(i64 heads, i64 ranks) {
  return ceil_div(heads, ranks);
}

double head_efficiency(i64 heads, i64 ranks) {
  return number(heads) / number(ranks * fullest_heads(heads, ranks));
}

// ---- blocks

BlockCost block_cost(const TowerShape& t, AttentionKind kind, const PackedSequences& sequences,
                     const Cuts& cuts, i64 element_bytes, bool with_backward) {
  const double rows = number(most_rows(cuts)), bytes = number(element_bytes);
  const double c = number(t.width), p = number(t.projection()), result = number(t.heads * t.head_width),
               f = number(t.intermediate);
  BlockCost cost;
  cost.attention.gemm_flops = with_gradients(2 * rows * c * (p + result), with_backward, t.weight_gradients);
  cost.mlp.gemm_flops =
      with_gradients(2 * rows * c * f * (t.gated ? 3 : 2), with_backward, t.weight_gradients);

  const std::vector<double> pairs = attention_pairs(sequences, cuts, t.causal);
  const double products = with_backward ? 7 : 2;
  const bool by_heads = kind == AttentionKind::ulysses;
  const double most_pairs = by_heads ? std::accumulate(pairs.begin(), pairs.end(), 0.0)
                                     : *std::max_element(pairs.begin(), pairs.end());
  const i64 heads = by_heads ? fullest_heads(t.heads, cuts.ranks()) : t.heads;
  cost.attention.attention_flops = products * 2 * most_pairs * number(heads * t.head_width);

  const AttentionWire wire = attention_wire(t, kind, sequences, cuts, element_bytes);
  cost.attention.wire = wire.forward;
  if (with_backward) cost.attention.wire += wire.backward;

  // Norm: read and write. Rotation, bias and residual: once over what they touch. Backward: each of these,
  // and its gradient.
  const double passes = with_backward ? 3 : 1;
  cost.attention.touched_bytes =
      passes * rows * bytes * (3 * c + p) + 4 * number(cost.attention.wire.fullest);
  cost.mlp.touched_bytes = passes * rows * bytes * (3 * c + number(t.mlp_input()) + f);
  return cost;
}

Cost tower_cost(const TowerShape& t, const std::vector<AttentionKind>& kinds,
                const PackedSequences& sequences, const Cuts& cuts, i64 element_bytes) {
  check(static_cast<i64>(kinds.size()) == t.blocks, "{} strategies for {} {} blocks", kinds.size(), t.blocks,
        t.name);
  std::map<std::pair<AttentionKind, bool>, i64> blocks;
  for (i64 i = 0; i < t.blocks; ++i)
    ++blocks[{kinds[static_cast<std::size_t>(i)], i >= t.blocks - t.backward_blocks}];
  Cost total;
  for (const auto& [what, count] : blocks) {
    const BlockCost block = block_cost(t, what.first, sequences, cuts, element_bytes, what.second);
    total += block.attention.times(count);
    total += block.mlp.times(count);
  }
  return total;
}

// ---- exchanges beside attention

FeatureTraffic feature_traffic(const BatchShape& batch, const Layout& layout) {
  const auto ranks = static_cast<std::size_t>(layout.ranks);
  FeatureTraffic t{.owned = std::vector<i64>(ranks),
                   .consumed = std::vector<i64>(ranks),
                   .moved = 0,
                   .sent = std::vector<i64>(ranks),
                   .received = std::vector<i64>(ranks),
                   .pieces = 0};
  std::vector<i64> pieces(ranks);
  for (const FeatureRun& run : batch.features) {
    for (i64 i = 0; i < run.count;) {
      const i64 row = run.first_row + i * run.row_step, position = run.first_position + i;
      const i64 owner = layout.vision.owner(row), consumer = layout.language.owner(position);
      const i64 n = std::min({run.count - i, ceil_div(layout.vision.end(owner) - row, run.row_step),
                              layout.language.end(consumer) - position});
      const auto from = static_cast<std::size_t>(owner), to = static_cast<std::size_t>(consumer);
      t.owned[from] += n;
      t.consumed[to] += n;
      if (owner != consumer) {
        t.moved += n;
        t.sent[from] += n;
        t.received[to] += n;
        t.pieces = std::max({t.pieces, ++pieces[from], ++pieces[to]});
      }
      i += n;
    }
  }
  return t;
}

Wire fusion_wire(FusionKind kind, const FeatureTraffic& t, i64 columns, i64 element_bytes) {
  const i64 ranks = static_cast<i64>(t.owned.size()), row_bytes = columns * element_bytes;
  const i64 all = std::accumulate(t.owned.begin(), t.owned.end(), i64{0});
  Wire wire;
  for (std::size_t r = 0; r < t.owned.size(); ++r) {
    const i64 out = kind == FusionKind::owner ? t.sent[r] : t.owned[r] * (ranks - 1);
    const i64 in = kind == FusionKind::owner ? t.received[r] : all - t.owned[r];
    wire.total += out;
    wire.fullest = std::max({wire.fullest, out, in});
  }
  const i64 messages = kind == FusionKind::owner ? std::min(t.pieces, ranks - 1) : ranks - 1;
  return {wire.total * row_bytes, wire.fullest * row_bytes, messages};
}

Wire loss_wire(const BatchShape& batch, const Cuts& language, i64 columns, i64 element_bytes) {
  const i64 ranks = language.ranks();
  const Cuts balanced = even_cuts(batch.supervised_count(), ranks);
  Wire wire;
  i64 first = 0;  // targets before the rank's range
  std::size_t run = 0;
  i64 used = 0;  // of that run
  for (i64 r = 0; r < ranks; ++r) {
    i64 last = first;
    while (run < batch.supervised.size()) {
      const RowRange range = batch.supervised[run];
      const i64 until = std::min(range.end, language.end(r)), from = range.begin + used;
      if (until > from) {
        last += until - from;
        used += until - from;
      }
      if (range.begin + used < range.end) break;
      ++run;
      used = 0;
    }
    const i64 kept = std::max<i64>(0, std::min(last, balanced.end(r)) - std::max(first, balanced.begin(r)));
    const i64 sent = last - first - kept, received = balanced.rows(r) - kept;
    wire.total += sent;
    wire.fullest = std::max({wire.fullest, sent, received});
    wire.messages = std::max(wire.messages, std::min(ranks - 1, sent + received));
    first = last;
  }
  return {wire.total * columns * element_bytes, wire.fullest * columns * element_bytes, wire.messages};
}

Wire all_reduce_wire(i64 elements, i64 ranks, i64 element_bytes) {
  if (ranks == 1 || elements == 0) return {};
  const i64 bytes = elements * element_bytes;
  return {2 * (ranks - 1) * bytes, 2 * (ranks - 1) * ceil_div(elements, ranks) * element_bytes,
          2 * (ranks - 1)};
}

// ---- a micro-batch, a step

PassCost pass_cost(const ModelShape& m, const Plan& plan, const BatchShape& batch) {
  const Layout layout = make_layout(plan, batch.frame);
  const i64 bytes = m.element_bytes(), width = m.language.width;
  PassCost cost;
  if (batch.frame.images.count() > 0) {
    cost.vision = tower_cost(m.vision, plan.vision, batch.frame.images, layout.vision, bytes);
    const double rows = number(most_rows(layout.vision)), c = number(m.vision.width);
    cost.vision.gemm_flops += 2 * rows * c * number(m.patch_inputs) * (m.vision_embedding_trained ? 2 : 1);
    cost.vision.touched_bytes += 6 * rows * c * number(bytes);

    const FeatureTraffic traffic = feature_traffic(batch, layout);
    const double features = number(*std::max_element(traffic.owned.begin(), traffic.owned.end()));
    const double products = 2 * features * number(width) * number(m.connector_input + width);
    cost.connector.gemm_flops =
        with_gradients(products, m.features_need_gradient(), m.connector_parameters.trained > 0);
    cost.connector.touched_bytes = 2 * features * number(bytes * (m.connector_input + 2 * width));

    cost.fusion.wire = fusion_wire(plan.fusion, traffic, width, bytes);
    if (m.features_need_gradient()) cost.fusion.wire += cost.fusion.wire;
    cost.fusion.touched_bytes = 4 * number(cost.fusion.wire.fullest);
  }
  cost.language = tower_cost(m.language, plan.language, batch.frame.samples, layout.language, bytes);
  cost.language.touched_bytes +=
      4 * number(most_rows(layout.language) * width * bytes);  // embedding rows and their gradient

  const double supervised = number(ceil_div(batch.supervised_count(), layout.ranks));
  cost.loss.gemm_flops =
      with_gradients(2 * supervised * number(width) * number(m.vocab), true, m.head_trained);
  cost.loss.touched_bytes = 4 * supervised * number(m.vocab) * number(bytes);
  const Wire balance = loss_wire(batch, layout.language, width, bytes);
  cost.loss.wire = balance;
  cost.loss.wire += balance;
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
