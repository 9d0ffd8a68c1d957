#include "model/checkpoint.h"

#include <array>
#include <cstring>
#include <filesystem>
#include <map>

#include "model/adapter_files.h"
#include "model/families/families.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/io/safetensors.h"

namespace longsight::model {
namespace {

namespace fs = std::filesystem;

constexpr std::array kCompanions{"tokenizer.json",
                                 "tokenizer_config.json",
                                 "special_tokens_map.json",
                                 "added_tokens.json",
                                 "vocab.json",
                                 "merges.txt",
                                 "tokenizer.model",
                                 "preprocessor_config.json",
                                 "processor_config.json",
                                 "chat_template.json",
                                 "chat_template.jinja",
                                 "generation_config.json"};

// Buffers that old files hold and nobody needs.
bool is_buffer(const std::string& name) {
  return name.ends_with(".position_ids") || name.ends_with(".rotary_emb.inv_freq");
}

// "language_model.model.layers.*.mlp": names that differ in numbers and in the last two parts fall together.
std::string group_of(const std::string& name) {
  std::vector<std::string> parts{""};
  for (char c : name) {
    if (c == '.')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  std::string group;
  for (std::size_t i = 0; i + 2 < parts.size() || i == 0; ++i) {
    const bool number = !parts[i].empty() && parts[i].find_first_not_of("0123456789") == std::string::npos;
    group += (i == 0 ? "" : ".") + (number ? "*" : parts[i]);
  }
  return group;
}

class Mismatches {
 public:
  void add(const std::string& kind, const std::string& name, const std::string& detail = "") {
    auto& entry = groups_[kind + " " + group_of(name)];
    if (entry.count++ == 0) entry.example = name + detail;
  }
  void raise(const std::string& path) const {
    if (groups_.empty()) return;
    std::string text;
    for (const auto& [group, entry] : groups_) {
      text += fmt::format("{}{} ({} tensor{}, {})", text.empty() ? "" : "; ", group, entry.count,
                          entry.count == 1 ? "" : "s", entry.example);
    }
    fail(ExitCode::bad_data, "{} does not fit config.json: {}", path, text);
  }

 private:
  struct Entry {
    i64 count = 0;
    std::string example;
  };
  std::map<std::string, Entry> groups_;
};

// Entry of the file by canonical name.
std::map<std::string, const io::TensorEntry*> canonical_entries(const io::SafetensorsSet& file,
                                                                const Family& family) {
  std::map<std::string, const io::TensorEntry*> entries;
  for (const io::TensorEntry& entry : file.entries()) {
    if (is_buffer(entry.name)) continue;
    const auto [place, fresh] = entries.emplace(family.canonical_name(entry.name), &entry);
    require(fresh, ExitCode::bad_data, "{}: tensors {} and {} are the same one under two names", file.path(),
            place->second->name, entry.name);
  }
  return entries;
}

bool same_values(const io::SafetensorsSet& file, const io::TensorEntry& a, const io::TensorEntry& b) {
  if (a.shape != b.shape || a.dtype != b.dtype) return false;
  const OwnedTensor x = file.read(a.name), y = file.read(b.name);
  return std::memcmp(x->data(), y->data(), static_cast<std::size_t>(x->bytes())) == 0;
}

// Rows of `x` in another order: row i of the result is row order[i] of x, or with `back` the other way round.
void permute_rows(Tensor x, const std::vector<i64>& order, bool back, Stream stream) {
  if (order.empty()) return;
  const OwnedTensor before(x.dtype(), x.shape());
  copy(before, x, stream);
  for (i64 i = 0; i < x.rows(); ++i) {
    const i64 other = order[static_cast<std::size_t>(i)];
    copy(x.row_range(back ? other : i, 1), before->row_range(back ? i : other, 1), stream);
  }
}

}  // namespace

ModelConfig read_config(const std::string& path) {
  const std::string file = fs::is_directory(path) ? path + "/config.json" : path;
  ModelConfig config = read_model_config(read_json_file(file), file);
  if (const auto complete = family_of(config).complete; complete != nullptr)
    complete(config, fs::path(file).parent_path().string());
  return config;
}

std::unique_ptr<Vlm> load_model(const std::string& folder, const LoadOptions& options) {
  require(fs::is_directory(folder), ExitCode::missing_input, "{}: no such model folder", folder);
  ModelConfig config = read_config(folder);
  const io::SafetensorsSet file(folder);
  auto entries = canonical_entries(file, family_of(config));
  const std::string head = config.text.names.head + ".weight",
                    embedding = config.text.names.embedding + ".weight";
  if (config.text.tied && entries.contains(head) && entries.contains(embedding)) {
    if (same_values(file, *entries[head], *entries[embedding])) {
      entries.erase(head);
    } else {
      // As transformers does: the values decide, not the flag.
      log_warn("{}: config.json ties the head to the embedding, but their values differ: they are kept apart",
               folder);
      config.text.tied = false;
      config.source["tie_word_embeddings"] = false;
      for (const char* part : {"text_config", "llm_config"}) {
        if (config.source.contains(part)) config.source[part]["tie_word_embeddings"] = false;
      }
    }
  }
  for (const std::string& warning : config.warnings) log_warn("{}", warning);

  auto model = std::make_unique<Vlm>(std::move(config), options.adapters);
  ParameterRegistry& parameters = model->parameters();
  Mismatches mismatches;
  for (const Parameter& p : parameters.all()) {
    if (p.adapter) continue;
    const auto found = entries.find(p.name);
    if (found == entries.end())
      mismatches.add("missing", p.name);
    else if (found->second->shape != p.shape) {
      mismatches.add(
          "wrong shape", p.name,
          fmt::format(": {} in the file, {} expected", found->second->shape.text(), p.shape.text()));
    } else if (!found->second->dtype || *found->second->dtype == DType::I32 ||
               *found->second->dtype == DType::I64 || *found->second->dtype == DType::U8) {
      mismatches.add("wrong type", p.name, fmt::format(": {}", found->second->stored_as));
    }
  }
  for (const auto& [name, entry] : entries) {
    if (parameters.find(name) < 0) mismatches.add("unexpected", entry->name);
  }
  mismatches.raise(folder);

  if (options.trainable) parameters.set_trainable(options.trainable);
  parameters.allocate(options.dtype, options.with_gradients);
  for (ParameterId id = 0; id < parameters.size(); ++id) {
    if (parameters[id].adapter) {
      parameters.initialise(id, options.seed);
      continue;
    }
    const std::string& name = entries[parameters[id].name]->name;
    file.read(name, parameters.value(id));
    permute_rows(parameters.value(id), file_row_order(model->config(), parameters[id]), false, {});
    model->set_name_in_file(id, name);
  }
  if (!options.adapter_folder.empty()) load_adapter(*model, options.adapter_folder);
  return model;
}

OwnedTensor in_file_order(const Vlm& model, ParameterId id, Tensor x) {
  OwnedTensor result(x.dtype(), x.shape());
  copy(result, x, {});
  permute_rows(result, file_row_order(model.config(), model.parameters()[id]), true, {});
  return result;
}

DType source_dtype(const ModelConfig& config) {
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (!config.source.contains(key) || !config.source[key].is_string()) continue;
    const auto name = config.source[key].get<std::string>();
    if (name == "bfloat16") return DType::BF16;
    if (name == "float16") return DType::F16;
  }
  return DType::F32;
}

void write_model_files(const Vlm& model, const std::string& folder, const ExportOptions& options) {
  const char* name = options.dtype == DType::BF16  ? "bfloat16"
                     : options.dtype == DType::F16 ? "float16"
                                                   : "float32";
  Json config = model.config().source;
  // Both spellings name the dtype of the weights; a file keeps the one it has.
  config[config.contains("dtype") ? "dtype" : "torch_dtype"] = name;
  for (const char* part : {"text_config", "llm_config", "vision_config"}) {
    for (const char* key : {"dtype", "torch_dtype"}) {
      if (config.contains(part) && config[part].contains(key)) config[part][key] = name;
    }
  }
  if (!config.contains("architectures")) config["architectures"] = {family_of(model.config()).architecture};
  io::write_file(folder + "/config.json", config.dump(2) + "\n");
  std::vector<io::NamedTensor> tensors;
  const ParameterRegistry& parameters = model.parameters();
  std::vector<OwnedTensor> reordered;
  for (ParameterId id = 0; id < parameters.size(); ++id) {
    if (parameters[id].adapter) continue;
    const Tensor value = parameters.value(id);
    tensors.push_back({parameters[id].name, value, options.dtype});
    if (file_row_order(model.config(), parameters[id]).empty()) continue;
    reordered.push_back(in_file_order(model, id, value));
    tensors.back().value = reordered.back();
  }
  io::write_safetensors_folder(folder, tensors);
  if (options.companions_from.empty()) return;
  for (const char* file : kCompanions) {
    const std::string from = options.companions_from + "/" + file;
    if (fs::exists(from))
      io::write_file(folder + "/" + file, read_whole_file(from, i64{1} << 30, ExitCode::bad_data));
  }
}

void export_model(const Vlm& model, const std::string& folder, const ExportOptions& options) {
  require(!fs::exists(folder), ExitCode::cannot_write,
          "{} exists already: choose another folder or remove it", folder);
  io::TemporaryFolder temporary(folder);
  write_model_files(model, temporary.path(), options);
  temporary.commit();
}

}  // namespace longsight::model
