#include "launch/planning/fitting.h"

#include <algorithm>

#include "launch/planning/units.h"

namespace longsight::planning {
namespace {

// Parameters, gradients and moments: what no length, micro-batch or recompute changes.
i64 staying(const MemoryByPart& m) {
  return m.parameters + m.gradients + m.optimizer;
}

// Whether anything fits on this mesh.
bool something_fits(const PlanRequest& request, const BlockRequests& blocks, const Mesh& mesh) {
  KnownPasses passes(request);
  const auto tried =
      with_setting(request, passes, blocks, mesh, leanest(memory_settings(request, mesh).back()));
  return std::any_of(tried.begin(), tried.end(), [&](const Candidate& c) { return fits(request, c); });
}

// The least number of ranks that would do, of the next doublings; 0: none of them.
i64 ranks_that_fit(PlanRequest request, const BlockRequests& blocks) {
  constexpr i64 kDoublings = 6;
  i64 tokens = 0;
  for (const SampleStatistics& s : request.samples) tokens = std::max(tokens, s.tokens);
  for (i64 i = 0; i < kDoublings && 2 * request.world <= tokens; ++i) {
    request.world *= 2;
    if (something_fits(request, blocks, parallel::make_mesh(request.world, request.world)))
      return request.world;
  }
  return 0;
}

}  // namespace

std::string what_would_fit(const PlanRequest& request, const BlockRequests& blocks, const Candidate& best) {
  const i64 budget = request.options.memory_budget, stays = staying(best.step.memory);
  std::string text =
      fmt::format("the plan does not fit: a rank needs {}, more than the memory budget of {} ({}). ",
                  bytes_text(best.step.memory.total()), bytes_text(budget), request.options.budget_source);
  if (stays >= budget)
    return text + fmt::format(
                      "Parameters, gradients and moments alone take {} of each rank: train less of the model "
                      "(model.train, model.lora), or use ranks of more memory (memory.budget=none plans all "
                      "the same)",
                      bytes_text(stays));
  text += fmt::format("What would fit: {} a rank", bytes_text(best.step.memory.total()));
  if (!request.options.sequence) {
    if (const i64 ranks = ranks_that_fit(request, blocks); ranks > 0)
      text += fmt::format("; {} ranks of as much memory that share each sequence", ranks);
  }
  if (request.options.recompute && *request.options.recompute != Recompute::block)
    text += "; perhaps another memory.recompute than the one asked for";
  if (request.options.micro_batch_tokens && request.samples.size() > 1)
    text += "; perhaps fewer memory.micro_batch_tokens than asked for";
  return text + "; shorter samples or fewer images";
}

namespace {

// The longest sample of one plan: memory hardly bends as a function of its length, so that a straight line
// through two lengths soon hits the budget.
class Search {
 public:
  explicit Search(PlanRequest request)
      : request_(std::move(request)), tile_(model_facts(request_.model.config()).tile) {
    visual_ = request_.samples.front().images * tile_.features_of(tile_.patches_per_tile);
  }

  i64 least_tokens() const { return visual_ + 2; }  // a token of text, and one that it predicts

  PlanRequest request(i64 tokens) const {
    PlanRequest of_it = request_;
    of_it.samples.front().tokens = tokens;
    of_it.samples.front().supervised = tokens - visual_ - 1;
    return of_it;
  }

  // The plan that needs least memory: every degree and strategy, with all that saves memory.
  Plan leanest() const {
    constexpr i64 kTokensOfRank = 1024;  // enough for activations to tell
    const PlanRequest probe = request(std::max(least_tokens(), kTokensOfRank * request_.world));
    const BlockRequests blocks = block_requests(model_facts(probe.model.config()), probe.options);
    const Candidate* best = nullptr;
    KnownPasses passes(probe);
    std::vector<std::vector<Candidate>> all;
    for (i64 degree : sequence_degrees(probe)) {
      const Mesh mesh = parallel::make_mesh(probe.world, degree);
      all.push_back(
          with_setting(probe, passes, blocks, mesh, planning::leanest(memory_settings(probe, mesh).back())));
    }
    for (const auto& of_degree : all) {
      for (const Candidate& c : of_degree)
        if (best == nullptr || c.step.memory.total() < best->step.memory.total()) best = &c;
    }
    return best->plan;
  }

  // 0: none.
  i64 longest(const Plan& plan) const {
    i64 fits = least_tokens(), bytes = needed(plan, fits), too_long = kMostTokens;
    if (bytes > budget()) return 0;
    i64 next = 2 * std::max<i64>(1024, fits);
    for (int round = 1; too_long - fits > std::max<i64>(1, fits / 1000); ++round) {
      const i64 then = needed(plan, next);
      const double of_token = static_cast<double>(then - bytes) / static_cast<double>(next - fits);
      if (then <= budget()) {
        fits = next;
        bytes = then;
      } else {
        too_long = next;
      }
      // A little beyond where the line meets the budget, then a little before: both sides are near at once.
      const double met = static_cast<double>(fits) + static_cast<double>(budget() - bytes) / of_token;
      const double beside = met * (then <= budget() ? 1.0004 : 0.9996);
      // Halving, lest a line that bends takes for ever.
      next = round % 4 == 0 && too_long < kMostTokens
                 ? fits + (too_long - fits) / 2
                 : static_cast<i64>(std::min(beside, 16 * static_cast<double>(fits)));
      next = std::clamp(next, fits + 1, too_long - 1);
    }
    return fits;
  }

  double seconds(const Plan& plan, i64 tokens) const { return predict_step(request(tokens), plan).seconds; }

 private:
  i64 budget() const { return request_.options.memory_budget; }
  i64 needed(const Plan& plan, i64 tokens) const {
    return predict_step(request(tokens), plan).memory.total();
  }

  PlanRequest request_;
  TileFacts tile_;
  i64 visual_ = 0;
};

std::string limit_of(const PlanResult& plan) {
  const MemoryByPart& m = plan.step.memory;
  std::pair<std::string, i64> largest;
  for (const auto& part : m.parts()) {
    const bool stays = part.first == "parameters" || part.first == "gradients" || part.first == "optimizer";
    if (!stays && part.second > largest.second) largest = part;
  }
  return fmt::format(
      "memory: {} {} of {}; parameters, gradients and moments take {} at any length; sequence degree "
      "{}, recompute {}",
      largest.first, bytes_text(largest.second), bytes_text(plan.memory_budget), bytes_text(staying(m)),
      plan.plan.mesh.sequence, setting_of(plan.plan).text());
}

}  // namespace

LongestSequence longest_sequence(PlanRequest request) {
  require(request.options.memory_budget > 0, ExitCode::usage,
          "how long a sequence may be depends on memory.budget: give one, or a hardware profile with memory");
  check(request.samples.size() == 1, "the longest of {} samples", request.samples.size());
  const auto asked = request.options.recompute;
  const Search search(std::move(request));
  Plan plan = search.leanest();
  LongestSequence found{.tokens = search.longest(plan)};
  if (found.tokens == 0) require_fits(make_plan(search.request(search.least_tokens())));
  found.plan = make_plan(search.request(found.tokens));
  found.limit = limit_of(found.plan);
  if (asked) return found;
  for (const Recompute level : {Recompute::none, Recompute::mlp, Recompute::attention, Recompute::block}) {
    plan.recompute = level;
    const i64 tokens = level == Recompute::block ? found.tokens : search.longest(plan);
    found.levels.push_back({level, tokens, tokens == 0 ? 0 : search.seconds(plan, tokens)});
  }
  return found;
}

}  // namespace longsight::planning
