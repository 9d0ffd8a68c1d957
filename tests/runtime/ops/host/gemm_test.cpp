#include "runtime/ops/host/gemm.h"

#include "tests/support/gradient_check.h"

using namespace longsight;
using namespace longsight::ops;
using namespace longsight::ops::host;

namespace {

struct Case {
  i64 m, n, k;
  bool a_transposed = false, b_transposed = false;
};

// A product with all its extras, on strided operands between guards.
struct Operands {
  Operands(DType dtype, const Case& size) : Operands(dtype, dtype, size) {}
  Operands(DType dtype, DType result, const Case& size)
      : a(dtype, size.a_transposed ? size.k : size.m, size.a_transposed ? size.m : size.k, 5),
        b(dtype, size.b_transposed ? size.n : size.k, size.b_transposed ? size.k : size.n, 7),
        c(result, size.m, size.n, 3),
        addend(result, size.m, size.n, 1),
        bias(dtype, 1, size.n),
        sums(statistics_of(dtype), 1, size.m),
        shape(size) {
    a.randomise("a");
    b.randomise("b");
    addend.randomise("addend");
    bias.randomise("bias");
    sums.randomise("sums");
  }

  template <class T, class C = T>
  Gemm<T, C> problem() const {
    Gemm<T, C> p{.m = shape.m, .n = shape.n, .k = shape.k};
    p.a = a.view().host<T>();
    p.lda = a.view().stride;
    p.a_transposed = shape.a_transposed;
    p.b = b.view().host<T>();
    p.ldb = b.view().stride;
    p.b_transposed = shape.b_transposed;
    p.c = c.view().host<C>();
    p.ldc = c.view().stride;
    p.addend = addend.view().host<C>();
    p.ld_addend = addend.view().stride;
    p.bias = bias.view().host<T>();
    if (shape.a_transposed) p.a_sums = sums.view().host<Statistics<T>>();
    return p;
  }

  bool guards_intact() const {
    return a.guards_intact() && b.guards_intact() && c.guards_intact() && addend.guards_intact() &&
           bias.guards_intact() && sums.guards_intact();
  }

  GuardedMatrix a, b, c, addend, bias, sums;
  Case shape;
};

std::vector<double> expected_product(const Operands& o) {
  const auto a = o.a.values(), b = o.b.values(), addend = o.addend.values(), bias = o.bias.values();
  const Case& s = o.shape;
  std::vector<double> c;
  for (i64 i = 0; i < s.m; ++i) {
    for (i64 j = 0; j < s.n; ++j) {
      double sum = addend[static_cast<std::size_t>(i * s.n + j)] + bias[static_cast<std::size_t>(j)];
      for (i64 l = 0; l < s.k; ++l) {
        sum += a[static_cast<std::size_t>(s.a_transposed ? l * s.m + i : i * s.k + l)] *
               b[static_cast<std::size_t>(s.b_transposed ? j * s.k + l : l * s.n + j)];
      }
      c.push_back(sum);
    }
  }
  return c;
}

std::vector<double> expected_sums(const Operands& o) {
  const auto a = o.a.values();
  auto sums = o.sums.values();
  for (i64 l = 0; l < o.shape.k; ++l) {
    for (i64 i = 0; i < o.shape.m; ++i) {
      sums[static_cast<std::size_t>(i)] += a[static_cast<std::size_t>(l * o.shape.m + i)];
    }
  }
  return sums;
}

// Sizes around the blocks of rows and of what libraries pack, and nothing at all. With the guards, a of 251
// and b of 249 columns have a stride of 256, for which k is summed in pieces.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      for (const auto& [m, n, k] : std::vector<std::array<i64, 3>>{{1, 1, 1},
                                                                   {9, 48, 8},
                                                                   {10, 49, 9},
                                                                   {5, 95, 13},
                                                                   {75, 33, 4},
                                                                   {3, 7, 0},
                                                                   {0, 7, 3},
                                                                   {2, 0, 3},
                                                                   {21, 697, 10},
                                                                   {19, 21, 515},
                                                                   {100, 50, 1030},
                                                                   {251, 249, 300},
                                                                   {2100, 249, 130}}) {
        all.push_back({m, n, k, ta, tb});
      }
    }
  }
  return all;
}

}  // namespace

TEST_CASE("a product of any shape, layout and stride is right and stays inside its matrix") {
  for (const Case& shape : cases()) {
    CAPTURE(shape.m);
    CAPTURE(shape.n);
    CAPTURE(shape.k);
    CAPTURE(shape.a_transposed);
    CAPTURE(shape.b_transposed);
    for (const DType dtype : {DType::F64, DType::F32}) {
      Operands o(dtype, shape);
      const auto sums = shape.a_transposed ? expected_sums(o) : o.sums.values();
      dispatch_statistics(dtype, [&](auto zero) { gemm(o.problem<decltype(zero)>()); });
      // k roundings in a sum of k products, of which few may nearly cancel.
      const double epsilon = dtype == DType::F64 ? 1.2e-16 : 6e-8;
      const double tolerance = epsilon * (16 + static_cast<double>(shape.k) / 4);
      CHECK(relative_error(o.c.values(), expected_product(o)) < tolerance);
      CHECK(relative_error(o.sums.values(), sums) < tolerance);
      CHECK(o.guards_intact());
    }
  }
}

TEST_CASE("products of bf16 are right in any shape, by the processor's instructions and through f32") {
  std::vector<Bf16Products> ways = {Bf16Products::in_f32};
  if (bf16_products() == Bf16Products::instructions) ways.push_back(Bf16Products::instructions);
  auto shapes = cases();
  shapes.push_back({530, 520, 1100, false, true});  // beyond a tile in each direction
  for (const Case& shape : shapes) {
    CAPTURE(shape.m);
    CAPTURE(shape.n);
    CAPTURE(shape.k);
    CAPTURE(shape.a_transposed);
    CAPTURE(shape.b_transposed);
    for (const Bf16Products way : ways) {
      CAPTURE(static_cast<int>(way));
      const auto check_product = [&](auto result) {
        using C = decltype(result);
        Operands o(DType::BF16, dtype_of<C>(), shape);
        const auto sums = shape.a_transposed ? expected_sums(o) : o.sums.values();
        gemm(o.problem<bf16, C>(), {}, way);
        const auto expected = expected_product(o), got = o.c.values();
        double largest = 0, worst = 0;  // beyond one rounding of the result
        for (std::size_t i = 0; i < got.size(); ++i) {
          const double unit = std::is_same_v<C, bf16> ? 1.0 / 256 : 0x1p-24;
          const double excess = std::abs(got[i] - expected[i]) - unit * std::abs(expected[i]);
          worst = std::max(worst, std::isfinite(excess) ? excess : INFINITY);
          largest = std::max(largest, std::abs(expected[i]));
        }
        const double tolerance = 6e-8 * (16 + static_cast<double>(shape.k) / 4);
        CHECK(worst <= 1.01 * tolerance * largest);
        CHECK(relative_error(o.sums.values(), sums) < tolerance);
        CHECK(o.guards_intact());
      };
      check_product(bf16{});
      check_product(float{});
    }
  }
}

TEST_CASE("products of bf16 have the same bits for every thread count, by either way") {
  for (const Bf16Products way : {Bf16Products::in_f32, bf16_products()}) {
    for (const Case& shape : {Case{151, 203, 500, false, true}, Case{151, 203, 500, true, false},
                              Case{1100, 40, 64, false, true}, Case{20, 30, 5000, true, false}}) {
      check_same_bits_for_every_thread_count([&] {
        Operands o(DType::BF16, DType::F32, shape);
        gemm(o.problem<bf16, float>(), {}, way);
        auto all = o.c.values();
        for (const double sum : o.sums.values()) all.push_back(sum);
        return all;
      });
    }
  }
}

TEST_CASE("bf16: without an addend the old contents of the product do not matter") {
  for (const Bf16Products way : {Bf16Products::in_f32, bf16_products()}) {
    Operands o(DType::BF16, {20, 50, 400});
    auto p = o.problem<bf16>();
    p.addend = nullptr;
    gemm(p, {}, way);
    const auto once = o.c.values();
    o.c.fill(std::numeric_limits<double>::quiet_NaN());
    gemm(p, {}, way);
    CHECK(o.c.values() == once);
  }
}

TEST_CASE("without an addend the old contents of the product do not matter") {
  for (const Case& shape : {Case{20, 50, 400}, Case{251, 249, 300, true, false}, Case{251, 249, 300}}) {
    CAPTURE(shape.m);
    CAPTURE(shape.a_transposed);
    Operands o(DType::F64, shape), rounded(DType::F32, shape);
    o.addend.fill(0);
    o.bias.fill(0);
    auto p = rounded.problem<float>();
    p.addend = nullptr;
    p.bias = nullptr;
    rounded.c.fill(std::numeric_limits<double>::quiet_NaN());
    gemm(p);
    CHECK(relative_error(rounded.c.values(), expected_product(o)) <
          6e-8 * (16 + static_cast<double>(shape.k) / 4));
  }
}

TEST_CASE("a product has the same bits for every thread count") {
  // Few and many rows, short and long sums: what a library would split in different ways.
  for (const Case& shape :
       {Case{151, 203, 500, false, true}, Case{151, 203, 500, true, false}, Case{20, 30, 5000, true, false},
        Case{1100, 40, 64, false, true}, Case{251, 249, 300, true, false}, Case{7, 600, 900, false, false}}) {
    check_same_bits_for_every_thread_count([&] {
      Operands o(DType::F32, shape);
      gemm(o.problem<float>());
      auto all = o.c.values();
      for (const double sum : o.sums.values()) all.push_back(sum);
      return all;
    });
  }
}

TEST_CASE("every element is reported as finished once, after its last addition") {
  const int before = omp_get_max_threads();
  for (const int threads : {1, 3}) {
    omp_set_num_threads(threads);
    Operands o(DType::F32, {130, 740, 600, false, true});
    GuardedMatrix seen(DType::F32, o.shape.m, o.shape.n), count(DType::F32, o.shape.m, o.shape.n);
    const auto p = o.problem<float>();
    gemm(p, [&](i64 row, i64 rows) {
      for (i64 r = row; r < row + rows; ++r) {
        for (i64 c = 0; c < p.n; ++c) {
          seen.view().host<float>()[r * seen.view().stride + c] = p.c[r * p.ldc + c];
          count.view().host<float>()[r * count.view().stride + c] += 1;
        }
      }
    });
    CHECK(seen.values() == o.c.values());
    CHECK(count.values() == std::vector<double>(static_cast<std::size_t>(o.shape.m * o.shape.n), 1.0));
  }
  omp_set_num_threads(before);
}

TEST_CASE("inside a parallel region each thread runs its own product") {
  const Case shape{60, 70, 300};
  Operands alone(DType::F32, shape);
  gemm(alone.problem<float>());
  std::vector<Operands> mine;
  for (int i = 0; i < 4; ++i) mine.emplace_back(DType::F32, shape);
#pragma omp parallel for num_threads(2)
  for (int i = 0; i < 4; ++i) gemm(mine[static_cast<std::size_t>(i)].problem<float>());
  for (const Operands& o : mine) CHECK(o.c.values() == alone.c.values());
}
