// longsight inspect: what is in a safetensors file or a model folder.
#include <algorithm>
#include <filesystem>
#include <map>

#include "launch/output.h"
#include "launch/samples/model_source.h"
#include "launch/training/checkpoint_folder.h"
#include "launch/verb.h"
#include "model/files/detect.h"
#include "model/files/folder_kind.h"
#include "parallel/checkpoint/restore.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/base/ordered_json.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

struct InspectOptions {
  std::string path;
  bool json = false;
};

struct Inspected {
  std::string path, what;
  std::vector<io::TensorEntry> tensors;
  std::vector<model::DetectedModule> modules;      // of folders
  std::vector<std::pair<std::string, i64>> parts;  // parameters, where there is a configuration
};

i64 bytes_of(const io::TensorEntry& tensor) {
  return tensor.end - tensor.begin;
}

// A family that cannot be trained here can still be looked at.
std::optional<model::ModelConfig> config_if_known(const std::string& folder) {
  if (!fs::exists(folder + "/config.json")) return std::nullopt;
  try {
    return model::read_config(folder);
  } catch (const Error& error) {
    log_warn("{}", error.what());
    return std::nullopt;
  }
}

std::vector<std::pair<std::string, i64>> count_parts(const model::ModelConfig& config) {
  const model::Vlm shape(config);
  std::vector<std::pair<std::string, i64>> parts{
      {"vision", 0}, {"connector", 0}, {"language", 0}, {"total", 0}};
  for (const Parameter& p : shape.parameters().all()) {
    for (auto& [part, count] : parts) {
      if (part == p.part || part == "total") count += p.elements();
    }
  }
  return parts;
}

// Weights of a model; not those of adapters.
bool holds_tensors(const std::string& folder) {
  return fs::exists(folder + "/model.safetensors") || fs::exists(folder + "/model.safetensors.index.json");
}

Inspected inspect(const std::string& path) {
  require(fs::exists(path), ExitCode::missing_input, "{}: no such file or folder", path);
  Inspected found{.path = path, .what = "a file", .tensors = {}, .modules = {}, .parts = {}};
  std::string adapter;
  if (fs::is_directory(path)) {
    // Folders of tensors alone can be looked at too.
    const bool known = fs::exists(path + "/config.json") || !holds_tensors(path);
    const ModelSource source = known ? find_source(path) : ModelSource{.what = "a folder", .folder = path};
    found.what = source.what;
    adapter = source.adapter;
    found.path = adapter.empty() ? source.folder : adapter + "/adapter_model.safetensors";
  }
  model::check_has_safetensors(found.path);
  const io::SafetensorsSet set(found.path);
  found.tensors = set.entries();
  if (!fs::is_directory(found.path)) return found;
  const std::vector<model::NamedShape> names = model::named_shapes(set);
  if (const auto config = config_if_known(found.path)) {
    found.modules = model::detect_modules(names, *config, found.path);
    found.parts = count_parts(*config);
  } else {
    found.modules = model::detect_modules(names);
  }
  return found;
}

void print_json(const Inspected& found) {
  nlohmann::ordered_json line{{"path", found.path}, {"what", found.what}};
  line["tensors"] = nlohmann::ordered_json::array();
  for (const io::TensorEntry& t : found.tensors) {
    line["tensors"].push_back(
        {{"name", t.name},
         {"dtype", t.stored_as},
         {"shape", std::vector<i64>(t.shape.extents().begin(), t.shape.extents().end())},
         {"bytes", bytes_of(t)}});
  }
  line["modules"] = nlohmann::ordered_json::array();
  for (const model::DetectedModule& m : found.modules) {
    line["modules"].push_back({{"kind", name_of(m.kind)},
                               {"name", m.name},
                               {"blocks", m.blocks},
                               {"heads", m.heads},
                               {"kv_heads", m.kv_heads},
                               {"weights", m.weights},
                               {"elements", m.elements}});
  }
  line["parameters"] = nlohmann::ordered_json::object();
  for (const auto& [part, count] : found.parts) line["parameters"][part] = count;
  print_line(json_text(line));
}

void print_text(const Inspected& found) {
  std::size_t name = 0, shape = 0;
  i64 bytes = 0;
  for (const io::TensorEntry& t : found.tensors) {
    name = std::max(name, t.name.size());
    shape = std::max(shape, t.shape.text().size());
    bytes += bytes_of(t);
  }
  for (const io::TensorEntry& t : found.tensors) {
    print_line(
        fmt::format("{:<{}}  {:<4}  {:<{}}  {:>12}", t.name, name, t.stored_as, t.shape, shape, bytes_of(t)));
  }
  print_line(fmt::format("{}: {}; {} tensors, {} bytes ({:.1f} MiB)", found.path, found.what,
                         found.tensors.size(), bytes, static_cast<double>(bytes) / 1048576));
  if (!found.modules.empty()) print_line("\nmodules\n" + model::module_table(found.modules));
  if (!found.parts.empty()) print_line("parameters");
  for (const auto& [part, count] : found.parts) print_line(fmt::format("{:<10}{:>16}", part, count));
}

// All of it is read: bad_checkpoint where it is damaged.
void inspect_checkpoint(const std::string& path, bool json) {
  const parallel::Manifest manifest = parallel::read_manifest(path);
  const std::string problem = parallel::problem_of_files(path, manifest, 0, 1);
  require(problem.empty(), ExitCode::bad_checkpoint, "{}", problem);
  if (json) {
    nlohmann::ordered_json line{{"path", path}, {"what", "a checkpoint"}, {"whole", true}};
    line.update(parse_ordered_json(manifest_text(manifest), path)["manifest"]);
    return print_line(json_text(line));
  }
  std::size_t name = 0;
  for (const parallel::CheckpointTensor& t : manifest.tensors) name = std::max(name, t.name.size());
  for (const parallel::CheckpointTensor& t : manifest.tensors)
    print_line(
        fmt::format("{:<{}}  {:<4}  {}  {} steps", t.name, name, name_of(t.dtype), t.shape.text(), t.steps));
  for (const parallel::Fact& fact : manifest.facts) print_line(fmt::format("{}: {}", fact.name, fact.value));
  print_line(fmt::format(
      "{}: a checkpoint, whole: step {}, {} samples, {} tokens; {} trained tensors with both moments, {} "
      "frozen; {} files, {} bytes; written {} by {} ranks (data {} x sequence {})",
      path, manifest.step, manifest.samples_seen, manifest.tokens_seen, manifest.tensors.size(),
      manifest.frozen.size(), manifest.files.size(), manifest.bytes(), manifest.written, manifest.ranks,
      manifest.data_groups, manifest.sequence_ranks));
}

ExitCode run_inspect(Job& job, const InspectOptions& o) {
  if (!job.leads()) return ExitCode::done;
  if (is_checkpoint(o.path)) {
    inspect_checkpoint(o.path, o.json);
    return ExitCode::done;
  }
  const Inspected found = inspect(o.path);
  o.json ? print_json(found) : print_text(found);
  return ExitCode::done;
}

}  // namespace

void add_inspect(Command app, Run& run) {
  const Command verb = app.add_command(
      "inspect", "List the tensors of a file or folder, and the modules of a model; verify a checkpoint");
  auto o = std::make_shared<InspectOptions>();
  verb.add_option("path", o->path, "safetensors file, run, save, checkpoint, adapters or model folder")
      .required();
  verb.add_flag("--json", o->json, "one line of JSON");
  verb.callback([o, &run] { run = [o](Job& job) { return run_inspect(job, *o); }; });
}

}  // namespace longsight::launch
