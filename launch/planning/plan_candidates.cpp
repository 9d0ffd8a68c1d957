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

namespace {

// The first level of recompute that fits with this stage: each takes longer than the one before, and keeps
// less.
Candidate with_recompute(const PlanRequest& request, const TypicalStep& step, Candidate candidate) {
  Plan& plan = candidate.plan;
  candidate.step = step.predict(plan);
  while (!request.options.recompute && !fits(request, candidate) && plan.recompute != Recompute::block) {
    candidate.too_large.emplace_back(plan.recompute, candidate.step.memory.total());
    plan.recompute = static_cast<Recompute>(static_cast<int>(plan.recompute) + 1);
    candidate.step = step.predict(plan);
  }
  return candidate;
}

// All strategies where so much is dealt over the ranks, the best first.
std::vector<Candidate> ranked_in_stage(const PlanRequest& request, const BlockRequests& requests,
                                       const TypicalStep& step, int zero) {
  // The towers are not chosen apart: the cuts of both decide what fusion moves.
  std::vector<Candidate> all;
  const ModelFacts facts = model_facts(request.model.config());
  for (AttentionKind vision : candidates(Tower::vision, facts.vision, requests.vision, step)) {
    for (AttentionKind language : candidates(Tower::language, facts.language, requests.language, step)) {
      const Plan plan{step.mesh(),
                      filled(requests.vision, vision),
                      filled(requests.language, language),
                      request.options.fusion,
                      request.options.recompute.value_or(Recompute::none),
                      zero};
      all.push_back(with_recompute(request, step, {vision, language, plan, {}}));
    }
  }
  std::swap(all.front(), all[choose(request, all)]);
  return all;
}

}  // namespace

std::vector<Candidate> ranked(const PlanRequest& request, const BlockRequests& requests,
                              const TypicalStep& step) {
  const std::optional<int> asked = request.world == 1 ? 0 : request.options.zero;
  std::vector<std::vector<Candidate>> stages;
  std::vector<Candidate> best;  // of each
  for (int zero = asked.value_or(0); zero <= asked.value_or(3); ++zero) {
    stages.push_back(ranked_in_stage(request, requests, step, zero));
    best.push_back(stages.back().front());
    // The lowest stage that fits with nothing computed again; where there is none, the fastest that fits.
    if (fits(request, best.back()) && best.back().too_large.empty()) break;
  }
  std::vector<Candidate>& chosen = stages[choose(request, best)];
  const Candidate& lowest = best.front();
  chosen.front().undealt_bytes =
      lowest.too_large.empty() ? lowest.step.memory.total() : lowest.too_large.front().second;
  return std::move(chosen);
}

}  // namespace longsight::planning
