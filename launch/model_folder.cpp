#include "launch/model_folder.h"

#include <filesystem>

#include "model/adapter_files.h"

namespace longsight::launch {

namespace fs = std::filesystem;

void add_allow_missing(Command verb, std::vector<std::string>& globs) {
  verb.add_option(
      "--allow-missing", globs,
      "glob of tensor names (\"vision_tower.*.head.*\"), any number of times: those that are not in the "
      "files are initialised and listed in the log");
}

std::string model_folder_of(const std::string& dir_or_run) {
  require(fs::is_directory(dir_or_run), ExitCode::missing_input, "{}: no such folder", dir_or_run);
  if (fs::exists(dir_or_run + "/config.json")) return dir_or_run;
  if (fs::exists(dir_or_run + "/model/config.json")) return dir_or_run + "/model";
  require(!fs::exists(dir_or_run + "/config.yaml"), ExitCode::missing_input,
          "{}: the run has no final model yet; its saves are in {}/saves", dir_or_run, dir_or_run);
  fail(ExitCode::missing_input, "{}: neither a model folder (config.json) nor a run (model/config.json)",
       dir_or_run);
}

std::unique_ptr<model::Vlm> load_with_adapter(const std::string& folder, const model::LoadOptions& options,
                                              const std::string& adapter) {
  if (adapter.empty()) return model::load_model(folder, options);
  model::LoadOptions with = options;
  with.adapters = model::read_adapter_config(adapter, model::read_config(folder));
  with.adapter_folder = adapter;
  auto model = model::load_model(folder, with);
  merge_adapters(model->ids(), model->parameters());
  return model;
}

ModelFolder open_model_folder(const std::string& dir_or_run, const model::LoadOptions& options,
                              const std::string& chat, const std::string& adapter) {
  ModelFolder folder{.path = model_folder_of(dir_or_run), .model = nullptr, .samples = nullptr};
  // Adapters bring the template that they were trained with.
  const std::string own = adapter.empty() ? "" : adapter + "/chat_template.jinja";
  const bool from_adapter = chat.empty() && !own.empty() && fs::exists(own);
  folder.samples = SampleMaker::of_model(folder.path, model::read_config(folder.path),
                                         {.chat = from_adapter ? own : chat});
  folder.model = load_with_adapter(folder.path, options, adapter);
  return folder;
}

}  // namespace longsight::launch
