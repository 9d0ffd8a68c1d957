#include "runtime/ops/rows.h"

#include "runtime/ops/execute.h"
#include "runtime/ops/host/rows.h"

namespace longsight::ops {
namespace {

// `moved` rows of the one matrix, as many as there are indices into the `indexed` one.
void check_move(const char* op, Matrix moved, Matrix indexed, std::span<const i64> index) {
  check(moved.rows == static_cast<i64>(index.size()) && moved.cols == indexed.cols &&
            moved.dtype == indexed.dtype,
        "{}: {} indices, {} [{}, {}] and {} [{}, {}]", op, index.size(), name_of(moved.dtype), moved.rows,
        moved.cols, name_of(indexed.dtype), indexed.rows, indexed.cols);
  for (std::size_t i = 0; i < index.size(); ++i) {
    check(index[i] >= 0 && index[i] < indexed.rows, "{}: index {} of {} is {}, but there are {} rows", op, i,
          index.size(), index[i], indexed.rows);
  }
}

void check_like(const char* op, Matrix a, Matrix b) {
  check(a.rows == b.rows && a.cols == b.cols && a.dtype == b.dtype, "{}: {} [{}, {}] and {} [{}, {}]", op,
        name_of(a.dtype), a.rows, a.cols, name_of(b.dtype), b.rows, b.cols);
}

}  // namespace

void gather_rows(Matrix y, Matrix x, std::span<const i64> index, Stream stream) {
  check_move("gather_rows", y, x, index);
  execute(stream, {"gather_rows", 0, bytes_of({y, y})}, [&] { host::gather_rows(y, x, index); });
}

void scatter_rows(Matrix y, Matrix x, std::span<const i64> index, Stream stream) {
  check_move("scatter_rows", x, y, index);
  execute(stream, {"scatter_rows", 0, bytes_of({x, x})}, [&] { host::scatter_rows(y, x, index); });
}

void scatter_add_rows(Matrix y, Matrix x, std::span<const i64> index, Stream stream) {
  check_move("scatter_add_rows", x, y, index);
  execute(stream, {"scatter_add_rows", 0, bytes_of({x, x, x})}, [&] { host::scatter_add_rows(y, x, index); });
}

void copy_matrix(Matrix to, Matrix from, Stream stream) {
  check_like("copy_matrix", to, from);
  execute(stream, {"copy_matrix", 0, bytes_of({to, from})}, [&] { host::copy_matrix(to, from); });
}

void add_matrix(Matrix y, Matrix x, Stream stream) {
  check_like("add_matrix", y, x);
  execute(stream, {"add_matrix", 0, bytes_of({y, y, x})}, [&] { host::add_matrix(y, x); });
}

}  // namespace longsight::ops
