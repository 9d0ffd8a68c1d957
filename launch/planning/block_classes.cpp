#include "launch/planning/block_classes.h"

#include <map>
#include <tuple>

namespace longsight::planning {
namespace {

using Key = std::tuple<const parallel::AttentionStrategy*, bool, std::string>;

// `through(i)`: whether backward runs block i.
template <class TowerModel, class Through>
void add_classes(std::vector<BlockClass>& all, parallel::Tower tower, const TowerModel& model,
                 const model::BlockSettings& settings, const ParameterRegistry& p, Through&& through) {
  std::map<Key, std::size_t> known;
  for (i64 i = 0; i < model.blocks(); ++i) {
    const Key key{settings[static_cast<std::size_t>(i)].attention, through(i), model.block(i).likeness(p)};
    const auto [place, added] = known.try_emplace(key, all.size());
    if (added) all.push_back({.tower = tower, .blocks = {}});
    all[place->second].blocks.push_back(i);
  }
}

}  // namespace

std::vector<BlockClass> block_classes(const model::Vlm& model, const model::PassInputs& inputs) {
  const ParameterRegistry& p = model.parameters();
  std::vector<BlockClass> all;
  if (inputs.has_images())
    add_classes(all, parallel::Tower::vision, model.vision(), inputs.vision_blocks, p,
                [&](i64 i) { return model.vision().needs_gradient_below(i + 1, p); });
  bool trained = false;  // at or below the block; what lies below all blocks is the same for each
  add_classes(all, parallel::Tower::language, model.language(), inputs.language_blocks, p,
              [&](i64 i) { return trained = trained || model.language().block(i).any_grad(p); });
  return all;
}

ShortenedPass::ShortenedPass(model::PassInputs& inputs, const std::vector<BlockClass>& classes, i64 twice)
    : inputs_(inputs), vision_(inputs.vision_blocks), language_(inputs.language_blocks) {
  const auto clear = [](model::BlockSettings& settings) {
    std::fill(settings.begin(), settings.end(), model::BlockSetting{});
  };
  clear(inputs.vision_blocks);
  clear(inputs.language_blocks);
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const bool vision = classes[c].tower == parallel::Tower::vision;
    model::BlockSettings& shown = vision ? inputs.vision_blocks : inputs.language_blocks;
    const std::size_t count = static_cast<i64>(c) == twice ? 2 : 1;
    for (std::size_t i = 0; i < count; ++i) {
      const auto block = static_cast<std::size_t>(classes[c].blocks[i]);
      shown[block] = (vision ? vision_ : language_)[block];
    }
  }
}

ShortenedPass::~ShortenedPass() {
  inputs_.vision_blocks = std::move(vision_);
  inputs_.language_blocks = std::move(language_);
}

}  // namespace longsight::planning
