#include "runtime/tensor/tensor.h"

#include <numeric>

#include <doctest/doctest.h>

#include "runtime/tensor/matrix.h"
#include "tests/support/failure.h"

using namespace longsight;

namespace {

OwnedTensor counted(Shape shape) {
  OwnedTensor x(DType::F32, shape);
  std::iota(x->host<float>(), x->host<float>() + x->elements(), 0.0F);
  return x;
}

}  // namespace

TEST_CASE("a tensor's memory is zero at first, aligned, and read as its own type only") {
  const OwnedTensor x(DType::F64, {3, 5});
  CHECK(reinterpret_cast<std::uintptr_t>(x->data()) % 64 == 0);
  CHECK(std::accumulate(x->host<double>(), x->host<double>() + 15, 0.0) == 0);
  CHECK(x->bytes() == 120);
  CHECK(failure_of([&] { x->host<float>(); }).code == ExitCode::internal);
}

TEST_CASE("a row range and a reshape see the same memory") {
  const OwnedTensor x = counted({4, 2, 3});
  const Tensor rows = x->row_range(1, 2);
  CHECK(rows.shape() == Shape{2, 2, 3});
  CHECK(rows.host<float>() == x->host<float>() + 6);
  CHECK(x->row_range(4, 0).elements() == 0);
  CHECK(failure_of([&] { x->row_range(3, 2); }).code == ExitCode::internal);
  CHECK(failure_of([&] { x->row_range(-1, 2); }).code == ExitCode::internal);
  CHECK(x->row_size() == 6);
  CHECK(x->reshape({8, 3}).host<float>() == x->host<float>());
  CHECK(x->reshape({8, 3}).extent(0) == 8);
  CHECK(failure_of([&] { x->reshape({8, 4}); }).code == ExitCode::internal);
}

TEST_CASE("copy converts between float types and refuses another shape") {
  const OwnedTensor x = counted({2, 3}), wide(DType::F64, {2, 3}), narrow_(DType::BF16, {2, 3}),
                    other(DType::F32, {3, 2});
  copy(wide, x, {});
  CHECK(wide->host<double>()[5] == 5);
  copy(narrow_, x, {});
  CHECK(static_cast<const std::uint16_t*>(narrow_->data())[5] == 0x40A0);  // 5 = 1.25 * 2^2
  fill_zero(x, {});
  CHECK(x->host<float>()[5] == 0);
  copy(x, narrow_, {});
  CHECK(x->host<float>()[5] == 5);
  CHECK(failure_of([&] { copy(other, x, {}); }).code == ExitCode::internal);
}

TEST_CASE("a tensor without elements is there, and an empty view is not") {
  CHECK(static_cast<bool>(OwnedTensor(DType::F32, {0, 4}).view()));
  CHECK(!static_cast<bool>(Tensor{}));
}

TEST_CASE("storage refuses a tensor that it cannot hold") {
  const Storage storage(100, "test");
  CHECK(storage.tensor(DType::F32, {5, 5}).elements() == 25);
  CHECK(failure_of([&] { (void)storage.tensor(DType::F32, {5, 5}, 4); }).code == ExitCode::internal);
  CHECK(failure_of([&] { (void)storage.tensor(DType::F32, {26}); }).code == ExitCode::internal);
  CHECK(failure_of([&] { (void)storage.tensor(DType::U8, {1}, -1); }).code == ExitCode::internal);
}

TEST_CASE("a matrix sees column ranges and heads of a tensor") {
  const OwnedTensor x = counted({2, 6});  // rows 0..5 and 6..11
  const Matrix right = Matrix(x).columns(4, 2);
  CHECK(right.rows == 2);
  CHECK(right.stride == 6);
  CHECK(right.host<float>()[right.stride] == 10);
  CHECK(right.row_range(1, 1).host<float>()[1] == 11);
  CHECK(failure_of([&] { Matrix(x).columns(5, 2); }).code == ExitCode::internal);
  const Heads heads = Heads(Matrix(x), 3, 2).range(1, 2);
  CHECK(heads.matrix.host<float>()[0] == 2);
  CHECK(heads.matrix.cols == 4);
  CHECK(failure_of([&] { Heads(Matrix(x), 4, 2); }).code == ExitCode::internal);
}

TEST_CASE("dtypes are known by name") {
  for (const DType dtype :
       {DType::F32, DType::F64, DType::BF16, DType::F16, DType::I32, DType::I64, DType::U8}) {
    CHECK(dtype_from_name(name_of(dtype)) == dtype);
  }
  CHECK(size_of(DType::BF16) == 2);
  CHECK(size_of(DType::I64) == 8);
  CHECK(failure_of([] { dtype_from_name("float32"); }).code == ExitCode::usage);
}
