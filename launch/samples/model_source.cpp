#include "launch/samples/model_source.h"

#include <algorithm>
#include <filesystem>

#include "launch/run_folder.h"
#include "launch/samples/training_data.h"
#include "launch/training/checkpoint_folder.h"
#include "launch/training/resume.h"
#include "model/adapters/adapter_files.h"
#include "model/adapters/adapters.h"
#include "model/files/folder_kind.h"
#include "parallel/checkpoint/restore.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

bool has(const std::string& folder, const char* name) {
  std::error_code error;
  return fs::exists(folder + "/" + name, error);
}

bool is_save(const std::string& name) {
  return name.starts_with("step-") && name.find('.') == std::string::npos;
}

// The run that wrote a folder of weights: RUN/model, RUN/best, RUN/adapter, RUN/saves/step-N. What somebody
// put beside them is not the run's.
std::string run_of(const std::string& folder) {
  const fs::path path = fs::weakly_canonical(folder), above = path.parent_path();
  const std::string name = path.filename().string();
  if (is_run_folder(above.string()))
    return name == "model" || name == "best" || name == "adapter" ? above.string() : "";
  const bool save =
      above.filename() == "saves" && is_save(name) && is_run_folder(above.parent_path().string());
  return save ? above.parent_path().string() : "";
}

// "saves/step-00000200" of a run that has no final model.
std::string newest_save(const std::string& run) {
  std::string newest;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(run + "/saves", error)) {
    const std::string name = entry.path().filename().string();
    if (is_save(name)) newest = std::max(newest, name);
  }
  return newest;
}

ModelSource source_of_run(const std::string& path) {
  if (!has(path, "model/config.json")) {
    const std::string save = newest_save(path);
    const auto checkpoints = checkpoints_in(path + "/checkpoints");
    fail(ExitCode::missing_input, "{}: the run has no final model yet{}{}", path,
         save.empty() ? "" : fmt::format("; its newest save is {}/saves/{}", path, save),
         checkpoints.empty() ? "" : fmt::format("; its newest checkpoint is {}", checkpoints.front().path));
  }
  return {.path = path, .what = "a run", .folder = path + "/model", .adapter = {}, .run = path};
}

// The configuration of its run says what the values are of.
ModelSource source_of_checkpoint(const std::string& path) {
  const fs::path folder = fs::weakly_canonical(path);
  const std::string run = folder.parent_path().parent_path().string();
  require(folder.parent_path().filename() == "checkpoints" && is_run_folder(run), ExitCode::missing_input,
          "{}: a checkpoint away from its run, whose config.yaml says which model it is of: put it into "
          "RUN/checkpoints",
          path);
  return {.path = path,
          .what = "a checkpoint of the run " + run,
          .folder = {},
          .adapter = {},
          .run = run,
          .checkpoint = path};
}

ModelSource source_of_adapter(const std::string& path, const std::string& base) {
  ModelSource source{.path = path, .what = "adapters", .folder = {}, .adapter = path, .run = run_of(path)};
  if (!source.run.empty()) source.what = "adapters of the run " + source.run;
  if (!base.empty()) {
    const ModelSource model = find_source(base);
    require(model.adapter.empty(), ExitCode::usage, "{}: adapters belong to a model, not to {}", base,
            model.what);
    source.folder = model.folder;
    return source;
  }
  if (!source.run.empty()) return source;
  const Json config = read_json_file(path + "/adapter_config.json");
  const auto named = config.find("base_model_name_or_path");
  const std::string folder = named != config.end() && named->is_string() ? named->get<std::string>() : "";
  constexpr const char* kNameBoth = "give the model as --model FOLDER and these as --adapter";
  require(!folder.empty(), ExitCode::missing_input,
          "{}: the adapters name no model that they belong to (base_model_name_or_path): {}", path,
          kNameBoth);
  require(has(folder, "config.json"), ExitCode::missing_input,
          "{}: the adapters belong to \"{}\" (base_model_name_or_path), which is no model folder here: {}",
          path, folder, kNameBoth);
  source.folder = folder;
  return source;
}

// With the run's adapters in the place of those that it began with. They say what they were trained with: a
// template in a file need not be there any more.
LoadedConfig run_config(const ModelSource& source, std::vector<std::string> overrides) {
  if (!source.adapter.empty() && has(source.adapter, "chat_template.jinja"))
    overrides.insert(overrides.begin(), "data.chat=''");
  LoadedConfig loaded = load_config(source.run + "/config.yaml", overrides);
  if (!source.checkpoint.empty()) return loaded;
  loaded.config.model.lora = {};
  loaded.config.model.adapter = source.adapter;
  loaded.config.model.freeze.clear();
  loaded.config.model.train = {};
  loaded.config.train.optimizer.groups.clear();
  return loaded;
}

bool by_configuration(const ModelSource& source) {
  return source.folder.empty();
}

}  // namespace

ModelSource find_source(const std::string& given, const std::string& base) {
  std::string path = given;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  std::error_code error;
  require(fs::is_directory(path, error), ExitCode::missing_input,
          "{}: no such folder: a run, one of its saves, adapters or a model folder", given);
  if (has(path, "adapter_config.json")) return source_of_adapter(path, base);
  if (!base.empty()) model::fail_without_adapters(path);
  if (has(path, "config.json")) {
    const std::string run = run_of(path);
    const bool save = !run.empty() && fs::weakly_canonical(path).filename() != "model";
    return {.path = path,
            .what = run.empty() ? "a model folder"
                    : save      ? "a save of the run " + run
                                : "the final model of the run " + run,
            .folder = path,
            .adapter = {},
            .run = run};
  }
  if (is_checkpoint(path)) return source_of_checkpoint(path);
  if (is_run_folder(path)) return source_of_run(path);
  if (has(path, "model/config.json"))
    return {.path = path, .what = "a model folder", .folder = path + "/model", .adapter = {}, .run = {}};
  model::check_is_model_folder(path);
  fail(ExitCode::missing_input,
       "{}: neither a run (config.yaml and plan.json) nor one of its saves, adapters (adapter_config.json) "
       "or a "
       "model folder (config.json)",
       given);
}

std::unique_ptr<SampleMaker> open_sample_maker(const ModelSource& source, const std::string& chat) {
  if (by_configuration(source)) {
    LoadedConfig loaded = run_config(source, {});
    if (!chat.empty()) loaded.config.data.chat = chat;
    const RunModel shape = open_run_shape(loaded);
    return open_sample_maker(loaded, shape);
  }
  return SampleMaker::of_model(source.folder, model::read_config(source.folder),
                               {.chat = chat, .images = {}, .adapter = source.adapter});
}

RunModel load_source(const ModelSource& source, DType dtype, const std::vector<std::string>& allow_missing) {
  RunModel run;
  if (by_configuration(source)) {
    LoadedConfig loaded = run_config(source, {});
    auto& allowed = loaded.config.model.allow_missing;
    allowed.insert(allowed.end(), allow_missing.begin(), allow_missing.end());
    run = open_run_model(loaded, dtype, false);
    restore_source(source, run);
  } else {
    model::LoadOptions options{.dtype = dtype, .rules = {.allow_missing = allow_missing}};
    if (!source.adapter.empty()) {
      options.adapters = model::read_adapter_config(source.adapter, model::read_config(source.folder));
      options.adapter_folder = source.adapter;
    }
    run = {.model = model::load_model(source.folder, options), .companions = source.folder};
  }
  merge_adapters(run.model->ids(), run.model->parameters(), {});
  return run;
}

void restore_source(const ModelSource& source, const RunModel& run) {
  if (source.checkpoint.empty()) return;
  const FoundCheckpoint found = open_checkpoint(source.checkpoint);
  const ParameterRegistry& parameters = run.model->parameters();
  const auto trained = parallel::trained_in(found.manifest, parameters);
  for (const auto& difference : parallel::differences_of_parameters(
           found.manifest, parameters, parallel::hashes_of_frozen(parameters, trained, {}))) {
    // Hashes are of f32.
    if (difference.of_values && parameters.dtype() != DType::F32) continue;
    fail(ExitCode::bad_data, "{}: {}: it belongs to what {}/config.yaml names, as it was", source.path,
         difference.text, source.run);
  }
  parallel::restore(found.folder, found.manifest, parameters, nullptr, {});
}

void write_source_files(const ModelSource& source, const RunModel& run, const std::string& folder,
                        const model::ExportOptions& options) {
  model::ExportOptions from = options;
  from.companions_from = run.companions;
  model::write_side_files(*run.model, folder, from);
  if (by_configuration(source)) {
    complete_model_folder(run_config(source, {}), run, folder);
  } else if (adapter_companions(source.adapter, source.folder).any()) {
    open_sample_maker(source)->complete_folder(folder);
  }
}

LoadedConfig source_config(const ModelSource& source, const std::vector<std::string>& overrides) {
  for (const std::string& text : overrides) {
    require(!text.starts_with("model.") && !text.starts_with("model="), ExitCode::usage,
            "{}: {} is the model; a configuration with another one can be evaluated too", text, source.path);
  }
  std::vector<std::string> all;
  if (!source.run.empty()) all = {"parallel={}", "data.train=[]", "output={}"};
  // The folder says what it was trained with.
  if (!source.run.empty() && !by_configuration(source)) all.insert(all.end(), {"data.chat=''"});
  all.insert(all.end(), overrides.begin(), overrides.end());
  if (by_configuration(source)) return run_config(source, all);
  LoadedConfig loaded = load_config(source.run.empty() ? "" : source.run + "/config.yaml", all);
  loaded.config.model = {};
  loaded.config.model.from = source.folder;
  loaded.config.model.adapter = source.adapter;
  loaded.config.train.optimizer.groups.clear();
  return loaded;
}

DType source_dtype(const ModelSource& source, const model::ModelConfig& config) {
  if (source.run.empty() || !has(source.run, "config.yaml")) return model::source_dtype(config);
  const ModelSection begin = load_config(source.run + "/config.yaml", {}).config.model;
  const std::string from = begin.of_parts()     ? begin.language_from
                           : begin.from.empty() ? begin.config
                                                : begin.from;
  if (fs::exists(from)) return model::source_dtype(model::read_config(from));
  log_warn("{}, where the run began, is not there any more: the dtype is that of the run's model", from);
  return model::source_dtype(config);
}

void add_allow_missing(Command verb, std::vector<std::string>& globs) {
  verb.add_option(
      "--allow-missing", globs,
      "glob of tensor names (\"vision_tower.*.head.*\"), any number of times: those that are not in the "
      "files are initialised and listed in the log");
}

}  // namespace longsight::launch
