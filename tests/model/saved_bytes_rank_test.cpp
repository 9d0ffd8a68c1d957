// Predicted memory against the arenas of a real pass, and predicted bytes on the wire against what was sent.
#include <doctest/doctest.h>

#include "model/pass.h"
#include "tests/support/families.h"
#include "tests/support/rank_test.h"
#include "tests/support/tiny_model.h"

namespace longsight::model {
namespace {

using parallel::AttentionKind;
using parallel::FusionKind;
using parallel::Split;
using parallel::Tower;

// Images at edges and in the middle, a rank without images, fewer tokens than ranks.
const std::vector<std::vector<test::SampleShape>> kBatches{
    {{29, 2}, {13, 0}, {21, 1}}, {{5, 0}}, {{3, 0}, {15, 1}, {2, 0}, {1, 0}, {16, 1}, {7, 0}}};

template <class F>
void for_every_layout(F&& f) {
  for (const auto& samples : kBatches) {
    for (AttentionKind vision : different_for(Tower::vision)) {
      for (AttentionKind language : different_for(Tower::language)) {
        // Fusion does not touch the activations: each exchange with some of the strategies is enough.
        const FusionKind fusion = vision == AttentionKind::ulysses ? FusionKind::gather : FusionKind::owner;
        INFO("vision ", name_of(vision), ", language ", name_of(language), ", fusion ", name_of(fusion));
        f(samples, vision, language, fusion);
      }
    }
  }
}

void check_prediction(const nlohmann::json& config, const std::vector<test::SampleShape>& shapes,
                      AttentionKind vision, AttentionKind language, FusionKind fusion,
                      const AdapterConfig& adapters = {}, const std::string& frozen = "",
                      DType dtype = DType::F32, Split split = Split::equal) {
  parallel::ProcessGroup& world = test_world();
  const auto model = std::make_unique<Vlm>(read_model_config(config, "config.json"), adapters);
  if (!frozen.empty())
    model->parameters().set_trainable(
        [&](const Parameter& p) { return frozen.find(p.part) == std::string::npos; });
  model->parameters().allocate(dtype, true);
  model->parameters().initialise(1);
  const MicroBatch batch = pack(test::tiny_samples(model->config(), shapes), model->config());
  auto plan = parallel::uniform_plan({world.size(), world.size(), 1}, model->vision().blocks(), vision,
                                     model->language().blocks(), language, fusion);
  plan.split = split;
  const PassInputs inputs = make_inputs(batch, *model, plan, world.rank());

  PassMemory memory, traced(Backend::trace);
  const PassTrace predicted = trace_pass(*model, inputs, true, traced, world.label());
  // From lengths alone, as the planner has them, it is the same.
  const PassTrace counted =
      trace_pass(*model, counted_inputs(batch_shape(batch.geometry), *model, plan, world.rank()), true,
                 traced, world.label());
  CHECK(counted.saved == predicted.saved);
  CHECK(counted.scratch == predicted.scratch);
  CHECK(counted.schedule.text() == predicted.schedule.text());
  CHECK(counted.work.flops() == predicted.work.flops());
  CHECK(counted.work.bytes() == predicted.work.bytes());

  // The pass checks each call against its own trace, in order.
  Pass pass(*model, inputs, true, world, memory, {});
  const i64 before = world.counters().bytes_sent;
  pass.forward();
  pass.loss_and_backward(1);
  const i64 sent = world.counters().bytes_sent - before;
  CHECK(memory.saved.high_water() == predicted.saved);
  CHECK(memory.scratch.high_water() == predicted.scratch);
  i64 moved = 0;
  for (const parallel::ScheduleEntry& entry : predicted.schedule.entries())
    moved += wire_of(entry.counts, size_of(entry.dtype)).total;
  CHECK(world.all_reduce_sum(sent, {}) == moved);
}

}  // namespace

TEST_CASE("a pass takes the predicted bytes on every rank, and sends them") {
  for_every_layout([&](const auto& shapes, AttentionKind vision, AttentionKind language, FusionKind fusion) {
    check_prediction(test::tiny_config(), shapes, vision, language, fusion);
  });
}

TEST_CASE("the same of a language model that is cut in a zigzag") {
  for_every_layout([&](const auto& shapes, AttentionKind vision, AttentionKind language, FusionKind fusion) {
    if (vision == AttentionKind::ulysses || vision == AttentionKind::gather)
      check_prediction(test::tiny_config(), shapes, vision, language, fusion, {}, "", DType::F32,
                       Split::zigzag);
  });
}

TEST_CASE("the same of every family: norms, windows, RoPE, layer scales and joins are all counted") {
  const auto vision = different_for(Tower::vision), language = different_for(Tower::language);
  for (const test::TinyFamily& family : test::tiny_families()) {
    INFO(family.name);
    for (std::size_t i = 0; i < std::max(vision.size(), language.size()); ++i) {
      check_prediction(family.config, kBatches.front(), vision[i % vision.size()],
                       language[i % language.size()], FusionKind::owner, {}, "", DType::F32,
                       i % 2 == 0 ? Split::equal : Split::zigzag);
    }
  }
}

TEST_CASE("the same in bf16: statistics and sums that are f32 are counted as such") {
  const auto vision = different_for(Tower::vision), language = different_for(Tower::language);
  const AdapterConfig everywhere{.rank = 3, .alpha = 5, .targets = {"*"}, .random_b = true};
  for (const test::TinyFamily& family : test::tiny_families()) {
    INFO(family.name);
    for (std::size_t i = 0; i < std::max(vision.size(), language.size()); ++i) {
      check_prediction(family.config, kBatches.front(), vision[i % vision.size()],
                       language[i % language.size()], FusionKind::owner,
                       i % 2 == 0 ? AdapterConfig{} : everywhere, "", DType::BF16,
                       i % 2 == 0 ? Split::zigzag : Split::equal);
    }
  }
}

TEST_CASE("the same with towers that are frozen, each strategy in both") {
  const auto vision = different_for(Tower::vision), language = different_for(Tower::language);
  for (const test::TinyFamily& family : test::tiny_families()) {
    for (const std::string frozen : {"vision", "vision connector", "language", "vision language"}) {
      INFO(family.name, " without gradients of ", frozen);
      if (!read_model_config(family.config, family.name).has_vision() && frozen.ends_with("language"))
        continue;
      for (std::size_t i = 0; i < std::max(vision.size(), language.size()); ++i) {
        check_prediction(family.config, kBatches.front(), vision[i % vision.size()],
                         language[(i + 1) % language.size()], FusionKind::owner, {}, frozen);
      }
    }
  }
}

TEST_CASE("the same with adapters, on every layer or on those of one block, and without images") {
  const AdapterConfig everywhere{.rank = 3, .alpha = 5, .targets = {"*"}, .random_b = true},
      some{.rank = 2, .alpha = 5, .targets = {"*.layers.1.*"}, .random_b = true};
  for (const test::TinyFamily& family : test::tiny_families()) {
    INFO(family.name);
    for (const auto& batch : {kBatches[0], kBatches[1]}) {
      check_prediction(family.config, batch, AttentionKind::ulysses, AttentionKind::gather, FusionKind::owner,
                       everywhere);
      check_prediction(family.config, batch, AttentionKind::gather, AttentionKind::ulysses,
                       FusionKind::gather, some);
    }
  }
}

TEST_CASE("the same of more rows than a chunk has, in the MLP and in the loss") {
  static_assert(kMlpRows == 2048);
  if (test_world().size() > 3) return;  // none has as many
  const AdapterConfig everywhere{.rank = 3, .alpha = 5, .targets = {"*"}, .random_b = true};
  std::vector<test::SampleShape> many_rows{{60, 0}, {9, 0}};  // in samples that attention is soon done with
  many_rows.insert(many_rows.end(), 9, {500, 28});
  for (const test::TinyFamily& family : test::tiny_families()) {
    INFO(family.name);
    check_prediction(family.config, many_rows, AttentionKind::ulysses, AttentionKind::ulysses,
                     FusionKind::owner);
    check_prediction(family.config, many_rows, AttentionKind::images, AttentionKind::gather,
                     FusionKind::gather, everywhere);
  }
}

}  // namespace longsight::model
