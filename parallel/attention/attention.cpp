#include "parallel/attention/attention.h"

#include <cmath>

namespace longsight::parallel {

double AttentionShape::scale() const {
  return 1 / std::sqrt(static_cast<double>(width));
}

namespace {

void check_stream(const AttentionShape& shape, const AttentionStream& stream, const std::string& label) {
  const PackedSequences& sequences = stream.sequences;
  check(sequences.rows() == stream.cuts.total(), "{} sequences of {} rows in a stream of {}", label,
        sequences.rows(), stream.cuts.total());
  check(shape.window >= 0 && (shape.causal || (shape.window == 0 && stream.prefixes.empty())),
        "{} attention is {} and has a window of {} and {} prefixes", label,
        shape.causal ? "causal" : "not causal", shape.window, stream.prefixes.size());
  if (stream.prefixes.empty()) return;
  check(static_cast<i64>(stream.prefixes.size()) == sequences.count(), "{} prefixes for {} {} sequences",
        stream.prefixes.size(), sequences.count(), label);
  for (std::size_t s = 0; s < stream.prefixes.size(); ++s) {
    const i64 rows = sequences.starts[s + 1] - sequences.starts[s];
    check(stream.prefixes[s] >= 0 && stream.prefixes[s] <= rows,
          "{} sequence {} of {} rows has a prefix of {}", label, s, rows, stream.prefixes[s]);
  }
}

}  // namespace

std::unique_ptr<AttentionStrategy> make_attention(AttentionKind kind, const AttentionShape& shape,
                                                  const AttentionStream& stream, i64 rank,
                                                  const std::string& label) {
  check_stream(shape, stream, label);
  check(rank >= 0 && rank < stream.cuts.ranks(), "{} attention of rank {} of {}", label, rank,
        stream.cuts.ranks());
  return strategy_of(kind).make(shape, stream, rank, label);
}

}  // namespace longsight::parallel
