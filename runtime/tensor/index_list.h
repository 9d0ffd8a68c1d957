// Row numbers that ops move and look up by: a value, checked once when it is made, not at every op. Copies
// share the numbers.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "runtime/tensor/shared_list.h"

namespace longsight {

class IndexList {
 public:
  IndexList() = default;  // of no rows
  // Throws internal, beginning with `what`, unless each value is in [0, limit).
  IndexList(std::vector<i64> values, i64 limit, std::string_view what);
  // Of a trace that knows how many there are, and not which.
  static IndexList counted(i64 size, i64 limit);

  i64 size() const { return size_; }
  i64 limit() const { return limit_; }  // every value is below it
  IndexList range(i64 first, i64 count) const;

  // The values, for the host's executors and tests; throws for a list that is only counted.
  std::span<const i64> host() const;
  // The values where the work of the stream finds them (SharedList::on); throws likewise.
  std::span<const i64> on(Stream) const;
  const SharedList<i64>& values() const { return values_; }  // of which this is a range

 private:
  std::span<const i64> mine(std::span<const i64> values) const;

  SharedList<i64> values_;
  i64 first_ = 0;
  i64 size_ = 0;
  i64 limit_ = 0;
};

}  // namespace longsight
