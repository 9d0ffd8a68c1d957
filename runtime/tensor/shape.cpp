#include "runtime/tensor/shape.h"

#include <fmt/ranges.h>

namespace longsight {

Shape::Shape(std::span<const i64> extents) : rank_(static_cast<int>(extents.size())) {
  check(extents.size() <= kMaxRank, "a tensor has at most {} dimensions, not {}", kMaxRank, extents.size());
  for (std::size_t i = 0; i < extents.size(); ++i) {
    check(extents[i] >= 0, "extent {} of dimension {}", extents[i], i);
    extents_[i] = extents[i];
  }
}

i64 Shape::operator[](int axis) const {
  const int index = axis < 0 ? axis + rank_ : axis;
  check(index >= 0 && index < rank_, "dimension {} of shape {}", axis, *this);
  return extents_[static_cast<std::size_t>(index)];
}

i64 Shape::elements() const {
  i64 product = 1;
  for (i64 extent : extents()) product = checked_mul(product, extent);
  return product;
}

std::string Shape::text() const {
  return fmt::format("[{}]", fmt::join(extents(), ", "));
}

}  // namespace longsight
