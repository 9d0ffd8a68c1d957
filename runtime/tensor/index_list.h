// Row numbers that ops move and look up by: a value, checked once when it is made, not at every op. Copies
// share the numbers.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/base/number.h"

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

 private:
  std::shared_ptr<const std::vector<i64>> values_;
  i64 first_ = 0;
  i64 size_ = 0;
  i64 limit_ = 0;
};

}  // namespace longsight
