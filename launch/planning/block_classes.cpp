#include "launch/planning/block_classes.h"

#include <map>
#include <tuple>

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

void add_classes(std::vector<BlockClass>& all, parallel::Tower tower, const std::vector<std::size_t>& kinds,
                 const model::BlockSettings& settings) {
  std::map<std::pair<std::size_t, const parallel::AttentionStrategy*>, std::size_t> known;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const auto [place, added] = known.try_emplace({kinds[i], settings[i].attention}, all.size());
    if (added) all.push_back({.tower = tower, .blocks = {}});
    all[place->second].blocks.push_back(static_cast<i64>(i));
  }
}

}  // namespace

AlikeBlocks::AlikeBlocks(const model::Vlm& model) : model_(model) {
  const ParameterRegistry& p = model.parameters();
  vision_ = kinds_of(model.vision(), p, [&](i64 i) { return model.vision().needs_gradient_below(i + 1, p); });
  bool trained = false;  // at or below the block; what lies below all blocks is the same for each
  language_ = kinds_of(model.language(), p,
                       [&](i64 i) { return trained = trained || model.language().block(i).any_grad(p); });
}

std::vector<BlockClass> AlikeBlocks::classes(const model::PassInputs& inputs) const {
  std::vector<BlockClass> all;
  if (inputs.has_images()) add_classes(all, parallel::Tower::vision, vision_, inputs.vision_blocks);
  add_classes(all, parallel::Tower::language, language_, inputs.language_blocks);
  return all;
}

ShortenedPass::ShortenedPass(model::PassInputs& inputs, const AlikeBlocks& alike)
    : inputs_(inputs), vision_(inputs.vision_blocks), language_(inputs.language_blocks) {
  const std::vector<BlockClass> classes = alike.classes(inputs);
  inputs.vision_blocks.assign(vision_.size(), {});
  inputs.language_blocks.assign(language_.size(), {});
  const auto show = [](model::BlockSettings& shown, const model::BlockSettings& all, i64 block) {
    shown[static_cast<std::size_t>(block)] = all[static_cast<std::size_t>(block)];
  };
  for (const BlockClass& one : classes) {
    const bool vision = one.tower == parallel::Tower::vision;
    const std::size_t count = std::min<std::size_t>(one.blocks.size(), 2);
    for (std::size_t i = 0; i < count; ++i)
      show(vision ? inputs.vision_blocks : inputs.language_blocks, vision ? vision_ : language_,
           one.blocks[i]);
    if (count < 2) continue;
    const model::Block& second =
        vision ? alike.model_.vision().block(one.blocks[1]) : alike.model_.language().block(one.blocks[1]);
    seconds_.emplace_back(&second, static_cast<i64>(one.blocks.size()) - 1);
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
