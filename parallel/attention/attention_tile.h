// Queries and keys that each are one range of the stream: what the kernels work on at once. Rows of a rank
// that are several ranges make several tiles.
#pragma once

#include <optional>
#include <vector>

#include "parallel/attention/attention.h"
#include "runtime/ops/attention.h"

namespace longsight::parallel {

// Rows of the stream, and where they begin in a matrix.
struct Piece {
  RowRange rows;
  i64 first = 0;
};
// Of a matrix that holds the ranges end to end.
std::vector<Piece> pieces_of(const std::vector<RowRange>& ranges);
i64 rows_of(const std::vector<RowRange>& ranges);
// Where one of the pieces holds a row of the stream; throws where none does.
i64 place_in(const std::vector<Piece>&, i64 row);
// The same rows as ranges that ascend and neither touch nor overlap, none of them empty.
std::vector<RowRange> joined(std::vector<RowRange> ranges);
RowRange common_rows(RowRange a, RowRange b);  // {} where there are none

struct AttentionTile {
  RowRange q, k;  // rows of the matrices
  std::vector<ops::AttentionSpan> spans;
};

// All queries, and of the keys those that any of them sees; nothing where that is none.
std::optional<AttentionTile> attention_tile(const AttentionShape&, const AttentionStream&, Piece queries,
                                            Piece keys);

}  // namespace longsight::parallel
