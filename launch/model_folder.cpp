#include "launch/model_folder.h"

#include <CLI/CLI.hpp>
#include <filesystem>

namespace longsight::launch {

namespace fs = std::filesystem;

void add_allow_missing(CLI::App& verb, std::vector<std::string>& globs) {
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

ModelFolder open_model_folder(const std::string& dir_or_run, const model::LoadOptions& options,
                              const std::string& chat) {
  ModelFolder folder{.path = model_folder_of(dir_or_run), .model = nullptr, .samples = nullptr};
  folder.samples = SampleMaker::of_model(folder.path, model::read_config(folder.path), chat);
  folder.model = model::load_model(folder.path, options);
  return folder;
}

}  // namespace longsight::launch
