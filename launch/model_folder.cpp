#include "launch/model_folder.h"

#include <filesystem>

namespace longsight::launch {

namespace fs = std::filesystem;

std::string model_folder_of(const std::string& dir_or_run) {
  require(fs::is_directory(dir_or_run), ExitCode::missing_input, "{}: no such folder", dir_or_run);
  if (fs::exists(dir_or_run + "/config.json")) return dir_or_run;
  if (fs::exists(dir_or_run + "/model/config.json")) return dir_or_run + "/model";
  require(!fs::exists(dir_or_run + "/config.yaml"), ExitCode::missing_input,
          "{}: the run has no final model yet; its saves are in {}/saves", dir_or_run, dir_or_run);
  fail(ExitCode::missing_input, "{}: neither a model folder (config.json) nor a run (model/config.json)",
       dir_or_run);
}

ModelFolder open_model_folder(const std::string& dir_or_run, const model::LoadOptions& options,
                              const std::string& chat) {
  ModelFolder folder{.path = model_folder_of(dir_or_run), .model = nullptr, .samples = nullptr};
  folder.samples = SampleMaker::of_model(folder.path, model::read_config(folder.path), chat);
  folder.model = model::load_model(folder.path, options);
  return folder;
}

}  // namespace longsight::launch
