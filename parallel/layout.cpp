#include "parallel/layout.h"

#include <algorithm>

#include <fmt/ranges.h>

namespace longsight::parallel {
namespace {

bool any(const std::vector<AttentionKind>& blocks, AttentionKind kind) {
  return std::find(blocks.begin(), blocks.end(), kind) != blocks.end();
}

}  // namespace

std::string Layout::text() const {
  return fmt::format("language rows cut at {}; vision rows cut at {}", fmt::join(language.at, " "),
                     fmt::join(vision.at, " "));
}

Layout make_layout(const Plan& plan, const Geometry& g) {
  const i64 ranks = plan.mesh.sequence;
  Layout layout{.ranks = ranks, .language = {}, .vision = {}};
  // One block that moves nothing decides the cut of its whole tower.
  layout.language = any(plan.language, AttentionKind::local) ? cuts_at(g.samples.starts, ranks)
                                                             : even_cuts(g.samples.rows(), ranks);
  layout.vision = vision_cuts(
      g, ranks, any(plan.vision, AttentionKind::images) || any(plan.vision, AttentionKind::local));
  return layout;
}

}  // namespace longsight::parallel
