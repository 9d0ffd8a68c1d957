#include "runtime/tensor/index_list.h"

#include "runtime/base/error.h"

namespace longsight {

IndexList::IndexList(std::vector<i64> values, i64 limit, std::string_view what)
    : size_(static_cast<i64>(values.size())), limit_(limit) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    check(values[i] >= 0 && values[i] < limit, "{}: index {} of {} is {}, but there are {}", what, i,
          values.size(), values[i], limit);
  }
  values_ = std::move(values);
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
  return mine(values_.host());
}

std::span<const i64> IndexList::on(Stream stream) const {
  return mine(size_ == 0 ? std::span<const i64>() : values_.on(stream));
}

std::span<const i64> IndexList::mine(std::span<const i64> values) const {
  if (size_ == 0) return {};
  check(!values.empty(), "{} indices of a trace are read", size_);
  return values.subspan(static_cast<std::size_t>(first_), static_cast<std::size_t>(size_));
}

}  // namespace longsight
