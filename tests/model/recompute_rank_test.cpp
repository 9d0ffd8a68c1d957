// What backward computes again instead of keeping it: the same bits, less memory, and the trace knows both.
#include <cstring>

#include <doctest/doctest.h>

#include "model/pass.h"
#include "runtime/tensor/host_values.h"
#include "tests/support/families.h"
#include "tests/support/rank_test.h"
#include "tests/support/tiny_model.h"

namespace longsight::model {
namespace {

using parallel::AttentionKind;
using parallel::Recompute;
using parallel::Tower;

constexpr std::array kLevels{Recompute::none, Recompute::mlp, Recompute::attention, Recompute::block};

struct Ran {
  double loss = 0;
  std::vector<double> gradients;  // of this rank
  PassTrace trace;
};

Ran run(const nlohmann::json& config, const std::vector<test::SampleShape>& shapes, AttentionKind vision,
        AttentionKind language, Recompute level, const AdapterConfig& adapters) {
  parallel::ProcessGroup& world = test_world();
  const auto model = test::tiny_model(DType::F64, config, true, adapters);
  const MicroBatch batch = pack(test::tiny_samples(model->config(), shapes), model->config());
  auto plan = parallel::uniform_plan({world.size(), world.size(), 1}, model->vision().blocks(), vision,
                                     model->language().blocks(), language, parallel::FusionKind::owner);
  plan.recompute = level;
  const PassInputs inputs = make_inputs(batch, *model, plan, world.rank());
  PassMemory memory;
  Ran ran;
  {
    Pass pass(*model, inputs, true, world, memory, {});
    pass.forward();
    ran.loss = read_scalar(pass.loss_and_backward(1), {});
    ran.trace = pass.trace();
  }
  CHECK(memory.saved.used() == 0);
  CHECK(memory.scratch.used() == 0);
  CHECK(memory.frames.size() == 0);
  CHECK(memory.saved.high_water() == ran.trace.saved);
  CHECK(memory.scratch.high_water() == ran.trace.scratch);
  ran.gradients = read_values<double>(model->parameters().gradients(), {});
  return ran;
}

void check_levels(const nlohmann::json& config, const std::vector<test::SampleShape>& shapes,
                  AttentionKind vision, AttentionKind language, const AdapterConfig& adapters = {}) {
  std::vector<Ran> ran;
  for (const Recompute level : kLevels) {
    INFO("vision ", name_of(vision), ", language ", name_of(language), ", recompute ", name_of(level));
    ran.push_back(run(config, shapes, vision, language, level, adapters));
    CHECK(ran.back().loss == ran.front().loss);
    CHECK(ran.back().gradients == ran.front().gradients);
    CHECK(ran.back().trace.work.useful_flops() ==
          doctest::Approx(ran.front().trace.work.useful_flops()).epsilon(1e-12));
    if (ran.size() == 1) continue;
    const PassTrace &less = ran.back().trace, &more = ran[ran.size() - 2].trace;
    CHECK(less.saved < more.saved);
    CHECK(less.work.flops() > more.work.flops());
  }
}

const std::vector<test::SampleShape> kSamples{{29, 2}, {13, 0}, {21, 1}};

TEST_CASE("every level has the gradients of keeping everything, bit by bit, with every strategy") {
  if (test_world().size() > 3) return;  // the strategies are the same
  for (AttentionKind vision : different_for(Tower::vision)) {
    for (AttentionKind language : different_for(Tower::language))
      check_levels(test::tiny_config(), kSamples, vision, language);
  }
}

TEST_CASE("so has every family, whole and with adapters") {
  if (test_world().size() > 3) return;
  const AdapterConfig everywhere{.rank = 3, .alpha = 5, .targets = {"*"}, .random_b = true};
  for (const test::TinyFamily& family : test::tiny_families()) {
    INFO(family.name);
    check_levels(family.config, kSamples, AttentionKind::ulysses, AttentionKind::gather);
    check_levels(family.config, kSamples, AttentionKind::gather, AttentionKind::ulysses, everywhere);
  }
}

TEST_CASE("a pass of more rows than a chunk has, computed again chunk by chunk") {
  if (test_world().size() > 1) return;
  check_levels(test::tiny_config(), {{60, 0}, {2300, 60}, {9, 0}}, AttentionKind::local,
               AttentionKind::local);
}

}  // namespace
}  // namespace longsight::model
