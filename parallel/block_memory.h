// What the blocks of a tower take from the arenas of a rank: the mirror of model/block.cpp and
// model/layers.cpp.
#pragma once

#include <memory>
#include <vector>

#include "parallel/attention.h"
#include "parallel/model_shape.h"
#include "parallel/paper_group.h"

namespace longsight::parallel {

// Scratch of one linear layer over n rows, bytes.
class LinearMemory {
 public:
  LinearMemory(const LinearExtras& extras, DType dtype) : e_(extras), dtype_(dtype) {}

  i64 forward(i64 rows) const;
  i64 backward_weight(i64 rows) const;
  i64 backward_input(i64 rows) const;

 private:
  i64 bytes(i64 elements) const { return Arena::bytes_of(dtype_, elements); }
  i64 scaled_b(const LinearExtras::Adapter& a) const {
    return e_.scaled_weight > 0 ? bytes(a.outputs * a.rank) : 0;
  }

  const LinearExtras& e_;
  DType dtype_;
};

AttentionShape attention_shape(const TowerShape&, bool windowed);

class TowerMemory {
 public:
  struct Blocks {
    const std::vector<AttentionKind>& kinds;  // of each block that runs
    i64 backward = 0;                         // how many, from the last, run backward
  };
  // whole: the sequences; windows: of blocks with windows that are not causal. Borrowed.
  TowerMemory(const TowerShape&, Blocks, const PackedSequences& whole, const PackedSequences& windows,
              const Cuts&, std::span<const i64> prefixes, DType, int threads);

  i64 saved(i64 rank) const;     // by all blocks
  i64 forward(i64 rank) const;   // scratch of the block that takes most
  i64 backward(i64 rank) const;  // of those that run backward

 private:
  // Blocks that take the same memory.
  struct Class {
    const AttentionStrategy* attention;
    const BlockExtras* extras;
    bool backward;
    i64 count;
  };
  i64 bytes(i64 elements) const { return Arena::bytes_of(dtype_, elements); }
  i64 result() const { return t_.heads * t_.head_width; }
  bool has_qk_norms() const { return t_.q_norm_statistics > 0; }
  i64 saved_by(const Class&, i64 rank) const;
  i64 forward_of(const Class&, i64 rank) const;
  i64 backward_of(const Class&, i64 rank) const;
  LinearMemory linear(const LinearExtras& extras) const { return {extras, dtype_}; }

  const TowerShape& t_;
  const Cuts& cuts_;
  DType dtype_;
  int threads_;
  PaperGroup paper_;
  std::vector<std::unique_ptr<AttentionStrategy>> strategies_;
  std::vector<Class> classes_;
};

}  // namespace longsight::parallel
