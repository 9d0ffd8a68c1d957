// Elements that each rank of a group sends to each rank, known to all of them: the shape of one all-to-all.
#pragma once

#include <vector>

#include "runtime/base/number.h"

namespace longsight::parallel {

class CountMatrix {
 public:
  explicit CountMatrix(i64 ranks) : ranks_(ranks), counts_(static_cast<std::size_t>(ranks * ranks)) {}

  i64 ranks() const { return ranks_; }
  i64& at(i64 from, i64 to) { return counts_[static_cast<std::size_t>(from * ranks_ + to)]; }
  i64 at(i64 from, i64 to) const { return counts_[static_cast<std::size_t>(from * ranks_ + to)]; }
  const std::vector<i64>& all() const { return counts_; }  // row by row, [from, to]

  std::vector<i64> sent_by(i64 rank) const;      // to each rank
  std::vector<i64> received_by(i64 rank) const;  // from each rank
  i64 total_sent_by(i64 rank) const;
  i64 total_received_by(i64 rank) const;
  CountMatrix transposed() const;        // the way back
  CountMatrix times(i64 columns) const;  // rows to elements

 private:
  i64 ranks_;
  std::vector<i64> counts_;
};

}  // namespace longsight::parallel
