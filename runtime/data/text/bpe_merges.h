// The merges of a BPE, and the loop that makes them.
#pragma once

#include <cstdint>
#include <vector>

namespace longsight::data {

class BpeMerges {
 public:
  struct Merge {
    std::int32_t left = 0, right = 0;
    std::uint32_t rank = 0;
    std::int32_t result = 0;
  };
  void build(const std::vector<Merge>& merges);  // of equal pairs the last counts

  // The symbols from ids[first] on become tokens: again and again the pair of the best rank is merged, of
  // equal ones the leftmost, until none is left. n log n for n symbols.
  void apply(std::vector<std::int32_t>& ids, std::size_t first) const;

 private:
  struct Entry {
    std::uint64_t pair = ~std::uint64_t{0};
    std::uint32_t rank = 0;
    std::int32_t result = 0;
  };
  const Entry* find(std::int32_t left, std::int32_t right) const;
  std::size_t apply_short(std::int32_t* symbols, std::size_t count) const;
  void apply_long(std::vector<std::int32_t>& ids, std::size_t first) const;

  // Open addressing; one empty entry at least.
  std::vector<Entry> entries_ = std::vector<Entry>(1);
  std::uint64_t mask_ = 0;
};

}  // namespace longsight::data
