#include "launch/planning/planner.h"

#include <limits>

#include "launch/planning/plan_reasons.h"

namespace longsight::planning {
namespace {

void check_request(const PlanRequest& r) {
  check(r.model.parameters().allocated(), "a plan for a model whose parameters are nowhere");
  check(r.model.config().text.layers > 0, "a plan for a model without language blocks");
  check(r.options.memory_budget >= 0, "a memory budget of {} bytes", r.options.memory_budget);
  for (double rate : {r.hardware.gemm_flops, r.hardware.attention_flops, r.hardware.memory_bandwidth,
                      r.hardware.link_bandwidth}) {
    require(rate > 0 && rate < std::numeric_limits<double>::infinity(), ExitCode::usage,
            "hardware profile \"{}\": every rate must be positive", r.hardware.name);
  }
  require(r.hardware.latency >= 0 && r.hardware.latency < std::numeric_limits<double>::infinity(),
          ExitCode::usage, "hardware profile \"{}\": latency must not be negative", r.hardware.name);
}

std::vector<i64> degrees(const PlanRequest& request) {
  std::vector<i64> all;
  for (i64 d = 1; d <= request.world; ++d) {
    if (request.world % d == 0) all.push_back(d);
  }
  return all;
}

std::string split_of(const Plan& plan, const std::vector<AttentionKind>& blocks, const char* between,
                     const char* anywhere) {
  if (plan.mesh.sequence == 1) return "whole";
  return cuts_between_sequences(blocks) ? between : anywhere;
}

// The best of each degree that may be tried, and which of them is taken.
Considered consider(const PlanRequest& request, const BlockRequests& requests) {
  const std::vector<i64> tried =
      request.options.sequence ? std::vector<i64>{*request.options.sequence} : degrees(request);
  Considered considered;
  std::vector<std::vector<Candidate>> all;
  for (i64 degree : tried) {
    all.push_back(
        ranked(request, requests, TypicalStep(request, parallel::make_mesh(request.world, degree))));
    considered.degrees.push_back(all.back().front());
  }
  considered.chosen = request.batch.known() ? choose(request, considered.degrees) : tried.size() - 1;
  considered.here = std::move(all[considered.chosen]);
  return considered;
}

}  // namespace

PlanResult make_plan(const PlanRequest& request) {
  check_request(request);
  const BlockRequests requests = block_requests(model_facts(request.model.config()), request.options);
  const Considered considered = consider(request, requests);
  const Candidate& best = considered.here.front();
  const TypicalStep step(request, best.plan.mesh);
  return {.plan = best.plan,
          .hardware = request.hardware,
          .batch = step.summary(),
          .sequence_reason = sequence_reason(request, considered),
          .recompute_reason = recompute_reason(request, considered),
          .zero_reason = zero_reason(request, considered),
          .vision_split = split_of(best.plan, best.plan.vision, "between images", "equal rows"),
          .language_split = split_of(best.plan, best.plan.language, "between samples", "equal tokens"),
          .blocks = block_decisions(request, requests, considered, step),
          .step = best.step,
          .rejected = rejected_alternatives(request, requests, considered, step),
          .warnings = plan_warnings(request, best, step)};
}

}  // namespace longsight::planning
