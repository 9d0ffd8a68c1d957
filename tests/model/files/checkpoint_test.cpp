#include "model/files/checkpoint.h"

#include <cstring>
#include <filesystem>

#include <doctest/doctest.h>

#include "runtime/tensor/convert.h"
#include "tests/support/failure.h"
#include "tests/support/families.h"
#include "tests/support/golden_models.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"

namespace longsight::model {
namespace {

namespace fs = std::filesystem;
const std::string kGolden = "tests/goldens/llava-clip-llama/model";

TEST_CASE("load, export and load give the same bits, names and configuration in every family") {
  for (const test::GoldenModel& of_family : test::golden_models()) {
    CAPTURE(of_family.name);
    const std::string golden = of_family.folder();
    const ScratchFolder scratch;
    const auto model = load_model(golden, {});
    export_model(*model, scratch / "out", {.dtype = DType::F32, .companions_from = golden});
    CHECK(test::same_bits(*model, *load_model(scratch / "out", {})));
    const io::SafetensorsSet from(golden), to(scratch / "out");
    REQUIRE(from.entries().size() == to.entries().size());
    for (std::size_t i = 0; i < from.entries().size(); ++i) {
      const std::string& tensor = from.entries()[i].name;
      CHECK(tensor == to.entries()[i].name);
      const OwnedTensor a = from.read(tensor), b = to.read(tensor);
      REQUIRE(a->shape() == b->shape());
      CHECK(std::memcmp(a->data(), b->data(), static_cast<std::size_t>(a->bytes())) == 0);
    }
    CHECK(read_json_file(golden + "/config.json") == read_json_file(scratch / "out/config.json"));
    for (const auto& entry : fs::directory_iterator(golden)) {
      const std::string file = entry.path().filename().string();
      if (file == "config.json" || file == "model.safetensors") continue;
      CAPTURE(file);
      CHECK(contents_of(golden + "/" + file) == contents_of(scratch / "out/" + file));
    }
    CHECK(failure_of([&] { export_model(*model, scratch / "out", {}); }).code == ExitCode::cannot_write);
  }
}

TEST_CASE("weights in bf16 and f16 are the nearest values of the type, and load as those") {
  const auto model = load_model(kGolden, {});
  for (DType dtype : {DType::BF16, DType::F16}) {
    const ScratchFolder scratch;
    export_model(*model, scratch / "half", {.dtype = dtype});
    const auto half = load_model(scratch / "half", {});
    const Tensor x = model->parameters().values(), y = half->parameters().values();
    const OwnedTensor rounded(dtype, x.shape()), back(DType::F32, x.shape());
    copy(rounded, x, {});
    copy(back, rounded, {});
    CHECK(std::memcmp(back->data(), y.data(), static_cast<std::size_t>(y.bytes())) == 0);
    CHECK(std::memcmp(x.data(), y.data(), static_cast<std::size_t>(y.bytes())) != 0);
    CHECK(source_dtype(half->config()) == dtype);
  }
}

TEST_CASE("weights larger than a shard go into several files with an index") {
  const ScratchFolder scratch;
  const auto model = load_model(kGolden, {});
  export_model(*model, scratch / "out", {.shard_bytes = 400'000});
  CHECK_FALSE(fs::exists(scratch / "out/model.safetensors"));
  const Json index = read_json_file(scratch / "out/model.safetensors.index.json");
  CHECK(index["metadata"]["total_size"] == 4 * model->parameters().values().elements());
  CHECK(index["weight_map"].size() == static_cast<std::size_t>(model->parameters().size()));
  CHECK(fs::exists(scratch / "out/model-00001-of-00004.safetensors"));
  CHECK(test::same_bits(*model, *load_model(scratch / "out", {})));

  Json escaping = index;
  for (auto& file : escaping["weight_map"]) file = "../" + file.get<std::string>();
  io::write_file(scratch / "out/model.safetensors.index.json", escaping.dump());
  const Failure failure = failure_of([&] { load_model(scratch / "out", {}); });
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(contains(failure.message, "plain name"));
}

TEST_CASE("code that the original configuration refers to is exported with it") {
  const ScratchFolder scratch;
  const std::string golden = test::golden_folder("internvl-remote");
  fs::copy(golden, scratch / "from");
  fs::permissions(scratch / "from", fs::perms::owner_all, fs::perm_options::add);
  scratch.write("from/configuration_internvl_chat.py", "# code\n");
  const auto model = load_model(scratch / "from", {});
  export_model(*model, scratch / "original", {.companions_from = scratch / "from"});
  CHECK(contents_of(scratch / "original/configuration_internvl_chat.py") == "# code\n");
  export_model(*model, scratch / "v5", {.companions_from = scratch / "from", .names = HfNames::v5});
  CHECK_FALSE(fs::exists(scratch / "v5/configuration_internvl_chat.py"));
}

TEST_CASE("a head in the file is checked against the tie of the configuration") {
  for (bool equal : {true, false}) {
    const ScratchFolder scratch;
    const std::string folder = scratch / "model";
    fs::create_directories(folder);
    const io::SafetensorsSet file(kGolden);
    std::vector<OwnedTensor> owners;
    std::vector<io::NamedTensor> tensors;
    for (const auto& entry : file.entries()) {
      const bool head = entry.name == "language_model.lm_head.weight";
      owners.push_back(file.read(head && equal ? "language_model.model.embed_tokens.weight" : entry.name));
      tensors.push_back({entry.name, owners.back(), DType::F32});
    }
    io::write_safetensors(folder + "/model.safetensors", tensors);
    Json config = read_json_file(kGolden + "/config.json");
    config["tie_word_embeddings"] = true;
    io::write_file(folder + "/config.json", config.dump());
    const auto model = load_model(folder, {});
    CHECK(model->config().text.tied == equal);
    CHECK((model->parameters().find("language_model.lm_head.weight") < 0) == equal);
    export_model(*model, scratch / "out", {});
    CHECK(read_config(scratch / "out").text.tied == equal);
  }
}

TEST_CASE("the dtype of a configuration is that of the whole, else that of a part") {
  const auto dtype = [](const Json& change) {
    ModelConfig config;
    config.source = change;
    return source_dtype(config);
  };
  CHECK(dtype({{"torch_dtype", "bfloat16"}}) == DType::BF16);
  CHECK(dtype({{"torch_dtype", "bfloat16"}, {"dtype", "float16"}}) == DType::F16);
  CHECK(dtype({{"text_config", {{"torch_dtype", "bfloat16"}}}}) == DType::BF16);
  CHECK(dtype({{"torch_dtype", nullptr}, {"model_type", "llava"}}) == DType::F32);
}

}  // namespace
}  // namespace longsight::model
