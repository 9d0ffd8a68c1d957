#include "launch/planning/fitting.h"

#include <doctest/doctest.h>

#include "launch/planning/plan_report.h"
#include "tests/launch/planning/plan_shapes.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::planning;
using parallel::Recompute;

namespace {

Asked one_image(i64 world, i64 budget, PlanOptions options = {}) {
  options.memory_budget = budget;
  return request_of(tiny_shape(4, 8, 8), world, of({{11, 1, 1}}), std::move(options));
}

i64 needed(i64 world, i64 tokens, PlanOptions options) {
  Asked asked = one_image(world, 0, std::move(options));
  asked.request.samples = {{tokens, 1, tokens - 10}};  // nine visual ones, and the last has no next one
  return make_plan(asked).step.memory.total();
}

}  // namespace

TEST_CASE("the longest sequence fits, and a hundredth more does not, for every level and degree") {
  for (const i64 world : {1, 2, 4}) {
    for (const Recompute level : {Recompute::none, Recompute::block}) {
      PlanOptions options;
      options.recompute = level;
      options.zero = level == Recompute::none ? 0 : 3;
      options.sequence = world;
      options.vision = options.language = world == 1 ? AttentionKind::local : AttentionKind::gather;
      // The leanest: a zigzag is faster, and takes the keys of a whole sequence on every rank.
      if (world > 1) options.split = Split::equal;
      const i64 budget = needed(world, 5000, options);
      const LongestSequence longest = longest_sequence(one_image(world, budget, options).request);
      CAPTURE(world);
      CHECK(longest.plan.plan.zero == (world == 1 ? 0 : *options.zero));
      CHECK(longest.tokens >= 5000 - 5);
      CHECK(longest.tokens <= 5000);
      CHECK(longest.plan.refusal.empty());
      CHECK(longest.plan.batch.tokens == longest.tokens);
      CHECK(needed(world, longest.tokens * 101 / 100, options) > budget);
      CHECK(longest.levels.empty());
    }
  }
}

TEST_CASE("what is left open is chosen: all ranks share the sequence, and keep as little as they can") {
  PlanOptions options;
  options.sequence = 4;
  options.recompute = Recompute::block;
  options.vision = options.language = AttentionKind::gather;
  const i64 budget = needed(4, 8000, options);
  const LongestSequence longest = longest_sequence(one_image(4, budget).request);
  CHECK(longest.tokens >= 8000 - 8);
  CHECK(longest.plan.plan.mesh.sequence == 4);
  CHECK(longest.plan.plan.recompute == Recompute::block);
  REQUIRE(longest.levels.size() == 4);
  for (std::size_t i = 1; i < 4; ++i) CHECK(longest.levels[i].tokens > longest.levels[i - 1].tokens);
  CHECK(longest.levels.back().tokens == longest.tokens);
  CHECK(contains(longest.limit, "memory: "));
  CHECK(contains(longest.limit, "sequence degree 4, recompute block"));
  const std::string text = longest_table(longest);
  CHECK(contains(text, fmt::format("the longest sequence: {} tokens", longest.tokens)));
  CHECK(longest_json(longest)["max_tokens"] == longest.tokens);
  CHECK(longest_json(longest)["by_recompute"].size() == 4);
}

TEST_CASE("without a budget there is no longest sequence, nor where not even the images fit") {
  CHECK(contains(failure_of([] { longest_sequence(one_image(2, 0).request); }).message, "memory.budget"));
  const Failure nothing = failure_of([] { longest_sequence(one_image(2, 1000).request); });
  CHECK(nothing.code == ExitCode::usage);
  CHECK(contains(nothing.message, "Parameters, gradients and moments alone"));
}
