#include "parallel/layout/layout.h"

#include <fmt/ranges.h>

namespace longsight::parallel {

std::string Layout::text() const {
  return fmt::format("language rows cut at {}{}; vision rows cut at {}", fmt::join(language.at, " "),
                     language.zigzag ? " in a zigzag" : "", fmt::join(vision.at, " "));
}

Layout make_layout(const Plan& plan, const Geometry& g) {
  const i64 ranks = plan.mesh.sequence;
  Layout layout{.ranks = ranks, .language = {}, .vision = {}};
  // One block that moves nothing decides the cut of its whole tower.
  layout.language = cuts_between_sequences(plan.language) ? cuts_at(g.samples.starts, ranks)
                    : plan.split == Split::zigzag         ? zigzag_cuts(g.samples.rows(), ranks)
                                                          : even_cuts(g.samples.rows(), ranks);
  layout.vision = vision_cuts(g, ranks, cuts_between_sequences(plan.vision));
  return layout;
}

}  // namespace longsight::parallel
