// Private to executors for CUDA: tensors as what kernels read and write, in packs of 16 bytes where they
// may be.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "runtime/device/lanes/launch.h"
#include "runtime/tensor/index_list.h"
#include "runtime/tensor/matrix.h"

namespace longsight::lanes {

// The elements, of memory that a GPU may touch; T must be the dtype.
template <class T>
T* elements(const Tensor& x) {
  check(dtype_of<std::remove_const_t<T>>() == x.dtype() && x.backend() == Backend::cuda,
        "a {} tensor of {} read as {} of a GPU", name_of(x.dtype()), name_of(x.backend()),
        name_of(dtype_of<std::remove_const_t<T>>()));
  return static_cast<T*>(x.data());
}
// The same of a tensor that may be empty.
template <class T>
T* elements_or_null(const Tensor& x) {
  return x ? elements<T>(x) : nullptr;
}

// A matrix by its rows.
template <class T>
struct Rows {
  Rows() = default;
  explicit Rows(const Matrix& x) : data(static_cast<T*>(x.data)), stride(x.stride) {
    check(!x || (dtype_of<std::remove_const_t<T>>() == x.dtype && x.backend == Backend::cuda),
          "a {} matrix of {} read as {} of a GPU", name_of(x.dtype), name_of(x.backend),
          name_of(dtype_of<std::remove_const_t<T>>()));
  }
  LANE_FN T* at(i64 row, i64 column) const { return data + row * stride + column; }
  LANE_FN explicit operator bool() const { return data != nullptr; }

  T* data = nullptr;
  i64 stride = 0;
};

// Elements of T in 16 bytes.
template <class T>
inline constexpr int kPack = static_cast<int>(16 / sizeof(T));

// Whether packs of so many neighbours begin where they may be moved at once, in each row of all operands (of
// one row, the stride says nothing): at a multiple of 16 bytes, or of the whole pack where it is smaller.
inline bool packs_begin_well(int pack, i64 rows, std::initializer_list<Matrix> operands) {
  return std::all_of(operands.begin(), operands.end(), [&](const Matrix& x) {
    const i64 bytes = std::min<i64>(16, pack * size_of(x.dtype));
    return !x || (reinterpret_cast<std::uintptr_t>(x.data) % static_cast<std::uintptr_t>(bytes) == 0 &&
                  (rows == 1 || x.stride * size_of(x.dtype) % bytes == 0));
  });
}

// Calls f with the number of elements of a pack: those of 16 bytes of T where rows of all operands are whole
// packs, else one.
template <class T, class F>
void with_pack(i64 columns, std::initializer_list<Matrix> operands, F&& f) {
  if (columns % kPack<T> == 0 && packs_begin_well(kPack<T>, 0, operands)) {
    f(std::integral_constant<int, kPack<T>>());
  } else {
    f(std::integral_constant<int, 1>());
  }
}

// a / b of what is not negative: a division of 64 bits takes a GPU several times as long as one of 32.
LANE_FN i64 quotient(i64 a, i64 b) {
  constexpr i64 kSmall = i64{1} << 32;
  if (a >= kSmall || b >= kSmall) return a / b;
  return static_cast<i64>(static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b));
}

// Runs f(row, first column) for each pack of N elements of columns [first, first + columns) of all rows.
template <int N, class F>
struct EachPack {
  static constexpr int kMostThreads = lanes::kItemThreads;
  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    const i64 packs = columns / N, items = rows * packs, step = lane.blocks() * lane.threads();
    for (i64 i = lane.block() * lane.threads() + lane.thread(); i < items; i += step) {
      const i64 row = rows == 1 ? 0 : quotient(i, packs);
      f(row, first + (i - row * packs) * N);
    }
  }
  i64 rows, first, columns;
  F f;
};

// Element-wise work on operands of [rows, columns]: make(pack) gives the f of EachPack for packs of as many
// elements. Operands without gaps are one row, of which what whole packs leave over is done apart.
template <class T, class Make>
void each_pack(const char* kernel, Stream stream, i64 rows, i64 columns,
               std::initializer_list<Matrix> operands, Make&& make) {
  const bool dense = std::all_of(operands.begin(), operands.end(), [&](const Matrix& x) {
    return !x || (x.cols == columns && x.stride == columns);
  });
  if (dense && rows > 0) {
    columns = checked_mul(columns, rows);
    rows = 1;
  }
  const auto queue = [&](i64 first, i64 count, auto pack) {
    constexpr int kElements = decltype(pack)::value;
    const auto f = make(pack);
    launch(kernel, stream, grid_of_items(rows * (count / kElements)),
           EachPack<kElements, std::remove_const_t<decltype(f)>>{rows, first, count, f});
  };
  constexpr std::integral_constant<int, kPack<T>> kWhole;
  constexpr std::integral_constant<int, 1> kSingle;
  const bool well = packs_begin_well(kPack<T>, rows, operands);
  const i64 rest = columns % kPack<T>;
  if (!well || (rest != 0 && rows != 1)) return queue(0, columns, kSingle);
  queue(0, columns - rest, kWhole);
  queue(columns - rest, rest, kSingle);
}

}  // namespace longsight::lanes
