// Blocks of a pass that do the same: two of them are traced, and tell what all do.
#pragma once

#include <utility>
#include <vector>

#include "model/pass.h"

namespace longsight::planning {

// Which blocks of a tower are alike but for their strategy: by parameters, what of them is trained, and
// whether backward comes through. Borrows the model, and what of its parameters is trained stays so.
class AlikeBlocks {
 public:
  explicit AlikeBlocks(const model::Vlm&);

 private:
  friend class ShortenedPass;

  const model::Vlm& model_;
  std::vector<std::size_t> vision_, language_;  // the kind of each block
};

// While it lives the pass runs only the first two blocks of each class, which are alike and have one
// strategy. Borrows the inputs.
class ShortenedPass {
 public:
  ShortenedPass(model::PassInputs&, const AlikeBlocks&);
  ~ShortenedPass();
  ShortenedPass(const ShortenedPass&) = delete;
  ShortenedPass& operator=(const ShortenedPass&) = delete;

  // How many blocks of the whole pass stand behind what a trace records of this unit.
  i64 blocks_of(const void* unit) const;

 private:
  template <class TowerModel>
  void shorten(model::BlockSettings& shown, const model::BlockSettings& all,
               const std::vector<std::size_t>& kinds, const TowerModel&);

  model::PassInputs& inputs_;
  model::BlockSettings vision_, language_;            // all of them
  std::vector<std::pair<const void*, i64>> seconds_;  // the second block of a class stands for all the others
};

}  // namespace longsight::planning
