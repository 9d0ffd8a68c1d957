#include "runtime/ops/rows.h"

#include "runtime/ops/cuda/row_groups.h"
#include "runtime/ops/merge_attention.h"
#include "runtime/ops/patches.h"
#include "runtime/ops/rope.h"
#include "runtime/ops/row_scale.h"
#include "runtime/tensor/convert.h"
#include "runtime/tensor/cuda/convert.h"
#include "tests/runtime/ops/cuda/twin.h"

using namespace longsight;
using namespace longsight::cuda_test;

namespace {

// Each of them once, in another order.
IndexList permutation(i64 size, i64 limit) {
  std::vector<i64> values;
  for (i64 i = 0; i < size; ++i) values.push_back((7 * i + 3) % limit);
  return {std::move(values), limit, "permutation"};
}

}  // namespace

TEST_CASE_TEMPLATE("rows on CUDA are moved and added as on the host", T, float, double, bf16) {
  constexpr DType kType = dtype_of<T>();
  for (const i64 width : {i64{1}, i64{31}, i64{64}, i64{257}}) {
    for (const i64 gap : {0, 3, 8}) {
      CAPTURE(width);
      CAPTURE(gap);
      Twin many(kType, {43, width}, "many", gap), few(kType, {20, width}, "few", gap),
          other(kType, {20, width}, "other");
      Twin sums(dtype_of<Statistics<T>>(), {43, width}, "sums", gap);
      const IndexList any = random_list(20, 9, "any"), once = permutation(20, 43);
      same_on_cuda("gather_rows", {&few}, 0,
                   [&](const Side& s) { ops::gather_rows(s.rows(few), s.rows(many), any, s.stream); });
      same_on_cuda("scatter_rows", {&many}, 0,
                   [&](const Side& s) { ops::scatter_rows(s.rows(many), s.rows(few), once, s.stream); });
      // Sums are rounded once: on the host each addition in bf16 is.
      if (kType != DType::BF16) {
        same_on_cuda("scatter_add_rows", {&many}, 20,
                     [&](const Side& s) { ops::scatter_add_rows(s.rows(many), s.rows(few), any, s.stream); });
      } else {
        same_on_cuda("scatter_add_rows", {&many}, 0, [&](const Side& s) {
          ops::scatter_add_rows(s.rows(many), s.rows(few), once, s.stream);
        });
      }
      same_on_cuda("scatter_add_rows", {&sums}, 0,
                   [&](const Side& s) { ops::scatter_add_rows(s.rows(sums), s.rows(few), any, s.stream); });
      same_on_cuda("copy_matrix", {&other}, 0,
                   [&](const Side& s) { ops::copy_matrix(s.rows(other), s.rows(few), s.stream); });
      if (kType == DType::BF16) {  // widened into sums, and rounded out of them
        Twin wide(DType::F32, {20, width}, "wide", gap);
        same_on_cuda("copy_matrix", {&wide}, 0,
                     [&](const Side& s) { ops::copy_matrix(s.rows(wide), s.rows(few), s.stream); });
        Twin sum(DType::F32, {20, width}, "sum", 3), rounded(kType, {20, width}, "rounded", gap);
        same_on_cuda("copy_matrix", {&rounded}, 0,
                     [&](const Side& s) { ops::copy_matrix(s.rows(rounded), s.rows(sum), s.stream); });
      }
      same_on_cuda("add_matrix", {&few}, 0,
                   [&](const Side& s) { ops::add_matrix(s.rows(few), s.rows(other), s.stream); });
      same_on_cuda("zero_matrix", {&few}, 0, [&](const Side& s) { ops::zero_matrix(s.rows(few), s.stream); });
    }
  }
}

TEST_CASE("elements on CUDA become those of another type as on the host") {
  for (const DType to : {DType::F32, DType::F64, DType::BF16}) {
    for (const DType from : {DType::F32, DType::F64, DType::BF16}) {
      CAPTURE(name_of(to));
      CAPTURE(name_of(from));
      Twin x(from, {5, 67}, "x"), y(to, {5, 67}, "y");
      convert(y.tensor(false).data(), to, x.tensor(false).data(), from, 5 * 67);
      cuda::convert(y.tensor(true), x.tensor(true), {.backend = Backend::cuda});
      CHECK(y.same_bits());
    }
  }
}

TEST_CASE("rows that are added to the same row are found in their order") {
  const std::vector<i64> index{4, 1, 4, 0, 4, 1};
  const ops::cuda::RowGroups groups = ops::cuda::group_by_row(index);
  CHECK(groups.targets == std::vector<i64>{0, 1, 4});
  CHECK(groups.begins == std::vector<i64>{0, 1, 3, 6});
  CHECK(groups.sources == std::vector<i64>{3, 1, 5, 0, 2, 4});
}

TEST_CASE_TEMPLATE("factors of rows on CUDA are those of the host", T, float, double, bf16) {
  constexpr DType kType = dtype_of<T>(), kSums = dtype_of<Statistics<T>>();
  for (const i64 width : {i64{1}, i64{33}, i64{64}, i64{1600}}) {
    for (const i64 gap : {0, 3}) {
      CAPTURE(width);
      CAPTURE(gap);
      Twin x(kType, {7, width}, "x", gap), y(kType, {7, width}, "y", gap), scale(kType, {7}, "scale");
      Twin dx(kSums, {7, width}, "dx", gap), dy(kSums, {7, width}, "dy", gap), d_scale(kSums, {7}, "d_scale");
      const auto terms = static_cast<double>(8 + width);
      same_on_cuda("scale_rows", {&y}, 1,
                   [&](const Side& s) { ops::scale_rows(s.rows(y), s.rows(x), s(scale), s.stream); });
      same_on_cuda("scale_rows_backward", {&dx, &d_scale}, terms, [&](const Side& s) {
        ops::scale_rows_backward(s.rows(dx), s(d_scale), s.rows(dy), s.rows(x), s(scale), s.stream);
      });
      same_on_cuda("scale_rows_backward", {&dx, &d_scale}, terms, [&](const Side& s) {
        ops::scale_rows_backward({}, s(d_scale), s.rows(dy), s.rows(x), s(scale), s.stream);
      });
      same_on_cuda("scale_rows_backward", {&dx, &d_scale}, terms, [&](const Side& s) {
        ops::scale_rows_backward(s.rows(dx), {}, s.rows(dy), s.rows(x), s(scale), s.stream);
      });
      same_on_cuda("scale_matrix", {&x}, 1,
                   [&](const Side& s) { ops::scale_matrix(s.rows(x), 0.3, s.stream); });
    }
  }
}

TEST_CASE_TEMPLATE("rotary positions on CUDA are those of the host", T, float, double, bf16) {
  constexpr DType kType = dtype_of<T>(), kSums = dtype_of<Statistics<T>>();
  for (const i64 half : {1, 5, 16, 40}) {
    for (const i64 gap : {0, 3}) {
      CAPTURE(half);
      CAPTURE(gap);
      Twin x(kType, {6, 3 * 2 * half}, "x", gap), cos(kSums, {6, half}, "cos"), sin(kSums, {6, half}, "sin");
      for (const auto turn : {ops::Turn::forward, ops::Turn::inverse}) {
        same_on_cuda("rope", {&x}, 4,
                     [&](const Side& s) { ops::rope(x.heads(s.device, 3), s(cos), s(sin), turn, s.stream); });
      }
    }
  }
}

TEST_CASE_TEMPLATE("angles of positions in several axes and sets on CUDA are those of the host", T, float,
                   double) {
  const i64 rows = 37, half = 12;
  ops::RopeAngles angles{.rows = rows, .half = half, .axes = 3, .factor = 1.25};
  std::vector<i64> positions, axis, set;
  std::vector<float> inverse;
  for (i64 i = 0; i < rows * 3; ++i) positions.push_back(i * 1013 % 100003);
  for (i64 i = 0; i < half; ++i) axis.push_back(i % 3);
  for (i64 i = 0; i < rows; ++i) set.push_back(i % 2);
  for (i64 i = 0; i < 2 * half; ++i)
    inverse.push_back(static_cast<float>(std::pow(10000.0, -static_cast<double>(i) / half)));
  angles.positions = positions;
  angles.axis = axis;
  angles.inverse = inverse;
  Twin cos(dtype_of<T>(), {rows, half}, "cos"), sin(dtype_of<T>(), {rows, half}, "sin");
  same_on_cuda("rope_angles", {&cos, &sin}, 1,
               [&](const Side& s) { ops::rope_angles(s(cos), s(sin), angles, s.stream); });
  angles.set = set;
  same_on_cuda("rope_angles", {&cos, &sin}, 1,
               [&](const Side& s) { ops::rope_angles(s(cos), s(sin), angles, s.stream); });
}

TEST_CASE_TEMPLATE("patches on CUDA are those of the host", T, float, double, bf16) {
  for (const i64 gap : {0, 3}) {
    const i64 patch = 4;
    Twin pixels(DType::F32, {3, 14, 27}, "pixels"), rows(dtype_of<T>(), {11, 3 * patch * patch}, "rows", gap);
    const IndexList index = random_list(11, 14 / patch * (27 / patch), "index");
    same_on_cuda("patch_rows", {&rows}, 0,
                 [&](const Side& s) { ops::patch_rows(s.rows(rows), s(pixels), patch, index, s.stream); });
    Twin ready(DType::F32, {20, 3 * patch * patch}, "ready");
    const IndexList of_ready = random_list(11, 20, "ready");
    same_on_cuda("ready_patch_rows", {&rows}, 0,
                 [&](const Side& s) { ops::ready_patch_rows(s.rows(rows), s(ready), of_ready, s.stream); });
  }
}

TEST_CASE_TEMPLATE("results of attention over parts of the keys are merged on CUDA as on the host", T, float,
                   double, bf16) {
  using S = Statistics<T>;
  for (const i64 width : {1, 33, 64, 100}) {
    CAPTURE(width);
    Twin o(dtype_of<T>(), {5, 3 * width}, "o", 3), part(dtype_of<T>(), {5, 3 * width}, "part");
    Twin sums(dtype_of<S>(), {5, 3 * width}, "sums");  // in which nothing is rounded on the way
    Twin lse(dtype_of<S>(), {5, 3}, "lse"), part_lse(dtype_of<S>(), {5, 3}, "part_lse");
    part_lse.set(4, -std::numeric_limits<S>::infinity());
    lse.set(7, -std::numeric_limits<S>::infinity());
    lse.set(9, -std::numeric_limits<S>::infinity());
    part_lse.set(9, -std::numeric_limits<S>::infinity());
    for (Twin* merged : {&o, &sums}) {
      same_on_cuda("merge_attention", {merged, &lse}, 16, [&](const Side& s) {
        ops::merge_attention(merged->heads(s.device, 3), s.rows(lse), part.heads(s.device, 3),
                             s.rows(part_lse), s.stream);
      });
    }
  }
}
