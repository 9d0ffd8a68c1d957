// Strided views: a matrix whose rows lie `stride` elements apart, and the heads of an attention projection in
// it.
#pragma once

#include "runtime/tensor/tensor.h"

namespace longsight {

// [rows, cols]; a Tensor is the case stride = cols. A column range is how q, k and v share one buffer.
struct Matrix {
  Matrix() = default;
  Matrix(const Tensor& x)  // NOLINT: implicit, every tensor is a matrix [rows, row_size]
      : Matrix(x.data(), x.dtype(), x.rows(), x.row_size(), x.row_size(), x.backend()) {}
  Matrix(void* memory, DType type, i64 row_count, i64 col_count, i64 row_stride, Backend where)
      : data(memory), dtype(type), backend(where), rows(row_count), cols(col_count), stride(row_stride) {}

  explicit operator bool() const { return data != nullptr; }

  Matrix columns(i64 first, i64 count) const {
    check(first >= 0 && count >= 0 && first + count <= cols, "columns {} to {} of {}", first, first + count,
          cols);
    return {static_cast<std::byte*>(data) + first * size_of(dtype), dtype, rows, count, stride, backend};
  }
  Matrix row_range(i64 first, i64 count) const {
    check(first >= 0 && count >= 0 && first + count <= rows, "rows {} to {} of {}", first, first + count,
          rows);
    return {
        static_cast<std::byte*>(data) + first * stride * size_of(dtype), dtype, count, cols, stride, backend};
  }
  template <class T>
  T* host() const {  // as Tensor::host
    check(dtype_of<T>() == dtype && host_computes(backend), "a {} matrix of {} read as {} of the host",
          name_of(dtype), name_of(backend), name_of(dtype_of<T>()));
    return static_cast<T*>(data);
  }

  void* data = nullptr;
  DType dtype = DType::F32;
  Backend backend = Backend::host;
  i64 rows = 0;
  i64 cols = 0;
  i64 stride = 0;
};

// [T, heads, width] seen through a matrix: head h of row t begins at t * stride + h * width.
struct Heads {
  Heads() = default;
  Heads(const Tensor& x)
      : matrix(x), heads(x.extent(1)), width(x.extent(2)) {}  // NOLINT: implicit, x is [T, H, D]
  Heads(Matrix m, i64 head_count, i64 head_width) : matrix(m), heads(head_count), width(head_width) {
    check(m.cols == head_count * head_width, "{} columns are not {} heads of {}", m.cols, head_count,
          head_width);
  }
  i64 rows() const { return matrix.rows; }
  Heads range(i64 first, i64 count) const {
    return {matrix.columns(first * width, count * width), count, width};
  }

  Matrix matrix;
  i64 heads = 0;
  i64 width = 0;
};

}  // namespace longsight
