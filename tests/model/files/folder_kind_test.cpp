// Folders of other forms: one line each, before a tensor is looked at.
#include "model/files/folder_kind.h"

#include <filesystem>

#include <doctest/doctest.h>

#include "model/adapters/adapter_files.h"
#include "model/files/checkpoint.h"
#include "tests/support/failure.h"
#include "tests/support/golden_models.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::model;

namespace {

namespace fs = std::filesystem;

const std::string kFolder = test::golden_folder("llava-clip-llama");

// What loading says of a folder that holds these files.
Failure loading(const std::vector<std::pair<std::string, std::string>>& files) {
  const ScratchFolder scratch;
  for (const auto& [name, text] : files) {
    fs::create_directories(fs::path(scratch / name).parent_path());
    scratch.write(name, text);
  }
  return failure_of([&] { load_model(scratch.path(), {}); });
}

void refused(const Failure& failure, ExitCode code, std::initializer_list<const char*> said) {
  CAPTURE(failure.message);
  CHECK(failure.code == code);
  for (const char* text : said) CHECK(contains(failure.message, text));
  CHECK_FALSE(contains(failure.message, "\n"));
  CHECK(failure.message.size() < 500);
}

Json golden_config() {
  return read_json_file(kFolder + "/config.json");
}

}  // namespace

TEST_CASE("quantised weights are named with their method, wherever the configuration says it") {
  for (const auto& [quantization, method] : std::vector<std::pair<Json, const char*>>{
           {{{"quant_method", "bitsandbytes"}, {"load_in_4bit", true}, {"bnb_4bit_quant_type", "nf4"}},
            "bitsandbytes, 4 bits"},
           {{{"_load_in_8bit", true}}, "bitsandbytes, 8 bits"},
           {{{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 128}}, "gptq, 4 bits"},
           {{{"quant_method", "awq"}, {"bits", 4}}, "awq, 4 bits"},
           {{{"quant_method", "fp8"}, {"activation_scheme", "dynamic"}}, "fp8"},
           {{{"quant_method", "mxfp4"}}, "mxfp4"},
           {{{"quant_method", "compressed-tensors"}}, "compressed-tensors"},
           {{{"something", "new"}}, "unknown"}}) {
    Json whole = golden_config(), part = golden_config();
    whole["quantization_config"] = quantization;
    part["text_config"]["quantization_config"] = quantization;
    // Without any tensor in the folder: the configuration alone decides.
    refused(loading({{"config.json", whole.dump()}}), ExitCode::bad_data,
            {"config.json: the weights are quantised", method, "dequantize"});
    refused(loading({{"config.json", part.dump()}}), ExitCode::bad_data,
            {"config.json: text_config: the weights are quantised", method});
  }
  Json mlx = golden_config();
  mlx["quantization"] = {{"group_size", 64}, {"bits", 4}};
  refused(loading({{"config.json", mlx.dump()}}), ExitCode::bad_data, {"quantization", "4 bits"});
  refused(loading({{"config.json", golden_config().dump()},
                   {"quantize_config.json", "{}"},
                   {"model.safetensors", ""}}),
          ExitCode::bad_data, {"quantised (quantize_config.json)"});
  Json none = golden_config();
  none["quantization_config"] = nullptr;
  CHECK(failure_of([&] { read_model_config(none, "config.json"); }).message == "");
}

TEST_CASE("original LLaVA is told from the converted one") {
  for (const char* type : {"llava_llama", "llava_mistral", "llava_qwen"}) {
    refused(loading({{"config.json", Json{{"model_type", type}, {"mm_vision_tower", "openai/clip"}}.dump()},
                     {"mm_projector.bin", ""}}),
            ExitCode::bad_data, {type, "llava-hf", "convert_llava_weights_to_hf.py"});
  }
  refused(loading({{"config.json", R"({"model_type": "llava", "mm_vision_tower": "openai/clip"})"}}),
          ExitCode::bad_data, {"original form of LLaVA"});
}

TEST_CASE("folders without config.json are named for what they are") {
  refused(loading({{"adapter_config.json", "{}"}, {"adapter_model.safetensors", ""}}), ExitCode::bad_data,
          {"adapters alone", "model.adapter"});
  refused(loading({{"config.json", golden_config().dump()}, {"adapter_model.safetensors", ""}}),
          ExitCode::bad_data, {"adapters alone", "adapter_model.safetensors"});
  refused(loading({{"refs/main", "abc"}, {"snapshots/abc/config.json", "{}"}}), ExitCode::bad_data,
          {"the hub's cache", "/snapshots/abc"});
  refused(loading({{"config.json", golden_config().dump()}, {"consolidated.safetensors", ""}}),
          ExitCode::bad_data, {"Llama or Mistral", "consolidated.safetensors"});
  refused(loading({{"model_index.json", "{}"}}), ExitCode::bad_data, {"diffusers"});
  refused(loading({{"llava-Q4_K_M.gguf", ""}, {"mmproj.gguf", ""}}), ExitCode::bad_data,
          {"GGUF", "llava-Q4_K_M.gguf", "Hugging Face folder"});
  refused(loading({{"params.json", "{}"}, {"consolidated.00.pth", ""}}), ExitCode::bad_data,
          {"Llama or Mistral", "convert_llama_weights_to_hf.py"});
  refused(loading({{"mm_projector.bin", ""}}), ExitCode::missing_input, {"mm_projector.bin", "config.json"});
  refused(loading({{"notes.txt", ""}}), ExitCode::missing_input, {"config.json"});
}

TEST_CASE("a run in the place of a model or of adapters is told where they are") {
  const std::string config = golden_config().dump();
  refused(loading({{"config.yaml", ""}, {"plan.json", ""}, {"model/config.json", config}}),
          ExitCode::missing_input, {"a run, not a model folder: name ", "/model"});
  refused(loading({{"config.yaml", ""}, {"plan.json", ""}}), ExitCode::missing_input, {"/saves/step-N"});
  for (const auto& [inside, said] : {std::pair("adapter/adapter_config.json", "of this run are in "),
                                     {"model/config.json", "/model (model.from"}}) {
    const ScratchFolder run;
    fs::create_directories(fs::path(run / inside).parent_path());
    run.write(inside, config);
    refused(failure_of([&] { read_adapter_config(run.path(), read_config(kFolder)); }),
            ExitCode::missing_input, {run.path().c_str(), "no adapters there", said});
  }
}

TEST_CASE("weights in another form than safetensors are named with how to convert them") {
  const std::string config = golden_config().dump();
  for (const auto& [file, said] :
       std::vector<std::pair<std::string, const char*>>{{"pytorch_model.bin", "pickled PyTorch"},
                                                        {"pytorch_model.bin.index.json", "pickled PyTorch"},
                                                        {"model.pth", "pickled PyTorch"},
                                                        {"tf_model.h5", "TensorFlow or Flax"},
                                                        {"flax_model.msgpack", "TensorFlow or Flax"},
                                                        {"model.gguf", "GGUF"}}) {
    refused(loading({{"config.json", config}, {file, ""}}), ExitCode::bad_data, {said, file.c_str()});
  }
  refused(
      loading({{"config.json", config},
               {"model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"}}),
      ExitCode::bad_data, {"model.safetensors", "git lfs pull"});
}
