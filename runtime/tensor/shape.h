// The extents of a tensor, up to five; rank 0 is a scalar of one element.
#pragma once

#include <array>
#include <initializer_list>
#include <span>
#include <string>

#include "runtime/base/number.h"

namespace longsight {

class Shape {
 public:
  static constexpr int kMaxRank = 5;

  Shape() = default;
  Shape(std::initializer_list<i64> extents) : Shape(std::span<const i64>(extents.begin(), extents.size())) {}
  explicit Shape(std::span<const i64> extents);

  int rank() const { return rank_; }
  i64 operator[](int axis) const;  // negative axes count from the back
  i64 elements() const;            // product of the extents, 1 for a scalar
  std::span<const i64> extents() const { return {extents_.data(), static_cast<std::size_t>(rank_)}; }
  std::string text() const;  // "[2, 3]"

  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::array<i64, kMaxRank> extents_{};
  int rank_ = 0;
};

}  // namespace longsight

// Written out only where a message is: checks stand on every path.
template <>
struct fmt::formatter<longsight::Shape> : fmt::formatter<fmt::string_view> {
  template <class Context>
  auto format(const longsight::Shape& shape, Context& context) const {
    return fmt::formatter<fmt::string_view>::format(shape.text(), context);
  }
};
