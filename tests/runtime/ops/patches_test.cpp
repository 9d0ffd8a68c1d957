#include "runtime/ops/patches.h"

#include "tests/support/failure.h"
#include "tests/support/gradient_check.h"

using namespace longsight;
using namespace longsight::ops;

TEST_CASE("patches come in raster order, each as (channel, y, x)") {
  constexpr i64 kHeight = 6, kWidth = 9, kPatch = 3;
  OwnedTensor pixels(DType::F32, {3, kHeight, kWidth});
  for (i64 i = 0; i < pixels->elements(); ++i) pixels->as<float>()[i] = static_cast<float>(i);
  for (const DType dtype : {DType::F32, DType::F64}) {
    GuardedMatrix rows(dtype, 4, 3 * kPatch * kPatch);
    patch_rows(rows, pixels, kPatch, 1, {});  // patches 1 to 4 of 2 x 3
    for (i64 r = 0; r < 4; ++r) {
      const i64 top = (1 + r) / 3 * kPatch, left = (1 + r) % 3 * kPatch;
      for (i64 c = 0; c < 3; ++c) {
        for (i64 y = 0; y < kPatch; ++y) {
          for (i64 x = 0; x < kPatch; ++x) {
            CHECK(rows.at(r, (c * kPatch + y) * kPatch + x) ==
                  static_cast<double>((c * kHeight + top + y) * kWidth + left + x));
          }
        }
      }
    }
    CHECK(rows.guards_intact());
  }
}

TEST_CASE("patches of a large image are the same for every thread count") {
  const OwnedTensor pixels = random_tensor(DType::F32, {3, 112, 126}, "pixels");
  check_same_bits_for_every_thread_count([&] {
    GuardedMatrix rows(DType::F32, 72, 588);
    patch_rows(rows, pixels, 14, 0, {});
    CHECK(rows.guards_intact());
    return rows.values();
  });
}

TEST_CASE("patches outside the image, ragged images and wrong widths are refused") {
  const OwnedTensor pixels(DType::F32, {3, 4, 6}), ragged(DType::F32, {3, 4, 5}), grey(DType::F32, {1, 4, 6});
  const GuardedMatrix rows(DType::F32, 2, 12), none(DType::F32, 0, 12), wide(DType::F32, 2, 13);
  const auto code = [&](const GuardedMatrix& to, const OwnedTensor& from, i64 first) {
    return failure_of([&] { patch_rows(to, from, 2, first, {}); }).code;
  };
  CHECK(code(rows, pixels, 4) == ExitCode::done);
  CHECK(code(none, pixels, 6) == ExitCode::done);
  CHECK(code(rows, pixels, 5) == ExitCode::internal);
  CHECK(code(rows, pixels, -1) == ExitCode::internal);
  CHECK(code(rows, ragged, 0) == ExitCode::internal);
  CHECK(code(rows, grey, 0) == ExitCode::internal);
  CHECK(code(wide, pixels, 0) == ExitCode::internal);
}
