#include "model/adapters/adapter_files.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>

#include "model/adapters/adapter_names.h"
#include "model/adapters/adapter_settings.h"
#include "model/adapters/base_record.h"
#include "model/families/families.h"
#include "model/files/folder_kind.h"
#include "model/files/load_weights.h"
#include "runtime/base/log.h"
#include "runtime/io/safetensors.h"
#include "runtime/ops/linear.h"
#include "runtime/ops/row_scale.h"
#include "runtime/ops/rows.h"
#include "runtime/tensor/host_values.h"

namespace longsight::model {
namespace {

namespace fs = std::filesystem;
using Kind = AdapterTensor::Kind;

std::string path_in(const std::string& folder, const char* file) {
  const std::string path = folder + "/" + file;
  require(
      file == std::string_view(kAdapterConfig) || fs::exists(path) ||
          !fs::exists(folder + "/adapter_model.bin"),
      ExitCode::bad_data,
      "{}/adapter_model.bin is a pickle, which can run programs when it is read; write it as {} where you "
      "trust it: python3 -c \"import torch, safetensors.torch as s; "
      "s.save_file(torch.load('adapter_model.bin', weights_only=True), '{}')\"",
      folder, kAdapterWeights, kAdapterWeights);
  if (file == std::string_view(kAdapterConfig) && !fs::exists(path)) fail_without_adapters(folder);
  require(fs::exists(path), ExitCode::missing_input, "{} is not there: an adapter folder holds {} and {}",
          path, kAdapterConfig, kAdapterWeights);
  return path;
}

std::string without_end(const std::string& name, std::string_view end) {
  return name.substr(0, name.size() - end.size());
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
  const std::vector<float> x = read_values<float>(values, {});
  return std::all_of(x.begin(), x.end(), [](float value) { return value == 0; });
}

bool same_values(const io::SafetensorsFile& file, const io::TensorEntry& a, const io::TensorEntry& b) {
  if (a.shape != b.shape) return false;
  const OwnedTensor x(DType::F32, a.shape), y(DType::F32, b.shape);
  file.read(a.name, x.view());
  file.read(b.name, y.view());
  return std::memcmp(x->data(), y->data(), static_cast<std::size_t>(x->bytes())) == 0;
}

// The layers of the file, and their ranks and scales over what the settings say for all.
class Layers {
 public:
  Layers(const AdapterSettings& settings, std::string path) : settings_(settings), path_(std::move(path)) {}

  void add(const io::SafetensorsFile& file, const io::TensorEntry& entry, const AdapterTensor& tensor,
           bool used) {
    const bool a = tensor.kind == Kind::a;
    require(entry.shape.rank() == 2, ExitCode::bad_data, "{}: tensor {} {} is no matrix", path_, entry.name,
            entry.shape);
    const i64 rank = entry.shape[a ? 0 : 1], said = settings_.rank_of(tensor.module);
    require(rank == said, ExitCode::bad_data,
            "{}: {} {} has rank {}, but {} says {} for it (r, rank_pattern)", path_, entry.name, entry.shape,
            rank, kAdapterConfig, said);
    require(used || a || is_zero(file, entry), ExitCode::bad_data,
            "{}: {} adapts a layer that this model does not compute, and is not zero", path_, entry.name);
    if (!used) {
      idle_.insert(tensor.name);
      return;
    }
    targets_.insert(tensor.name);
    if (rank != settings_.rank) ranks_[tensor.name] = rank;
    if (const double alpha = settings_.alpha_of(tensor.module); alpha != settings_.alpha)
      alphas_[tensor.name] = alpha;
  }

  void put_into(AdapterConfig& config) const {
    config.targets.assign(targets_.begin(), targets_.end());
    config.ranks = ranks_;
    config.alphas = alphas_;
  }
  std::size_t idle() const { return idle_.size(); }

 private:
  const AdapterSettings& settings_;
  std::string path_;
  std::set<std::string> targets_, idle_;
  std::map<std::string, i64> ranks_;
  std::map<std::string, double> alphas_;
};

// What becomes of a tie between head and embedding. In PEFT a module to save is a copy of its own, and what
// merely replaces weights of the base goes into the one that both share.
bool head_of_its_own(const io::SafetensorsFile& file, const AdapterSettings& settings,
                     const std::map<std::string, const io::TensorEntry*>& whole, const ModelConfig& config) {
  const auto entry_of = [&](const std::string& name) {
    const auto found = whole.find(name + ".weight");
    return found == whole.end() ? nullptr : found->second;
  };
  const auto *head = entry_of(config.text.names.head), *embedding = entry_of(config.text.names.embedding);
  if (!config.text.tied || settings.keeps_tie || (head == nullptr && embedding == nullptr)) return false;
  if (head != nullptr && embedding != nullptr) return !same_values(file, *head, *embedding);
  const io::TensorEntry& one = head != nullptr ? *head : *embedding;
  return settings.is_saved(one.name.substr(kAdapterPrefix.size()));
}

// embedding [V, C] += scale * (B [C, r] A [r, V]) transposed.
void add_to_embedding(Tensor embedding, const io::SafetensorsFile& file, const io::TensorEntry& a_entry,
                      const AdapterSettings& settings, const std::string& module, const std::string& path) {
  const io::TensorEntry* b_entry =
      file.find(without_end(a_entry.name, kEmbeddingA) + std::string(kEmbeddingB));
  const i64 rank = a_entry.shape[0], vocab = embedding.rows(), width = embedding.row_size();
  require(b_entry != nullptr && rank == settings.rank_of(module) && a_entry.shape == Shape({rank, vocab}) &&
              b_entry->shape == Shape({width, rank}),
          ExitCode::bad_data, "{}: {} {} does not fit the embedding {}, its other matrix or {}", path,
          a_entry.name, a_entry.shape, embedding.shape(), kAdapterConfig);
  const OwnedTensor a(DType::F64, a_entry.shape), b(DType::F64, b_entry->shape);
  file.read(a_entry.name, a.view());
  file.read(b_entry->name, b.view());
  const double scale = settings.alpha_of(module) /
                       (settings.rslora ? std::sqrt(static_cast<double>(rank)) : static_cast<double>(rank));
  // [V, C] += scale * (A transposed [V, r]) (B transposed [r, C]): the gradient of a weight, in f64.
  const OwnedTensor added(DType::F64, embedding.shape()), columns(DType::F64, {rank, width});
  for (i64 r = 0; r < rank; ++r)
    ops::copy_matrix(columns->row_range(r, 1).reshape({width, 1}), Matrix(b).columns(r, 1), {});
  ops::linear_backward_weight(added, {}, a.view(), columns.view(), {});
  ops::scale_matrix(added.view(), scale, {});
  const OwnedTensor sum(DType::F64, embedding.shape());
  copy(sum, embedding, {});
  ops::add_matrix(sum.view(), added.view(), {});
  copy(embedding, sum, {});
}

// Where the head is the embedding, its values are those of the embedding.
std::string parameter_of(const std::string& name, const ModelConfig& config, bool own_head) {
  const TextConfig& text = config.text;
  return text.tied && !own_head && name == text.names.head + ".weight" ? text.names.embedding + ".weight"
                                                                       : name;
}

}  // namespace

AdapterTensor parse_adapter_tensor(const std::string& name_in_file, const ModelConfig& config,
                                   const std::string& path) {
  const std::string& n = name_in_file;
  const bool a = n.ends_with(kAdapterA), b = n.ends_with(kAdapterB);
  require(
      n.starts_with(kAdapterPrefix) && (a || b || n.ends_with(kEmbeddingA) || n.ends_with(kEmbeddingB) ||
                                        n.find(".lora_") == std::string::npos),
      ExitCode::bad_data,
      "{}: tensor {} is neither a LoRA matrix of a linear layer ({}NAME{} or {}) nor a weight of the model",
      path, n, kAdapterPrefix, kAdapterA, kAdapterB);
  std::string rest = n.substr(kAdapterPrefix.size());
  const Family& family = family_of(config);
  if (a || b) {
    const std::string module = without_end(rest, a ? kAdapterA : kAdapterB);
    return {.kind = a ? Kind::a : Kind::b,
            .module = module,
            .name = without_end(family.canonical(module + ".weight"), ".weight")};
  }
  for (const auto& [end, kind] :
       {std::pair(kEmbeddingA, Kind::embedding_a), {kEmbeddingB, Kind::embedding_b}}) {
    if (!rest.ends_with(end)) continue;
    const std::string module = without_end(rest, end);
    return {.kind = kind, .module = module, .name = family.canonical(module + ".weight")};
  }
  for (const std::string_view wrapper : {std::string_view(".modules_to_save.default."),
                                         std::string_view(".modules_to_save."), kAdaptedLayer}) {
    if (const std::size_t at = rest.find(wrapper); at != std::string::npos)
      rest.replace(at, wrapper.size(), ".");
  }
  return {.kind = Kind::whole, .module = {}, .name = family.canonical(rest)};
}

std::string module_tree_name(const ModelConfig& config, const std::string& parameter) {
  return family_of(config).in_memory(parameter);
}

AdapterConfig read_adapter_config(const std::string& folder, const ModelConfig& config) {
  require(fs::is_directory(folder), ExitCode::missing_input, "{}: no such adapter folder", folder);
  const AdapterSettings settings = read_adapter_settings(path_in(folder, kAdapterConfig));
  const std::string path = path_in(folder, kAdapterWeights);
  AdapterConfig adapter{
      .rank = settings.rank, .alpha = settings.alpha, .targets = {}, .rslora = settings.rslora, .file = path};
  const io::SafetensorsFile file(path);
  Layers layers(settings, path);
  std::map<std::string, const io::TensorEntry*> whole;
  std::set<std::string> embedded;
  i64 others = 0;
  std::string other;
  for (const io::TensorEntry& entry : file.entries()) {
    const AdapterTensor tensor = parse_adapter_tensor(entry.name, config, path);
    if (tensor.kind == Kind::embedding_a || tensor.kind == Kind::embedding_b) {
      const std::string& embedding = config.text.names.embedding;
      require(tensor.name == embedding + ".weight" && entry.shape.rank() == 2, ExitCode::bad_data,
              "{}: {} {} is no adapter of the token embedding {}", path, entry.name, entry.shape, embedding);
      require(!config.text.tied, ExitCode::bad_data,
              "{}: {} adapts an embedding that is also the head, which PEFT computes without it and merges "
              "with it: "
              "save the model merged by PEFT, and begin with that",
              path, entry.name);
      embedded.insert(tensor.name);
    } else if (tensor.kind == Kind::whole) {
      const auto [known, fresh] = whole.emplace(tensor.name, &entry);
      require(fresh, ExitCode::bad_data, "{}: tensors {} and {} are the same one", path, known->second->name,
              entry.name);
    } else if (!settings.is_target(tensor.module)) {
      if (others++ == 0) other = entry.name;
    } else {
      layers.add(file, entry, tensor, runs(config, tensor.name));
    }
  }
  if (others > 0)
    log_warn(
        "{}: left out {} tensors of layers that {} does not name (target_modules, exclude_modules, "
        "layers_to_transform), as PEFT does: {}, ..",
        folder, others, kAdapterConfig, other);
  if (layers.idle() > 0)
    log_warn("{}: left out {} adapters that are zero, of layers that this model does not compute", folder,
             layers.idle());
  layers.put_into(adapter);
  require(!adapter.targets.empty() || !whole.empty() || !embedded.empty(), ExitCode::bad_data, "{}: {}", path,
          others == 0 ? "no tensors"
                      : fmt::format("none of its tensors belongs to a layer that {} names", kAdapterConfig));
  adapter.own_head = head_of_its_own(file, settings, whole, config);
  std::set<std::string> saved = embedded;
  if (!embedded.empty())
    log_info(
        "{}: the adapter of the token embedding is merged into it; training goes on with the whole embedding",
        folder);
  for (const auto& [name, entry] : whole) saved.insert(parameter_of(name, config, adapter.own_head));
  adapter.saved.assign(saved.begin(), saved.end());
  return adapter;
}

void load_adapter(Vlm& model, const std::string& folder, const std::string& base) {
  const std::string path = path_in(folder, kAdapterWeights);
  const io::SafetensorsFile file(path);
  const AdapterSettings settings = read_adapter_settings(path_in(folder, kAdapterConfig));
  const ParameterRegistry& p = model.parameters();
  std::set<std::string> seen, names;
  for (const io::TensorEntry& entry : file.entries()) {
    const AdapterTensor tensor = parse_adapter_tensor(entry.name, model.config(), path);
    const bool whole = tensor.kind == Kind::whole;
    if (tensor.kind == Kind::embedding_a || tensor.kind == Kind::embedding_b) continue;
    if (!whole && (!settings.is_target(tensor.module) || !runs(model.config(), tensor.name))) continue;
    const std::string name = whole
                                 ? parameter_of(tensor.name, model.config(), false)
                                 : tensor.name + std::string(tensor.kind == Kind::a ? kAdapterA : kAdapterB);
    const ParameterId id = p.find(name);
    require(id >= 0, ExitCode::bad_data, "{}: tensor {} belongs to no {} of this model", path, entry.name,
            whole ? "weight" : "linear layer");
    require(entry.shape == p[id].shape, ExitCode::bad_data, "{}: tensor {} is {}, {} expected{}", path,
            entry.name, entry.shape, p[id].shape,
            whole ? ": these adapters belong to another base, perhaps one with a resized vocabulary" : "");
    seen.insert(name);
    // Of a tied pair both may be there, with the same values: by their own names they are two.
    require(names.insert(whole ? tensor.name : name).second, ExitCode::bad_data, "{}: two tensors are {}",
            path, name);
    file.read(entry.name, p.value(id));
    if (tensor.kind == Kind::a) continue;
    const ParameterId weight = whole ? id : p.find(tensor.name + ".weight");
    permute_rows(p.value(id), file_row_order(model.config(), p[weight]));
  }
  // Over the embedding of the base, or the one that PEFT writes beside its adapter.
  for (const io::TensorEntry& entry : file.entries()) {
    const AdapterTensor tensor = parse_adapter_tensor(entry.name, model.config(), path);
    if (tensor.kind == Kind::embedding_a)
      add_to_embedding(p.value(p.find(tensor.name)), file, entry, settings, tensor.module, path);
  }
  for (const Parameter& parameter : p.all()) {
    require(!parameter.adapter || seen.contains(parameter.name), ExitCode::bad_data, "{}: {} is missing",
            path, parameter.name);
  }
  p.round_weights({});
  check_base(model, folder, base);
}

}  // namespace longsight::model
