#include "model/adapters/adapters.h"

#include <cmath>
#include <filesystem>

#include <doctest/doctest.h>

#include "model/adapters/adapter_files.h"
#include "model/pass.h"
#include "parallel/groups/self_group.h"
#include "runtime/io/safetensors.h"
#include "runtime/tensor/host_values.h"
#include "tests/support/failure.h"
#include "tests/support/families.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"

namespace longsight::model {
namespace {

constexpr i64 kRank = 3;
const AdapterConfig kEverywhere{.rank = kRank, .alpha = 5, .targets = {"*"}, .random_b = true};

// Loss of one pass with gradients, on one rank.
double run(Vlm& model, const MicroBatch& batch) {
  const parallel::Plan plan = one_rank_plan(model);
  parallel::SelfGroup self;
  PassMemory memory;
  fill_zero(model.parameters().gradients(), {});
  const PassInputs inputs = make_inputs(batch, model, plan, 0);
  Pass pass(model, inputs, true, self, memory, {});
  pass.forward();
  return read_scalar(pass.loss_and_backward(1), {});
}

MicroBatch batch_of(const Vlm& model) {
  const bool images = model.config().has_vision();
  const auto samples = test::tiny_samples(model.config(), {{29, images ? 2 : 0}, {13, 0}});
  return pack(samples, model.config());
}

// max |a - b| relative to max |b|; c(i, j) is the expected value.
template <class F>
double difference(Tensor a, F&& c) {
  double worst = 0, size = 0;
  for (i64 i = 0; i < a.rows(); ++i) {
    for (i64 j = 0; j < a.row_size(); ++j) {
      const double expected = c(i, j);
      worst = std::max(worst, std::abs(a.host<double>()[i * a.row_size() + j] - expected));
      size = std::max(size, std::abs(expected));
    }
  }
  REQUIRE(size > 0);
  return worst / size;
}

// PEFT puts adapters on all layers; those of blocks whose output nothing uses cannot learn.
TEST_CASE("adapters of a block that is not computed are left out if they are zero, and refused if not") {
  const ModelConfig config = read_model_config(test::tiny_config(), "c");
  const i64 idle = config.vision_blocks_run();
  REQUIRE(idle < config.vision.layers);
  const ScratchFolder folder;
  folder.write("adapter_config.json", R"({"peft_type": "LORA", "r": 2, "lora_alpha": 4})");
  const auto read = [&](float value) {
    const OwnedTensor a(DType::F32, {2, config.vision.width}), b(DType::F32, {config.vision.width, 2});
    std::fill_n(a->host<float>(), a->elements(), 1.0F);
    std::fill_n(b->host<float>(), b->elements(), value);
    std::vector<io::NamedTensor> tensors;
    for (const i64 block : {i64{0}, idle}) {
      const std::string layer = fmt::format(
          "base_model.model.model.vision_tower.vision_model.encoder.layers.{}.self_attn.q_proj", block);
      tensors.push_back({layer + ".lora_A.weight", a.view()});
      tensors.push_back({layer + ".lora_B.weight", b.view()});
    }
    std::filesystem::remove(folder / "adapter_model.safetensors");
    io::write_safetensors(folder / "adapter_model.safetensors", tensors);
    return read_adapter_config(folder.path(), config).targets;
  };
  const std::vector<std::string> targets = read(0);
  REQUIRE(targets.size() == 1);
  CHECK(contains(targets[0], ".layers.0."));
  const Failure failure = failure_of([&] { read(1); });
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(contains(failure.message, fmt::format("layers.{}.self_attn.q_proj.lora_B.weight", idle)));
}

}  // namespace

TEST_CASE("gradients of A and B follow from that of the weight they are added to") {
  // y = (W + s B A) x: dB = s dW A^T and dA = s B^T dW.
  for (const test::TinyFamily& family : test::tiny_families()) {
    INFO(family.name);
    const auto model = test::tiny_model(DType::F64, family.config, true, kEverywhere);
    run(*model, batch_of(*model));
    const ParameterRegistry& p = model->parameters();
    const double s = kEverywhere.scale_of("");
    i64 checked = 0;
    for (const std::string& name : adapter_targets(model->ids(), p)) {
      CAPTURE(name);
      const ParameterId weight = p.find(name + ".weight"), a_id = p.find(name + ".lora_A.weight"),
                        b_id = p.find(name + ".lora_B.weight");
      REQUIRE(a_id >= 0);
      const double *dw = p.grad(weight).host<double>(), *a = p.value(a_id).host<double>(),
                   *b = p.value(b_id).host<double>();
      const i64 outputs = p[weight].shape[0], inputs = p[weight].shape[1];
      CHECK(difference(p.grad(b_id), [&](i64 n, i64 r) {
              double sum = 0;
              for (i64 k = 0; k < inputs; ++k) sum += dw[n * inputs + k] * a[r * inputs + k];
              return s * sum;
            }) < 1e-11);
      CHECK(difference(p.grad(a_id), [&](i64 r, i64 k) {
              double sum = 0;
              for (i64 n = 0; n < outputs; ++n) sum += b[n * kRank + r] * dw[n * inputs + k];
              return s * sum;
            }) < 1e-11);
      ++checked;
    }
    CHECK(checked == static_cast<i64>(adapter_targets(model->ids(), p).size()));
  }
}

TEST_CASE("merged adapters compute the same") {
  for (const test::TinyFamily& family : test::tiny_families()) {
    INFO(family.name);
    const auto model = test::tiny_model(DType::F64, family.config, true, kEverywhere);
    const MicroBatch batch = batch_of(*model);
    const double before = run(*model, batch);
    const auto plain = test::tiny_model(DType::F64, family.config);
    CHECK(std::abs(run(*plain, batch) / before - 1) > 1e-6);  // they matter
    merge_adapters(model->ids(), model->parameters(), {});
    CHECK(std::abs(run(*model, batch) / before - 1) < 1e-12);
  }
}

TEST_CASE("targets are globs over linear layers, and one that matches nothing is an error") {
  const auto some = test::tiny_model(DType::F64, test::tiny_config(), true,
                                     {.rank = 2, .alpha = 4, .targets = {"language_model.*.q_proj", "*fc1"}});
  i64 adapters = 0;
  for (const Parameter& p : some->parameters().all()) adapters += p.adapter;
  CHECK(adapters == 2 * (2 + 2));  // two blocks of each tower run
  const Failure wrong = failure_of([] {
    test::tiny_model(DType::F64, test::tiny_config(), true,
                     {.rank = 2, .alpha = 4, .targets = {"*.q_projection"}});
  });
  CHECK(wrong.code == ExitCode::usage);
  CHECK(contains(wrong.message, "\"*.q_projection\" matches no linear layer"));
}

}  // namespace longsight::model
