// Training in bf16: masters in f32 that are not rounded, weights that are, and a loss that falls as in f32.
#include <cmath>

#include <doctest/doctest.h>

#include "launch/training/train_step.h"
#include "parallel/sharded_parameters.h"
#include "tests/support/failure.h"
#include "tests/support/rank_test.h"
#include "tests/support/tiny_model.h"

namespace longsight::launch {
namespace {

using parallel::AttentionKind;

// The ranks share every sequence.
struct SharedTraining {
  explicit SharedTraining(DType dtype)
      : model(test::tiny_model(dtype)),
        plan(parallel::uniform_plan(parallel::make_mesh(test_world().size(), test_world().size()),
                                    model->vision().blocks(), AttentionKind::ulysses,
                                    model->language().blocks(), AttentionKind::ring,
                                    parallel::FusionKind::owner)),
        groups(plan.mesh, test_world()),
        state{.model = *model, .optimizer = parallel::AdamW(model->parameters())},
        runner(*model, plan, groups, {}) {}

  double step(u64 seed, double lr, double weight_decay = 0) {
    const auto samples = test::tiny_samples(model->config(), {{29, 2}, {13, 0}, {21, 1}}, seed);
    const StepBatch batch = deal_step(samples, *model, plan, test_world().rank(), 0);
    return train_step(
               state, batch,
               {.adamw = {.lr = lr, .weight_decay = weight_decay}, .end = StepRunner::End::replica_check},
               runner)
        .loss;
  }

  std::unique_ptr<model::Vlm> model;
  parallel::Plan plan;
  parallel::MeshGroups groups;
  TrainState state;
  StepRunner runner;
};

void check_weights_are_rounded(const ParameterRegistry& p) {
  const Tensor values = p.values(), weights = p.weights();
  i64 wrong = 0;
  for (i64 i = 0; i < values.elements(); ++i)
    wrong += weights.host<bf16>()[i].bits != bf16(values.host<float>()[i]).bits;
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("bf16: the loss falls as in f32") {
  SharedTraining exact(DType::F32), rounded(DType::BF16);
  double first = 0, last_exact = 0, last_rounded = 0;
  constexpr u64 kSteps = 40;
  for (u64 i = 0; i < kSteps; ++i) {
    last_exact = exact.step(i % 2, 3e-3, 0.1);
    last_rounded = rounded.step(i % 2, 3e-3, 0.1);
    if (i == 1) first = last_exact;  // of the same samples as the last
    check_weights_are_rounded(rounded.model->parameters());
  }
  CAPTURE(first);
  CAPTURE(last_exact);
  CAPTURE(last_rounded);
  REQUIRE(last_exact < first - 1);
  // Steps of Adam are of one size, whatever the rounding of gradients: what was learned is the same but for
  // noise.
  CHECK(std::abs(last_rounded - last_exact) <= 0.05 * (first - last_exact));
}

TEST_CASE("bf16: steps that are smaller than a unit of bf16 add up in the masters") {
  SharedTraining t(DType::BF16);
  ParameterRegistry& p = t.model->parameters();
  const OwnedTensor before(DType::F32, p.values().shape()), after_one(DType::F32, p.values().shape());
  const OwnedTensor weights_before(DType::BF16, p.weights().shape());
  copy(before, p.values(), {});
  copy(weights_before, p.weights(), {});
  // Of values around 0.2 a unit of bf16 is 1e-3; Adam moves each by its rate.
  constexpr double kRate = 2e-5;
  constexpr u64 kSteps = 50;
  t.step(1, kRate);
  copy(after_one, p.values(), {});
  for (u64 i = 1; i < kSteps; ++i) t.step(1, kRate);
  i64 moved_at_once = 0, moved = 0, weights_moved = 0;
  for (i64 i = 0; i < p.values().elements(); ++i) {
    moved_at_once += after_one->host<float>()[i] != before->host<float>()[i];
    moved += std::abs(p.values().host<float>()[i] - before->host<float>()[i]) > kRate * kSteps / 2;
    weights_moved += p.weights().host<bf16>()[i].bits != weights_before->host<bf16>()[i].bits;
  }
  const i64 trained = p.trained_elements();
  CHECK(moved_at_once > trained / 2);
  CHECK(moved > trained / 4);
  CHECK(weights_moved > trained / 4);
  check_weights_are_rounded(p);
}

TEST_CASE("bf16: a weight or a master that is another one on a rank is found") {
  if (test_world().size() == 1) return;
  for (const bool of_weights : {false, true}) {
    CAPTURE(of_weights);
    SharedTraining t(DType::BF16);
    t.step(1, 1e-3);
    t.runner.check_replicas();
    ParameterRegistry& p = t.model->parameters();
    if (test_world().rank() == 1) {
      // One that no step reaches: an update would write the weight once more.
      ParameterId unused = 0;
      while (p.has_grad(unused)) ++unused;
      if (of_weights)
        p.weight(unused).host<bf16>()[0].bits ^= 1;
      else
        p.value(unused).host<float>()[0] *= 1.0001F;
    }
    t.step(2, 1e-3);
    CHECK(failure_of([&] { t.runner.check_replicas(); }).code == ExitCode::internal);
  }
}

}  // namespace longsight::launch
