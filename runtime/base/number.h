// Integer arithmetic that throws where C++ would truncate, wrap or round in silence; and a NaN to print.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "runtime/base/error.h"

namespace longsight {

using i64 = std::int64_t;
using u64 = std::uint64_t;

inline i64 ceil_div(i64 a, i64 b) {
  check(a >= 0 && b > 0, "ceil_div({}, {})", a, b);
  return a / b + (a % b != 0);
}

inline i64 exact_div(i64 a, i64 b) {
  check(b != 0 && a % b == 0, "{} is not a multiple of {}", a, b);
  return a / b;
}

inline i64 checked_mul(i64 a, i64 b) {
  i64 product = 0;
  check(!__builtin_mul_overflow(a, b, &product), "{} x {} does not fit in 64 bits", a, b);
  return product;
}

// The same value in a smaller type, or an error: narrow<int>(count) before an MPI count.
template <class To, class From>
To narrow(From value) {
  const To result = static_cast<To>(value);
  check(static_cast<From>(result) == value && ((result < To{}) == (value < From{})),
        "{} does not fit in {} bits", value, sizeof(To) * 8);
  return result;
}

// A NaN loses its sign, which says nothing and would be printed: "-nan".
inline double without_nan_sign(double value) {
  return std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value;
}

}  // namespace longsight
