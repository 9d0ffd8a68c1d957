// Blocks of a pass that do the same: two of them are traced, and tell what all do.
#pragma once

#include <utility>
#include <vector>

#include "model/pass.h"

namespace longsight::planning {

struct BlockClass {
  parallel::Tower tower = parallel::Tower::vision;
  std::vector<i64> blocks;  // ascending
};

class AlikeBlocks {
 public:
  // Borrows the model, and what of its parameters is trained stays so.
  explicit AlikeBlocks(const model::Vlm&);

  // By parameters, what of them is trained, whether backward comes through, and by strategy.
  std::vector<BlockClass> classes(const model::PassInputs&) const;

 private:
  friend class ShortenedPass;

  const model::Vlm& model_;
  std::vector<std::size_t> vision_, language_;  // of each block: which kind it is, but for its strategy
};

// While it lives the pass runs the first two blocks of each class only. Borrows the inputs.
class ShortenedPass {
 public:
  ShortenedPass(model::PassInputs&, const AlikeBlocks&);
  ~ShortenedPass();
  ShortenedPass(const ShortenedPass&) = delete;
  ShortenedPass& operator=(const ShortenedPass&) = delete;

  // How many blocks of the whole pass stand behind what a trace records of this unit.
  i64 blocks_of(const void* unit) const;

 private:
  model::PassInputs& inputs_;
  model::BlockSettings vision_, language_;
  std::vector<std::pair<const void*, i64>> seconds_;  // the second block of a class stands for all the others
};

}  // namespace longsight::planning
