#include "runtime/ops/row_scale.h"

#include "tests/support/failure.h"
#include "tests/support/gradient_check.h"

using namespace longsight;
using namespace longsight::ops;

TEST_CASE("each row is multiplied by its factor, also in place") {
  const OwnedTensor x = random_tensor(DType::F64, {5, 7}, "x"),
                    scale = random_tensor(DType::F64, {5}, "scale");
  OwnedTensor y(DType::F64, {5, 7}), same(DType::F64, {5, 7});
  scale_rows(y.view(), x.view(), scale, {});
  copy(same, x, {});
  scale_rows(same.view(), same.view(), scale, {});
  for (i64 r = 0; r < 5; ++r) {
    for (i64 c = 0; c < 7; ++c) {
      CHECK(y->host<double>()[r * 7 + c] == x->host<double>()[r * 7 + c] * scale->host<double>()[r]);
      CHECK(same->host<double>()[r * 7 + c] == y->host<double>()[r * 7 + c]);
    }
  }
  scale_matrix(same.view(), 3, {});
  for (i64 i = 0; i < 35; ++i) CHECK(same->host<double>()[i] == 3 * y->host<double>()[i]);
}

TEST_CASE("gradients of rows and factors are added, each only where it is wanted") {
  const OwnedTensor x = random_tensor(DType::F64, {4, 6}, "x"), dy = random_tensor(DType::F64, {4, 6}, "dy"),
                    scale = random_tensor(DType::F64, {4}, "scale");
  OwnedTensor dx(DType::F64, {4, 6}), d_scale(DType::F64, {4});
  for (i64 i = 0; i < 24; ++i) dx->host<double>()[i] = 1;
  for (i64 i = 0; i < 4; ++i) d_scale->host<double>()[i] = 1;
  scale_rows_backward(dx.view(), d_scale, dy.view(), x.view(), scale, {});
  for (i64 r = 0; r < 4; ++r) {
    double sum = 1;
    for (i64 c = 0; c < 6; ++c) {
      const double d = dy->host<double>()[r * 6 + c];
      CHECK(dx->host<double>()[r * 6 + c] ==
            doctest::Approx(1 + d * scale->host<double>()[r]).epsilon(1e-14));
      sum += d * x->host<double>()[r * 6 + c];
    }
    CHECK(d_scale->host<double>()[r] == doctest::Approx(sum).epsilon(1e-13));
  }
  scale_rows_backward({}, {}, dy.view(), x.view(), scale, {});
  const OwnedTensor other(DType::F64, {3});
  CHECK(failure_of([&] { scale_rows(dx.view(), x.view(), other, {}); }).code == ExitCode::internal);
}

TEST_CASE("scaled rows are the same for every thread count") {
  const OwnedTensor x = random_tensor(DType::F32, {300, 400}, "x"),
                    scale = random_tensor(DType::F32, {300}, "scale");
  check_same_bits_for_every_thread_count([&] {
    GuardedMatrix y(DType::F32, 300, 400);
    scale_rows(y, x.view(), scale, {});
    CHECK(y.guards_intact());
    return y.values();
  });
}
