#include "parallel/block_memory.h"

#include <algorithm>
#include <map>

namespace longsight::parallel {

// ---- linear layers

i64 LinearMemory::forward(i64 rows) const {
  i64 adapters = 0;
  for (const auto& a : e_.adapters) adapters = std::max(adapters, bytes(rows * a.rank) + scaled_b(a));
  return bytes(e_.scaled_bias) + bytes(e_.scaled_weight) + adapters;
}

i64 LinearMemory::backward_weight(i64 rows) const {
  i64 most = e_.base_trained ? bytes(e_.scaled_weight) + bytes(e_.scaled_bias) : 0;
  for (const auto& a : e_.adapters) {
    const i64 of_b = a.b_trained ? bytes(rows * a.rank) + scaled_b(a) : 0;
    const i64 of_a = a.a_trained ? bytes(rows * a.rank) + scaled_b(a) : 0;
    most = std::max(most, of_b + of_a);
  }
  return most;
}

i64 LinearMemory::backward_input(i64 rows) const {
  i64 adapters = 0;
  for (const auto& a : e_.adapters) adapters = std::max(adapters, bytes(rows * a.rank) + scaled_b(a));
  return bytes(e_.scaled_weight) + adapters;
}

// ---- blocks

AttentionShape attention_shape(const TowerShape& t, bool windowed) {
  return {.heads = t.heads,
          .kv_heads = t.kv_heads,
          .width = t.head_width,
          .causal = t.causal,
          .window = windowed && t.causal ? t.window : 0};
}

TowerMemory::TowerMemory(const TowerShape& t, Blocks blocks, const PackedSequences& whole,
                         const PackedSequences& windows, const Cuts& cuts, std::span<const i64> prefixes,
                         DType dtype, int threads)
    : t_(t), cuts_(cuts), dtype_(dtype), threads_(threads), paper_(0, narrow<int>(cuts.ranks())) {
  static const BlockExtras kNone{};
  std::map<std::pair<AttentionKind, bool>, const AttentionStrategy*> made;
  const i64 count = static_cast<i64>(blocks.kinds.size());
  for (i64 i = 0; i < count; ++i) {
    const auto b = static_cast<std::size_t>(i);
    const AttentionKind kind = blocks.kinds[b];
    const bool windowed = t.is_windowed(i);
    const AttentionStrategy*& attention = made[{kind, windowed}];
    if (attention == nullptr) {
      strategies_.push_back(make_attention(kind, attention_shape(t, windowed),
                                           {windowed && !t.causal ? windows : whole, cuts, prefixes}, paper_,
                                           t.name));
      attention = strategies_.back().get();
    }
    const BlockExtras& extras =
        t.extras_of.empty() ? kNone : t.extras[static_cast<std::size_t>(t.extras_of[b])];
    const bool backward = i >= count - blocks.backward;
    const auto same = std::find_if(classes_.begin(), classes_.end(), [&](const Class& c) {
      return c.attention == attention && c.extras == &extras && c.backward == backward;
    });
    if (same == classes_.end()) {
      classes_.push_back({attention, &extras, backward, 1});
    } else {
      ++same->count;
    }
  }
}

i64 TowerMemory::saved(i64 rank) const {
  i64 sum = 0;
  for (const Class& c : classes_) sum += c.count * saved_by(c, rank);
  return sum;
}

i64 TowerMemory::forward(i64 rank) const {
  i64 most = 0;
  for (const Class& c : classes_) most = std::max(most, forward_of(c, rank));
  return most;
}

i64 TowerMemory::backward(i64 rank) const {
  i64 most = 0;
  for (const Class& c : classes_) {
    if (c.backward) most = std::max(most, backward_of(c, rank));
  }
  return most;
}

i64 TowerMemory::saved_by(const Class& c, i64 rank) const {
  const i64 rows = cuts_.rows(rank), norm = t_.norm_statistics * bytes(rows);
  const i64 projection = c.attention->keeps_projection() ? bytes(rows * t_.projection()) : 0;
  const i64 attention = bytes(rows * t_.width) + bytes(rows * result()) + norm + projection +
                        c.attention->memory(rank, dtype_, threads_).saved;
  const i64 mlp = bytes(rows * t_.width) + norm + bytes(rows * t_.mlp_input());
  if (!has_qk_norms()) return attention + mlp;
  return attention + mlp + bytes(rows * result()) + bytes(rows * t_.q_norm_statistics) +
         bytes(rows * t_.kv_heads * t_.head_width) + bytes(rows * t_.k_norm_statistics);
}

i64 TowerMemory::forward_of(const Class& c, i64 rank) const {
  const i64 rows = cuts_.rows(rank), chunk = std::min(rows, kMlpRows);
  const BlockExtras& e = *c.extras;
  const i64 attention =
      bytes(rows * t_.width) + (c.attention->keeps_projection() ? 0 : bytes(rows * t_.projection())) +
      std::max({linear(e.qkv).forward(rows), has_qk_norms() ? bytes(rows * result()) : 0,
                c.attention->memory(rank, dtype_, threads_).forward, linear(e.out).forward(rows)});
  if (rows == 0) return attention;
  const i64 mlp = bytes(chunk * t_.width) + bytes(chunk * t_.intermediate) +
                  std::max(linear(e.up).forward(chunk), linear(e.down).forward(chunk));
  return std::max(attention, mlp);
}

i64 TowerMemory::backward_of(const Class& c, i64 rank) const {
  const i64 rows = cuts_.rows(rank), chunk = std::min(rows, kMlpRows);
  const BlockExtras& e = *c.extras;
  const auto both = [&](const LinearExtras& layer, i64 n) {
    return std::max(linear(layer).backward_weight(n), linear(layer).backward_input(n));
  };
  const i64 mlp = 2 * bytes(chunk * t_.intermediate) +
                  std::max(both(e.down, chunk), bytes(chunk * t_.width) + both(e.up, chunk));
  const i64 of_result = bytes(rows * result()) +
                        std::max(both(e.out, rows), c.attention->memory(rank, dtype_, threads_).backward);
  const i64 attention =
      bytes(rows * t_.projection()) + std::max({of_result, has_qk_norms() ? 2 * bytes(rows * result()) : 0,
                                                bytes(rows * t_.width) + both(e.qkv, rows)});
  return rows == 0 ? attention : std::max(mlp, attention);
}

}  // namespace longsight::parallel
