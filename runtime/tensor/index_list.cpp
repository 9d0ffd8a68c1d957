#include "runtime/tensor/index_list.h"

#include "runtime/base/error.h"

namespace longsight {

IndexList::IndexList(std::vector<i64> values, i64 limit, std::string_view what)
    : size_(static_cast<i64>(values.size())), limit_(limit) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    check(values[i] >= 0 && values[i] < limit, "{}: index {} of {} is {}, but there are {}", what, i,
          values.size(), values[i], limit);
  }
  values_ = std::make_shared<const std::vector<i64>>(std::move(values));
}

IndexList IndexList::counted(i64 size, i64 limit) {
  check(size >= 0 && limit >= 0, "a list of {} indices below {}", size, limit);
  IndexList list;
  list.size_ = size;
  list.limit_ = limit;
  return list;
}

IndexList IndexList::range(i64 first, i64 count) const {
  check(first >= 0 && count >= 0 && first + count <= size_, "indices {} to {} of {}", first, first + count,
        size_);
  IndexList part = *this;
  part.first_ += first;
  part.size_ = count;
  return part;
}

std::span<const i64> IndexList::host() const {
  if (size_ == 0) return {};
  check(values_ != nullptr, "{} indices of a trace are read", size_);
  return std::span(*values_).subspan(static_cast<std::size_t>(first_), static_cast<std::size_t>(size_));
}

}  // namespace longsight
