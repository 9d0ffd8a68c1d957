// `longsight export` and `longsight inspect`.
#include <cstring>
#include <filesystem>
#include <limits>

#include <doctest/doctest.h>

#include "model/files/checkpoint.h"
#include "runtime/base/json.h"
#include "runtime/io/safetensors.h"
#include "tests/launch/run_verb.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::launch;

namespace {

namespace fs = std::filesystem;

const std::string kExported = "tests/goldens/llava-clip-llama/model";

void export_to(const std::string& source, const std::string& out, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{"export", source, out};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const ExitCode code = run_verb(add_export, arguments).code;  // CHECK would keep what it throws
  CHECK(code == ExitCode::done);
}

std::string stored_as(const std::string& folder) {
  std::string types;
  const io::SafetensorsSet set(folder);
  for (const io::TensorEntry& entry : set.entries()) {
    if (types.find(entry.stored_as) == std::string::npos) types += entry.stored_as;
  }
  return types;
}

Json module_of(const Json& found, const std::string& kind) {
  for (const Json& module : found["modules"]) {
    if (module["kind"] == kind) return module;
  }
  return {};
}

}  // namespace

TEST_CASE("an exported model has the same values and companion files byte for byte") {
  const ScratchFolder scratch;
  export_to(kExported, scratch / "out");
  const io::SafetensorsSet from(kExported), to(scratch / "out");
  REQUIRE(from.entries().size() == to.entries().size());
  for (const io::TensorEntry& entry : from.entries()) {
    const OwnedTensor a = from.read(entry.name), b = to.read(entry.name);
    REQUIRE(a->shape() == b->shape());
    CHECK(std::memcmp(a->data(), b->data(), static_cast<std::size_t>(a->bytes())) == 0);
  }
  for (const char* file :
       {"tokenizer.json", "preprocessor_config.json", "chat_template.json", "generation_config.json"}) {
    CHECK(contents_of(scratch / "out/" + file) == contents_of(kExported + "/" + file));
  }
}

TEST_CASE("the dtype is the one asked for, else that of the model that the run began with") {
  const ScratchFolder scratch;
  export_to(kExported, scratch / "bf16", {"--dtype", "bf16"});
  CHECK(stored_as(scratch / "bf16") == "BF16");
  CHECK(model::source_dtype(model::read_config(scratch / "bf16")) == DType::BF16);
  export_to(scratch / "bf16", scratch / "again");
  CHECK(stored_as(scratch / "again") == "BF16");

  // A run that began with that one, its own model in f32.
  fs::create_directory(scratch / "run");
  export_to(scratch / "bf16", scratch / "run/model", {"--dtype", "f32"});
  export_to(scratch / "run", scratch / "plain");
  CHECK(stored_as(scratch / "plain") == "F32");
  for (const char* name : {"run/plan.json", "run/run.json"}) scratch.write(name, "{}");
  scratch.write("run/config.yaml", fmt::format("model: {{from: \"{}\"}}\n", scratch / "bf16"));
  export_to(scratch / "run", scratch / "like_source");
  CHECK(stored_as(scratch / "like_source") == "BF16");
}

TEST_CASE("export refuses what it cannot do, and writes nothing then") {
  const ScratchFolder scratch;
  const auto failure = [&](std::vector<std::string> more) {
    return failure_of([&] { export_to(kExported, scratch / "out", std::move(more)); });
  };
  CHECK(failure({"--hf-names", "v6"}).code == ExitCode::usage);
  CHECK(contains(failure({"--hf-names", "v6"}).message, "v5"));
  CHECK(failure({"--dtype", "f64"}).code == ExitCode::usage);
  for (const char* size : {"", "GB", "-5GB", "0", "5XB", "99999999PB", "5 GB", "9223372036854775807GB"})
    CHECK(failure({"--shard-size", size}).code == ExitCode::usage);
  CHECK(failure({"--allow-missing", "*.no_such.*"}).code == ExitCode::usage);
  CHECK(failure_of([&] { export_to(scratch / "none", scratch / "out"); }).code == ExitCode::missing_input);
  CHECK(scratch.entries() == 0);
  scratch.write("out", "a file");
  CHECK(failure({}).code == ExitCode::cannot_write);
  CHECK(contents_of(scratch / "out") == "a file");
}

TEST_CASE("export writes shards, and the names of version 5") {
  const ScratchFolder scratch;
  export_to(kExported, scratch / "shards", {"--shard-size", "500KB"});
  CHECK(fs::exists(scratch / "shards/model-00003-of-00003.safetensors"));
  export_to(scratch / "shards", scratch / "v5", {"--hf-names", "v5"});
  CHECK(fs::exists(scratch / "v5/model.safetensors"));
  CHECK(io::SafetensorsSet(scratch / "v5").find("vision_tower.embeddings.class_embedding") != nullptr);
  CHECK(read_json_file(scratch / "v5/config.json")["text_config"].contains("rope_parameters"));
  CHECK(contents_of(scratch / "v5/tokenizer.json") == contents_of(kExported + "/tokenizer.json"));
}

TEST_CASE("export initialises what is allowed to be missing") {
  const ScratchFolder scratch;
  fs::create_directory(scratch / "part");
  fs::copy_file(kExported + "/config.json", scratch / "part/config.json");
  const io::SafetensorsSet file(kExported);
  std::vector<OwnedTensor> owners;
  std::vector<io::NamedTensor> tensors;
  for (const io::TensorEntry& entry : file.entries()) {
    if (entry.name.starts_with("multi_modal_projector.")) continue;
    owners.push_back(file.read(entry.name));
    tensors.push_back({entry.name, owners.back(), DType::F32});
  }
  io::write_safetensors(scratch / "part/model.safetensors", tensors);
  CHECK(failure_of([&] { export_to(scratch / "part", scratch / "out"); }).code == ExitCode::bad_data);
  export_to(scratch / "part", scratch / "out", {"--allow-missing", "multi_modal_projector.*"});
  CHECK(io::SafetensorsSet(scratch / "out").entries().size() == file.entries().size());
}

TEST_CASE("values that are not finite, or would not be in the dtype asked for, are refused by name") {
  const ScratchFolder scratch;
  const std::string name = "multi_modal_projector.linear_1.bias";
  const auto model = model::load_model(kExported, {});
  float& value = model->parameters().value(model->parameters().find(name)).host<float>()[3];
  const auto refusal = [&](float holds, const std::string& dtype) {
    value = holds;
    model::export_model(*model, scratch / "large", {});
    const Failure failure = failure_of([&] {
      export_to(scratch / "large", scratch / "out", {"--dtype", dtype});
    });
    CHECK(!fs::exists(scratch / "out"));
    fs::remove_all(scratch / "large");
    CHECK(contains(failure.message, name + " holds "));
    return failure;
  };
  CHECK(refusal(-70000, "f16").code == ExitCode::usage);
  CHECK(contains(refusal(-70000, "f16").message, "--dtype f16: " + name + " holds -70000"));
  CHECK(contains(refusal(3.4e38F, "bf16").message, "beyond the range of bf16; use f32"));
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    for (const char* dtype : {"f32", "bf16", "f16"}) CHECK(refusal(bad, dtype).code == ExitCode::non_finite);
  }
  value = -70000;
  model::export_model(*model, scratch / "large", {});
  export_to(scratch / "large", scratch / "out", {"--dtype", "bf16"});
}

TEST_CASE("inspect lists tensors, modules and parameters of a model folder") {
  const Json found = Json::parse(run_verb(add_inspect, {"inspect", kExported, "--json"}).out);
  const io::SafetensorsSet set(kExported);
  i64 elements = 0;
  for (const io::TensorEntry& entry : set.entries()) elements += entry.shape.elements();
  CHECK(found["path"] == kExported);
  REQUIRE(found["tensors"].size() == set.entries().size());
  CHECK(found["tensors"][0]["name"] == set.entries()[0].name);
  const Json* norm = nullptr;
  for (const Json& tensor : found["tensors"]) {
    if (tensor["name"] == "language_model.model.embed_tokens.weight") norm = &tensor;
  }
  REQUIRE(norm != nullptr);
  CHECK(*norm == Json{{"name", "language_model.model.embed_tokens.weight"},
                      {"dtype", "F32"},
                      {"shape", {800, 64}},
                      {"bytes", 800 * 64 * 4}});
  const Json& parts = found["parameters"];
  CHECK(parts["total"] == elements);
  CHECK(parts["vision"].get<i64>() + parts["connector"].get<i64>() + parts["language"].get<i64>() ==
        elements);
  CHECK(parts["connector"] == 48 * 64 + 64 + 64 * 64 + 64);
  const Json attention = module_of(found, "vision_attention");
  CHECK(attention["heads"] == 4);
  CHECK(attention["blocks"] == 3);

  const std::string text = run_verb(add_inspect, {"inspect", kExported}).out;
  CHECK(contains(text, "language_model.model.embed_tokens.weight"));
  CHECK(contains(text, "vision_attention"));
  CHECK(contains(text, fmt::format("total     {:>16}", elements)));
}

TEST_CASE(
    "inspect looks at single files and at families that cannot be trained here, and refuses broken ones") {
  const std::string file = "tests/goldens/llava-clip-llama/expected_samples/000.safetensors";
  const Json found = Json::parse(run_verb(add_inspect, {"inspect", file, "--json"}).out);
  CHECK(found["tensors"].size() == 3);
  CHECK(found["modules"].empty());
  CHECK(found["parameters"].empty());

  const ScratchFolder scratch;
  fs::create_directory(scratch / "other");
  fs::copy_file(kExported + "/model.safetensors", scratch / "other/model.safetensors");
  scratch.write("other/config.json", R"({"model_type": "unheard_of"})");
  const Json other = Json::parse(run_verb(add_inspect, {"inspect", scratch / "other", "--json"}).out);
  CHECK(module_of(other, "vision_attention")["blocks"] == 3);
  CHECK(other["parameters"].empty());

  CHECK(failure_of([&] {
          run_verb(add_inspect, {"inspect", scratch / "none"});
        }).code == ExitCode::missing_input);
  scratch.write("other/model.safetensors", contents_of(kExported + "/model.safetensors").substr(0, 5000));
  CHECK(failure_of([&] {
          run_verb(add_inspect, {"inspect", scratch / "other"});
        }).code == ExitCode::bad_data);
}
