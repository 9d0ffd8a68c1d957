// Gradients in bf16 on several ranks: as far from the exact ones as those of one rank, whatever moves.
#include <cmath>

#include <doctest/doctest.h>

#include "model/pass.h"
#include "parallel/gradient_sync.h"
#include "parallel/groups/self_group.h"
#include "runtime/tensor/host_values.h"
#include "tests/support/families.h"
#include "tests/support/rank_test.h"
#include "tests/support/tiny_model.h"

namespace longsight::model {
namespace {

using parallel::AttentionKind;
using parallel::FusionKind;
using parallel::Tower;

// Of the sum over ranks, in f64 whatever they were computed in.
struct Gradients {
  double loss = 0;
  std::vector<double> all;
};

Gradients gradients_of(Vlm& model, const MicroBatch& batch, const parallel::Plan& plan,
                       parallel::ProcessGroup& group) {
  PassMemory memory;
  fill_zero(model.parameters().gradients(), {});
  const double scale = 1 / static_cast<double>(batch.geometry.supervised());
  const PassInputs inputs = make_inputs(batch, model, plan, group.rank());
  Gradients got;
  {
    Pass pass(model, inputs, true, group, memory, {});
    pass.forward();
    got.loss = group.all_reduce_sum(read_scalar(pass.loss_and_backward(scale), {}), {}) * scale;
  }
  const Tensor gradients = model.parameters().gradients();
  const std::vector<parallel::Interval> whole{{0, gradients.elements()}};
  sum_gradients(gradients, parallel::gradient_buckets(whole), group, memory.scratch, {});
  const OwnedTensor wide(DType::F64, gradients.shape());
  copy(wide, gradients, {});
  got.all = read_values<double>(wide, {});
  return got;
}

// ||a - b|| / ||b||
double relative_distance(const std::vector<double>& a, const std::vector<double>& b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(difference / size);
}

// The same numbers: what bf16 computes with, in f64.
std::unique_ptr<Vlm> exact_copy(const Vlm& rounded, const nlohmann::json& config,
                                const AdapterConfig& adapters) {
  auto exact = test::tiny_model(DType::F64, config, true, adapters);
  for (ParameterId id = 0; id < exact->parameters().size(); ++id)
    copy(exact->parameters().value(id), rounded.parameters().weight(id), {});
  return exact;
}

// Rounding errors of a stored number are at most 2^-9 of it, independent, and 2^-9 / sqrt(3) on average. From
// a loss through a block forward and back lie some 21 stored tensors (norm, projection, turned heads, result,
// output, twice of it for the MLP, and a gradient for each), of five blocks about a hundred: sqrt(100) * 2^-9
// / sqrt(3) = 1.1 % if nothing is amplified. Softmaxes, norms and differences of near numbers amplify: by no
// more than four in any of these models.
constexpr double kOneRank = 0.045;
// A layout stores a few of them once more, or in other pieces: none of that is worth half of the rest.
constexpr double kLayout = 1.5;

void check_layouts(const nlohmann::json& config, const std::vector<test::SampleShape>& shapes,
                   const AdapterConfig& adapters = {}) {
  parallel::ProcessGroup& world = test_world();
  const auto model = test::tiny_model(DType::BF16, config, true, adapters);
  const auto exact = exact_copy(*model, config, adapters);
  const MicroBatch batch = pack(test::tiny_samples(model->config(), shapes), model->config());
  parallel::SelfGroup self;
  const parallel::Plan alone = one_rank_plan(*model);
  const Gradients reference = gradients_of(*exact, batch, alone, self),
                  one_rank = gradients_of(*model, batch, alone, self);
  const double deviation = relative_distance(one_rank.all, reference.all);
  CAPTURE(deviation);
  CHECK(deviation <= kOneRank);
  CHECK(deviation >= 1.0 / 2048);  // it is bf16 that was tested
  const auto vision = different_for(Tower::vision), language = different_for(Tower::language);
  for (std::size_t i = 0; i < std::max(vision.size(), language.size()); ++i) {
    parallel::Plan plan = parallel::uniform_plan({world.size(), world.size(), 1}, model->vision().blocks(),
                                                 vision[i % vision.size()], model->language().blocks(),
                                                 language[i % language.size()],
                                                 i % 2 == 0 ? FusionKind::gather : FusionKind::owner);
    for (const parallel::Split split : {parallel::Split::equal, parallel::Split::zigzag}) {
      plan.split = split;
      const Gradients got = gradients_of(*model, batch, plan, world);
      INFO(plan.text());
      CHECK(relative_distance(got.all, reference.all) <= kLayout * deviation);
      // The loss is a mean of f32 logits of bf16 rows: two units of a logit's rounding, of logits below 8.
      CHECK(std::abs(got.loss - one_rank.loss) <= 2 * 8 / 256.0);
    }
  }
}

}  // namespace

TEST_CASE("bf16: every layout of every family is as near to the exact gradients as one rank") {
  for (const test::TinyFamily& family : test::tiny_families()) {
    INFO(family.name);
    check_layouts(family.config, {{29, 2}, {13, 0}, {21, 1}});
  }
}

TEST_CASE("bf16: adapters, and a KV head whose query heads are on all ranks") {
  check_layouts(test::tiny_config(), {{29, 2}, {13, 0}, {21, 1}},
                {.rank = 3, .alpha = 5, .targets = {"*"}, .random_b = true});
  nlohmann::json config = test::tiny_config();
  config["text_config"]["num_key_value_heads"] = 1;
  check_layouts(config, {{29, 2}, {13, 0}, {21, 1}});
}

}  // namespace longsight::model
