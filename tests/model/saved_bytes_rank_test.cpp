// Predicted memory against the arenas of a real pass, and predicted bytes on the wire against what was sent.
#include <doctest/doctest.h>

#include "model/model_shape.h"
#include "model/vlm.h"
#include "parallel/memory_model.h"
#include "tests/support/families.h"
#include "tests/support/rank_test.h"
#include "tests/support/tiny_model.h"

namespace longsight::model {
namespace {

using parallel::AttentionKind;
using parallel::FusionKind;

// Images at edges and in the middle, a rank without images, fewer tokens than ranks.
const std::vector<std::vector<test::SampleShape>> kBatches{
    {{29, 2}, {13, 0}, {21, 1}}, {{5, 0}}, {{3, 0}, {15, 1}, {2, 0}, {1, 0}, {16, 1}, {7, 0}}};

template <class F>
void for_every_layout(F&& f) {
  for (const auto& samples : kBatches) {
    for (AttentionKind vision : {AttentionKind::images, AttentionKind::ulysses, AttentionKind::gather}) {
      for (AttentionKind language : {AttentionKind::ulysses, AttentionKind::gather, AttentionKind::local}) {
        // Fusion does not touch the activations: each exchange with some of the strategies is enough.
        const FusionKind fusion = vision == AttentionKind::ulysses ? FusionKind::gather : FusionKind::owner;
        INFO("vision ", name_of(vision), ", language ", name_of(language), ", fusion ", name_of(fusion));
        f(samples, vision, language, fusion);
      }
    }
  }
}

void check_prediction(const nlohmann::json& config, const std::vector<test::SampleShape>& shapes,
                      AttentionKind vision, AttentionKind language, FusionKind fusion) {
  parallel::ProcessGroup& world = test_world();
  const auto model = test::tiny_model(DType::F32, config);
  const MicroBatch batch = pack(test::tiny_samples(model->config(), shapes), model->config());
  const auto plan = parallel::uniform_plan({world.size(), world.size(), 1}, model->vision().blocks(), vision,
                                           model->language().blocks(), language, fusion);
  const parallel::ModelShape shape = model_shape(*model);
  const parallel::BatchShape counted = parallel::batch_shape(batch.geometry);
  const auto rows = parallel::rank_rows(
      shape, counted, make_layout(plan, batch.geometry))[static_cast<std::size_t>(world.rank())];

  PassMemory memory;
  Pass pass(*model, batch, plan, true, world, memory, {});
  const i64 before = world.counters().bytes_sent;
  pass.forward();
  CHECK(memory.saved.used() == parallel::saved_bytes(shape, plan, rows));
  pass.loss_and_backward(1);
  const i64 sent = world.counters().bytes_sent - before;
  CHECK(memory.saved.high_water() == parallel::saved_bytes(shape, plan, rows));
  // Attention takes tiles of its own, which the prediction leaves out.
  CHECK(memory.scratch.high_water() >= parallel::scratch_bytes(shape, plan, rows));
  CHECK(world.all_reduce_sum(sent, {}) == parallel::pass_cost(shape, plan, counted).wire_bytes());
}

}  // namespace

TEST_CASE("the activations of a pass are the predicted bytes on every rank, and so is what it sends") {
  for_every_layout([&](const auto& shapes, AttentionKind vision, AttentionKind language, FusionKind fusion) {
    check_prediction(test::tiny_config(), shapes, vision, language, fusion);
  });
}

TEST_CASE("the same of every family: norms, windows, RoPE and joins are all counted") {
  for (const test::TinyFamily& family : test::tiny_families()) {
    INFO(family.name);
    std::vector<test::SampleShape> shapes = kBatches.front();
    if (!read_model_config(family.config, family.name).has_vision()) {
      for (test::SampleShape& sample : shapes) sample.images = 0;
    }
    for (AttentionKind kind : {AttentionKind::ulysses, AttentionKind::gather})
      check_prediction(family.config, shapes, kind, kind, FusionKind::owner);
  }
}

}  // namespace longsight::model
