#include "launch/planning/block_classes.h"

#include <map>

namespace longsight::planning {
namespace {

// The kind of each block of a tower; `through(i)`: whether backward runs block i.
template <class TowerModel, class Through>
std::vector<std::size_t> kinds_of(const TowerModel& tower, const ParameterRegistry& p, Through&& through) {
  std::map<std::pair<bool, std::string>, std::size_t> known;
  std::vector<std::size_t> kinds;
  for (i64 i = 0; i < tower.blocks(); ++i)
    kinds.push_back(known.try_emplace({through(i), tower.block(i).likeness(p)}, known.size()).first->second);
  return kinds;
}

}  // namespace

AlikeBlocks::AlikeBlocks(const model::Vlm& model) : model_(model) {
  const ParameterRegistry& p = model.parameters();
  vision_ = kinds_of(model.vision(), p, [&](i64 i) { return model.vision().needs_gradient_below(i + 1, p); });
  bool trained = false;  // at or below the block; what lies below all blocks is the same for each
  language_ = kinds_of(model.language(), p,
                       [&](i64 i) { return trained = trained || model.language().block(i).any_grad(p); });
}

ShortenedPass::ShortenedPass(model::PassInputs& inputs, const AlikeBlocks& alike)
    : inputs_(inputs), vision_(inputs.vision_blocks), language_(inputs.language_blocks) {
  shorten(inputs.vision_blocks, vision_, alike.vision_, alike.model_.vision());
  shorten(inputs.language_blocks, language_, alike.language_, alike.model_.language());
}

template <class TowerModel>
void ShortenedPass::shorten(model::BlockSettings& shown, const model::BlockSettings& all,
                            const std::vector<std::size_t>& kinds, const TowerModel& tower) {
  std::map<std::pair<std::size_t, const parallel::AttentionStrategy*>, std::vector<std::size_t>> classes;
  for (std::size_t i = 0; i < all.size(); ++i) classes[{kinds[i], all[i].attention}].push_back(i);
  shown.assign(all.size(), {});
  for (const auto& [key, blocks] : classes) {
    shown[blocks[0]] = all[blocks[0]];
    if (blocks.size() == 1) continue;
    shown[blocks[1]] = all[blocks[1]];
    seconds_.emplace_back(&tower.block(static_cast<i64>(blocks[1])), std::ssize(blocks) - 1);
  }
}

ShortenedPass::~ShortenedPass() {
  inputs_.vision_blocks = std::move(vision_);
  inputs_.language_blocks = std::move(language_);
}

i64 ShortenedPass::blocks_of(const void* unit) const {
  for (const auto& [second, blocks] : seconds_)
    if (second == unit) return blocks;
  return 1;
}

}  // namespace longsight::planning
