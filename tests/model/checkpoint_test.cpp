#include "model/checkpoint.h"

#include <filesystem>

#include <doctest/doctest.h>

#include "model/families/llava.h"
#include "runtime/base/json.h"
#include "runtime/io/safetensors.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

namespace longsight::model {
namespace {

namespace fs = std::filesystem;
const std::string kGolden = "tests/goldens/llava-clip-llama/model";

std::string bytes_of(const std::string& path) {
  return read_whole_file(path, i64{1} << 30, ExitCode::bad_data);
}

// A copy of the golden folder with its tensors changed by `change`.
template <class F>
void write_changed(const std::string& folder, F&& change) {
  const io::SafetensorsFile file(kGolden + "/model.safetensors");
  std::vector<OwnedTensor> owners;
  std::vector<io::NamedTensor> tensors;
  for (const auto& entry : file.entries()) {
    owners.push_back(file.read(entry.name));
    tensors.push_back({entry.name, owners.back(), DType::F32});
  }
  change(tensors);
  fs::create_directories(folder);
  fs::copy_file(kGolden + "/config.json", folder + "/config.json");
  io::write_safetensors(folder + "/model.safetensors", tensors);
}

TEST_CASE("export and load give the same bits, under the original names") {
  const ScratchFolder scratch;
  const auto model = load_model(kGolden, {});
  export_model(*model, scratch.path() + "/out", {.dtype = DType::F32, .companions_from = kGolden});
  const auto again = load_model(scratch.path() + "/out", {});
  const Tensor a = model->parameters().values(), b = again->parameters().values();
  CHECK(std::equal(a.as<float>(), a.as<float>() + a.elements(), b.as<float>()));
  const io::SafetensorsFile from(kGolden + "/model.safetensors"),
      to(scratch.path() + "/out/model.safetensors");
  REQUIRE(from.entries().size() == to.entries().size());
  for (std::size_t i = 0; i < from.entries().size(); ++i) {
    CHECK(from.entries()[i].name == to.entries()[i].name);
    CHECK(from.entries()[i].shape == to.entries()[i].shape);
  }
  CHECK(bytes_of(kGolden + "/tokenizer.json") == bytes_of(scratch.path() + "/out/tokenizer.json"));
  CHECK(read_json_file(kGolden + "/config.json") == read_json_file(scratch.path() + "/out/config.json"));
  CHECK(failure_of([&] { export_model(*model, scratch.path() + "/out", {}); }).code ==
        ExitCode::cannot_write);
}

TEST_CASE("a dropped, renamed or reshaped tensor is refused by name, each of them") {
  const ScratchFolder scratch;
  const io::SafetensorsFile file(kGolden + "/model.safetensors");
  i64 n = 0;
  // Every seventh tensor: each kind of module is met.
  for (std::size_t i = 0; i < file.entries().size(); i += 7) {
    const std::string name = file.entries()[i].name;
    INFO(name);
    for (int kind = 0; kind < 3; ++kind) {
      const std::string folder = fmt::format("{}/{}", scratch.path(), n++);
      OwnedTensor reshaped;
      write_changed(folder, [&](std::vector<io::NamedTensor>& tensors) {
        if (kind == 0) tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(i));
        if (kind == 1) tensors[i].name += "x";
        if (kind == 2) {
          reshaped = OwnedTensor(DType::F32, {tensors[i].value.elements() + 1});
          tensors[i].value = reshaped;
        }
      });
      const auto failure = failure_of([&] { load_model(folder, {}); });
      CHECK(failure.code == ExitCode::bad_data);
      CHECK(contains(failure.message, name));
    }
  }
}

TEST_CASE("names of all generations of files mean the same tensors") {
  for (const char* canonical :
       {"language_model.model.layers.3.mlp.up_proj.weight", "language_model.lm_head.weight",
        "vision_tower.vision_model.encoder.layers.0.mlp.fc1.bias", "multi_modal_projector.linear_1.weight"}) {
    CHECK(canonical_llava_name(canonical) == canonical);
  }
  CHECK(canonical_llava_name("model.language_model.layers.3.mlp.up_proj.weight") ==
        "language_model.model.layers.3.mlp.up_proj.weight");
  CHECK(canonical_llava_name("lm_head.weight") == "language_model.lm_head.weight");
  CHECK(canonical_llava_name("model.vision_tower.vision_model.post_layernorm.bias") ==
        "vision_tower.vision_model.post_layernorm.bias");
  CHECK(canonical_llava_name("vision_tower.embeddings.class_embedding") ==
        "vision_tower.vision_model.embeddings.class_embedding");
  CHECK(canonical_llava_name("model.multi_modal_projector.linear_2.bias") ==
        "multi_modal_projector.linear_2.bias");
}

TEST_CASE("a head in the file is checked against the tie of the configuration") {
  const ScratchFolder scratch;
  for (bool equal : {true, false}) {
    const std::string folder = scratch.path() + (equal ? "/equal" : "/different");
    OwnedTensor head(DType::F32, {800, 64});
    write_changed(folder, [&](std::vector<io::NamedTensor>& tensors) {
      Tensor embedding;
      for (auto& t : tensors) {
        if (t.name == "language_model.model.embed_tokens.weight") embedding = t.value;
      }
      for (auto& t : tensors) {
        if (t.name == "language_model.lm_head.weight" && equal) t.value = embedding;
      }
    });
    Json config = read_json_file(folder + "/config.json");
    config["tie_word_embeddings"] = true;
    io::write_file(folder + "/config.json", config.dump());
    const auto model = load_model(folder, {});
    CHECK(model->config().text.tied == equal);
    CHECK((model->parameters().find("language_model.lm_head.weight") < 0) == equal);
  }
}

}  // namespace
}  // namespace longsight::model
