// Work that traces tell against counts by hand.
#include <functional>

#include <doctest/doctest.h>

#include "model/pass.h"
#include "runtime/ops/attention.h"
#include "tests/support/families.h"
#include "tests/support/tiny_model.h"

namespace longsight::model {
namespace {

// ---- by hand: two operations a multiply-add

double real(i64 n) {
  return static_cast<double>(n);
}

// Pairs of query and key that see each other, over sequences where all do.
double all_pairs(const parallel::PackedSequences& sequences) {
  double pairs = 0;
  for (i64 s = 0; s < sequences.count(); ++s) {
    const double n = real(sequences.length(s));
    pairs += n * n;
  }
  return pairs;
}

// The same where a query sees the keys up to itself, at most `window` of them (0: all), and the prefix.
double causal_pairs(const parallel::Geometry& g, i64 window) {
  double pairs = 0;
  for (i64 s = 0; s < g.samples.count(); ++s) {
    const ops::AttentionSpan span{.q_rows = g.samples.length(s),
                                  .k_rows = g.samples.length(s),
                                  .window = window,
                                  .prefix = g.prefixes.empty() ? 0 : g.prefixes[static_cast<std::size_t>(s)]};
    pairs += real(ops::visible_pairs({&span, 1}));
  }
  return pairs;
}

double vision_attention_flops(const ModelConfig& c, const parallel::Geometry& g, i64 block) {
  return 4 * real(c.vision.width) * all_pairs(c.vision.windowed(block) ? g.windows : g.images);
}

double language_attention_flops(const ModelConfig& c, const parallel::Geometry& g, i64 block) {
  const TextConfig& t = c.text;
  return 4 * real(t.heads * t.head_width) * causal_pairs(g, t.windowed(block) ? t.window : 0);
}

double vision_flops(const ModelConfig& c, const parallel::Geometry& g) {
  const VisionConfig& v = c.vision;
  const double width = real(v.width), rows = real(g.images.rows());
  const double row = 2 * (4 * width * width + (v.gated ? 3 : 2) * width * real(v.intermediate));
  double flops = (rows - real(g.images.count() * v.class_rows())) * 2 * real(v.patch_inputs()) * width;
  for (i64 block = 0; block < c.vision_blocks_run(); ++block)
    flops += rows * row + vision_attention_flops(c, g, block);
  return flops;
}

double connector_flops(const ModelConfig& c, const parallel::Geometry& g) {
  const double in = real(c.connector_input()), middle = real(c.connector.middle), out = real(c.text.width);
  return real(g.features()) * 2 * (c.connector.middle > 0 ? in * middle + middle * out : in * out);
}

double language_flops(const ModelConfig& c, const parallel::Geometry& g) {
  const TextConfig& t = c.text;
  const double q = real(t.heads * t.head_width), kv = real(t.kv_heads * t.head_width);
  const double row =
      2 * (2 * real(t.width) * q + 2 * real(t.width) * kv + 3 * real(t.width) * real(t.intermediate));
  double flops = real(g.supervised()) * 2 * real(t.width) * real(t.vocab);
  for (i64 block = 0; block < t.layers; ++block)
    flops += real(g.samples.rows()) * row + language_attention_flops(c, g, block);
  return flops;
}

double forward_flops(const ModelConfig& c, const parallel::Geometry& g) {
  const double vision = c.has_vision() ? vision_flops(c, g) + connector_flops(c, g) : 0;
  return vision + language_flops(c, g);
}

// ---- traced

struct PassFlops {
  double forward = 0, backward = 0;
};

PassFlops pass_flops(Vlm& model, const MicroBatch& batch) {
  const parallel::Plan alone = one_rank_plan(model);
  const PassInputs inputs = make_inputs(batch, model, alone, 0);
  PassMemory traced(Backend::trace);
  const double forward = trace_pass(model, inputs, false, traced, "sequence").work.useful_flops();
  return {forward, trace_pass(model, inputs, true, traced, "sequence").work.useful_flops() - forward};
}

// Trains what `decide` says.
std::unique_ptr<Vlm> model_that_trains(const std::function<bool(const Parameter&)>& decide,
                                       const AdapterConfig& adapters = {}) {
  const auto shape = test::tiny_model(DType::F32);
  auto model = std::make_unique<Vlm>(shape->config(), adapters);
  model->parameters().set_trainable(decide);
  model->parameters().allocate(DType::F32, true, Backend::trace);
  return model;
}

MicroBatch batch_of(const Vlm& model, const std::vector<test::SampleShape>& shapes) {
  return pack(test::tiny_samples(model.config(), shapes), model.config());
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
    const MicroBatch batch = batch_of(*all, shapes);
    const parallel::Geometry& g = batch.geometry;
    const double expected = forward_flops(all->config(), g);
    CHECK(pass_flops(*all, batch).forward == doctest::Approx(expected).epsilon(1e-12));
    CHECK(pass_flops(*none, batch).forward == doctest::Approx(expected).epsilon(1e-12));
  }
}

TEST_CASE(
    "where everything is trained, backward is twice forward but for the pixels, which need no gradient") {
  const auto model = model_that_trains([](const Parameter&) { return true; });
  const MicroBatch batch = batch_of(*model, kWithImages);
  const parallel::Geometry& g = batch.geometry;
  const PassFlops flops = pass_flops(*model, batch);
  const i64 patches = g.images.rows() - g.images.count() * model->config().vision.class_rows();
  const double pixels =
      product(*model, "vision_tower.vision_model.embeddings.patch_embedding.weight", patches);
  CHECK(flops.backward == doctest::Approx(2 * flops.forward - pixels).epsilon(1e-12));
}

TEST_CASE("of a model of every family the forward pass costs what its configuration says") {
  for (const test::TinyFamily& family : test::tiny_families()) {
    CAPTURE(family.name);
    Vlm model(read_model_config(family.config, family.name));
    model.parameters().allocate(DType::F32, true, Backend::trace);
    const bool images = model.config().has_vision();
    const MicroBatch batch = batch_of(model, {{40, images ? 1 : 0}, {25, 0}, {90, images ? 2 : 0}});
    CHECK(pass_flops(model, batch).forward ==
          doctest::Approx(forward_flops(model.config(), batch.geometry)).epsilon(1e-12));
  }
}

TEST_CASE("a frozen tower has no backward, and frozen matrices no gradient of their own") {
  const auto model = model_that_trains([](const Parameter& p) { return p.part == "connector"; });
  const MicroBatch batch = batch_of(*model, kWithImages);
  const PassFlops flops = pass_flops(*model, batch);
  // Through head and blocks to the input, once; through the connector to its weights alone.
  const auto text = model_that_trains([](const Parameter& p) { return p.part == "language"; });
  CHECK(flops.backward < pass_flops(*text, batch).backward);
  // Without an image nothing but the head's own step is left to do.
  const MicroBatch only_text = batch_of(*model, kTextOnly);
  CHECK(pass_flops(*model, only_text).backward ==
        product(*model, "language_model.model.embed_tokens.weight", only_text.geometry.supervised()));
}

TEST_CASE("training the last block alone stops behind it") {
  const i64 last = test::tiny_model(DType::F32)->config().text.layers - 1;
  const std::string block = fmt::format("language_model.model.layers.{}.", last);
  const auto model =
      model_that_trains([&](const Parameter& p) { return p.name.starts_with(block) && p.shape.rank() > 1; });
  const MicroBatch batch = batch_of(*model, kTextOnly);
  const parallel::Geometry& g = batch.geometry;
  double matrices = 0;
  for (const Parameter& p : model->parameters().all()) {
    if (p.name.starts_with(block) && p.shape.rank() > 1)
      matrices += 2 * static_cast<double>(p.elements() * g.samples.rows());
  }
  const double head = product(*model, "language_model.lm_head.weight", g.supervised());
  const double attention = language_attention_flops(model->config(), g, last);
  CHECK(pass_flops(*model, batch).backward ==
        doctest::Approx(head + 2 * matrices + 2 * attention).epsilon(1e-12));
}

TEST_CASE("adapters come to the matrices that they belong to") {
  const std::string name = "language_model.model.layers.0.self_attn.q_proj";
  const AdapterConfig adapters{.rank = 2, .alpha = 4, .targets = {name}};
  const auto plain = model_that_trains([](const Parameter& p) { return p.part == "language"; });
  const auto model = model_that_trains([](const Parameter& p) { return p.adapter; }, adapters);
  const MicroBatch batch = batch_of(*model, kTextOnly);
  const parallel::Geometry& g = batch.geometry;
  const double added = product(*model, name + ".lora_A.weight", g.samples.rows()) +
                       product(*model, name + ".lora_B.weight", g.samples.rows());
  const PassFlops flops = pass_flops(*model, batch), without = pass_flops(*plain, batch);
  CHECK(flops.forward == doctest::Approx(without.forward + added).epsilon(1e-12));
  // Of the matrices themselves only the way to their inputs is left: half of a backward, all of attention.
  CHECK(flops.backward < without.backward);
  CHECK(flops.backward > without.backward / 2);
}

}  // namespace
}  // namespace longsight::model
