#include "runtime/ops/patches.h"

#include "tests/support/failure.h"
#include "tests/support/gradient_check.h"

using namespace longsight;
using namespace longsight::ops;

namespace {

// first, first + 1, ..
std::vector<i64> from(i64 first, i64 count) {
  std::vector<i64> index;
  for (i64 i = 0; i < count; ++i) index.push_back(first + i);
  return index;
}

IndexList list(const std::vector<i64>& values) {
  return {values, values.empty() ? 0 : *std::max_element(values.begin(), values.end()) + 1, "patches"};
}

}  // namespace

TEST_CASE("patches come as the index says, each as (channel, y, x)") {
  constexpr i64 kHeight = 6, kWidth = 9, kPatch = 3;
  OwnedTensor pixels(DType::F32, {3, kHeight, kWidth});
  for (i64 i = 0; i < pixels->elements(); ++i) pixels->host<float>()[i] = static_cast<float>(i);
  for (const DType dtype : {DType::F32, DType::F64}) {
    GuardedMatrix rows(dtype, 4, 3 * kPatch * kPatch);
    const std::vector<i64> index{4, 1, 2, 5};  // of 2 x 3
    patch_rows(rows, pixels, kPatch, list(index), {});
    for (i64 r = 0; r < 4; ++r) {
      const i64 at = index[static_cast<std::size_t>(r)], top = at / 3 * kPatch, left = at % 3 * kPatch;
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
    patch_rows(rows, pixels, 14, list(from(0, 72)), {});
    CHECK(rows.guards_intact());
    return rows.values();
  });
}

TEST_CASE("patches that come ready are taken by their index") {
  const OwnedTensor patches = random_tensor(DType::F32, {5, 7}, "patches");
  const std::vector<i64> index{3, 0, 3};
  for (const DType dtype : {DType::F32, DType::F64}) {
    GuardedMatrix rows(dtype, 3, 7);
    ready_patch_rows(rows, patches, list(index), {});
    for (i64 r = 0; r < 3; ++r) {
      for (i64 c = 0; c < 7; ++c)
        CHECK(rows.at(r, c) ==
              static_cast<double>(patches->host<float>()[index[static_cast<std::size_t>(r)] * 7 + c]));
    }
    CHECK(rows.guards_intact());
  }
  GuardedMatrix rows(DType::F32, 1, 7), wide(DType::F32, 1, 8);
  CHECK(failure_of([&] { ready_patch_rows(rows, patches, list(from(5, 1)), {}); }).code ==
        ExitCode::internal);
  CHECK(failure_of([&] { ready_patch_rows(wide, patches, list(from(0, 1)), {}); }).code ==
        ExitCode::internal);
}

TEST_CASE("patches outside the image and wrong widths are refused; a rest at the edges is not seen") {
  const OwnedTensor pixels(DType::F32, {3, 4, 6}), ragged(DType::F32, {3, 4, 5}), grey(DType::F32, {1, 4, 6});
  const GuardedMatrix rows(DType::F32, 2, 12), none(DType::F32, 0, 12), wide(DType::F32, 2, 13);
  const auto code = [&](const GuardedMatrix& to, const OwnedTensor& image, i64 first) {
    const Matrix m(to);
    return failure_of([&] { patch_rows(m, image, 2, list(from(first, m.rows)), {}); }).code;
  };
  CHECK(code(rows, pixels, 4) == ExitCode::done);
  CHECK(code(none, pixels, 6) == ExitCode::done);
  CHECK(code(rows, pixels, 5) == ExitCode::internal);
  CHECK(code(rows, pixels, -1) == ExitCode::internal);
  CHECK(code(rows, ragged, 2) == ExitCode::done);  // 2 x 2 patches, the fifth column left over
  CHECK(code(rows, ragged, 3) == ExitCode::internal);
  CHECK(code(rows, grey, 0) == ExitCode::internal);
  CHECK(code(wide, pixels, 0) == ExitCode::internal);
}
