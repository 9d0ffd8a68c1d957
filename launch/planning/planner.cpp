#include "launch/planning/planner.h"

#include "launch/planning/fitting.h"
#include "launch/planning/plan_reasons.h"

namespace longsight::planning {
namespace {

void check_request(const PlanRequest& r) {
  check(r.model.parameters().allocated(), "a plan for a model whose parameters are nowhere");
  check(r.model.config().text.layers > 0, "a plan for a model without language blocks");
  check(r.options.memory_budget >= 0, "a memory budget of {} bytes", r.options.memory_budget);
  require(!r.samples.empty(), ExitCode::usage,
          "nothing is known about the length of samples: name data.train, or give --tokens N and --images K");
  require_complete(r.hardware, r.world);
}

std::string split_of(const Plan& plan, const std::vector<AttentionKind>& blocks, const char* between,
                     const char* anywhere) {
  if (plan.mesh.sequence == 1) return "whole";
  return cuts_between_sequences(blocks) ? between : anywhere;
}

// The best of each degree that may be tried, and which of them is taken.
Considered consider(const PlanRequest& request, KnownPasses& passes, const BlockRequests& requests) {
  std::vector<Mesh> meshes;
  for (i64 degree : sequence_degrees(request)) meshes.push_back(parallel::make_mesh(request.world, degree));
  std::vector<std::vector<Candidate>> all = ranked(request, passes, requests, meshes);
  Considered considered;
  for (const std::vector<Candidate>& of_mesh : all) considered.degrees.push_back(of_mesh.front());
  considered.chosen = choose(request, considered.degrees);
  considered.here = std::move(all[considered.chosen]);
  return considered;
}

}  // namespace

PlanResult make_plan(const PlanRequest& request) {
  check_request(request);
  const BlockRequests requests = block_requests(model_facts(request.model.config()), request.options);
  KnownPasses passes(request);
  const Considered considered = consider(request, passes, requests);
  const Candidate& best = considered.here.front();
  const TypicalStep step(request, passes, best.plan.mesh, best.plan.micro_batch_tokens);
  return {.plan = best.plan,
          .precision = request.model.parameters().precision(),
          .hardware = request.hardware,
          .batch = step.summary(),
          .memory_budget = request.options.memory_budget,
          .budget_source = request.options.budget_source,
          .sequence_reason = sequence_reason(request, considered),
          .memory_reason = memory_reason(request, considered),
          .zero_reason = zero_reason(request, considered),
          .vision_split = split_of(best.plan, best.plan.vision, "between images", "equal rows"),
          .language_split = split_of(best.plan, best.plan.language, "between samples",
                                     best.plan.split == Split::zigzag ? "zigzag" : "equal tokens"),
          .split_reason = split_reason(request, considered),
          .blocks = block_decisions(request, requests, considered, step),
          .step = best.step,
          .flops = step.flops(),
          .rejected = rejected_alternatives(request, passes, requests, considered, step),
          .warnings = plan_warnings(request, best, step),
          .refusal = fits(request, best) ? "" : what_would_fit(request, requests, best)};
}

StepPrediction predict_step(const PlanRequest& request, const Plan& plan) {
  check_request(request);
  KnownPasses passes(request);
  return TypicalStep(request, passes, plan.mesh, plan.micro_batch_tokens).predict(plan);
}

double predicted_seconds(const PlanResult& result, double flops) {
  double once = 0;  // a step
  for (const auto& [part, seconds] : result.step.seconds_by_part) {
    if (part == "gradients" || part == "optimizer") once += seconds;
  }
  return once + (result.step.seconds - once) * flops / result.flops;
}

void require_fits(const PlanResult& result) {
  require(result.refusal.empty(), ExitCode::usage, "{}", result.refusal);
}

}  // namespace longsight::planning
