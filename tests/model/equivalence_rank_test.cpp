// The heart: loss and every parameter's gradient of n ranks against one, in f64, for every strategy and
// awkward shape.
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
using parallel::Split;
using parallel::Tower;

struct Case {
  std::string name;
  std::vector<test::SampleShape> samples;
};

// Lengths are odd, images sit at edges and back to back; some micro-batches leave ranks without a token or an
// image row.
const std::vector<Case> kCases{
    {"several images in one sample, none in another, one at an edge", {{29, 2}, {13, 0}, {21, 1}}},
    {"no image at all", {{17, 0}, {11, 0}}},
    {"fewer tokens than ranks", {{5, 0}}},
    {"one image, mostly visual tokens", {{12, 1}}},
    {"many short samples", {{3, 0}, {15, 1}, {2, 0}, {1, 0}, {16, 1}, {7, 0}}},
};

// max|a - b| / max(max|b|, 1e-3 G) of the worst parameter; G the largest |b| of all.
double worst_gradient_error(const ParameterRegistry& a, const ParameterRegistry& b) {
  double largest = 0;
  for (i64 i = 0; i < b.gradients().elements(); ++i)
    largest = std::max(largest, std::abs(b.gradients().host<double>()[i]));
  double worst = 0;
  for (ParameterId id = 0; id < b.size(); ++id) {
    if (!b.has_grad(id)) continue;
    double difference = 0, size = 0;
    const Tensor x = a.grad(id), y = b.grad(id);
    for (i64 i = 0; i < x.elements(); ++i) {
      difference = std::max(difference, std::abs(x.host<double>()[i] - y.host<double>()[i]));
      size = std::max(size, std::abs(y.host<double>()[i]));
    }
    REQUIRE(std::isfinite(difference));
    worst = std::max(worst, difference / std::max(size, 1e-3 * largest));
  }
  return worst;
}

// A micro-batch on one rank: what all its layouts must give.
struct Expected {
  std::string name;
  nlohmann::json config;
  AdapterConfig adapters;
  std::unique_ptr<Vlm> model;  // with the gradients
  MicroBatch batch;
  double scale = 1, loss = 0;
};

Expected expected(const Case& c, const nlohmann::json& config = test::tiny_config(),
                  const AdapterConfig& adapters = {}) {
  auto model = test::tiny_model(DType::F64, config, true, adapters);
  const MicroBatch batch = pack(test::tiny_samples(model->config(), c.samples), model->config());
  const double scale = 1 / static_cast<double>(std::max<i64>(batch.geometry.supervised(), 1));
  parallel::SelfGroup self;
  PassMemory memory;
  const PassInputs inputs = make_inputs(batch, *model, one_rank_plan(*model), 0);
  Pass pass(*model, inputs, true, self, memory, {});
  pass.forward();
  const double loss = read_scalar(pass.loss_and_backward(scale), {});
  return {c.name, config, adapters, std::move(model), batch, scale, loss};
}

struct TestedLayout {
  AttentionKind vision, language;
  FusionKind fusion = FusionKind::owner;
  Split split = Split::equal;
  bool images_in_first_block = false;  // which then has another strategy than the rest of its tower
};

void check_layout(const Expected& one, const TestedLayout& layout) {
  parallel::ProcessGroup& world = test_world();
  const auto model = test::tiny_model(DType::F64, one.config, true, one.adapters);
  auto plan = parallel::uniform_plan({world.size(), world.size(), 1}, model->vision().blocks(), layout.vision,
                                     model->language().blocks(), layout.language, layout.fusion);
  if (layout.images_in_first_block) plan.vision.front() = AttentionKind::images;
  plan.split = layout.split;
  PassMemory memory;
  double loss = 0;
  {
    const PassInputs inputs = make_inputs(one.batch, *model, plan, world.rank());
    Pass pass(*model, inputs, true, world, memory, {});
    pass.forward();
    loss = world.all_reduce_sum(read_scalar(pass.loss_and_backward(one.scale), {}), {});
  }
  CHECK(memory.saved.used() == 0);
  CHECK(memory.frames.size() == 0);
  const std::vector<parallel::Interval> all{{0, model->parameters().gradients().elements()}};
  sum_gradients(model->parameters().gradients(), parallel::gradient_buckets(all), world, memory.scratch, {});

  INFO(one.name, ", vision ", std::string(name_of(layout.vision)), ", language ",
       std::string(name_of(layout.language)), ", fusion ", std::string(name_of(layout.fusion)), ", split ",
       std::string(name_of(layout.split)));
  CHECK(std::abs(loss - one.loss) <= 1e-9 * std::max(std::abs(one.loss), 1e-3));
  CHECK(worst_gradient_error(model->parameters(), one.model->parameters()) <= 1e-9);
}

TEST_CASE("every layout has the gradients of one rank") {
  for (const Case& c : kCases) {
    const Expected one = expected(c);
    const auto vision = different_for(Tower::vision), language = different_for(Tower::language);
    for (std::size_t v = 0; v < vision.size(); ++v) {
      for (std::size_t l = 0; l < language.size(); ++l) {
        check_layout(one, {vision[v], language[l]});
        // What every rank gets does not depend on who owns it: each strategy once.
        if (v == l) check_layout(one, {vision[v], language[l], FusionKind::gather});
      }
    }
  }
}

TEST_CASE(
    "a language model cut in a zigzag has the gradients of one rank, also with all tokens' heads dealt") {
  for (const Case& c : kCases) {
    const Expected one = expected(c);
    for (AttentionKind language : different_for(Tower::language)) {
      for (FusionKind fusion : {FusionKind::owner, FusionKind::gather})
        check_layout(one, {AttentionKind::hybrid, language, fusion, Split::zigzag});
    }
  }
}

TEST_CASE("a KV head whose query heads are on several ranks gets the sum of their gradients") {
  // With 3 KV heads two ranks share one, with 2 three ranks do, with 1 all.
  for (i64 kv_heads : {1, 2, 3}) {
    auto config = test::tiny_config();
    config["text_config"]["num_key_value_heads"] = kv_heads;
    const Expected one = expected(kCases.front(), config);
    check_layout(one, {AttentionKind::ulysses, AttentionKind::ulysses});
    check_layout(one, {AttentionKind::hybrid, AttentionKind::hybrid});
  }
}

TEST_CASE("every family has the gradients of one rank") {
  for (const test::TinyFamily& family : test::tiny_families()) {
    INFO(family.name);
    for (std::size_t c = 0; c < kCases.size(); ++c) {
      const Expected one = expected(kCases[c], family.config);
      // Every strategy of each tower, some of them together.
      const auto vision = different_for(Tower::vision), language = different_for(Tower::language);
      for (std::size_t i = 0; i < std::max(vision.size(), language.size()); ++i) {
        check_layout(one, {vision[i % vision.size()], language[i % language.size()],
                           i % 2 == 0 ? FusionKind::gather : FusionKind::owner,
                           (c + i) % 2 == 0 ? Split::equal : Split::zigzag});
      }
    }
  }
}

TEST_CASE("adapters on every layer of every family have the gradients of one rank") {
  const AdapterConfig everywhere{.rank = 3, .alpha = 5, .targets = {"*"}, .random_b = true};
  for (const test::TinyFamily& family : test::tiny_families()) {
    INFO(family.name);
    check_layout(expected(kCases.front(), family.config, everywhere),
                 {AttentionKind::ulysses, AttentionKind::gather});
  }
}

TEST_CASE("blocks of one tower may use different strategies") {
  for (const Case& c : kCases) {
    const Expected one = expected(c);
    for (Split split : {Split::equal, Split::zigzag})
      check_layout(one, {AttentionKind::ulysses, AttentionKind::gather, FusionKind::owner, split, true});
  }
}

}  // namespace
}  // namespace longsight::model
