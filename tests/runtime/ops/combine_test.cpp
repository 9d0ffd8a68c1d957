#include "runtime/ops/combine.h"

#include <cmath>
#include <limits>

#include "runtime/ops/argmax.h"
#include "runtime/ops/hash.h"
#include "runtime/tensor/host_values.h"
#include "tests/support/failure.h"
#include "tests/support/gradient_check.h"

using namespace longsight;
using namespace longsight::ops;

TEST_CASE("terms are added from left to right") {
  // From the right the small ones would first become large enough to count.
  const OwnedTensor a(DType::F32, {1}), b(DType::F32, {1}), c(DType::F32, {1});
  write_values<float>(a, std::vector<float>{16777216}, {});
  write_values<float>(b, std::vector<float>{1}, {});
  write_values<float>(c, std::vector<float>{1}, {});
  const std::vector<Tensor> terms{a, b, c};
  combine(c, terms, Combination::sum, {});  // into one of them
  CHECK(read_values<float>(c, {}).front() == 16777216);
}

TEST_CASE("sums and maxima over several blocks, the same for every thread count") {
  check_same_bits_for_every_thread_count([] {
    std::vector<OwnedTensor> kept;
    std::vector<Tensor> terms;
    for (int r = 0; r < 3; ++r) {
      kept.push_back(random_tensor(DType::F32, {50001}, "term" + std::to_string(r)));
      terms.push_back(kept.back());
    }
    const OwnedTensor sum(DType::F32, {50001}), most(DType::F32, {50001});
    combine(sum, terms, Combination::sum, {});
    combine(most, terms, Combination::max, {});
    for (i64 i = 0; i < 50001; ++i) {
      const float a = terms[0].host<float>()[i], b = terms[1].host<float>()[i], c = terms[2].host<float>()[i];
      REQUIRE(sum->host<float>()[i] == (a + b) + c);
      REQUIRE(most->host<float>()[i] == std::max({a, b, c}));
    }
    return values_of(sum);
  });
}

TEST_CASE("the maximum with a NaN is NaN, wherever it stands") {
  for (int place : {0, 1}) {
    const OwnedTensor a(DType::F64, {1}), b(DType::F64, {1});
    write_scalar(place == 0 ? a : b, std::nan(""), {});
    const std::vector<Tensor> terms{a, b};
    combine(a, terms, Combination::max, {});
    CHECK(std::isnan(read_scalar(a, {})));
  }
}

TEST_CASE("terms of another size or type are refused") {
  const OwnedTensor y(DType::F32, {3}), shorter(DType::F32, {2}), other(DType::F64, {3});
  for (const Tensor& wrong : {shorter.view(), other.view()}) {
    const std::vector<Tensor> terms{y, wrong};
    CHECK(failure_of([&] { combine(y, terms, Combination::sum, {}); }).code == ExitCode::internal);
  }
  CHECK(failure_of([&] { combine(y, {}, Combination::sum, {}); }).code == ExitCode::internal);
  CHECK_FALSE(combines(DType::F16));
}

TEST_CASE("the likeliest token is the first of the largest, and none where a logit is not finite") {
  OwnedTensor x(DType::F32, {4, 5});
  const OwnedTensor index(DType::I64, {4});
  const float rows[4][5] = {{1, 3, 2, 3, 0}, {-5, -4, -3, -2, -1}, {0, 0, 0, 0, 0}, {9, 1, 1, 1, 1}};
  std::copy_n(&rows[0][0], 20, x->host<float>());
  argmax(index, x.view(), {});
  CHECK(read_values<i64>(index, {}) == std::vector<i64>{1, 4, 0, 0});
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    x->host<float>()[19] = bad;
    argmax(index, x.view(), {});
    CHECK(read_values<i64>(index, {}) == std::vector<i64>{1, 4, 0, -1});
  }
}

TEST_CASE("the hash sees every byte") {
  OwnedTensor x = random_tensor(DType::F32, {1001}, "x");
  const OwnedTensor out(DType::I64, {2});
  hash(out, x, {});
  const std::vector<i64> before = read_values<i64>(out, {});
  for (const i64 byte : {i64{0}, i64{2002}, i64{4003}}) {
    static_cast<unsigned char*>(x->data())[byte] ^= 1;
    hash(out, x, {});
    CHECK(read_values<i64>(out, {}) != before);
    static_cast<unsigned char*>(x->data())[byte] ^= 1;
  }
  hash(out, x, {});
  CHECK(read_values<i64>(out, {}) == before);
}
