#include "parallel/memory_model.h"

#include <algorithm>
#include <array>

#include "parallel/head_split.h"
#include "parallel/process_group.h"

namespace longsight::parallel {
namespace {

constexpr i64 kAlign = 64;  // of everything taken from an arena

// Query, key and value heads of all ranks: a KV head counts at each rank that uses it, so there is one more
// for each border between ranks that falls between the query heads of one KV head.
i64 heads_of_all_ranks(const TowerShape& t, i64 ranks) {
  if (ranks >= t.heads) return 3 * t.heads;
  i64 kv = t.kv_heads;
  for (i64 r = 1; r < ranks; ++r) kv += t.heads * r / ranks % (t.heads / t.kv_heads) != 0;
  return t.heads + 2 * kv;
}

// Blocks of a tower that take the same memory.
struct BlockKind {
  AttentionKind attention;
  bool windowed;
};

// Sizes of what one tower takes, in bytes.
class TowerMemory {
 public:
  TowerMemory(const TowerShape& t, i64 element_bytes, const RankRows& at, i64 rows, i64 total,
              GatheredRows whole, GatheredRows windowed, i64 all_heads)
      : t_(t),
        bytes_(element_bytes),
        rows_(rows),
        total_(total),
        gathered_{whole, windowed},
        mine_(head_range(t.heads, t.kv_heads, at.ranks, at.rank)),
        all_heads_(all_heads) {}

  i64 take(i64 elements) const { return ceil_div(elements * bytes_, kAlign) * kAlign; }
  i64 norm() const { return t_.norm_statistics * take(rows_); }

  // ---- saved by a block

  i64 saved(BlockKind kind) const {
    const i64 attention = take(rows_ * t_.width) + take(rows_ * result()) + norm() + saved_by_strategy(kind);
    const i64 mlp = take(rows_ * t_.width) + norm() + take(rows_ * t_.mlp_input());
    if (!has_qk_norms()) return attention + mlp;
    return attention + mlp + take(rows_ * result()) + take(rows_ * t_.q_norm_statistics) +
           take(rows_ * t_.kv_heads * t_.head_width) + take(rows_ * t_.k_norm_statistics);
  }

  // ---- scratch of a block

  i64 forward(BlockKind kind) const {
    const bool keeps = kind.attention != AttentionKind::ulysses;
    const i64 attention = take(rows_ * t_.width) + (keeps ? 0 : take(rows_ * t_.projection())) +
                          std::max(strategy_forward(kind), has_qk_norms() ? take(rows_ * result()) : 0);
    const i64 chunk = std::min(rows_, kMlpRows);
    return std::max(attention, take(chunk * t_.width) + take(chunk * t_.intermediate));
  }
  i64 backward(BlockKind kind) const {
    const i64 chunk = std::min(rows_, kMlpRows);
    const i64 mlp = 2 * take(chunk * t_.intermediate) + take(chunk * t_.width);
    const i64 attention = take(rows_ * t_.projection()) +
                          std::max({take(rows_ * result()) + strategy_backward(kind), take(rows_ * t_.width),
                                    has_qk_norms() ? 2 * take(rows_ * result()) : 0});
    return std::max(mlp, attention);
  }

 private:
  bool has_qk_norms() const { return t_.q_norm_statistics > 0; }
  i64 result() const { return t_.heads * t_.head_width; }
  const GatheredRows& gathered(BlockKind kind) const { return gathered_[kind.windowed ? 1 : 0]; }
  i64 kv_columns() const { return 2 * t_.kv_heads * t_.head_width; }

  i64 saved_by_strategy(BlockKind kind) const {
    switch (kind.attention) {
      case AttentionKind::ulysses:
        return take(total_ * mine_.heads() * t_.head_width) + take(total_ * mine_.q);
      case AttentionKind::gather:
        return take(rows_ * t_.projection()) + take(gathered(kind).needed * kv_columns()) +
               take(rows_ * t_.heads);
      default:
        return take(rows_ * t_.projection()) + take(rows_ * t_.heads);
    }
  }
  i64 strategy_forward(BlockKind kind) const {
    switch (kind.attention) {
      case AttentionKind::ulysses:
        return std::max(take(rows_ * all_heads_ * t_.head_width),
                        take(total_ * mine_.q * t_.head_width) + take(rows_ * result()));
      case AttentionKind::gather:
        return take(gathered(kind).sent * kv_columns());
      default:
        return 0;
    }
  }
  i64 strategy_backward(BlockKind kind) const {
    const i64 delta = take(rows_ * t_.heads);
    switch (kind.attention) {
      case AttentionKind::ulysses:
        return take(total_ * mine_.heads() * t_.head_width) +
               std::max(take(total_ * mine_.q * (t_.head_width + 1)) + delta +
                            take(rows_ * t_.heads * (t_.head_width + 1)),
                        take(rows_ * all_heads_ * t_.head_width));
      case AttentionKind::gather:
        return take(gathered(kind).needed * kv_columns()) +
               std::max(delta, take(gathered(kind).sent * kv_columns()));
      default:
        return delta;
    }
  }

  const TowerShape& t_;
  i64 bytes_, rows_, total_;
  std::array<GatheredRows, 2> gathered_;  // of whole blocks, of windowed ones
  HeadRange mine_;
  i64 all_heads_;  // query, key and value heads of all ranks: a KV head counts at each rank that uses it
};

TowerMemory vision_memory(const ModelShape& m, const RankRows& r) {
  return {m.vision,          m.element_bytes(), r, r.vision, r.vision_total, r.vision_whole,
          r.vision_windowed, r.vision_heads};
}

TowerMemory language_memory(const ModelShape& m, const RankRows& r) {
  return {m.language,          m.element_bytes(), r, r.language, r.language_total, r.language_whole,
          r.language_windowed, r.language_heads};
}

// How many blocks of a tower are of each kind: counted once per plan, not once per rank.
struct KindCounts {
  std::array<std::array<i64, 2>, 4> blocks{};

  KindCounts(const TowerShape& t, const std::vector<AttentionKind>& kinds) {
    for (std::size_t i = 0; i < kinds.size(); ++i)
      ++blocks[static_cast<std::size_t>(kinds[i])][t.is_windowed(static_cast<i64>(i)) ? 1 : 0];
  }
  template <class F>
  void each(F&& f) const {
    for (std::size_t k = 0; k < blocks.size(); ++k) {
      for (bool windowed : {false, true}) {
        const i64 count = blocks[k][windowed ? 1 : 0];
        if (count > 0) f(BlockKind{static_cast<AttentionKind>(k), windowed}, count);
      }
    }
  }
};

struct PlanCounts {
  KindCounts vision, language;
  PlanCounts(const ModelShape& m, const Plan& plan)
      : vision(m.vision, plan.vision), language(m.language, plan.language) {}
};

i64 saved_by_blocks(const TowerMemory& memory, const KindCounts& kinds) {
  i64 bytes = 0;
  kinds.each([&](BlockKind kind, i64 count) { bytes += count * memory.saved(kind); });
  return bytes;
}

template <class F>
i64 largest(const KindCounts& kinds, F&& bytes) {
  i64 most = 0;
  kinds.each([&](BlockKind kind, i64) { most = std::max(most, bytes(kind)); });
  return most;
}

// Rows of each rank that go to the ranks which need them, itself included.
std::vector<i64> rows_sent(const std::vector<RowRange>& needed, const Cuts& cuts) {
  // Ranges ascend, so the ranks that need rows of one range are neighbours; changes at the ends, summed from
  // left to right.
  std::vector<i64> sent(static_cast<std::size_t>(cuts.ranks()), 0),
      readers(static_cast<std::size_t>(cuts.ranks()) + 1, 0);
  for (const RowRange& want : needed) {
    if (want.begin == want.end) continue;
    const i64 first = cuts.owner(want.begin), last = cuts.owner(want.end - 1);
    // Whole ranges between, and parts at the two ends.
    if (first == last) {
      sent[static_cast<std::size_t>(first)] += want.end - want.begin;
      continue;
    }
    sent[static_cast<std::size_t>(first)] += cuts.end(first) - want.begin;
    sent[static_cast<std::size_t>(last)] += want.end - cuts.begin(last);
    ++readers[static_cast<std::size_t>(first) + 1];
    --readers[static_cast<std::size_t>(last)];
  }
  i64 whole = 0;
  for (i64 r = 0; r < cuts.ranks(); ++r) {
    whole += readers[static_cast<std::size_t>(r)];
    sent[static_cast<std::size_t>(r)] += whole * cuts.rows(r);
  }
  return sent;
}

std::vector<GatheredRows> gathered_rows(const std::vector<RowRange>& needed, const Cuts& cuts) {
  const std::vector<i64> sent = rows_sent(needed, cuts);
  std::vector<GatheredRows> rows;
  for (std::size_t r = 0; r < needed.size(); ++r)
    rows.push_back({.needed = needed[r].end - needed[r].begin, .sent = sent[r]});
  return rows;
}

i64 saved_by_connector(const ModelShape& m, const RankRows& r, const TowerMemory& memory) {
  const ConnectorShape& c = m.connector;
  const i64 input = memory.take(r.features * c.input);
  i64 bytes = memory.take(r.features * m.language.width) + input;
  if (c.row_norm_statistics > 0) bytes += c.row_norm_statistics * memory.take(r.features * m.merge) + input;
  if (c.joined_norm_statistics > 0) bytes += c.joined_norm_statistics * memory.take(r.features) + input;
  if (c.middle > 0) bytes += memory.take(r.features * c.middle);
  return bytes;
}

// ---- the order of forward

i64 saved(const ModelShape& m, const PlanCounts& plan, const RankRows& r) {
  const TowerMemory vision = vision_memory(m, r), language = language_memory(m, r);
  i64 bytes = 0;
  if (r.images) {
    const i64 patches = r.vision - r.class_rows;
    bytes += vision.take(patches * m.patch_inputs);
    bytes += vision.take(r.vision * m.vision.width);  // embedding
    if (m.vision_pre_norm) bytes += vision.take(r.vision * m.vision.width) + vision.norm();
    if (m.vision_rope) bytes += 2 * vision.take(patches * (m.vision.head_width / 2));
    bytes += saved_by_blocks(vision, plan.vision) + saved_by_connector(m, r, vision);
  }
  bytes += language.take(r.language * m.language.width);
  bytes += 2 * language.take(r.language * (m.language.head_width / 2));  // angles
  return bytes + saved_by_blocks(language, plan.language);
}

i64 logits_bytes(const ModelShape& m, const RankRows& r) {
  const i64 elements = std::min(loss_chunk_rows(m.vocab), r.supervised) * m.vocab;
  return ceil_div(elements * m.element_bytes(), kAlign) * kAlign;
}

i64 scratch(const ModelShape& m, const PlanCounts& plan, const RankRows& r) {
  const TowerMemory vision = vision_memory(m, r), language = language_memory(m, r);
  const auto take = [&](i64 elements) { return language.take(elements); };
  const i64 c = m.language.width, patches = r.vision - r.class_rows;
  const i64 exchange = take(r.features * c) + take(r.visual_tokens * c);

  i64 forward = largest(plan.language, [&](BlockKind kind) { return language.forward(kind); });
  if (r.images) {
    const i64 embedding = std::max(take(patches * m.vision.width), take(r.vision * m.vision.width));
    const i64 blocks = largest(plan.vision, [&](BlockKind kind) { return vision.forward(kind); });
    forward = std::max({forward, embedding, blocks, take(r.features * m.connector.middle), exchange});
  }

  // All of backward holds the gradient of the language rows.
  const i64 rows = take(r.supervised * c);
  // Beside the logits and the loss of each of their rows, or later the gradients of rows on their way back.
  const i64 losses =
      ceil_div(std::min(loss_chunk_rows(m.vocab), r.supervised) * size_of(DType::F64), kAlign) * kAlign;
  const i64 head =
      3 * rows + take(r.supervised) + std::max(logits_bytes(m, r) + losses, take(r.supervised_here * c));
  const i64 text = take((r.language - r.visual_tokens) * c);
  i64 backward =
      std::max({head, text, largest(plan.language, [&](BlockKind kind) { return language.backward(kind); })});
  if (r.images && m.features_need_gradient()) {
    const i64 middle = 2 * take(r.features * m.connector.middle);
    i64 below = std::max(exchange, middle);
    if (m.vision_trained()) {
      const i64 d = take(r.vision * m.vision.width);
      const i64 blocks = largest(plan.vision, [&](BlockKind kind) { return vision.backward(kind); });
      const i64 embedding = take(patches * m.vision.width) + (m.vision_pre_norm ? d : 0);
      below = std::max(
          below, take(r.features * m.connector.input) + std::max(middle, d + std::max(blocks, embedding)));
    }
    backward = std::max(backward, take(r.features * c) + below);
  }
  return std::max(forward, take(r.language * c) + backward);
}

MemoryByPart memory(const ModelShape& m, const PlanCounts& plan, i64 world, const RankRows& r) {
  const i64 bytes = m.element_bytes();
  return {.parameters = m.parameters() * bytes,
          .gradients = m.trained() * bytes,
          .optimizer = 2 * m.trained() * bytes,
          .activations = saved(m, plan, r),
          .scratch = scratch(m, plan, r) - logits_bytes(m, r),
          .loss_chunk = logits_bytes(m, r),
          .communication = world > 1 ? ProcessGroup::reduction_scratch_bytes : 0};
}

}  // namespace

i64 MemoryByPart::total() const {
  return parameters + gradients + optimizer + activations + scratch + loss_chunk + communication;
}

std::vector<std::pair<std::string, i64>> MemoryByPart::parts() const {
  return {{"parameters", parameters},      {"gradients", gradients}, {"optimizer", optimizer},
          {"activations", activations},    {"scratch", scratch},     {"loss_chunk", loss_chunk},
          {"communication", communication}};
}

std::vector<RankRows> rank_rows(const ModelShape& m, const BatchShape& batch, const Layout& layout) {
  const PackedSequences &images = batch.frame.images, &samples = batch.frame.samples;
  // Statistics of a typical step hold no windows of images: the whole ones are an upper bound.
  const PackedSequences& windows = batch.frame.windows.rows() == images.rows() ? batch.frame.windows : images;
  const auto vision_whole = gathered_rows(needed_rows(images, layout.vision, m.vision.causal), layout.vision),
             vision_windowed =
                 gathered_rows(needed_rows(windows, layout.vision, m.vision.causal), layout.vision);
  const auto of_samples = [&](i64 window) {
    return gathered_rows(
        needed_rows(samples, layout.language, m.language.causal, window, batch.frame.prefixes),
        layout.language);
  };
  const auto language_whole = of_samples(0), language_windowed = of_samples(m.language.window);
  const FeatureTraffic traffic = feature_traffic(batch, layout);
  const std::vector<i64> supervised_here = supervised_by_rank(batch, layout.language);
  const Cuts projected = even_cuts(batch.supervised_count(), layout.ranks);
  const auto starts_before = [&](i64 row) {
    return static_cast<i64>(std::lower_bound(images.starts.begin(), images.starts.end() - 1, row) -
                            images.starts.begin());
  };
  const i64 vision_heads = heads_of_all_ranks(m.vision, layout.ranks),
            language_heads = heads_of_all_ranks(m.language, layout.ranks);
  std::vector<RankRows> rows;
  for (i64 r = 0; r < layout.ranks; ++r) {
    const auto i = static_cast<std::size_t>(r);
    const i64 heads = starts_before(layout.vision.end(r)) - starts_before(layout.vision.begin(r));
    rows.push_back({.rank = r,
                    .ranks = layout.ranks,
                    .vision = layout.vision.rows(r),
                    .class_rows = batch.frame.class_rows > 0 ? heads : 0,
                    .vision_total = images.rows(),
                    .vision_whole = vision_whole[i],
                    .vision_windowed = vision_windowed[i],
                    .vision_heads = vision_heads,
                    .features = traffic.owned[i],
                    .language = layout.language.rows(r),
                    .language_total = samples.rows(),
                    .language_whole = language_whole[i],
                    .language_windowed = language_windowed[i],
                    .language_heads = language_heads,
                    .visual_tokens = traffic.consumed[i],
                    .supervised_here = supervised_here[i],
                    .supervised = projected.rows(r),
                    .images = images.count() > 0});
  }
  return rows;
}

i64 saved_bytes(const ModelShape& m, const Plan& plan, const RankRows& r) {
  return saved(m, PlanCounts(m, plan), r);
}

i64 scratch_bytes(const ModelShape& m, const Plan& plan, const RankRows& r) {
  return scratch(m, PlanCounts(m, plan), r);
}

MemoryByPart memory_of(const ModelShape& m, const Plan& plan, const RankRows& r) {
  return memory(m, PlanCounts(m, plan), plan.mesh.world, r);
}

MemoryByPart fullest_memory(const ModelShape& m, const Plan& plan, const BatchShape& batch) {
  const PlanCounts counts(m, plan);
  MemoryByPart most;
  for (const RankRows& rows : rank_rows(m, batch, make_layout(plan, batch.frame))) {
    const MemoryByPart here = memory(m, counts, plan.mesh.world, rows);
    if (here.total() > most.total()) most = here;
  }
  return most;
}

}  // namespace longsight::parallel
