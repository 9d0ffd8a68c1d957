// A stack of memory for activations and scratch. Nothing is allocated per step once the largest step has been
// seen.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tensor/tensor.h"

namespace longsight {

class Arena {
 public:
  explicit Arena(std::string label, MemoryPlace place = {});
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Uninitialised memory, aligned as its place asks for (64 bytes on the host), until the arena is rewound
  // behind it. Debug builds fill it with
  // NaN. `label` is counted in the table of the high-water mark.
  Tensor take(DType dtype, Shape shape, std::string_view label);

  // What take() adds to used() for so many elements, on the host and in a trace.
  static i64 bytes_of(DType dtype, i64 elements);

  struct Mark {
    std::size_t block = 0;
    i64 used_in_block = 0;
    i64 used = 0;
    std::size_t takes = 0;
  };
  Mark mark() const;
  void rewind(Mark mark);  // frees everything taken since; marks are used last in, first out

  i64 used() const { return used_; }
  i64 high_water() const { return high_water_; }  // most bytes in use at once since the last reset_high_water
  void reset_high_water() { high_water_ = used_; }
  const std::map<std::string, i64>& by_label() const {
    return at_high_water_;
  }                           // bytes at the high-water
                              // mark, once it is left
  std::string table() const;  // the same, largest first

 private:
  struct Block {
    Storage storage;
    i64 used = 0;
  };
  struct Take {
    std::string label;
    i64 bytes = 0;
  };
  std::string label_;
  MemoryPlace place_;
  i64 align_;
  std::vector<Block> blocks_;
  std::size_t current_ = 0;
  i64 used_ = 0;
  i64 high_water_ = 0;
  std::vector<Take> takes_;
  std::map<std::string, i64> at_high_water_;
};

// Rewinds an arena at the end of a scope: scratch memory.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
  ~ArenaScope() { arena_.rewind(mark_); }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena& arena_;
  Arena::Mark mark_;
};

}  // namespace longsight
