#include "runtime/base/philox.h"

#include <bit>
#include <cmath>
#include <numbers>

#include <xxhash.h>

#include "runtime/base/error.h"

namespace longsight {

std::array<std::uint32_t, 4> philox4x32_10(std::array<std::uint32_t, 4> c, std::array<std::uint32_t, 2> k) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * c[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<std::uint32_t>(b >> 32) ^ c[1] ^ k[0], static_cast<std::uint32_t>(b),
         static_cast<std::uint32_t>(a >> 32) ^ c[3] ^ k[1], static_cast<std::uint32_t>(a)};
    k[0] += 0x9E3779B9;
    k[1] += 0xBB67AE85;
  }
  return c;
}

Philox::Philox(std::uint64_t seed, std::string_view stream)
    : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
      stream_(XXH3_64bits(stream.data(), stream.size())) {}

std::array<std::uint32_t, 4> Philox::block(std::uint64_t index) const {
  return philox4x32_10({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                        static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)},
                       key_);
}

std::uint64_t Philox::bits(std::uint64_t index) const {
  const auto b = block(index);
  return std::uint64_t{b[0]} | std::uint64_t{b[1]} << 32;
}

double Philox::uniform(std::uint64_t index) const {
  return static_cast<double>(bits(index) >> 11) * 0x1p-53;
}

double Philox::normal(std::uint64_t index) const {
  const auto b = block(index);
  const double u =
      (static_cast<double>((std::uint64_t{b[0]} | std::uint64_t{b[1]} << 32) >> 11) + 1) * 0x1p-53;
  const double v = static_cast<double>((std::uint64_t{b[2]} | std::uint64_t{b[3]} << 32) >> 11) * 0x1p-53;
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);  // u in (0, 1]
}

std::uint64_t Philox::below(std::uint64_t bound, std::uint64_t index) const {
  check(bound > 0, "no number lies below {}", bound);
  __extension__ using u128 = unsigned __int128;
  return static_cast<std::uint64_t>(static_cast<u128>(bits(index)) * bound >> 64);
}

std::uint64_t permuted(const Philox& random, std::uint64_t index, std::uint64_t size) {
  check(index < size, "index {} of a permutation of {}", index, size);
  const int half = (std::bit_width(size - 1) + 1) / 2;
  const std::uint64_t mask = (std::uint64_t{1} << half) - 1;
  do {
    std::uint64_t left = index >> half, right = index & mask;
    for (std::uint64_t round = 0; round < 6; ++round) {
      const std::uint64_t mixed = left ^ (random.bits(right | round << 58) & mask);
      left = right;
      right = mixed;
    }
    index = left << half | right;
  } while (index >= size);
  return index;
}

}  // namespace longsight
