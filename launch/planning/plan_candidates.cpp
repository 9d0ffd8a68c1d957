#include "launch/planning/plan_candidates.h"

#include <algorithm>

namespace longsight::planning {

namespace {

// What `auto` may choose from. Where nothing is open, any one will do.
std::vector<AttentionKind> candidates(Tower tower, const TowerFacts& shape,
                                      const std::vector<BlockRequest>& requests, const TypicalStep& step) {
  if (!any_open(requests)) return {parallel::strategies().front().kind};
  std::vector<AttentionKind> kinds;
  for (AttentionKind kind : parallel::legal_for(tower)) {
    if (parallel::strategy_of(kind).automatic(step.mesh().sequence, shape.heads, step.summary().images))
      kinds.push_back(kind);
  }
  return kinds;
}

}  // namespace

bool any_open(const std::vector<BlockRequest>& requests) {
  return std::any_of(requests.begin(), requests.end(), [](const BlockRequest& r) { return !r.attention; });
}

std::vector<AttentionKind> filled(const std::vector<BlockRequest>& requests, AttentionKind open) {
  std::vector<AttentionKind> kinds;
  for (const BlockRequest& request : requests) kinds.push_back(request.attention.value_or(open));
  return kinds;
}

bool fits(const PlanRequest& request, const Candidate& c) {
  return request.options.memory_budget == 0 || c.step.memory.total() <= request.options.memory_budget;
}

std::size_t choose(const PlanRequest& request, const std::vector<Candidate>& all) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < all.size(); ++i) {
    const bool here = fits(request, all[i]), there = fits(request, all[best]);
    const bool better = here != there ? here
                        : here        ? all[i].step.seconds < all[best].step.seconds * (1 - 1e-9)
                                      : all[i].step.memory.total() < all[best].step.memory.total();
    if (better) best = i;
  }
  return best;
}

std::vector<Candidate> ranked(const PlanRequest& request, const BlockRequests& requests,
                              const TypicalStep& step) {
  // The towers are not chosen apart: the cuts of both decide what fusion moves.
  std::vector<Candidate> all;
  const ModelFacts facts = model_facts(request.model.config());
  for (AttentionKind vision : candidates(Tower::vision, facts.vision, requests.vision, step)) {
    for (AttentionKind language : candidates(Tower::language, facts.language, requests.language, step)) {
      Plan plan{step.mesh(), filled(requests.vision, vision), filled(requests.language, language),
                request.options.fusion, request.options.recompute.value_or(Recompute::none)};
      Candidate candidate{vision, language, plan, step.predict(plan)};
      // Each level takes longer and keeps less: the first that fits will do.
      while (!request.options.recompute && !fits(request, candidate) && plan.recompute != Recompute::block) {
        candidate.too_large.emplace_back(plan.recompute, candidate.step.memory.total());
        plan.recompute = static_cast<Recompute>(static_cast<int>(plan.recompute) + 1);
        candidate.plan = plan;
        candidate.step = step.predict(plan);
      }
      all.push_back(std::move(candidate));
    }
  }
  std::swap(all.front(), all[choose(request, all)]);
  return all;
}

}  // namespace longsight::planning
