// longsight train: trains a model (launch/training).
#include "launch/output.h"
#include "launch/run_folder.h"
#include "launch/training/checkpoint_folder.h"
#include "launch/training/trainer.h"

namespace longsight::launch {
namespace {

struct TrainOptions {
  std::string config;
  bool force = false, status = false;
  std::vector<std::string> overrides;
};

// {"run", "step", "steps", "checkpoint", "finished"}: the last step that was trained, of so many (null: it is
// not known yet), and that of the newest checkpoint, -1: there is none. Launchers start again what gets on.
ExitCode print_status(Job& job, const LoadedConfig& loaded) {
  if (!job.leads()) return ExitCode::done;
  const std::string& run = loaded.config.output.dir;
  loaded.document.require_at(!run.empty(), "output.dir", "name the folder of the run");
  require(is_run_folder(run), ExitCode::missing_input, "output.dir: there is no run in {}", run);
  const std::vector<CheckpointPlace> checkpoints = checkpoints_in(run + "/checkpoints");
  const Json facts = facts_of_run_folder(run);
  const bool known = facts.is_object() && facts.contains("steps");
  print_line(
      json_text(nlohmann::ordered_json{{"run", run},
                                       {"step", last_step_of_run_folder(run)},
                                       {"steps", known ? facts["steps"] : Json()},
                                       {"checkpoint", checkpoints.empty() ? -1 : checkpoints.front().step},
                                       {"finished", facts.is_object() && facts.contains("finished")}}));
  return ExitCode::done;
}

}  // namespace

void add_train(Command app, Run& run) {
  const Command verb = app.add_command("train", "Train a model");
  auto o = std::make_shared<TrainOptions>();
  verb.add_option("config", o->config, "YAML configuration").required();
  verb.add_option("overrides", o->overrides, "key.path=value");
  verb.add_flag("--force", o->force,
                "go on from a checkpoint although configuration, data or frozen weights have changed");
  verb.add_flag("--status", o->status, "train nothing: a line of JSON says how far the run has come");
  verb.callback([o, &run] {
    run = [o](Job& job) {
      const LoadedConfig loaded = load_config(o->config, o->overrides);
      require(!o->status || !o->force, ExitCode::usage,
              "train: --force belongs to training, not to --status");
      return o->status ? print_status(job, loaded) : train(job, loaded, o->force);
    };
  });
}

}  // namespace longsight::launch
