#include "model/files/checkpoint.h"

#include <array>
#include <cstring>
#include <filesystem>
#include <map>

#include "model/adapters/adapter_files.h"
#include "model/families/families.h"
#include "model/files/folder_kind.h"
#include "model/files/load_weights.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"

namespace longsight::model {
namespace {

namespace fs = std::filesystem;

// Beside the weights; those that a processor of the original code is made of (*.py) come along too.
constexpr std::array kCompanions{"tokenizer.json",
                                 "tokenizer_config.json",
                                 "special_tokens_map.json",
                                 "added_tokens.json",
                                 "vocab.json",
                                 "merges.txt",
                                 "tokenizer.model",
                                 "preprocessor_config.json",
                                 "video_preprocessor_config.json",
                                 "processor_config.json",
                                 "chat_template.json",
                                 "chat_template.jinja",
                                 "generation_config.json"};

// What names the language model and the tower in configurations.
constexpr std::array kParts{"text_config", "llm_config", "vision_config"};

bool same_values(const TensorSource& a, const TensorSource& b) {
  if (a.entry->shape != b.entry->shape || a.entry->dtype != b.entry->dtype) return false;
  const OwnedTensor x = a.file->read(a.entry->name), y = b.file->read(b.entry->name);
  return std::memcmp(x->data(), y->data(), static_cast<std::size_t>(x->bytes())) == 0;
}

const char* dtype_in_config(DType dtype) {
  return dtype == DType::BF16 ? "bfloat16" : dtype == DType::F16 ? "float16" : "float32";
}

// The file as it was read; the dtype is that of the weights now.
Json canonical_config(const ModelConfig& config, DType dtype) {
  Json json = config.source;
  const char* name = dtype_in_config(dtype);
  // Both spellings name the dtype of the weights; a file keeps the one it has.
  json[json.contains("dtype") ? "dtype" : "torch_dtype"] = name;
  for (const char* part : kParts) {
    for (const char* key : {"dtype", "torch_dtype"}) {
      if (json.contains(part) && json[part].contains(key)) json[part][key] = name;
    }
  }
  if (!json.contains("architectures")) json["architectures"] = {family_of(config).architecture};
  return json;
}

Json v5_config(const ModelConfig& config, DType dtype) {
  const Family& own = family_of(config);
  Json json = own.v5_config(own, config);
  json["dtype"] = dtype_in_config(dtype);
  if (const Family* written = find_family(json["model_type"].get<std::string>()); written != nullptr)
    json["architectures"] = {written->architecture};
  return json;
}

// A tensor to write: rows of a parameter, or all of it, in the order of the file.
struct WrittenTensor {
  ParameterId id = 0;
  i64 first_row = 0, rows = 0;  // 0: all
  std::vector<i64> order = {};
};

Shape with_rows(const Shape& shape, i64 rows) {
  if (rows == 0) return shape;
  std::vector<i64> extents(shape.extents().begin(), shape.extents().end());
  extents[0] = rows;
  return Shape(extents);
}

// In the order of registration, which is that of the file.
std::vector<std::pair<io::TensorPlan, WrittenTensor>> written_tensors(const Vlm& model,
                                                                      const ExportOptions& options) {
  const ParameterRegistry& parameters = model.parameters();
  const Family& family = family_of(model.config());
  std::vector<std::pair<io::TensorPlan, WrittenTensor>> tensors;
  const auto add = [&](const std::string& name, WrittenTensor written) {
    const Shape shape = with_rows(parameters[written.id].shape, written.rows);
    tensors.emplace_back(io::TensorPlan{name, shape, options.dtype}, std::move(written));
  };
  for (ParameterId id = 0; id < parameters.size(); ++id) {
    const Parameter& p = parameters[id];
    if (p.adapter) continue;
    if (options.names == HfNames::v5) {
      const std::vector<FileTensor> written = family.v5_tensors == nullptr
                                                  ? std::vector<FileTensor>{{.name = p.name}}
                                                  : family.v5_tensors(model.config(), p);
      for (const FileTensor& t : written) add(t.name, {.id = id, .first_row = t.first_row, .rows = t.rows});
      continue;
    }
    add(p.name, {.id = id, .order = file_row_order(model.config(), p)});
  }
  return tensors;
}

void copy_companions(const std::string& from, const std::string& to, bool with_code) {
  const auto copy_file = [&](const std::string& name) {
    io::write_file(to + "/" + name, read_whole_file(from + "/" + name, i64{1} << 30, ExitCode::bad_data));
  };
  for (const char* name : kCompanions) {
    if (fs::exists(from + "/" + name)) copy_file(name);
  }
  if (!with_code) return;
  for (const auto& entry : fs::directory_iterator(from)) {
    if (entry.is_regular_file() && entry.path().extension() == ".py")
      copy_file(entry.path().filename().string());
  }
}

}  // namespace

OwnedTensor rows_in_order(Tensor x, const std::vector<i64>& order) {
  OwnedTensor result(x.dtype(), x.shape());
  for (i64 i = 0; i < x.rows(); ++i)
    copy(result->row_range(order[static_cast<std::size_t>(i)], 1), x.row_range(i, 1), {});
  return result;
}

ModelConfig read_config(const std::string& path) {
  if (fs::is_directory(path)) check_is_model_folder(path);
  const std::string file = fs::is_directory(path) ? path + "/config.json" : path;
  ModelConfig config = read_model_config(read_json_file(file), file);
  if (const auto complete = family_of(config).complete; complete != nullptr)
    complete(config, fs::path(file).parent_path().string());
  return config;
}

std::unique_ptr<Vlm> load_model(const std::string& folder, const LoadOptions& options) {
  require(fs::is_directory(folder), ExitCode::missing_input, "{}: no such model folder", folder);
  ModelConfig config = read_config(folder);
  check_has_safetensors(folder);
  const io::SafetensorsSet file(folder);
  TensorSources sources;
  sources.add(file, [&](const std::string& name) { return family_of(config).canonical(name); });
  settle_tie(config, sources, folder);
  for (const std::string& warning : config.warnings) log_warn("{}", warning);
  return load_model(std::move(config), sources, options, folder);
}

std::unique_ptr<Vlm> load_model(ModelConfig config, const TensorSources& sources, const LoadOptions& options,
                                const std::string& from) {
  auto model = std::make_unique<Vlm>(std::move(config), options.adapters);
  TensorSources all = sources;
  const TextNames& names = model->config().text.names;
  // Adapters may bring a head of its own to a model that is tied.
  if (options.adapters.own_head) all.alias(names.head + ".weight", names.embedding + ".weight");
  check_weights(*model, all, options.rules, from);
  if (options.trainable) model->parameters().set_trainable(options.trainable);
  const bool adapted = !options.adapter_folder.empty();
  model->parameters().allocate(options.dtype, options.with_gradients, Backend::host,
                               adapted ? Sharding{} : options.sharding);
  load_weights(*model, all, options.rules);
  if (adapted) {
    load_adapter(*model, options.adapter_folder, from);
    model->parameters().shard(options.sharding);
  }
  return model;
}

void settle_tie(ModelConfig& config, TensorSources& sources, const std::string& from) {
  const std::string head = config.text.names.head + ".weight",
                    embedding = config.text.names.embedding + ".weight";
  if (!config.text.tied || sources.find(head) == nullptr || sources.find(embedding) == nullptr) return;
  if (same_values(*sources.find(head), *sources.find(embedding))) {
    sources.erase(head);
    return;
  }
  // As transformers does: the values decide, not the flag.
  log_warn("{}: config.json ties the head to the embedding, but their values differ: they are kept apart",
           from);
  untie(config);
}

void untie(ModelConfig& config) {
  config.text.tied = false;
  config.source["tie_word_embeddings"] = false;
  for (const char* part : {"text_config", "llm_config"}) {
    if (config.source.contains(part)) config.source[part]["tie_word_embeddings"] = false;
  }
}

OwnedTensor in_file_order(const Vlm& model, ParameterId id, Tensor x) {
  const std::vector<i64> order = file_row_order(model.config(), model.parameters()[id]);
  if (!order.empty()) return rows_in_order(x, order);
  OwnedTensor result(x.dtype(), x.shape());
  copy(result, x, {});
  return result;
}

DType source_dtype(const ModelConfig& config) {
  const auto named = [](const Json& json) -> std::optional<DType> {
    for (const char* key : {"dtype", "torch_dtype"}) {
      if (!json.contains(key) || !json[key].is_string()) continue;
      const auto name = json[key].get<std::string>();
      return name == "bfloat16" ? DType::BF16 : name == "float16" ? DType::F16 : DType::F32;
    }
    return std::nullopt;
  };
  if (const auto dtype = named(config.source)) return *dtype;
  for (const char* part : kParts) {
    if (!config.source.contains(part)) continue;
    if (const auto dtype = named(config.source[part])) return *dtype;
  }
  return DType::F32;
}

void write_side_files(const Vlm& model, const std::string& folder, const ExportOptions& options) {
  const ModelConfig& config = model.config();
  const bool v5 = options.names == HfNames::v5;
  const Json json = v5 ? v5_config(config, options.dtype) : canonical_config(config, options.dtype);
  io::write_file(folder + "/config.json", json_text(json, 2) + "\n");
  if (!options.companions_from.empty())
    copy_companions(options.companions_from, folder, json.contains("auto_map"));
  const std::string preprocessor = folder + "/preprocessor_config.json",
                    processor = folder + "/processor_config.json";
  const auto make_processor = family_of(config).v5_processor;
  if (v5 && make_processor != nullptr && fs::exists(preprocessor) && !fs::exists(processor))
    io::write_file(processor, json_text(make_processor(config, read_json_file(preprocessor)), 2) + "\n");
}

i64 write_weight_files(const Vlm& model, const std::string& folder, const ExportOptions& options,
                       const ValueOf& values) {
  std::vector<io::TensorPlan> plans;
  std::map<std::string, WrittenTensor> by_name;
  for (auto& [plan, written] : written_tensors(model, options)) {
    by_name[plan.name] = written;
    plans.push_back(plan);
  }
  OwnedTensor reordered;
  const auto value_of = [&](const std::string& name) {
    const WrittenTensor& written = by_name.at(name);
    const Tensor value = values(written.id);
    if (written.rows > 0) return value.row_range(written.first_row, written.rows);
    if (written.order.empty()) return value;
    reordered = rows_in_order(value, written.order);
    return reordered.view();
  };
  io::write_safetensors_folder(folder, plans, value_of, io::kTorchMetadata, options.shard_bytes);
  return std::ssize(plans);
}

i64 write_weight_files(const Vlm& model, const std::string& folder, const ExportOptions& options) {
  return write_weight_files(model, folder, options, model.values());
}

void export_model(const Vlm& model, const std::string& folder, const ExportOptions& options) {
  require(!fs::exists(folder), ExitCode::cannot_write,
          "{} exists already: choose another folder or remove it", folder);
  io::TemporaryFolder temporary(folder);
  write_side_files(model, temporary.path(), options);
  write_weight_files(model, temporary.path(), options);
  temporary.commit();
}

}  // namespace longsight::model
