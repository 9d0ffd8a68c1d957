#include "model/adapters/adapter_settings.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/base/suggest.h"
#include "runtime/data/text/regex_scan.h"

namespace longsight::model {
namespace {

constexpr std::array kUsed{"peft_type",           "r",
                           "lora_alpha",          "use_rslora",
                           "rank_pattern",        "alpha_pattern",
                           "modules_to_save",     "lora_dropout",
                           "ensure_weight_tying", "bias",
                           "init_lora_weights",   "target_modules",
                           "exclude_modules",     "layers_to_transform",
                           "layers_pattern"};
// About how PEFT makes and runs them.
constexpr std::array kHarmless{"base_model_name_or_path",
                               "revision",
                               "task_type",
                               "inference_mode",
                               "fan_in_fan_out",
                               "auto_mapping",
                               "peft_version",
                               "megatron_core",
                               "loftq_config",
                               "eva_config",
                               "corda_config",
                               "qalora_group_size",
                               "runtime_config",
                               "lora_ga_config",
                               "megatron_config"};
// Another computation, where they say anything.
constexpr std::array<std::pair<const char*, const char*>, 12> kRefused{
    {{"use_dora", "DoRA"},
     {"use_qalora", "QALoRA"},
     {"lora_bias", "LoRA with a bias of its own"},
     {"trainable_token_indices", "training of single rows of the embedding"},
     {"target_parameters", "adapters of parameters that are no linear layer"},
     {"layer_replication", "layers used several times"},
     {"alora_invocation_tokens", "activated LoRA"},
     {"use_bdlora", "block-diagonal LoRA"},
     {"arrow_config", "Arrow routing"},
     {"kasa_config", "KaSA"},
     {"velora_config", "VeLoRA"},
     {"monteclora_config", "MonteCLoRA"}}};
// Beginnings that leave the base as it is; the others subtract from it what the adapters begin with.
constexpr std::array kPlainInits{"gaussian", "eva", "orthogonal"};

bool says_nothing(const Json& value) {
  return value.is_null() || value == false ||
         ((value.is_object() || value.is_array() || value.is_string()) && value.empty());
}

std::string shown(const Json& value) {
  const std::string text = value.dump();
  return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

void refuse_variants(const Json& json, const std::string& path) {
  const Json type = json.value("peft_type", Json());
  require(type.is_null() || type == "LORA", ExitCode::bad_data, "{}: peft_type {} is not supported; LORA is",
          path, shown(type));
  for (const auto& [key, name] : kRefused) {
    require(!json.contains(key) || says_nothing(json[key]), ExitCode::bad_data,
            "{}: {} = {} ({}) is not supported; plain LoRA and rsLoRA are", path, key,
            json.contains(key) ? shown(json[key]) : "", name);
  }
  const Json init = json.value("init_lora_weights", Json(true));
  const bool plain =
      init.is_null() || init.is_boolean() ||
      std::any_of(kPlainInits.begin(), kPlainInits.end(), [&](const char* one) { return init == one; });
  require(plain, ExitCode::bad_data,
          "{}: init_lora_weights = {} is not supported: such adapters belong to a base whose weights were "
          "changed "
          "when training began; let PEFT convert them (save_pretrained with "
          "path_initial_model_for_weight_conversion)",
          path, shown(init));
  std::vector<std::string> known;
  for (const char* key : kUsed) known.emplace_back(key);
  for (const char* key : kHarmless) known.emplace_back(key);
  for (const auto& [key, value] : json.items()) {
    const bool refused =
        std::any_of(kRefused.begin(), kRefused.end(), [&](const auto& one) { return key == one.first; });
    require(refused || says_nothing(value) || std::find(known.begin(), known.end(), key) != known.end(),
            ExitCode::bad_data, "{}: {} = {} is not known{}", path, key, shown(value),
            did_you_mean(key, known));
  }
}

double positive(const Json& json, const char* key, const std::string& path) {
  const auto found = json.find(key);
  require(found != json.end() && found->is_number() && found->get<double>() > 0, ExitCode::bad_data,
          "{}: {} must be a positive number", path, key);
  return found->get<double>();
}

// In the order of the file, which decides.
std::vector<std::pair<std::string, double>> pattern(const nlohmann::ordered_json& json, const char* key,
                                                    const std::string& path) {
  std::vector<std::pair<std::string, double>> list;
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return list;
  require(found->is_object(), ExitCode::bad_data, "{}: {} is no object", path, key);
  for (const auto& [name, value] : found->items()) {
    require(value.is_number() && value.template get<double>() > 0, ExitCode::bad_data,
            "{}: {}: {} must be a positive number", path, key, name);
    list.emplace_back(name, value.template get<double>());
  }
  return list;
}

double first_match(const std::vector<std::pair<std::string, double>>& list, const std::string& module,
                   double otherwise, const std::string& where) {
  for (const auto& [key, value] : list) {
    if (data::matches_pattern("^(?:.*\\.)?(?:" + key + ")$", module, where)) return value;
  }
  return otherwise;
}

AdapterSettings::Modules modules_of(const Json& json, const char* key, const std::string& path) {
  AdapterSettings::Modules modules;
  const Json value = json.value(key, Json());
  if (value.is_null()) return modules;
  if (value.is_string()) {
    modules.pattern = value.get<std::string>();
    return modules;
  }
  require(value.is_array(), ExitCode::bad_data, "{}: {} is neither a text nor a list", path, key);
  for (const Json& one : value) {
    require(one.is_string(), ExitCode::bad_data, "{}: {}: {} is no name", path, key, one.dump());
    modules.ends.push_back(one.get<std::string>());
  }
  return modules;
}

// layers_to_transform and layers_pattern: one, or a list of them.
void read_layers(const Json& json, AdapterSettings& settings) {
  const auto list_of = [&](const char* key) {
    const Json value = json.value(key, Json());
    if (says_nothing(value)) return Json(Json::array());
    return value.is_array() ? value : Json(Json::array({value}));
  };
  for (const Json& layer : list_of("layers_to_transform")) {
    require(layer.is_number_unsigned(), ExitCode::bad_data,
            "{}: layers_to_transform: {} is not the number of a layer", settings.path, shown(layer));
    settings.layers.push_back(layer.get<i64>());
  }
  for (const Json& list : list_of("layers_pattern")) {
    require(list.is_string(), ExitCode::bad_data, "{}: layers_pattern: {} is no text", settings.path,
            shown(list));
    settings.layer_lists.push_back(list.get<std::string>());
  }
  require(settings.layer_lists.empty() || !settings.layers.empty(), ExitCode::bad_data,
          "{}: layers_pattern without layers_to_transform, which PEFT refuses", settings.path);
  require(settings.layers.empty() || settings.targets.pattern.empty(), ExitCode::bad_data,
          "{}: layers_to_transform beside target_modules that are one text, which PEFT refuses: name the "
          "layers in one of them",
          settings.path);
}

}  // namespace

i64 AdapterSettings::rank_of(const std::string& module) const {
  return static_cast<i64>(first_match(ranks, module, static_cast<double>(rank), path));
}

double AdapterSettings::alpha_of(const std::string& module) const {
  return first_match(alphas, module, alpha, path);
}

bool AdapterSettings::Modules::hold(const std::string& module, const std::string& where) const {
  if (!pattern.empty()) return data::matches_pattern("^(?:" + pattern + ")$", module, where);
  return std::any_of(ends.begin(), ends.end(),
                     [&](const std::string& end) { return module == end || module.ends_with("." + end); });
}

bool AdapterSettings::is_target(const std::string& module) const {
  if (excluded.hold(module, path)) return false;
  // A whole name among target_modules counts whatever the layers are (check_target_module_exists of PEFT).
  const auto& ends = targets.ends;
  if (std::find(ends.begin(), ends.end(), module) != ends.end()) return true;
  return (all_targets || targets.hold(module, path)) && is_in_layers(module);
}

bool AdapterSettings::is_in_layers(const std::string& module) const {
  if (layers.empty()) return true;
  std::optional<std::string> number;
  if (layer_lists.empty()) number = data::last_group(R"(^.*?\.[^.]*\.([0-9]+)\.)", module, path);
  for (const std::string& list : layer_lists) {
    number = data::last_group("^(?:(?:|.*?\\.)" + list + R"(\.([0-9]+)\.))", module, path);
    if (number) break;
  }
  return number && std::any_of(layers.begin(), layers.end(),
                               [&](i64 layer) { return fmt::format("{}", layer) == *number; });
}

bool AdapterSettings::is_saved(const std::string& tensor) const {
  for (std::size_t dot = tensor.find('.'); dot != std::string::npos; dot = tensor.find('.', dot + 1)) {
    const std::string module = tensor.substr(0, dot);
    if (std::any_of(modules_to_save.begin(), modules_to_save.end(),
                    [&](const std::string& end) { return module.ends_with(end); }))
      return true;
  }
  return false;
}

AdapterSettings read_adapter_settings(const std::string& path) {
  const Json json = read_json_file(path);
  require(json.is_object(), ExitCode::bad_data, "{}: expected an object", path);
  refuse_variants(json, path);
  const double rank = positive(json, "r", path);
  require(rank == std::floor(rank), ExitCode::bad_data, "{}: r = {} is no whole number", path, rank);
  const auto ordered = nlohmann::ordered_json::parse(read_whole_file(path, i64{1} << 30, ExitCode::bad_data));
  AdapterSettings settings{.path = path,
                           .rank = static_cast<i64>(rank),
                           .alpha = positive(json, "lora_alpha", path),
                           .rslora = optional_bool(json, "use_rslora", path).value_or(false),
                           .ranks = pattern(ordered, "rank_pattern", path),
                           .alphas = pattern(ordered, "alpha_pattern", path),
                           .modules_to_save = {},
                           .targets = modules_of(json, "target_modules", path),
                           .excluded = modules_of(json, "exclude_modules", path),
                           .keeps_tie = optional_bool(json, "ensure_weight_tying", path).value_or(false)};
  read_layers(json, settings);
  const auto& [wanted, ends] = settings.targets;
  settings.all_targets = (wanted.empty() && ends.empty()) || wanted == "all-linear";
  if (const Json* modules = optional_array(json, "modules_to_save", path)) {
    for (const Json& module : *modules) {
      require(module.is_string() && !module.empty(), ExitCode::bad_data, "{}: modules_to_save: {} is no name",
              path, module.dump());
      settings.modules_to_save.push_back(module.get<std::string>());
    }
  }
  if (const Json dropout = json.value("lora_dropout", Json()); dropout.is_number() && dropout != 0)
    log_info("{}: lora_dropout {} is not applied here", path, dropout.dump());
  return settings;
}

}  // namespace longsight::model
