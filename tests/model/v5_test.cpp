// Export as transformers 5 writes a newly built model; tests/goldens/v5 holds what it wrote (make.py).
#include <cstring>
#include <filesystem>

#include <doctest/doctest.h>

#include "model/files/checkpoint.h"
#include "model/pass.h"
#include "parallel/groups/self_group.h"
#include "runtime/tensor/host_values.h"
#include "tests/support/failure.h"
#include "tests/support/families.h"
#include "tests/support/golden_models.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"

using namespace longsight;
using namespace longsight::model;

namespace {

namespace fs = std::filesystem;

// Sum of the 32-bit words, each times its place.
std::string checksum(Tensor x) {
  u64 sum = 0;
  for (i64 i = 0; i < x.elements(); ++i) {
    std::uint32_t word = 0;
    std::memcpy(&word, x.host<float>() + i, sizeof word);
    sum += u64{word} * static_cast<u64>(i + 1);
  }
  return fmt::format("{:016x}", sum);
}

Json written(const std::string& name) {
  return read_json_file("tests/goldens/v5/" + name + ".json");
}

// The same without what transformers leaves behind where a configuration is flat or its sizes are not at the
// top: the old name of RoPE's type, sizes of another model.
Json written_of_short_config(const std::string& name) {
  Json expected = written(name);
  Json& config = expected["config"];
  if (config.contains("text_config")) config["text_config"]["rope_parameters"].erase("type");
  if (config["model_type"] == "paligemma") {
    config["hidden_size"] = config["text_config"]["hidden_size"];
    config["vocab_size"] = config["text_config"]["vocab_size"];
  }
  // Where the outer flag ties, the inner one says so too.
  if (config["model_type"] == "qwen2_5_vl") config["text_config"]["tie_word_embeddings"] = true;
  return expected;
}

// What of a folder is not as transformers wrote it; empty: nothing.
std::string difference(const std::string& folder, const Json& expected) {
  const Json config = read_json_file(folder + "/config.json");
  if (config != expected["config"]) return "config.json: " + Json::diff(expected["config"], config).dump();
  const io::SafetensorsSet file(folder);
  std::string text;
  for (const auto& entry : file.entries()) {
    if (!expected["tensors"].contains(entry.name)) text += " + " + entry.name;
  }
  for (const auto& [name, tensor] : expected["tensors"].items()) {
    const io::TensorEntry* entry = file.find(name);
    if (entry == nullptr) {
      text += " - " + name;
      continue;
    }
    if (Json(std::vector<i64>(entry->shape.extents().begin(), entry->shape.extents().end())) != tensor[0])
      text += " shape of " + name;
    else if (tensor[1] != "" && checksum(file.read(name)) != tensor[1])
      text += " values of " + name;
  }
  return text;
}

// The tiny model's folder, and its values.
std::unique_ptr<Vlm> write_tiny(const Json& config, const std::string& folder, HfNames names) {
  auto model = test::tiny_model(DType::F32, config, false);
  export_model(*model, folder, {.names = names});
  return model;
}

double loss_of(Vlm& model, const std::vector<Sample>& samples) {
  const parallel::Plan plan = one_rank_plan(model);
  const MicroBatch batch = pack(samples, model.config());
  parallel::SelfGroup self;
  PassMemory memory;
  const PassInputs inputs = make_inputs(batch, model, plan, 0);
  Pass pass(model, inputs, false, self, memory, {});
  pass.forward();
  return read_scalar(pass.loss(), {});
}

}  // namespace

TEST_CASE("the v5 form of every golden is what transformers wrote: config.json, names, shapes and bits") {
  for (const test::GoldenModel& model : test::golden_models()) {
    CAPTURE(model.name);
    const ScratchFolder scratch;
    const auto loaded = load_model(model.folder(), {});
    export_model(*loaded, scratch / "v5", {.names = HfNames::v5});
    CHECK(difference(scratch / "v5", written(model.name)) == "");
    // Nothing in it is unknown here.
    CHECK(read_config(scratch / "v5").warnings.empty());
  }
}

TEST_CASE("the v5 form of a model of every family is that of transformers, with all defaults in words") {
  for (const test::TinyFamily& family : test::tiny_families()) {
    if (family.v5.empty()) continue;
    CAPTURE(family.name);
    const ScratchFolder scratch;
    write_tiny(family.config, scratch / "v5", HfNames::v5);
    CHECK(difference(scratch / "v5", written_of_short_config(family.v5)) == "");
  }
}

TEST_CASE("the v5 form of Idefics3 has Llama 3's RoPE as rope_parameters") {
  const ScratchFolder scratch;
  Json config = test::tiny_family("smolvlm");
  config["model_type"] = "idefics3";
  config["text_config"] = {
      {"model_type", "llama"},
      {"vocab_size", 97},
      {"hidden_size", 32},
      {"intermediate_size", 50},
      {"num_hidden_layers", 2},
      {"num_attention_heads", 4},
      {"num_key_value_heads", 2},
      {"rope_theta", 500000.0},
      {"rope_scaling",
       {{"rope_type", "llama3"},
        {"factor", 8.0},
        {"low_freq_factor", 1.0},
        {"high_freq_factor", 4.0},
        {"original_max_position_embeddings", 8192}}},
      {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 7.0}}}};  // does not count
  config["vision_config"]["patch_size"] = 6;
  config["scale_factor"] = 2;
  write_tiny(config, scratch / "v5", HfNames::v5);
  CHECK(difference(scratch / "v5", written("tiny-idefics3-rope-of-llama-3")) == "");
}

TEST_CASE("both forms of every family load to the same values and compute the same") {
  for (const test::TinyFamily& family : test::tiny_families()) {
    CAPTURE(family.name);
    Json config = family.config;
    if (config["model_type"] == "internvl_chat") config["ps_version"] = "v2";
    const ScratchFolder scratch;
    write_tiny(config, scratch / "canonical", HfNames::canonical);
    const auto made = write_tiny(config, scratch / "v5", HfNames::v5);
    const auto canonical = load_model(scratch / "canonical", {}), v5 = load_model(scratch / "v5", {});
    // The joined q, k and v of the original InternVL lie apart in the other form, but in the same order.
    const Tensor a = made->parameters().values(), b = canonical->parameters().values();
    CHECK(std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.bytes())) == 0);
    if (config["model_type"] != "internvl_chat") {
      const Tensor c = v5->parameters().values();
      CHECK(std::memcmp(a.data(), c.data(), static_cast<std::size_t>(a.bytes())) == 0);
    }
    const i64 images = canonical->config().has_vision() ? 1 : 0;
    const auto samples = test::tiny_samples(canonical->config(), {{29, 2 * images}, {13, 0}, {40, images}});
    CHECK(loss_of(*canonical, samples) == loss_of(*v5, samples));
    // Once more from there: the v5 form is its own v5 form.
    export_model(*v5, scratch / "again", {.names = HfNames::v5});
    CHECK(read_json_file(scratch / "again/config.json") == read_json_file(scratch / "v5/config.json"));
    CHECK(contents_of(scratch / "again/model.safetensors") == contents_of(scratch / "v5/model.safetensors"));
  }
}

TEST_CASE("what the classes of version 5 cannot compute is not written in their form") {
  const ScratchFolder scratch;
  const auto by_column = test::tiny_model(DType::F32, test::tiny_family("internvl_chat, InternLM2"), false);
  const Failure failure =
      failure_of([&] { export_model(*by_column, scratch / "v5", {.names = HfNames::v5}); });
  CHECK(failure.code == ExitCode::usage);
  CHECK(contains(failure.message, "ps_version v1"));
  CHECK(scratch.entries() == 0);
}

TEST_CASE("the v5 form of InternVLChatModel has a processor that tiles, and its own files byte for byte") {
  const ScratchFolder scratch;
  const std::string from = test::golden_folder("internvl-remote");
  const auto model = load_model(from, {});
  export_model(*model, scratch / "v5", {.companions_from = from, .names = HfNames::v5});
  CHECK(contents_of(scratch / "v5/preprocessor_config.json") ==
        contents_of(from + "/preprocessor_config.json"));
  CHECK(contents_of(scratch / "v5/tokenizer_config.json") == contents_of(from + "/tokenizer_config.json"));
  const Json processor = read_json_file(scratch / "v5/processor_config.json");
  CHECK(processor["image_seq_length"] == 9);
  const Json& image = processor["image_processor"];
  CHECK(image["image_processor_type"] == "GotOcr2ImageProcessor");
  CHECK(image["size"] == Json{{"height", 24}, {"width", 24}});
  CHECK(image["max_patches"] == 4);
  CHECK(image["image_mean"] == Json{0.485, 0.456, 0.406});
}
