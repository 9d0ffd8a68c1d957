// Counter-based random numbers: a value is a pure function of (seed, stream name, index), so it does not
// depend on ranks, threads or the order in which values are drawn. Philox4x32-10: Salmon et al., "Parallel
// random numbers: as easy as 1, 2, 3" (SC 2011).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace longsight {

// One block of the generator itself, as in the Random123 library; `counter` and `key` with the lowest word
// first.
std::array<std::uint32_t, 4> philox4x32_10(std::array<std::uint32_t, 4> counter,
                                           std::array<std::uint32_t, 2> key);

class Philox {
 public:
  Philox(std::uint64_t seed, std::string_view stream);

  std::array<std::uint32_t, 4> block(std::uint64_t index) const;
  std::uint64_t bits(std::uint64_t index) const;  // 64 uniform bits
  double uniform(std::uint64_t index) const;      // [0, 1)
  double normal(std::uint64_t index) const;       // mean 0, variance 1 (Box-Muller)
  std::uint64_t below(std::uint64_t bound,
                      std::uint64_t index) const;  // [0, bound), bias below 2^-64 * bound

 private:
  std::array<std::uint32_t, 2> key_;
  std::uint64_t stream_;
};

// The image of `index` under a permutation of [0, size) drawn by the generator: a Feistel network over the
// next even power of two, walked until it falls inside. No table: any index alone costs a few rounds.
std::uint64_t permuted(const Philox& random, std::uint64_t index, std::uint64_t size);

}  // namespace longsight
