// Sixteen patterns of which ranks have pictures, in two micro-batches of none, one or seven: no rank waits
// for another, and the gradients are those of one rank.
#include <cmath>

#include <doctest/doctest.h>

#include "launch/training/step.h"
#include "parallel/groups/self_group.h"
#include "tests/support/rank_test.h"
#include "tests/support/tiny_model.h"

namespace longsight::launch {
namespace {

using parallel::AttentionKind;

constexpr i64 kPatterns = 16, kPasses = 2;

std::unique_ptr<model::Vlm> model_for(bool frozen_tower) {
  auto model = std::make_unique<model::Vlm>(model::read_model_config(test::tiny_config(), "tiny"));
  ParameterRegistry& p = model->parameters();
  p.set_trainable([&](const Parameter& parameter) { return !frozen_tower || parameter.part != "vision"; });
  p.allocate(DType::F64, true);
  p.initialise(7);
  return model;
}

// In the second micro-batch a group has what its neighbour has in the first.
i64 pictures(i64 pattern, i64 group, i64 pass) {
  const bool any = (pattern >> ((group + pass) % 4) & 1) != 0;
  return any ? (pattern + group) % 2 == 0 ? 7 : 1 : 0;
}

std::vector<model::Sample> samples_of(const model::Vlm& model, i64 pattern, i64 group, i64 pass) {
  const i64 images = pictures(pattern, group, pass);
  return test::tiny_samples(model.config(), {{11 + 2 * group, images}, {5, 0}},
                            static_cast<u64>(100 * pattern + 10 * group + pass));
}

// The micro-batches of `groups` groups, as a rank of the plan runs those of the groups first .. last.
StepBatch step_of(const model::Vlm& model, const parallel::Plan& plan, i64 rank, i64 pattern, i64 groups,
                  i64 first, i64 last) {
  StepBatch step;
  for (i64 group = 0; group < groups; ++group) {
    for (i64 pass = 0; pass < kPasses; ++pass) {
      const auto samples = samples_of(model, pattern, group, pass);
      for (const model::Sample& s : samples) {
        step.supervised += supervised_tokens(s);
        step.images += static_cast<i64>(s.images.size());
      }
      if (group < first || group >= last) continue;
      step.passes.push_back(
          make_inputs(pack(samples, model.config()), model, plan, plan.mesh.sequence_rank(rank)));
    }
  }
  return step;
}

double largest(Tensor x) {
  double most = 0;
  for (i64 i = 0; i < x.elements(); ++i) most = std::max(most, std::abs(x.host<double>()[i]));
  return most;
}

void check_pattern(bool frozen_tower, i64 pattern, i64 sequence) {
  CAPTURE(frozen_tower);
  CAPTURE(pattern);
  CAPTURE(sequence);
  const i64 ranks = test_world().size(), groups = ranks / sequence;
  const auto model = model_for(frozen_tower), reference = model_for(frozen_tower);
  const auto plan =
      parallel::uniform_plan({ranks, sequence, groups}, model->vision().blocks(), AttentionKind::ulysses,
                             model->language().blocks(), AttentionKind::gather, parallel::FusionKind::owner);
  parallel::MeshGroups mesh(plan.mesh, test_world());
  StepRunner runner(*model, plan, mesh, {});
  const i64 own = plan.mesh.data_rank(test_world().rank());
  runner.run(step_of(*model, plan, test_world().rank(), pattern, groups, own, own + 1));

  parallel::SelfGroup self;
  const parallel::Plan alone = one_rank_plan(*reference);
  parallel::MeshGroups alone_mesh(alone.mesh, self);
  StepRunner alone_runner(*reference, alone, alone_mesh, {});
  alone_runner.run(step_of(*reference, alone, 0, pattern, groups, 0, groups));

  const double loss = alone_runner.read().loss;
  CHECK(std::abs(runner.read().loss - loss) <= 1e-12 * loss);
  const Tensor a = model->parameters().gradients(), b = reference->parameters().gradients();
  REQUIRE(a.elements() == b.elements());
  double worst = 0;
  for (i64 i = 0; i < a.elements(); ++i)
    worst = std::max(worst, std::abs(a.host<double>()[i] - b.host<double>()[i]));
  REQUIRE(largest(b) > 0);
  CHECK(worst <= 1e-12 * largest(b));
}

}  // namespace

TEST_CASE("whichever ranks have pictures, the gradients are those of one rank") {
  const i64 ranks = test_world().size();
  std::vector<i64> shared;  // degrees of sequence parallelism
  for (i64 degree = 2; degree <= ranks; ++degree) {
    if (ranks % degree == 0) shared.push_back(degree);
  }
  for (const bool frozen_tower : {false, true}) {
    for (i64 pattern = 0; pattern < kPatterns; ++pattern) {
      check_pattern(frozen_tower, pattern, 1);
      if (!shared.empty())
        check_pattern(frozen_tower, pattern, shared[static_cast<std::size_t>(pattern) % shared.size()]);
    }
  }
}

}  // namespace longsight::launch
