// Bytes per rank by part, counted from the shapes of what is taken: the mirror of the model's forward and
// backward, to the byte.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "parallel/batch_shape.h"
#include "parallel/model_shape.h"
#include "parallel/plan.h"

namespace longsight::parallel {

struct MemoryByPart {
  i64 parameters = 0;
  i64 gradients = 0;
  i64 optimizer = 0;    // two moments per trained element
  i64 activations = 0;  // what forward leaves for backward
  i64 scratch = 0;      // most that is taken at once besides, without:
  i64 loss_chunk = 0;   // logits that exist at a time
  i64 communication = 0;

  i64 total() const;
  std::vector<std::pair<std::string, i64>> parts() const;  // by name, without the total
};

// One pass with gradients over a micro-batch, on any rank of the sequence group. Images' pixels and what MPI
// takes are not counted.
class PassMemoryModel {
 public:
  // `threads` that attention computes with; 0: without the memory of its tiles, which depends on the machine.
  // The arguments are borrowed.
  PassMemoryModel(const ModelShape&, const Plan&, const BatchShape&, int threads = 0);
  ~PassMemoryModel();
  PassMemoryModel(const PassMemoryModel&) = delete;
  PassMemoryModel& operator=(const PassMemoryModel&) = delete;

  i64 saved(i64 rank) const;    // in the arena of activations at the end of forward
  i64 scratch(i64 rank) const;  // most in the scratch arena during forward and backward
  MemoryByPart of(i64 rank) const;
  MemoryByPart fullest() const;  // of the rank that needs most

 private:
  struct Facts;
  std::unique_ptr<Facts> facts_;
};

}  // namespace longsight::parallel
