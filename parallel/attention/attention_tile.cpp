#include "parallel/attention/attention_tile.h"

#include <algorithm>

#include "parallel/attention/attention_spans.h"

namespace longsight::parallel {

std::vector<Piece> pieces_of(const std::vector<RowRange>& ranges) {
  std::vector<Piece> pieces;
  i64 first = 0;
  for (const RowRange& range : ranges) {
    pieces.push_back({range, first});
    first += range.rows();
  }
  return pieces;
}

i64 rows_of(const std::vector<RowRange>& ranges) {
  i64 rows = 0;
  for (const RowRange& range : ranges) rows += range.rows();
  return rows;
}

i64 place_in(const std::vector<Piece>& pieces, i64 row) {
  const auto found = std::find_if(pieces.begin(), pieces.end(), [&](const Piece& piece) {
    return piece.rows.begin <= row && row < piece.rows.end;
  });
  check(found != pieces.end(), "row {} is in none of {} pieces", row, pieces.size());
  return found->first + row - found->rows.begin;
}

std::vector<RowRange> joined(std::vector<RowRange> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](RowRange a, RowRange b) { return a.begin < b.begin; });
  std::vector<RowRange> all;
  for (const RowRange& range : ranges) {
    if (range.rows() == 0) continue;
    if (!all.empty() && range.begin <= all.back().end) {
      all.back().end = std::max(all.back().end, range.end);
    } else {
      all.push_back(range);
    }
  }
  return all;
}

RowRange common_rows(RowRange a, RowRange b) {
  const RowRange both{std::max(a.begin, b.begin), std::min(a.end, b.end)};
  return both.begin < both.end ? both : RowRange{};
}

std::optional<AttentionTile> attention_tile(const AttentionShape& shape, const AttentionStream& stream,
                                            Piece queries, Piece keys) {
  const RowRange seen = common_rows(needed_keys(shape, stream, queries.rows), keys.rows);
  if (seen.rows() == 0) return std::nullopt;
  const i64 k = keys.first + seen.begin - keys.rows.begin;
  return AttentionTile{.q = {queries.first, queries.first + queries.rows.rows()},
                       .k = {k, k + seen.rows()},
                       .spans = attention_spans(shape, stream, queries.rows, seen)};
}

}  // namespace longsight::parallel
