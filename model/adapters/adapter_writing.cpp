// Writing adapters in the files of PEFT.
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "model/adapters/adapter_files.h"
#include "model/adapters/adapter_names.h"
#include "model/files/checkpoint.h"
#include "runtime/base/json.h"
#include "runtime/io/atomic_file.h"
#include "runtime/io/safetensors.h"

namespace longsight::model {
namespace {

using ModuleNames = std::set<std::string>;

std::string parent_of(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string::npos ? "" : name.substr(0, dot);
}

bool inside(const std::string& name, const std::string& module) {
  return name.starts_with(module + ".");
}

// The layers that have adapters, by their names in the module tree.
std::map<std::string, ParameterId> adapted_layers(const Vlm& model) {
  std::map<std::string, ParameterId> layers;
  const ParameterRegistry& p = model.parameters();
  for (ParameterId id = 0; id < p.size(); ++id) {
    if (!p[id].adapter || !p[id].name.ends_with(kAdapterA)) continue;
    const std::string layer = p[id].name.substr(0, p[id].name.size() - kAdapterA.size());
    layers[parent_of(module_tree_name(model.config(), layer + ".weight"))] = id;
  }
  return layers;
}

// What is not as in the base: trained, or brought along by the adapters that training began with.
bool differs_from_base(const Vlm& model, const Parameter& p) {
  if (p.adapter) return false;
  const auto& saved = model.adapters().saved;
  return (p.used && p.trainable) || std::find(saved.begin(), saved.end(), p.name) != saved.end();
}

// WholeWeight weights, as PEFT holds them: of whole modules, and biases of adapted layers.
struct WholeWeight {
  ModuleNames modules;
  bool biases = false;
};

WholeWeight whole_weights(const Vlm& model, const std::map<std::string, ParameterId>& layers) {
  WholeWeight whole;
  for (const Parameter& p : model.parameters().all()) {
    if (!differs_from_base(model, p)) continue;
    const std::string name = module_tree_name(model.config(), p.name), module = parent_of(name);
    if (layers.contains(module) && name.ends_with(".bias")) {
      whole.biases = true;
      continue;
    }
    const auto within = std::find_if(layers.begin(), layers.end(), [&](const auto& layer) {
      return layer.first == module || inside(layer.first, module);
    });
    require(!module.empty() && within == layers.end(), ExitCode::usage,
            "{} is trained beside adapters, which PEFT's files can only hold with the whole module {}, and "
            "{} in it "
            "has an adapter: leave one of them out of model.lora (train, targets)",
            p.name, module.empty() ? "model" : module, within == layers.end() ? "a layer" : within->first);
    whole.modules.insert(module);
  }
  // Of modules inside each other the outer one holds all.
  ModuleNames outer;
  for (const std::string& module : whole.modules) {
    if (std::none_of(whole.modules.begin(), whole.modules.end(),
                     [&](const std::string& other) { return inside(module, other); }))
      outer.insert(module);
  }
  whole.modules = std::move(outer);
  // PEFT gives either its own copy: with one of them the other would stay that of the base.
  const TextConfig& text = model.config().text;
  const std::string head = parent_of(module_tree_name(model.config(), text.names.head + ".weight")),
                    embedding = parent_of(module_tree_name(model.config(), text.names.embedding + ".weight"));
  if (text.tied && whole.modules.contains(embedding)) whole.modules.insert(head);
  return whole;
}

// Parameters with the rows as the file has them.
class FileTensors {
 public:
  explicit FileTensors(const Vlm& model) : model_(model) {}

  void add(const std::string& module_name, ParameterId id, const Parameter& rows_of) {
    const std::string name = std::string(kAdapterPrefix) + module_name;
    plans_.push_back({name, model_.parameters()[id].shape, DType::F32});
    written_[name] = {id, file_row_order(model_.config(), rows_of)};
  }
  const std::vector<io::TensorPlan>& all() const { return plans_; }

  void write(const std::string& path, const ValueOf& values) const {
    OwnedTensor reordered;
    io::write_safetensors(path, plans_, [&](const std::string& name) {
      const auto& [id, order] = written_.at(name);
      const Tensor value = values(id);
      if (order.empty()) return value;
      reordered = rows_in_order(value, order);
      return reordered.view();
    });
  }

 private:
  const Vlm& model_;
  std::vector<io::TensorPlan> plans_;
  std::map<std::string, std::pair<ParameterId, std::vector<i64>>> written_;
};

void add_adapters(FileTensors& tensors, const Vlm& model) {
  const ParameterRegistry& p = model.parameters();
  for (ParameterId id = 0; id < p.size(); ++id) {
    if (!p[id].adapter) continue;
    const bool a = p[id].name.ends_with(kAdapterA);
    const std::string_view end = a ? kAdapterA : kAdapterB;
    const std::string weight = p[id].name.substr(0, p[id].name.size() - end.size()) + ".weight";
    const std::string module = parent_of(module_tree_name(model.config(), weight));
    tensors.add(module + std::string(end), id, a ? p[id] : p[p.find(weight)]);
  }
}

// PEFT wraps a layer that has an adapter, and takes no other name for what is inside:
// "q_proj.base_layer.bias".
std::string name_beside_adapter(const std::string& name) {
  const std::string layer = parent_of(name);
  return layer + std::string(kAdaptedLayer) + name.substr(layer.size() + 1);
}

void add_whole(FileTensors& tensors, const Vlm& model, const WholeWeight& whole,
               const std::map<std::string, ParameterId>& layers) {
  const ParameterRegistry& p = model.parameters();
  for (ParameterId id = 0; id < p.size(); ++id) {
    if (p[id].adapter) continue;
    const std::string name = module_tree_name(model.config(), p[id].name);
    const bool bias = whole.biases && name.ends_with(".bias") && layers.contains(parent_of(name));
    if (bias || std::any_of(whole.modules.begin(), whole.modules.end(),
                            [&](const std::string& module) { return inside(name, module); }))
      tensors.add(bias ? name_beside_adapter(name) : name, id, p[id]);
  }
  const TextConfig& text = model.config().text;
  const std::string head = module_tree_name(model.config(), text.names.head + ".weight");
  if (text.tied && whole.modules.contains(parent_of(head)))
    tensors.add(head, model.ids().language.embedding, p[model.ids().language.embedding]);
}

// A regular expression that matches this name alone.
std::string escaped(const std::string& module) {
  std::string text;
  for (const char c : module) text += c == '.' ? std::string("\\.") : std::string(1, c);
  return text;
}

}  // namespace

void check_adapter_form(const Vlm& model) {
  if (model.adapters().any()) whole_weights(model, adapted_layers(model));
}

i64 adapter_bytes(const Vlm& model) {
  const auto layers = adapted_layers(model);
  FileTensors tensors(model);
  add_adapters(tensors, model);
  add_whole(tensors, model, whole_weights(model, layers), layers);
  i64 elements = 0;
  for (const io::TensorPlan& tensor : tensors.all()) elements += tensor.shape.elements();
  return elements * size_of(DType::F32);
}

void write_adapter_files(const Vlm& model, const std::string& folder, const std::string& base) {
  write_adapter_files(model, folder, base, model.values());
}

void write_adapter_files(const Vlm& model, const std::string& folder, const std::string& base,
                         const ValueOf& values) {
  const AdapterConfig& adapters = model.adapters();
  const auto layers = adapted_layers(model);
  const WholeWeight whole = whole_weights(model, layers);
  FileTensors tensors(model);
  add_adapters(tensors, model);
  add_whole(tensors, model, whole, layers);
  check(!tensors.all().empty(), "a model without adapters is written as one");
  tensors.write(folder + "/" + kAdapterWeights, values);

  std::vector<std::string> modules;
  nlohmann::ordered_json ranks = nlohmann::ordered_json::object(), alphas = ranks, saved;
  for (const auto& [module, a] : layers) {
    modules.push_back(module);
    const std::string& name = model.parameters()[a].name;
    const std::string layer = name.substr(0, name.size() - kAdapterA.size());
    if (adapters.rank_of(layer) != adapters.rank) ranks[escaped(module)] = adapters.rank_of(layer);
    if (adapters.alpha_of(layer) != adapters.alpha) alphas[escaped(module)] = adapters.alpha_of(layer);
  }
  if (!whole.modules.empty()) saved = whole.modules;
  const nlohmann::ordered_json base_name =
      base.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(base);
  const nlohmann::ordered_json config{{"peft_type", "LORA"},
                                      {"task_type", "CAUSAL_LM"},
                                      {"base_model_name_or_path", base_name},
                                      {"r", adapters.rank},
                                      {"lora_alpha", adapters.alpha},
                                      {"rank_pattern", ranks},
                                      {"alpha_pattern", alphas},
                                      {"lora_dropout", 0.0},
                                      {"target_modules", modules},
                                      {"bias", whole.biases ? "lora_only" : "none"},
                                      {"fan_in_fan_out", false},
                                      {"inference_mode", true},
                                      {"init_lora_weights", true},
                                      {"modules_to_save", saved},
                                      {"use_dora", false},
                                      {"use_rslora", adapters.rslora}};
  io::write_file(folder + "/" + kAdapterConfig, json_text(config, 2) + "\n");
}

}  // namespace longsight::model
