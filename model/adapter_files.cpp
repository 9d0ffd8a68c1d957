#include "model/adapter_files.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "model/families/families.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/io/atomic_file.h"
#include "runtime/io/safetensors.h"

namespace longsight::model {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeights = "adapter_model.safetensors";
constexpr const char* kConfig = "adapter_config.json";
constexpr std::string_view kPrefix = "base_model.model.", kA = ".lora_A.weight", kB = ".lora_B.weight";

std::string path_in(const std::string& folder, const char* file) {
  const std::string path = folder + "/" + file;
  require(fs::exists(path), ExitCode::missing_input, "{} is not there: an adapter folder holds {} and {}",
          path, kConfig, kWeights);
  return path;
}

// A tensor of the file: the canonical name of its layer, and which of the two it is.
struct AdapterTensor {
  std::string layer;
  bool is_a = false;
};

AdapterTensor parse(const io::TensorEntry& entry, const ModelConfig& config, const std::string& path) {
  const std::string& name = entry.name;
  const bool a = name.ends_with(kA), b = name.ends_with(kB);
  require(name.starts_with(kPrefix) && (a || b) && entry.shape.rank() == 2, ExitCode::bad_data,
          "{}: tensor {} {} is no LoRA matrix of a linear layer ({}NAME{} or {})", path, name,
          entry.shape.text(), kPrefix, kA, kB);
  const std::string layer =
      name.substr(kPrefix.size(), name.size() - kPrefix.size() - (a ? kA.size() : kB.size()));
  const std::string weight = family_of(config).canonical(layer + ".weight");
  return {.layer = weight.substr(0, weight.size() - std::string_view(".weight").size()), .is_a = a};
}

// Whether the model computes the layer. The tower's blocks behind the last one whose output is used are
// carried over only; PEFT puts adapters on them too, which get no gradient and stay zero.
bool runs(const ModelConfig& config, const std::string& layer) {
  for (i64 i = config.vision_blocks_run(); i < config.vision.layers; ++i) {
    if (layer.starts_with(config.vision.names.block_root(i))) return false;
  }
  return true;
}

bool is_zero(const io::SafetensorsFile& file, const io::TensorEntry& entry) {
  const OwnedTensor values(DType::F32, entry.shape);
  file.read(entry.name, values.view());
  const float* x = values->as<float>();
  return std::all_of(x, x + values->elements(), [](float value) { return value == 0; });
}

// Everything that would make it another computation than plain LoRA.
void refuse_variants(const Json& json, const std::string& path) {
  const auto only = [&](const char* key, const Json& value) {
    const auto found = json.find(key);
    require(found == json.end() || found->is_null() || *found == value, ExitCode::bad_data,
            "{}: {} = {} is not supported: plain LoRA on linear layers is", path, key,
            found == json.end() ? "" : found->dump());
  };
  only("peft_type", "LORA");
  only("bias", "none");
  for (const char* key : {"use_dora", "use_rslora", "fan_in_fan_out", "use_qalora", "lora_bias"})
    only(key, false);
  for (const char* key : {"rank_pattern", "alpha_pattern"}) only(key, Json::object());
  for (const char* key :
       {"modules_to_save", "trainable_token_indices", "target_parameters", "layer_replication"})
    only(key, nullptr);
}

// The layer's name in the module tree of transformers.
std::string module_name(const Vlm& model, const std::string& layer) {
  const std::string weight = family_of(model.config()).in_memory(layer + ".weight");
  return weight.substr(0, weight.size() - std::string_view(".weight").size());
}

}  // namespace

AdapterConfig read_adapter_config(const std::string& folder, const ModelConfig& config) {
  require(fs::is_directory(folder), ExitCode::missing_input, "{}: no such adapter folder", folder);
  const std::string config_path = path_in(folder, kConfig), weights_path = path_in(folder, kWeights);
  const Json json = read_json_file(config_path);
  require(json.is_object(), ExitCode::bad_data, "{}: expected an object", config_path);
  refuse_variants(json, config_path);
  const auto number = [&](const char* key) {
    const auto found = json.find(key);
    require(found != json.end() && found->is_number() && found->get<double>() > 0, ExitCode::bad_data,
            "{}: {} must be a positive number", config_path, key);
    return found->get<double>();
  };
  AdapterConfig adapter{.rank = static_cast<i64>(number("r")), .alpha = number("lora_alpha"), .targets = {}};
  std::set<std::string> layers, idle;
  const io::SafetensorsFile file(weights_path);
  for (const io::TensorEntry& entry : file.entries()) {
    const AdapterTensor tensor = parse(entry, config, weights_path);
    const i64 rank = entry.shape[tensor.is_a ? 0 : 1];
    require(rank == adapter.rank, ExitCode::bad_data, "{}: {} {} has rank {}, but {} says r = {}",
            weights_path, entry.name, entry.shape.text(), rank, kConfig, adapter.rank);
    const bool used = runs(config, tensor.layer);
    require(used || tensor.is_a || is_zero(file, entry), ExitCode::bad_data,
            "{}: {} adapts a layer that this model does not compute, and is not zero", weights_path,
            entry.name);
    (used ? layers : idle).insert(tensor.layer);
  }
  if (!idle.empty())
    log_warn("{}: left out {} adapters that are zero, of layers that this model does not compute", folder,
             idle.size());
  require(!layers.empty(), ExitCode::bad_data, "{}: no tensors", weights_path);
  adapter.targets.assign(layers.begin(), layers.end());
  return adapter;
}

void load_adapter(Vlm& model, const std::string& folder) {
  const std::string path = path_in(folder, kWeights);
  const io::SafetensorsFile file(path);
  const ParameterRegistry& p = model.parameters();
  std::set<std::string> seen;
  for (const io::TensorEntry& entry : file.entries()) {
    const AdapterTensor tensor = parse(entry, model.config(), path);
    if (!runs(model.config(), tensor.layer)) continue;
    const std::string name = tensor.layer + std::string(tensor.is_a ? kA : kB);
    const ParameterId id = p.find(name);
    require(id >= 0, ExitCode::bad_data, "{}: tensor {} belongs to no linear layer of this model", path,
            entry.name);
    require(entry.shape == p[id].shape, ExitCode::bad_data, "{}: tensor {} is {}, {} expected", path,
            entry.name, entry.shape.text(), p[id].shape.text());
    require(seen.insert(name).second, ExitCode::bad_data, "{}: two tensors are {}", path, name);
    file.read(entry.name, p.value(id));
  }
  for (const Parameter& parameter : p.all()) {
    require(!parameter.adapter || seen.contains(parameter.name), ExitCode::bad_data, "{}: {} is missing",
            path, parameter.name);
  }
}

void write_adapter_files(const Vlm& model, const std::string& folder, const std::string& base) {
  const ParameterRegistry& p = model.parameters();
  std::vector<io::NamedTensor> tensors;
  std::vector<std::string> modules;
  for (ParameterId id = 0; id < p.size(); ++id) {
    if (!p[id].adapter) continue;
    const bool a = p[id].name.ends_with(kA);
    const std::string layer = p[id].name.substr(0, p[id].name.size() - (a ? kA.size() : kB.size()));
    const std::string module = module_name(model, layer);
    if (a) modules.push_back(module);
    tensors.push_back({std::string(kPrefix) + module + std::string(a ? kA : kB), p.value(id), DType::F32});
  }
  check(!tensors.empty(), "a model without adapters is written as one");
  io::write_safetensors(folder + "/" + kWeights, tensors);
  const nlohmann::ordered_json config{{"peft_type", "LORA"},
                                      {"task_type", "CAUSAL_LM"},
                                      {"base_model_name_or_path", base},
                                      {"r", model.adapters().rank},
                                      {"lora_alpha", model.adapters().alpha},
                                      {"lora_dropout", 0.0},
                                      {"target_modules", modules},
                                      {"bias", "none"},
                                      {"fan_in_fan_out", false},
                                      {"inference_mode", true},
                                      {"init_lora_weights", true},
                                      {"modules_to_save", nullptr},
                                      {"use_dora", false},
                                      {"use_rslora", false}};
  io::write_file(folder + "/" + kConfig, config.dump(2) + "\n");
}

}  // namespace longsight::model
