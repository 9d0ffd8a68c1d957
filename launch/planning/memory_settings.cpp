#include "launch/planning/memory_settings.h"

#include <algorithm>

namespace longsight::planning {
namespace {

std::vector<i64> limits(const PlanRequest& request, const Mesh& mesh) {
  if (request.options.micro_batch_tokens) return {*request.options.micro_batch_tokens};
  std::vector<i64> tokens;
  for (const SampleStatistics& s : request.samples) tokens.push_back(s.tokens);
  i64 fullest = 0;  // tokens of a data group
  for (const auto& group : parallel::deal_samples(tokens, mesh.data, 0)) {
    i64 sum = 0;
    for (const auto& members : group)
      for (i64 sample : members) sum += tokens[static_cast<std::size_t>(sample)];
    fullest = std::max(fullest, sum);
  }
  const i64 longest = *std::max_element(tokens.begin(), tokens.end());
  std::vector<i64> all{0};
  for (i64 limit = ceil_div(fullest, 2); limit > longest; limit = ceil_div(limit, 2)) all.push_back(limit);
  if (fullest > longest) all.push_back(longest);
  return all;
}

std::vector<Recompute> levels(const PlanRequest& request) {
  if (request.options.recompute) return {*request.options.recompute};
  return {Recompute::none, Recompute::mlp, Recompute::attention, Recompute::block};
}

std::vector<int> stages(const PlanRequest& request, const Mesh& mesh) {
  if (mesh.world == 1) return {0};
  if (request.options.zero) return {*request.options.zero};
  return {0, 1, 2, 3};
}

}  // namespace

void MemorySetting::apply(Plan& plan) const {
  plan.micro_batch_tokens = micro_batch_tokens;
  plan.recompute = recompute;
  plan.zero = zero;
}

std::string MemorySetting::text() const {
  return parallel::name_of(recompute) +
         (micro_batch_tokens == 0 ? "" : fmt::format(" with micro-batches of {}", micro_batch_tokens)) +
         (zero == 0 ? "" : fmt::format("{} zero {}", micro_batch_tokens == 0 ? " with" : " and", zero));
}

MemorySetting setting_of(const Plan& plan) {
  return {plan.micro_batch_tokens, plan.recompute, plan.zero};
}

std::vector<Stages> memory_settings(const PlanRequest& request, const Mesh& mesh) {
  std::vector<Stages> all;
  for (const i64 limit : limits(request, mesh)) {
    all.emplace_back();
    for (const int zero : stages(request, mesh)) {
      all.back().emplace_back();
      for (const Recompute level : levels(request)) all.back().back().push_back({limit, level, zero});
    }
  }
  return all;
}

}  // namespace longsight::planning
