// Blocks of a pass that do the same: one of them is traced, and counts for all.
#pragma once

#include <vector>

#include "model/pass.h"

namespace longsight::planning {

struct BlockClass {
  parallel::Tower tower = parallel::Tower::vision;
  std::vector<i64> blocks;  // ascending
};

// By strategy, parameters, what of them is trained, and whether backward comes through.
std::vector<BlockClass> block_classes(const model::Vlm&, const model::PassInputs&);

// While it lives the pass runs the first block of each class only, and of class `twice` (none: below 0) the
// second as well. Borrows inputs and classes.
class ShortenedPass {
 public:
  ShortenedPass(model::PassInputs&, const std::vector<BlockClass>&, i64 twice = -1);
  ~ShortenedPass();
  ShortenedPass(const ShortenedPass&) = delete;
  ShortenedPass& operator=(const ShortenedPass&) = delete;

 private:
  model::PassInputs& inputs_;
  model::BlockSettings vision_, language_;
};

}  // namespace longsight::planning
