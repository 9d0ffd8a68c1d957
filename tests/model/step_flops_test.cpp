#include "model/step_flops.h"

#include <doctest/doctest.h>

#include "model/flops.h"
#include "tests/support/tiny_model.h"

namespace longsight::model {
namespace {

// Trains what `decide` says.
std::unique_ptr<Vlm> model_that_trains(const std::function<bool(const Parameter&)>& decide,
                                       const AdapterConfig& adapters = {}) {
  const auto shape = test::tiny_model(DType::F32);
  auto model = std::make_unique<Vlm>(shape->config(), adapters);
  model->parameters().set_trainable(decide);
  model->parameters().allocate(DType::F32, true);
  return model;
}

parallel::Geometry geometry_of(const Vlm& model, const std::vector<test::SampleShape>& shapes) {
  const auto samples = test::tiny_samples(model.config(), shapes);
  return pack(samples, model.config()).geometry;
}

const std::vector<test::SampleShape> kWithImages{{40, 1}, {25, 0}, {90, 2}}, kTextOnly{{40, 0}, {25, 0}};

// Multiply-adds of a matrix for each of `rows` rows, as flops.
double product(const Vlm& model, const std::string& name, i64 rows) {
  const ParameterId id = model.parameters().find(name);
  REQUIRE(id >= 0);
  return 2 * static_cast<double>(model.parameters()[id].elements() * rows);
}

TEST_CASE("the forward pass costs what the configuration says, whatever is trained") {
  for (const auto& shapes : {kWithImages, kTextOnly}) {
    const auto all = model_that_trains([](const Parameter&) { return true; });
    const auto none = model_that_trains([](const Parameter& p) { return p.part == "connector"; });
    const parallel::Geometry g = geometry_of(*all, shapes);
    const double expected = forward_flops(all->config(), g);
    CHECK(pass_flops(*all, g).forward == doctest::Approx(expected).epsilon(1e-12));
    CHECK(pass_flops(*none, g).forward == doctest::Approx(expected).epsilon(1e-12));
  }
}

TEST_CASE(
    "where everything is trained, backward is twice forward but for the pixels, which need no gradient") {
  const auto model = model_that_trains([](const Parameter&) { return true; });
  const parallel::Geometry g = geometry_of(*model, kWithImages);
  const PassFlops flops = pass_flops(*model, g);
  const i64 patches = g.images.rows() - g.images.count() * model->config().vision.class_rows();
  const double pixels =
      product(*model, "vision_tower.vision_model.embeddings.patch_embedding.weight", patches);
  CHECK(flops.backward == doctest::Approx(2 * flops.forward - pixels).epsilon(1e-12));
}

TEST_CASE("a frozen tower has no backward, and frozen matrices no gradient of their own") {
  const auto model = model_that_trains([](const Parameter& p) { return p.part == "connector"; });
  const parallel::Geometry g = geometry_of(*model, kWithImages);
  const PassFlops flops = pass_flops(*model, g);
  // Through head and blocks to the input, once; through the connector to its weights alone.
  const auto text = model_that_trains([](const Parameter& p) { return p.part == "language"; });
  const double vision_and_connector = forward_flops(model->config(), g) - [&] {
    parallel::Geometry no_images = g;
    ModelConfig config = model->config();
    config.vision = {};
    return forward_flops(config, no_images);
  }();
  CHECK(vision_and_connector > 0);
  CHECK(flops.backward < pass_flops(*text, g).backward);
  // Without an image nothing but the head's own step is left to do.
  const parallel::Geometry only_text = geometry_of(*model, kTextOnly);
  CHECK(pass_flops(*model, only_text).backward ==
        product(*model, "language_model.model.embed_tokens.weight", only_text.supervised()));
}

TEST_CASE("training the last block alone stops behind it") {
  const i64 last = test::tiny_model(DType::F32)->config().text.layers - 1;
  const std::string block = fmt::format("language_model.model.layers.{}.", last);
  const auto model =
      model_that_trains([&](const Parameter& p) { return p.name.starts_with(block) && p.shape.rank() > 1; });
  const parallel::Geometry g = geometry_of(*model, kTextOnly);
  double matrices = 0;
  for (const Parameter& p : model->parameters().all()) {
    if (p.name.starts_with(block) && p.shape.rank() > 1)
      matrices += 2 * static_cast<double>(p.elements() * g.samples.rows());
  }
  const double head = product(*model, "language_model.lm_head.weight", g.supervised());
  const double attention = language_attention_flops(model->config(), g, last);
  CHECK(pass_flops(*model, g).backward ==
        doctest::Approx(head + 2 * matrices + 2 * attention).epsilon(1e-12));
}

TEST_CASE("adapters come to the matrices that they belong to") {
  const std::string name = "language_model.model.layers.0.self_attn.q_proj";
  const AdapterConfig adapters{.rank = 2, .alpha = 4, .targets = {name}};
  const auto plain = model_that_trains([](const Parameter& p) { return p.part == "language"; });
  const auto model = model_that_trains([](const Parameter& p) { return p.adapter; }, adapters);
  const parallel::Geometry g = geometry_of(*model, kTextOnly);
  const double added = product(*model, name + ".lora_A.weight", g.samples.rows()) +
                       product(*model, name + ".lora_B.weight", g.samples.rows());
  const PassFlops flops = pass_flops(*model, g), without = pass_flops(*plain, g);
  CHECK(flops.forward == doctest::Approx(without.forward + added).epsilon(1e-12));
  // Of the matrices themselves only the way to their inputs is left: half of a backward, all of attention.
  CHECK(flops.backward < without.backward);
  CHECK(flops.backward > without.backward / 2);
}

}  // namespace
}  // namespace longsight::model
