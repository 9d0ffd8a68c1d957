// The weights that adapters belong to.
#include "model/adapters/base_record.h"

#include <filesystem>

#include <doctest/doctest.h>

#include "model/adapters/adapter_files.h"
#include "model/files/checkpoint.h"
#include "runtime/base/json.h"
#include "tests/support/failure.h"
#include "tests/support/golden_models.h"
#include "tests/support/scratch_folder.h"

namespace longsight::model {
namespace {

namespace fs = std::filesystem;

const std::string kBase = test::golden_folder("qwen2-vl");
constexpr const char* kFrozen = "model.layers.1.mlp.up_proj.weight";
constexpr const char* kWhole = "lm_head.weight";

// Adapters on the queries and a whole head, as a run on the golden model writes them.
void write_adapters(const std::string& folder) {
  const AdapterConfig config{.rank = 2, .alpha = 3, .targets = {"*q_proj"}};
  const auto trained = [](const Parameter& p) { return p.adapter || p.name == kWhole; };
  const auto model = load_model(kBase, {.trainable = trained, .adapters = config});
  write_base_record(*model, folder, "where/it/was");
  write_adapter_files(*model, folder, kBase);
}

Failure putting(const std::string& adapters, const std::string& base, DType dtype = DType::F32) {
  const AdapterConfig config = read_adapter_config(adapters, read_config(base));
  return failure_of(
      [&] { load_model(base, {.dtype = dtype, .adapters = config, .adapter_folder = adapters}); });
}

// The golden model with another value in one weight.
void write_changed(const std::string& name, const std::string& folder) {
  const auto model = load_model(kBase, {});
  const ParameterId id = model->parameters().find(name);
  REQUIRE(id >= 0);
  model->parameters().value(id).host<float>()[5] += 0.25F;
  export_model(*model, folder, {.companions_from = kBase});
}

}  // namespace

TEST_CASE(
    "adapters go on the weights that they were trained on, in any file and float type, and on no others") {
  const ScratchFolder scratch;
  fs::create_directory(scratch / "adapters");
  write_adapters(scratch / "adapters");
  const auto base = load_model(kBase, {});
  for (const DType dtype : {DType::F32, DType::BF16, DType::F16}) {
    for (const HfNames names : {HfNames::canonical, HfNames::v5}) {
      const std::string copy =
          scratch / fmt::format("{}{}", name_of(dtype), names == HfNames::v5 ? "-v5" : "");
      CAPTURE(copy);
      export_model(*base, copy, {.dtype = dtype, .names = names, .shard_bytes = 100'000});
      CHECK(putting(scratch / "adapters", copy) == Failure{});
      CHECK(putting(scratch / "adapters", copy, DType::F64) == Failure{});
    }
  }
  write_changed(kWhole, scratch / "whole");  // which the adapters bring along
  CHECK(putting(scratch / "adapters", scratch / "whole") == Failure{});

  write_changed(kFrozen, scratch / "frozen");
  const Failure other = putting(scratch / "adapters", scratch / "frozen");
  CHECK(other.code == ExitCode::bad_data);
  for (const std::string& said : {scratch / "adapters", scratch / "frozen", std::string("where/it/was"),
                                  std::string(kFrozen), std::string(kBaseRecord)})
    CHECK_MESSAGE(contains(other.message, said), other.message);
  fs::remove(scratch / "adapters" + "/" + kBaseRecord);  // the remedy for who means it
  CHECK(putting(scratch / "adapters", scratch / "frozen") == Failure{});
}

TEST_CASE("a record that is damaged is an error that names it") {
  const ScratchFolder scratch;
  write_adapters(scratch.path());
  for (const char* text : {"{", "[]", "{}", R"({"weights": 5})",
                           R"({"base": null, "weights": {"lm_head.weight": 5, "model.norm.weight": "x"}})"}) {
    CAPTURE(text);
    scratch.write(kBaseRecord, text);
    const Failure failure = putting(scratch.path(), kBase);
    CHECK(failure.code == ExitCode::bad_data);
    CHECK(contains(failure.message, kBaseRecord));
  }
}

}  // namespace longsight::model
