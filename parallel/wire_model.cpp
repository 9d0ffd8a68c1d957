#include "parallel/wire_model.h"

#include <algorithm>
#include <numeric>

#include "parallel/head_split.h"

namespace longsight::parallel {
namespace {

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

Wire gather_wire(const std::vector<RowRange>& needed, const Cuts& cuts, i64 row_bytes) {
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

}  // namespace

Wire& Wire::operator+=(const Wire& other) {
  total += other.total;
  fullest += other.fullest;
  messages += other.messages;
  return *this;
}

// ---- attention

std::vector<RowRange> needed_rows(const PackedSequences& sequences, const Cuts& cuts, bool causal, i64 window,
                                  std::span<const i64> prefixes) {
  std::vector<RowRange> needed;
  const auto& starts = sequences.starts;
  for (i64 r = 0; r < cuts.ranks(); ++r) {
    const i64 begin = cuts.begin(r), end = cuts.end(r);
    if (begin == end) {
      needed.push_back({begin, begin});
      continue;
    }
    const auto first = std::upper_bound(starts.begin(), starts.end(), begin) - 1;
    const auto behind = std::lower_bound(starts.begin(), starts.end(), end);
    const auto prefix_of = [&](auto start) {
      return prefixes.empty() ? 0 : prefixes[static_cast<std::size_t>(start - starts.begin())];
    };
    const bool from_window = causal && window > 0 && prefix_of(first) == 0;
    needed.push_back({from_window ? std::max(*first, begin - window + 1) : *first,
                      causal ? std::max(end, *(behind - 1) + prefix_of(behind - 1)) : *behind});
  }
  return needed;
}

AttentionWire attention_wire(const TowerShape& t, AttentionKind kind, const PackedSequences& sequences,
                             const Cuts& cuts, i64 element_bytes, std::span<const i64> prefixes) {
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
      const Wire wire = gather_wire(needed_rows(sequences, cuts, t.causal, t.window, prefixes), cuts,
                                    2 * t.kv_heads * d * element_bytes);
      return {wire, wire};
    }
  }
  fail(ExitCode::internal, "no attention strategy {}", static_cast<int>(kind));
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

std::vector<i64> supervised_by_rank(const BatchShape& batch, const Cuts& language) {
  std::vector<i64> counts(static_cast<std::size_t>(language.ranks()), 0);
  for (const RowRange& range : batch.supervised) {
    for (i64 row = range.begin; row < range.end;) {
      const i64 rank = language.owner(row), until = std::min(range.end, language.end(rank));
      counts[static_cast<std::size_t>(rank)] += until - row;
      row = until;
    }
  }
  return counts;
}

Wire loss_wire(const BatchShape& batch, const Cuts& language, i64 columns, i64 element_bytes) {
  const i64 ranks = language.ranks();
  const std::vector<i64> held = supervised_by_rank(batch, language);
  const Cuts balanced = even_cuts(std::accumulate(held.begin(), held.end(), i64{0}), ranks);
  Wire wire;
  i64 first = 0;  // targets before the rank's range
  for (i64 r = 0; r < ranks; ++r) {
    const i64 last = first + held[static_cast<std::size_t>(r)];
    const i64 kept = std::max<i64>(0, std::min(last, balanced.end(r)) - std::max(first, balanced.begin(r)));
    const i64 sent = last - first - kept, received = balanced.rows(r) - kept;
    wire.total += sent;
    wire.fullest = std::max({wire.fullest, sent, received});
    wire.messages = std::max(wire.messages, std::min(ranks - 1, std::max(sent, received)));
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

}  // namespace longsight::parallel
