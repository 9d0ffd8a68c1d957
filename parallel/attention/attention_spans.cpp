#include "parallel/attention/attention_spans.h"

#include <algorithm>

namespace longsight::parallel {
namespace {

i64 prefix_of(const AttentionStream& stream, i64 sequence) {
  return stream.prefixes.empty() ? 0 : stream.prefixes[static_cast<std::size_t>(sequence)];
}

// Calls f(rank, sequence, first, last) for the rows [first, last) of each sequence that lie in each piece of
// the stream, piece by piece.
template <class F>
void for_overlaps(const PackedSequences& sequences, const Cuts& cuts, F&& f) {
  i64 s = 0;
  for (i64 p = 0; p < cuts.pieces(); ++p) {
    const auto [begin, end] = cuts.piece(p);
    for (; s < sequences.count(); ++s) {
      const i64 first = sequences.starts[static_cast<std::size_t>(s)],
                last = sequences.starts[static_cast<std::size_t>(s) + 1];
      if (first >= end) break;
      if (last > begin) f(cuts.owner_of_piece(p), s, std::max(first, begin), std::min(last, end));
      if (last >= end) break;
    }
  }
}

}  // namespace

std::vector<ops::AttentionSpan> attention_spans(const AttentionShape& shape, const AttentionStream& stream,
                                                RowRange queries, RowRange keys) {
  std::vector<ops::AttentionSpan> spans;
  for (i64 s = 0; s < stream.sequences.count(); ++s) {
    const i64 first = stream.sequences.starts[static_cast<std::size_t>(s)];
    const i64 last = stream.sequences.starts[static_cast<std::size_t>(s) + 1];
    const RowRange q{std::max(first, queries.begin), std::min(last, queries.end)};
    if (q.begin >= q.end) continue;
    const RowRange k{std::clamp(first, keys.begin, keys.end), std::clamp(last, keys.begin, keys.end)};
    const i64 skipped = std::max<i64>(0, k.begin - first);  // of a prefix, too
    spans.push_back({.q_begin = q.begin - queries.begin,
                     .q_rows = q.end - q.begin,
                     .k_begin = k.begin - keys.begin,
                     .k_rows = k.end - k.begin,
                     .diagonal = q.begin - k.begin,
                     .causal = shape.causal,
                     .window = shape.window,
                     .prefix = std::max<i64>(0, prefix_of(stream, s) - skipped)});
  }
  return spans;
}

ops::AttentionProblem some_heads(const AttentionShape& shape, const HeadRange& heads,
                                 std::span<const ops::AttentionSpan> spans) {
  return {
      .spans = spans,
      .heads = {.first_q = heads.first_q, .group = shape.heads / shape.kv_heads, .first_kv = heads.first_kv},
      .scale = shape.scale()};
}

ops::AttentionProblem all_heads(const AttentionShape& shape, std::span<const ops::AttentionSpan> spans) {
  return some_heads(shape, head_range(shape.heads, shape.kv_heads, 1, 0), spans);
}

RowRange needed_keys(const AttentionShape& shape, const AttentionStream& stream, RowRange queries) {
  if (queries.begin == queries.end) return {queries.begin, queries.begin};
  const auto& starts = stream.sequences.starts;
  // The sequences of the first and the last query.
  const i64 first =
      static_cast<i64>(std::upper_bound(starts.begin(), starts.end(), queries.begin) - starts.begin()) - 1;
  const i64 last =
      static_cast<i64>(std::lower_bound(starts.begin(), starts.end(), queries.end) - starts.begin()) - 1;
  RowRange keys{starts[static_cast<std::size_t>(first)], starts[static_cast<std::size_t>(last) + 1]};
  if (!shape.causal) return keys;
  // A prefix lies at the head of the sequence: with one, all that lies between is fetched too.
  if (shape.window > 0 && prefix_of(stream, first) == 0)
    keys.begin = std::max(keys.begin, queries.begin - shape.window + 1);
  keys.end = std::max(queries.end, starts[static_cast<std::size_t>(last)] + prefix_of(stream, last));
  return keys;
}

std::vector<double> attention_pairs(const PackedSequences& sequences, const Cuts& cuts, bool causal,
                                    i64 window, std::span<const i64> prefixes) {
  std::vector<double> pairs(static_cast<std::size_t>(cuts.ranks()), 0.0);
  for_overlaps(sequences, cuts, [&](i64 rank, i64 s, i64 first, i64 last) {
    const i64 start = sequences.starts[static_cast<std::size_t>(s)],
              end = sequences.starts[static_cast<std::size_t>(s) + 1];
    const ops::AttentionSpan span{.q_rows = last - first,
                                  .k_rows = end - start,
                                  .diagonal = first - start,
                                  .causal = causal,
                                  .window = window,
                                  .prefix = prefixes.empty() ? 0 : prefixes[static_cast<std::size_t>(s)]};
    pairs[static_cast<std::size_t>(rank)] += static_cast<double>(ops::visible_pairs({&span, 1}));
  });
  return pairs;
}

std::vector<double> pairs_of_rows(const AttentionShape& shape, const AttentionStream& stream) {
  std::vector<double> pairs =
      attention_pairs(stream.sequences, stream.cuts, shape.causal, shape.window, stream.prefixes);
  for (double& count : pairs) count *= static_cast<double>(shape.heads);
  return pairs;
}

}  // namespace longsight::parallel
