#include "runtime/base/philox.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <doctest/doctest.h>

using namespace longsight;

// tests/kat_vectors of the Random123 distribution, "philox4x32 10".
TEST_CASE("Philox4x32-10 gives the known answers of Random123") {
  using Block = std::array<std::uint32_t, 4>;
  CHECK(philox4x32_10({0, 0, 0, 0}, {0, 0}) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32_10({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a random number depends on seed, stream and all 64 bits of the index, and on nothing else") {
  const Philox random(7, "a");
  CHECK(random.bits(5) == Philox(7, "a").bits(5));
  CHECK(random.bits(5) != Philox(8, "a").bits(5));
  CHECK(random.bits(5) != Philox(7 | std::uint64_t{1} << 40, "a").bits(5));
  CHECK(random.bits(5) != Philox(7, "b").bits(5));
  CHECK(random.bits(5) != random.bits(6));
  CHECK(random.bits(5) != random.bits(5 | std::uint64_t{1} << 40));
}

TEST_CASE("uniform and normal numbers have the moments of their distribution") {
  const Philox random(1, "moments");
  constexpr int n = 100000;
  double uniform = 0, normal = 0, squares = 0, smallest = 1, largest = 0;
  for (std::uint64_t i = 0; i < n; ++i) {
    const double u = random.uniform(i), z = random.normal(i);
    smallest = std::min(smallest, u);
    largest = std::max(largest, u);
    uniform += u;
    normal += z;
    squares += z * z;
  }
  CHECK(smallest >= 0);
  CHECK(largest < 1);
  // Five standard errors: of a uniform mean sqrt(1/12/n), a normal mean sqrt(1/n), a normal variance
  // sqrt(2/n).
  CHECK(std::abs(uniform / n - 0.5) < 5 * std::sqrt(1.0 / 12 / n));
  CHECK(std::abs(normal / n) < 5 * std::sqrt(1.0 / n));
  CHECK(std::abs(squares / n - 1) < 5 * std::sqrt(2.0 / n));
}

TEST_CASE("numbers below a bound reach every value and never the bound") {
  const Philox random(1, "below");
  std::vector<int> seen(7);
  for (std::uint64_t i = 0; i < 1000; ++i) ++seen.at(random.below(7, i));
  // 1000/7 = 143 each, with a standard deviation of sqrt(1000 * 1/7 * 6/7) = 11.
  for (const int count : seen) CHECK(std::abs(count - 143) < 60);
  CHECK(random.below(1, 3) == 0);
}

TEST_CASE("a permutation is one, for every size up to 70 and around powers of four") {
  for (const std::uint64_t size : {255, 256, 257, 1023, 1024, 1025}) {
    std::vector<std::uint64_t> image(size);
    for (std::uint64_t i = 0; i < size; ++i) image[i] = permuted(Philox(3, "order"), i, size);
    std::vector<std::uint64_t> sorted = image, identity(size);
    std::sort(sorted.begin(), sorted.end());
    std::iota(identity.begin(), identity.end(), std::uint64_t{0});
    CHECK(sorted == identity);
    CHECK(image != identity);
  }
  for (std::uint64_t size = 1; size <= 70; ++size) {
    std::vector<bool> hit(size);
    for (std::uint64_t i = 0; i < size; ++i) hit.at(permuted(Philox(3, "order"), i, size)) = true;
    CHECK(std::count(hit.begin(), hit.end(), true) == static_cast<std::ptrdiff_t>(size));
  }
}
