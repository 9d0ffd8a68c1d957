// Tensors for the tests of ops, and a backward compared with central differences of its forward, in f64.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <omp.h>

#include "runtime/base/philox.h"
#include "runtime/device/stream.h"
#include "runtime/tensor/matrix.h"

namespace longsight {

constexpr Stream kStream{};  // the host's

// A matrix whose rows lie `gap` elements apart, with guard values in the gaps, before and behind.
class GuardedMatrix {
 public:
  GuardedMatrix(DType dtype, i64 rows, i64 cols, i64 gap = 3)
      : storage_(dtype, {kGuard + rows * (cols + gap) + kGuard}),
        matrix_(static_cast<std::byte*>(storage_->data()) + kGuard * size_of(dtype), dtype, rows, cols,
                cols + gap, Backend::host) {
    for_each([this](i64 i, auto* data) { data[i] = inside(i) ? 0 : kValue; });
  }
  operator Matrix() const { return matrix_; }  // NOLINT: implicit by design
  const Matrix& view() const { return matrix_; }

  // Normal random elements, rounded to f32, so that the f32 and the f64 matrix of one name are the same.
  GuardedMatrix& randomise(std::string_view name, double magnitude = 1) {
    const Philox random(11, name);
    u64 drawn = 0;
    for_each([&](i64 i, auto* data) {
      if (inside(i)) data[i] = static_cast<float>(magnitude * random.normal(drawn++));
    });
    return *this;
  }
  GuardedMatrix& fill(double value) {
    for_each([&](i64 i, auto* data) {
      if (inside(i)) data[i] = static_cast<std::remove_pointer_t<decltype(data)>>(value);
    });
    return *this;
  }
  bool guards_intact() const {
    bool intact = true;
    for_each([&](i64 i, auto* data) { intact = intact && (inside(i) || data[i] == kValue); });
    return intact;
  }
  double at(i64 row, i64 col) const {
    double value = 0;
    for_each([&](i64 i, auto* data) {
      if (i == kGuard + row * matrix_.stride + col) value = static_cast<double>(data[i]);
    });
    return value;
  }
  // The elements without gaps.
  std::vector<double> values() const {
    std::vector<double> all;
    for_each([&](i64 i, auto* data) {
      if (inside(i)) all.push_back(static_cast<double>(data[i]));
    });
    return all;
  }

 private:
  static constexpr i64 kGuard = 32;
  static constexpr int kValue = 12352;  // exact in bf16

  bool inside(i64 i) const {
    const i64 p = i - kGuard;
    return p >= 0 && p < matrix_.rows * matrix_.stride && p % matrix_.stride < matrix_.cols;
  }
  template <class F>
  void for_each(F&& f) const {
    dispatch(matrix_.dtype, [&](auto zero) {
      auto* data = storage_->host<decltype(zero)>();
      for (i64 i = 0; i < storage_->elements(); ++i) f(i, data);
    });
  }

  OwnedTensor storage_;
  Matrix matrix_;
};

inline void fill_random(const Tensor& x, std::string_view name, double magnitude = 1, double mean = 0) {
  const Philox random(12, name);
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (i64 i = 0; i < x.elements(); ++i) {
      x.host<T>()[i] = static_cast<float>(mean + magnitude * random.normal(static_cast<u64>(i)));
    }
  });
}

inline OwnedTensor random_tensor(DType dtype, Shape shape, std::string_view name, double magnitude = 1,
                                 double mean = 0) {
  OwnedTensor x(dtype, shape);
  fill_random(x, name, magnitude, mean);
  return x;
}

inline std::vector<double> values_of(const Tensor& x) {
  std::vector<double> all(static_cast<std::size_t>(x.elements()));
  dispatch(x.dtype(), [&](auto zero) { std::copy_n(x.host<decltype(zero)>(), x.elements(), all.begin()); });
  return all;
}

// max |a - b| over max |b|; the whole tensor is one scale, as rounding is.
inline double relative_error(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double error = 0, size = 1e-300;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i])) return INFINITY;
    error = std::max(error, std::fabs(a[i] - b[i]));
    size = std::max(size, std::fabs(b[i]));
  }
  return error / size;
}

// Compares `gradient` (of f at x) with (f(x + h) - f(x - h)) / 2h in every element. f reads x and returns the
// scalar product of the forward result with a random upstream gradient, in f64. With h = 1e-4 the differences
// are right to h^2 f''' / 6, about 1e-8 of the gradient's scale here, and to the rounding of f, 1e-16 * |f| /
// h = 1e-11 for the sizes used here. A wrong term is of the order of the gradient itself.
template <class F>
void check_gradient(std::string_view what, Matrix x, Matrix gradient, F&& f, double tolerance = 1e-7) {
  constexpr double kStep = 1e-4;
  std::vector<double> numeric, analytic;
  for (i64 r = 0; r < x.rows; ++r) {
    for (i64 c = 0; c < x.cols; ++c) {
      double& element = x.host<double>()[r * x.stride + c];
      const double kept = element;
      element = kept + kStep;
      const double above = f();
      element = kept - kStep;
      const double below = f();
      element = kept;
      numeric.push_back((above - below) / (2 * kStep));
      analytic.push_back(gradient.host<double>()[r * gradient.stride + c]);
    }
  }
  INFO(what);
  CHECK(relative_error(analytic, numeric) < tolerance);
}

inline double scalar_product(Matrix a, Matrix b) {
  double sum = 0;
  for (i64 r = 0; r < a.rows; ++r) {
    for (i64 c = 0; c < a.cols; ++c)
      sum += a.host<double>()[r * a.stride + c] * b.host<double>()[r * b.stride + c];
  }
  return sum;
}

// Runs f(), which returns numbers, with 1, 2, 3 and 5 threads: the bits must be the same.
template <class F>
void check_same_bits_for_every_thread_count(F&& f) {
  const int before = omp_get_max_threads();
  std::vector<double> first;
  for (const int threads : {1, 2, 3, 5}) {
    omp_set_num_threads(threads);
    const std::vector<double> values = f();
    if (threads == 1) {
      first = values;
      CHECK(std::any_of(first.begin(), first.end(), [](double v) { return v != 0; }));
    }
    INFO("threads: " << threads);
    REQUIRE(values.size() == first.size());
    CHECK(std::memcmp(values.data(), first.data(), values.size() * sizeof(double)) == 0);
  }
  omp_set_num_threads(before);
}

}  // namespace longsight
