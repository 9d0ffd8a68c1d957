// Rows that have to lie in another order than the one in which they came.
#pragma once

#include <vector>

#include "runtime/ops/rows.h"
#include "runtime/tensor/matrix.h"

namespace longsight::parallel {

// Rows [from, from + rows) of one order are rows [to, to + rows) of the other.
struct RowMove {
  i64 from = 0;
  i64 to = 0;
  i64 rows = 0;
};

// Between two orders of the same rows; none where they are the same.
class RowMoves {
 public:
  void add(RowMove move) {
    differ_ = differ_ || move.from != move.to;
    moves_.push_back(move);
  }
  bool empty() const { return !differ_; }

  void forth(Matrix to, Matrix from, Stream stream) const {
    for (const RowMove& m : moves_)
      ops::copy_matrix(to.row_range(m.to, m.rows), from.row_range(m.from, m.rows), stream);
  }
  void back(Matrix from, Matrix to, Stream stream) const {
    for (const RowMove& m : moves_)
      ops::copy_matrix(from.row_range(m.from, m.rows), to.row_range(m.to, m.rows), stream);
  }

 private:
  std::vector<RowMove> moves_;
  bool differ_ = false;
};

}  // namespace longsight::parallel
