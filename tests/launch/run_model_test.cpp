// The model section of a configuration.
#include "launch/run_model.h"

#include <filesystem>

#include <doctest/doctest.h>

#include "launch/samples/training_data.h"
#include "model/files/checkpoint.h"
#include "runtime/data/text/tokenizer.h"
#include "tests/support/failure.h"
#include "tests/support/golden_models.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::launch;

namespace {

namespace fs = std::filesystem;

const std::string kGolden = "tests/goldens/llava-clip-llama/model";

// The tower and the language model of a LLaVA, as folders of their own.
void write_parts(const ScratchFolder& scratch) {
  const io::SafetensorsSet golden(kGolden);
  const Json config = read_json_file(kGolden + "/config.json");
  for (const auto& [name, prefix, part] : {std::tuple("tower", "vision_tower.", "vision_config"),
                                           {"language", "language_model.", "text_config"}}) {
    const std::string folder = scratch / name;
    fs::create_directories(folder);
    std::vector<OwnedTensor> owners;
    std::vector<io::NamedTensor> tensors;
    for (const auto& entry : golden.entries()) {
      if (!entry.name.starts_with(prefix)) continue;
      owners.push_back(golden.read(entry.name));
      tensors.push_back({entry.name.substr(std::string_view(prefix).size()), owners.back(), DType::F32});
    }
    io::write_safetensors(folder + "/model.safetensors", tensors);
    io::write_file(folder + "/config.json", config[part].dump());
  }
  fs::copy_file(kGolden + "/preprocessor_config.json", scratch / "tower/preprocessor_config.json");
  fs::copy_file(kGolden + "/tokenizer.json", scratch / "language/tokenizer.json");
  fs::copy_file(kGolden + "/tokenizer_config.json", scratch / "language/tokenizer_config.json");
}

std::vector<std::string> of_parts(const ScratchFolder& scratch) {
  return {fmt::format("model.vision_from={}", scratch / "tower"),
          fmt::format("model.language_from={}", scratch / "language"), "model.connector=new", "train.seed=3"};
}

}  // namespace

TEST_CASE(
    "a language model with vocab.json and merges.txt alone becomes a part, with the image token added") {
  const ScratchFolder scratch;
  write_parts(scratch);
  const Json tokenizer = read_json_file(scratch / "language/tokenizer.json");
  fs::remove(scratch / "language/tokenizer.json");
  io::write_file(scratch / "language/vocab.json", tokenizer["model"]["vocab"].dump());
  std::string merges = "#version: 0.2\n";
  for (const Json& pair : tokenizer["model"]["merges"])
    merges += pair[0].get<std::string>() + " " + pair[1].get<std::string>() + "\n";
  io::write_file(scratch / "language/merges.txt", merges);
  Json added = Json::object();
  for (const Json& token : tokenizer["added_tokens"]) {
    if (token["content"] != "<image>") added[token["id"].dump()] = token;
  }
  for (auto& [id, token] : added.items()) token.erase("id");
  const Json config{{"tokenizer_class", "GPT2Tokenizer"}, {"added_tokens_decoder", added}};
  io::write_file(scratch / "language/tokenizer_config.json", config.dump());
  const RunModel shape = open_run_shape(load_config("", of_parts(scratch)));
  const auto read = data::read_tokenizer(shape.companions);
  CHECK(read->id_of("<image>") == shape.model->config().image_token);
  CHECK(shape.model->config().image_token >= static_cast<i64>(tokenizer["model"]["vocab"].size()));
}

TEST_CASE("a model of parts runs with files made for it, and becomes a whole folder") {
  const ScratchFolder scratch;
  write_parts(scratch);
  const LoadedConfig loaded = load_config("", of_parts(scratch));
  std::string companions;
  {
    const RunModel shape = open_run_shape(loaded);
    CHECK_FALSE(shape.model->parameters().allocated());
    const RunModel run = open_run_model(loaded, DType::F32, true);
    companions = run.companions;
    CHECK(fs::exists(companions + "/tokenizer.json"));
    fs::create_directory(scratch / "model");
    model::write_side_files(*run.model, scratch / "model", {.companions_from = run.companions});
    model::write_weight_files(*run.model, scratch / "model", {});
    complete_model_folder(loaded, run, scratch / "model");
  }
  CHECK_FALSE(fs::exists(companions));
  const Json config = read_json_file(scratch / "model/config.json");
  CHECK(config["model_type"] == "llava");
  CHECK(config["image_seq_length"] == 16);
  for (const char* file :
       {"tokenizer.json", "preprocessor_config.json", "processor_config.json", "chat_template.json"})
    CHECK(fs::exists(scratch / "model" + std::string("/") + file));
  CHECK(model::load_model(scratch / "model", {})->config().image_token == 780);
}

TEST_CASE("what the model section says must belong together") {
  const ScratchFolder scratch;
  write_parts(scratch);
  const auto refused = [&](std::vector<std::string> change, const std::string& what) {
    std::vector<std::string> overrides = of_parts(scratch);
    overrides.insert(overrides.end(), change.begin(), change.end());
    const Failure failure = failure_of([&] { load_config("", overrides); });
    CAPTURE(failure.message);
    CHECK(failure.code == ExitCode::usage);
    CHECK(contains(failure.message, what));
  };
  refused({"model.connector=old"}, "model.connector");
  refused({"model.from=" + kGolden}, "leave from and config out");
  refused({"model.config=" + kGolden + "/config.json"}, "leave from and config out");
  refused({"model.vision_from=\"\""}, "belong together");
  refused({"model.tokenizer=" + kGolden}, "model.tokenizer");
  refused({"model.vision_from=\"\"", "model.language_from=\"\""}, "model.connector");
  const Failure missing = failure_of([&] {
    open_run_shape(
        load_config("", {"model.vision_from=none", "model.language_from=" + scratch / "language"}));
  });
  CHECK(missing.code == ExitCode::missing_input);
  CHECK(contains(missing.message, "model.vision_from"));
}

TEST_CASE("no more blocks are asked to be trained than the model has") {
  const auto refusal = [](const std::string& model, const std::string& override) {
    const LoadedConfig loaded = load_config("", {"model.from=tests/goldens/" + model + "/model", override});
    return failure_of([&] { open_run_shape(loaded); });
  };
  CHECK(refusal("llava-clip-llama", "model.train.vision_layers=3").code == ExitCode::done);
  const Failure vision = refusal("llava-clip-llama", "model.train.vision_layers=4");
  CHECK(vision.code == ExitCode::usage);
  CHECK(contains(vision.message, "model.train.vision_layers"));
  CHECK(contains(vision.message, "its last 4 blocks, but this model has 3 there"));
  const Failure language = refusal("llava-clip-llama", "model.train.language_layers=99");
  CHECK(language.code == ExitCode::usage);
  CHECK(contains(language.message, "model.train.language_layers"));
}

TEST_CASE("model.allow_missing reaches the weights of a run") {
  const ScratchFolder scratch;
  const io::SafetensorsSet golden(kGolden);
  std::vector<OwnedTensor> owners;
  std::vector<io::NamedTensor> tensors;
  for (const auto& entry : golden.entries()) {
    if (entry.name.starts_with("multi_modal_projector.")) continue;
    owners.push_back(golden.read(entry.name));
    tensors.push_back({entry.name, owners.back(), DType::F32});
  }
  io::write_safetensors(scratch / "model.safetensors", tensors);
  fs::copy_file(kGolden + "/config.json", scratch / "config.json");
  const std::string from = "model.from=" + scratch.path();
  CHECK(failure_of([&] { open_run_model(load_config("", {from}), DType::F32, false); }).code ==
        ExitCode::bad_data);
  const RunModel run = open_run_model(
      load_config("",
                  {from, "model.allow_missing=[\"multi_modal_projector.*.weight\", \"*.linear_?.bias\"]"}),
      DType::F32, false);
  CHECK(run.model->parameters().size() == static_cast<i64>(golden.entries().size()));
}
