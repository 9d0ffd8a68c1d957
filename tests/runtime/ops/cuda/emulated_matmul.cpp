// Stands in for cuBLASLt in tests: computes what the description of a product says, in its column-major
// terms.
#include <cmath>
#include <vector>

#include "runtime/ops/cuda/matmul.h"
#include "runtime/ops/formulas/activation.h"
#include "runtime/tensor/convert.h"

namespace longsight::ops::cuda {
namespace {

double element(const void* data, DType type, i64 at) {
  double value = 0;
  convert(&value, DType::F64, static_cast<const std::byte*>(data) + at * size_of(type), type, 1);
  return value;
}
void write(const MatmulOperand& x, i64 row, i64 col, double value) {
  convert(static_cast<std::byte*>(x.data) + (row + col * x.ld) * size_of(x.type), x.type, &value, DType::F64,
          1);
}
double read(const MatmulOperand& x, bool transposed, i64 row, i64 col) {
  if (transposed) std::swap(row, col);
  check(row < x.rows && col < x.cols, "element ({}, {}) of an operand [{}, {}]", row, col, x.rows, x.cols);
  return element(x.data, x.type, row + col * x.ld);
}
void check_operand(const MatmulOperand& x, i64 rows, i64 cols, const char* name) {
  check(x.data != nullptr && x.rows == rows && x.cols == cols && x.ld >= rows,
        "operand {}: [{}, {}] with {}, not [{}, {}]", name, x.rows, x.cols, x.ld, rows, cols);
}

}  // namespace

void run_matmul(const Matmul& p, Stream) {
  const i64 m = p.m(), n = p.n(), k = p.k();
  check(m > 0 && n > 0 && k > 0, "a product of [{}, {}] over {}", m, n, k);
  check_operand(p.a, p.a_transposed ? k : m, p.a_transposed ? m : k, "a");
  check_operand(p.b, p.b_transposed ? n : k, p.b_transposed ? k : n, "b");
  if (p.c.data != nullptr) check_operand(p.c, m, n, "c");
  check(p.c.data == nullptr || p.c.type == p.d.type, "c is {}, d {}", name_of(p.c.type), name_of(p.d.type));
  check(p.a.type == p.b.type && p.sums == statistics_of(p.a.type), "sums in {} of products of {}",
        name_of(p.sums), name_of(p.a.type));
  // All is read before anything is written: c may be d.
  std::vector<double> results;
  for (i64 col = 0; col < n; ++col) {
    for (i64 row = 0; row < m; ++row) {
      double sum = p.c.data == nullptr ? 0 : read(p.c, false, row, col);
      for (i64 i = 0; i < k; ++i)
        sum += read(p.a, p.a_transposed, row, i) * read(p.b, p.b_transposed, i, col);
      if (p.bias != nullptr) sum += element(p.bias, p.d.type, row);
      results.push_back(sum);
    }
  }
  for (i64 col = 0; col < n; ++col) {
    for (i64 row = 0; row < m; ++row) {
      double result = results[static_cast<std::size_t>(col * m + row)];
      if (p.before_gelu.data != nullptr) {
        write(p.before_gelu, row, col, result);
        result = formulas::GeluTanh::value(result);
      }
      write(p.d, row, col, result);
    }
  }
}

}  // namespace longsight::ops::cuda
