#include "model/files/folder_kind.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/input_file.h"
#include "runtime/base/json.h"

namespace longsight::model {
namespace {

namespace fs = std::filesystem;
std::vector<std::string> file_names(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// The first file that ends so; empty: there is none.
std::string with_ending(const std::vector<std::string>& names, std::initializer_list<const char*> endings) {
  for (const std::string& name : names) {
    for (const char* ending : endings) {
      if (name.ends_with(ending)) return name;
    }
  }
  return "";
}

bool has(const std::vector<std::string>& names, const char* name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_run(const std::vector<std::string>& names) {
  return has(names, "config.yaml") && has(names, "plan.json");
}

// Of a file that `git clone` left behind without its content.
bool is_lfs_pointer(const std::string& path) {
  std::string begin(24, '\0');
  std::string why;
  const int descriptor = open_plain_file(path, why);
  if (descriptor < 0) return false;  // whoever reads it says so
  return InputFile(path, descriptor).read_at(begin.data(), 24, 0) == 24 &&
         begin == "version https://git-lfs.";
}

// What a method of quantisation is called, with its bits where the file says them.
std::string method_of(const Json& quantization) {
  if (!quantization.is_object()) return "unknown";
  std::string method = "unknown";
  for (const char* key : {"quant_method", "quant_type"}) {
    if (quantization.contains(key) && quantization[key].is_string()) {
      method = quantization[key].get<std::string>();
      break;
    }
  }
  if (method == "unknown") {
    for (const char* key : {"load_in_4bit", "load_in_8bit", "_load_in_4bit", "_load_in_8bit"}) {
      if (quantization.value(key, Json(false)) == Json(true)) method = "bitsandbytes";
    }
  }
  const auto flag = [&](const char* key) { return quantization.value(key, Json(false)) == Json(true); };
  if (flag("load_in_4bit") || flag("_load_in_4bit")) method += ", 4 bits";
  if (flag("load_in_8bit") || flag("_load_in_8bit")) method += ", 8 bits";
  for (const char* key : {"bits", "w_bit"}) {
    if (quantization.contains(key) && quantization[key].is_number_integer())
      method += ", " + quantization[key].dump() + " bits";
  }
  return method;
}

constexpr const char* kAdaptersAlone =
    "{}: adapters alone ({}): name the model they belong to (model.from, --model) and this folder as "
    "model.adapter "
    "or --adapter";
constexpr const char* kOriginalFiles =
    "{}: original files of Llama or Mistral ({}): use the release in the layout of Hugging Face, or convert "
    "them with "
    "transformers' convert_llama_weights_to_hf.py";
constexpr const char* kQuantised =
    "{}: the weights are quantised ({}): train the model they were made from (adapters too), or write them "
    "back with "
    "transformers' model.dequantize() and save_pretrained";

// model_type of haotian-liu/LLaVA, of LLaVA-NeXT's repository and of what was made from them.
bool is_original_llava(const Json& config, const std::string& type) {
  constexpr std::array kTypes{"llava_llama", "llava_mistral", "llava_mpt",     "llava_qwen",
                              "llava_gemma", "llava_mixtral", "llava_qwen_moe"};
  if (std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end()) return true;
  // The oldest ones say "llava", with the tower as a name and the text keys at the top.
  return config.contains("mm_vision_tower") || config.contains("mm_projector_type");
}

}  // namespace

void check_is_model_folder(const std::string& folder) {
  const std::vector<std::string> names = file_names(folder);
  if (has(names, "config.json")) return;
  const bool with_model = fs::exists(folder + "/model/config.json");
  require(!with_model && !is_run(names), ExitCode::missing_input, "{}: a run, not a model folder: name {}{}",
          folder, folder, with_model ? "/model" : "/saves/step-N, as it has no final model");
  if (has(names, "adapter_config.json"))
    fail(ExitCode::bad_data, kAdaptersAlone, folder, "adapter_config.json");
  if (has(names, "snapshots") && has(names, "refs")) {
    const std::vector<std::string> revisions = file_names(folder + "/snapshots");
    fail(ExitCode::bad_data, "{}: a folder of the hub's cache: name {}/snapshots/{}", folder, folder,
         revisions.empty() ? "REVISION" : revisions.front());
  }
  require(!has(names, "model_index.json"), ExitCode::bad_data,
          "{}: a pipeline of diffusers (model_index.json), which is no vision-language model", folder);
  if (const std::string gguf = with_ending(names, {".gguf"}); !gguf.empty())
    fail(ExitCode::bad_data,
         "{}: a GGUF file of llama.cpp ({}): use the Hugging Face folder that it was made from", folder,
         gguf);
  if (has(names, "params.json")) fail(ExitCode::bad_data, kOriginalFiles, folder, "params.json");
  if (const std::string weights = with_ending(names, {".safetensors", ".bin", ".pth", ".pt", ".ckpt"});
      !weights.empty())
    fail(ExitCode::missing_input,
         "{}: weights ({}) without config.json, which says what they are: copy that of the model there",
         folder, weights);
}

void fail_without_adapters(const std::string& folder) {
  const bool adapters = fs::exists(folder + "/adapter/adapter_config.json");
  const bool model = fs::exists(folder + "/model/config.json");
  fail(ExitCode::missing_input, "{}: no adapters there (adapter_config.json){}", folder,
       adapters ? fmt::format(": those of this run are in {}/adapter", folder)
       : model  ? fmt::format(": the model of this run is {}/model (model.from, --model)", folder)
                : "");
}

void check_has_safetensors(const std::string& folder) {
  if (!fs::is_directory(folder)) return;
  const std::vector<std::string> names = file_names(folder);
  for (const std::string& name : names) {
    require(!name.ends_with(".safetensors") || !is_lfs_pointer(folder + "/" + name), ExitCode::bad_data,
            "{}/{}: a pointer of Git LFS instead of weights: run git lfs pull in that folder", folder, name);
  }
  // What older tools of GPTQ and AWQ write beside a configuration that says nothing of it.
  for (const char* name : {"quantize_config.json", "quant_config.json"}) {
    if (has(names, name)) fail(ExitCode::bad_data, kQuantised, folder, name);
  }
  if (has(names, "model.safetensors") || has(names, "model.safetensors.index.json")) return;
  for (const char* name : {"adapter_model.safetensors", "adapter_model.bin"}) {
    if (has(names, name)) fail(ExitCode::bad_data, kAdaptersAlone, folder, name);
  }
  for (const std::string& name : names) {
    if (name.starts_with("consolidated.")) fail(ExitCode::bad_data, kOriginalFiles, folder, name);
  }
  if (const std::string gguf = with_ending(names, {".gguf"}); !gguf.empty())
    fail(ExitCode::bad_data, "{}: weights as GGUF ({}): use the Hugging Face folder that they were made from",
         folder, gguf);
  if (const std::string other = with_ending(names, {".h5", ".msgpack"}); !other.empty())
    fail(ExitCode::bad_data,
         "{}: weights of TensorFlow or Flax ({}): save them as safetensors, for example with transformers' "
         "from_pretrained(..., from_tf=True or from_flax=True).save_pretrained(FOLDER)",
         folder, other);
  if (const std::string pickle = with_ending(names, {".bin", ".bin.index.json", ".pth", ".pt", ".ckpt"});
      !pickle.empty())
    fail(
        ExitCode::bad_data,
        "{}: weights as pickled PyTorch ({}), which are programs and not read: save them as safetensors, for "
        "example with transformers' from_pretrained(...).save_pretrained(FOLDER)",
        folder, pickle);
}

void check_config_form(const Json& config, const std::string& path) {
  const auto refuse_quantised = [&](const Json& part, const std::string& where) {
    for (const char* key : {"quantization_config", "quantization"}) {  // the latter: MLX
      const auto found = part.find(key);
      if (found == part.end() || found->is_null() || found->empty()) continue;
      fail(ExitCode::bad_data, kQuantised, where, fmt::format("{}: {}", key, method_of(*found)));
    }
  };
  refuse_quantised(config, path);
  for (const auto& [key, part] : config.items()) {
    if (part.is_object() && key.ends_with("_config")) refuse_quantised(part, path + ": " + key);
  }
  const std::string type = config.value("model_type", Json("")).is_string()
                               ? config.value("model_type", std::string())
                               : std::string();
  require(
      !is_original_llava(config, type), ExitCode::bad_data,
      "{}: the original form of LLaVA (model_type \"{}\"): use a converted release (llava-hf on the hub) or "
      "transformers' convert_llava_weights_to_hf.py",
      path, type);
}

}  // namespace longsight::model
