#include "runtime/ops/rows.h"

#include "runtime/ops/cuda/rows.h"
#include "runtime/ops/execute.h"
#include "runtime/ops/host/rows.h"

namespace longsight::ops {
namespace {

// `moved` rows of the one matrix, as many as there are indices into the `indexed` one.
void check_move(const char* op, Matrix moved, Matrix indexed, const IndexList& index, bool types_fit) {
  check(moved.rows == index.size() && moved.cols == indexed.cols && types_fit,
        "{}: {} indices, {} [{}, {}] and {} [{}, {}]", op, index.size(), name_of(moved.dtype), moved.rows,
        moved.cols, name_of(indexed.dtype), indexed.rows, indexed.cols);
  check(index.size() == 0 || index.limit() <= indexed.rows, "{}: indices into {} rows, but there are {}", op,
        index.limit(), indexed.rows);
}

void check_like(const char* op, Matrix a, Matrix b, bool types_fit) {
  check(a.rows == b.rows && a.cols == b.cols && types_fit, "{}: {} [{}, {}] and {} [{}, {}]", op,
        name_of(a.dtype), a.rows, a.cols, name_of(b.dtype), b.rows, b.cols);
}

bool adds_to(Matrix y, Matrix x) {
  return y.dtype == x.dtype || y.dtype == statistics_of(x.dtype);
}

}  // namespace

void gather_rows(Matrix y, Matrix x, const IndexList& index, Stream stream) {
  check_move("gather_rows", y, x, index, y.dtype == x.dtype);
  execute(
      stream, {"gather_rows", 0, bytes_of({y, y})}, [=] { host::gather_rows(y, x, index.on(stream)); },
      [&] { cuda::gather_rows(y, x, index, stream); });
}

void scatter_rows(Matrix y, Matrix x, const IndexList& index, Stream stream) {
  check_move("scatter_rows", x, y, index, y.dtype == x.dtype);
  execute(
      stream, {"scatter_rows", 0, bytes_of({x, x})}, [=] { host::scatter_rows(y, x, index.on(stream)); },
      [&] { cuda::scatter_rows(y, x, index, stream); });
}

void scatter_add_rows(Matrix y, Matrix x, const IndexList& index, Stream stream) {
  check_move("scatter_add_rows", x, y, index, adds_to(y, x));
  Matrix reached = y;  // as many rows of y as there are in x
  reached.rows = x.rows;
  execute(
      stream, {"scatter_add_rows", 0, bytes_of({x, reached, reached})},
      [=] { host::scatter_add_rows(y, x, index.on(stream)); },
      [&] { cuda::scatter_add_rows(y, x, index, stream); });
}

void copy_matrix(Matrix to, Matrix from, Stream stream) {
  check_like("copy_matrix", to, from, adds_to(to, from) || adds_to(from, to));
  execute(
      stream, {"copy_matrix", 0, bytes_of({to, from})}, [=] { host::copy_matrix(to, from); },
      [&] { cuda::copy_matrix(to, from, stream); });
}

void add_matrix(Matrix y, Matrix x, Stream stream) {
  check_like("add_matrix", y, x, adds_to(y, x));
  execute(
      stream, {"add_matrix", 0, bytes_of({y, y, x})}, [=] { host::add_matrix(y, x); },
      [&] { cuda::add_matrix(y, x, stream); });
}

void zero_matrix(Matrix y, Stream stream) {
  execute(
      stream, {"zero_matrix", 0, bytes_of({y})}, [=] { host::zero_matrix(y); },
      [&] { cuda::zero_matrix(y, stream); });
}

}  // namespace longsight::ops
