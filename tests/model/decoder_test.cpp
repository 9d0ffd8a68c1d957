#include "model/decoder.h"

#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include "tests/support/failure.h"
#include "tests/support/families.h"
#include "tests/support/tiny_model.h"

using namespace longsight;
using namespace longsight::model;

namespace {

// Logits [T, V] of a sample by the pass that training makes, without a cache.
OwnedTensor logits_without_cache(Vlm& model, const Sample& sample) {
  const parallel::Plan plan = one_rank_plan(model);
  const MicroBatch batch = pack({&sample, 1}, model.config());
  parallel::SelfGroup self;
  PassMemory memory;
  const PassInputs inputs = make_inputs(batch, model, plan, 0);
  Pass pass(model, inputs, false, self, memory, {});
  pass.forward();
  OwnedTensor logits(model.parameters().dtype(), {sample.tokens(), model.config().text.vocab});
  pass.logits(logits);
  pass.loss();
  return logits;
}

template <class T>
double largest_difference(Tensor a, Tensor b) {
  double worst = 0;
  REQUIRE(a.elements() == b.elements());
  for (i64 i = 0; i < a.elements(); ++i) {
    const double d = std::abs(static_cast<double>(a.host<T>()[i]) - static_cast<double>(b.host<T>()[i]));
    if (!(d <= worst)) worst = d;  // a NaN stays
  }
  return worst;
}

Sample first_tokens(const Sample& sample, i64 tokens) {
  Sample prompt = sample;
  prompt.ids.resize(static_cast<std::size_t>(tokens));
  prompt.labels.resize(static_cast<std::size_t>(tokens));
  return prompt;
}

// A model whose first images end at token `images_end` of the sample, fed as a prompt of each length from
// there.
template <class T>
void check_splits(Vlm& model, const Sample& sample, i64 images_end, double bound) {
  const OwnedTensor expected = logits_without_cache(model, sample);
  Decoder decoder(model, {});
  for (i64 prompt = std::max<i64>(images_end, 1); prompt <= sample.tokens(); ++prompt) {
    CAPTURE(prompt);
    Tensor logits = decoder.start(first_tokens(sample, prompt), sample.tokens() - prompt);
    CHECK(largest_difference<T>(logits, expected->row_range(prompt - 1, 1)) < bound);
    for (i64 t = prompt; t < sample.tokens(); ++t) {
      CHECK(decoder.length() == t);
      logits = decoder.step(sample.ids[static_cast<std::size_t>(t)]);
      CHECK(largest_difference<T>(logits, expected->row_range(t, 1)) < bound);
    }
  }
}

i64 images_end(const Sample& sample, i64 image_token) {
  i64 end = 0;
  for (i64 t = 0; t < sample.tokens(); ++t) {
    if (sample.ids[static_cast<std::size_t>(t)] == image_token) end = t + 1;
  }
  return end;
}

}  // namespace

TEST_CASE("logits of prompt and steps are those of a forward without cache, wherever the prompt ends") {
  const auto model = test::tiny_model(DType::F64, test::tiny_config(), false);
  // 9 features an image: two images, one, none.
  for (const Sample& sample : test::tiny_samples(model->config(), {{29, 2}, {15, 1}, {11, 0}})) {
    CAPTURE(sample.id);
    check_splits<double>(*model, sample, images_end(sample, model->config().image_token), 1e-10);
  }
}

TEST_CASE("in f32 the logits are equal to rounding") {
  const auto model = test::tiny_model(DType::F32, test::tiny_config(), false);
  const auto samples = test::tiny_samples(model->config(), {{24, 1}});
  // Logits are about 10; thousands of sums of some 50 products each, 2^-24 each: 1e-4 is far above that, and
  // a wrong position or a lost key moves logits by more than 0.1.
  check_splits<float>(*model, samples[0], images_end(samples[0], model->config().image_token), 1e-4);
}

TEST_CASE(
    "class rows are features where the configuration keeps them, and heads may be as many as KV heads") {
  nlohmann::json config = test::tiny_config();
  config["vision_feature_select_strategy"] = "full";
  config["text_config"]["num_key_value_heads"] = 6;
  const auto model = test::tiny_model(DType::F64, config, false);
  const auto samples = test::tiny_samples(model->config(), {{26, 2}});
  check_splits<double>(*model, samples[0], images_end(samples[0], model->config().image_token), 1e-10);
}

TEST_CASE("a decoder forgets the prompt before, also after a longer one") {
  const auto model = test::tiny_model(DType::F64, test::tiny_config(), false);
  const auto samples = test::tiny_samples(model->config(), {{31, 1}, {7, 0}});
  Decoder fresh(*model, {}), used(*model, {});
  used.start(samples[0], 5);
  used.step(3);
  CHECK(largest_difference<double>(fresh.start(samples[1], 1), used.start(samples[1], 1)) == 0);
  CHECK(largest_difference<double>(fresh.step(4), used.step(4)) == 0);
}

TEST_CASE("the answer is the likeliest token each time, as found by forwards without cache") {
  const auto model = test::tiny_model(DType::F64, test::tiny_config(), false);
  const auto samples = test::tiny_samples(model->config(), {{14, 1}});
  Sample grown = samples[0];
  std::vector<i64> expected;
  for (int i = 0; i < 6; ++i) {
    const OwnedTensor logits = logits_without_cache(*model, grown);
    const double* last = logits->row_range(grown.tokens() - 1, 1).host<double>();
    expected.push_back(std::max_element(last, last + model->config().text.vocab) - last);
    REQUIRE(expected.back() != model->config().image_token);  // it would want an image
    grown.ids.push_back(expected.back());
    grown.labels.push_back(-100);
  }
  Decoder decoder(*model, {});
  const Generated all = generate(decoder, samples[0], {.max_tokens = 6});
  CHECK(all.ids == expected);
  CHECK(!all.ended);
  CHECK(decoder.length() == samples[0].tokens() + 5);  // the last token is not run

  // The first of the stop tokens that comes ends the answer, and is not part of it.
  i64 end = 1;
  while (std::find(expected.begin(), expected.begin() + end, expected[static_cast<std::size_t>(end)]) !=
         expected.begin() + end) {
    ++end;
  }
  const Generated stopped =
      generate(decoder, samples[0], {.max_tokens = 6, .stop = {expected[static_cast<std::size_t>(end)]}});
  CHECK(stopped.ids == std::vector<i64>(expected.begin(), expected.begin() + end));
  CHECK(stopped.ended);
  CHECK(generate(decoder, samples[0], {.max_tokens = 6, .stop = {expected[0]}}).ids.empty());
  CHECK(generate(decoder, samples[0], {.max_tokens = 1}).ids == std::vector<i64>{expected[0]});
}

TEST_CASE("of equally likely tokens the first is taken") {
  const auto model = test::tiny_model(DType::F32, test::tiny_config(), false);
  fill_zero(model->parameters().value(model->ids().language.head), {});
  Decoder decoder(*model, {});
  CHECK(generate(decoder, test::tiny_samples(model->config(), {{5, 0}})[0], {.max_tokens = 2}).ids ==
        std::vector<i64>{0, 0});
}

TEST_CASE("logits that are not finite, placeholders without an image and a full cache are errors") {
  const auto model = test::tiny_model(DType::F32, test::tiny_config(), false);
  const auto samples = test::tiny_samples(model->config(), {{12, 1}});
  Decoder decoder(*model, {});
  Sample imageless = samples[0];
  imageless.images.clear();
  CHECK(failure_of([&] { decoder.start(imageless, 1); }).code == ExitCode::bad_data);

  decoder.start(samples[0], 1);
  decoder.step(1);
  CHECK(failure_of([&] { decoder.step(1); }).code == ExitCode::internal);

  const ParameterId head = model->ids().language.head;
  model->parameters().value(head).host<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  const Failure failure = failure_of([&] { generate(decoder, samples[0], {.max_tokens = 2}); });
  CHECK(failure.code == ExitCode::non_finite);
  CHECK(contains(failure.message, "sample 0: the logits behind position 11 are not finite"));
}

TEST_CASE("every family decodes what its pass computes") {
  for (const test::TinyFamily& family : test::tiny_families()) {
    INFO(family.name);
    const auto model = test::tiny_model(DType::F64, family.config, false);
    const ModelConfig& config = model->config();
    // With dynamic RoPE the keys of a cache were turned for a shorter sample: no pass has them.
    const i64 steps = config.text.rope.scaling == RopeConfig::Scaling::dynamic ? 0 : 3;
    Sample sample = test::tiny_samples(config, {{23, config.has_vision() ? 2 : 0}}).front();
    const i64 prompt = sample.tokens() - steps;
    if (config.prefix_attention) sample.prefix = prompt;
    const OwnedTensor expected = logits_without_cache(*model, sample);
    Decoder decoder(*model, {});
    Sample first = first_tokens(sample, prompt);
    Tensor logits = decoder.start(first, steps);
    CHECK(largest_difference<double>(logits, expected->row_range(prompt - 1, 1)) < 1e-11);
    for (i64 t = prompt; t < sample.tokens(); ++t) {
      logits = decoder.step(sample.ids[static_cast<std::size_t>(t)]);
      CHECK(largest_difference<double>(logits, expected->row_range(t, 1)) < 1e-11);
    }
  }
}
