#include "parallel/count_matrix.h"

#include <numeric>

namespace longsight::parallel {

std::vector<i64> CountMatrix::sent_by(i64 rank) const {
  return {counts_.begin() + rank * ranks_, counts_.begin() + (rank + 1) * ranks_};
}

std::vector<i64> CountMatrix::received_by(i64 rank) const {
  return transposed().sent_by(rank);
}

i64 CountMatrix::total_sent_by(i64 rank) const {
  const auto counts = sent_by(rank);
  return std::accumulate(counts.begin(), counts.end(), i64{0});
}

i64 CountMatrix::total_received_by(i64 rank) const {
  return transposed().total_sent_by(rank);
}

CountMatrix CountMatrix::transposed() const {
  CountMatrix result(ranks_);
  for (i64 from = 0; from < ranks_; ++from) {
    for (i64 to = 0; to < ranks_; ++to) result.at(to, from) = at(from, to);
  }
  return result;
}

CountMatrix CountMatrix::times(i64 columns) const {
  CountMatrix result = *this;
  for (i64& count : result.counts_) count = checked_mul(count, columns);
  return result;
}

}  // namespace longsight::parallel
