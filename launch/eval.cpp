// longsight eval: held-out loss of a run or of a configuration's model.
#include <filesystem>

#include "launch/output.h"
#include "launch/planning.h"
#include "launch/run_model.h"
#include "launch/samples/check_sets.h"
#include "launch/training/evaluation.h"
#include "launch/training_data.h"
#include "launch/verb.h"
#include "runtime/base/log.h"

namespace longsight::launch {
namespace {

struct Options {
  std::string target;
  bool json = false;
  std::vector<std::string> overrides;
};

// A run folder is evaluated with its own configuration and the model that it ended with.
LoadedConfig load_target(const Options& o) {
  if (!std::filesystem::is_directory(o.target)) return load_config(o.target, o.overrides);
  require(std::filesystem::exists(o.target + "/config.yaml"), ExitCode::missing_input,
          "{}: neither a configuration nor a run folder (no config.yaml)", o.target);
  require(std::filesystem::exists(o.target + "/model/config.json"), ExitCode::missing_input,
          "{}: the run has no final model yet", o.target);
  std::vector<std::string> overrides{fmt::format("model.from=\"{}/model\"", o.target),
                                     "model.config=\"\"",
                                     "model.tokenizer=\"\"",
                                     "model.vision_from=\"\"",
                                     "model.language_from=\"\"",
                                     "model.connector=\"\"",
                                     "model.allow_missing=[]",
                                     "data.chat=\"\""};  // the model's folder says what it was trained with
  overrides.insert(overrides.end(), o.overrides.begin(), o.overrides.end());
  return load_config(o.target + "/config.yaml", overrides);
}

ExitCode run_eval(Job& job, const Options& o) {
  const LoadedConfig loaded = load_target(o);
  loaded.document.require_at(!loaded.config.data.eval.empty(), "data.eval",
                             "name held-out data to evaluate on");
  RunModel run = open_run_model(loaded, DType::F32, false);
  DataSets sets(loaded, run, WhichSets::held_out);
  check_sets(sets, job);
  const auto steps = open_eval_data(sets);
  const parallel::PlanResult planned =
      plan_run(loaded, *run.model, job.world.size(), steps.front(), DType::F32);
  parallel::MeshGroups groups(planned.plan.mesh, job.world);
  StepRunner runner(*run.model, planned.plan, groups, job.stream);
  const EvalResult result = evaluate_loss(steps, *run.model, runner, job.world.rank());
  if (!job.leads()) return ExitCode::done;
  if (o.json) {
    print_line(nlohmann::ordered_json{
        {"loss", result.loss}, {"samples", result.samples}, {"supervised_tokens", result.supervised}}
                   .dump());
  } else {
    print_line(fmt::format("held-out loss {:.6f} over {} samples, {} supervised tokens", result.loss,
                           result.samples, result.supervised));
  }
  return ExitCode::done;
}

}  // namespace

void add_eval(Command app, Run& run) {
  const Command verb =
      app.add_command("eval", "Held-out loss; exact match is what `generate --data` reports");
  auto o = std::make_shared<Options>();
  verb.add_option("target", o->target, "YAML configuration or run folder").required();
  verb.add_flag("--json", o->json, "one line of JSON");
  verb.add_option("overrides", o->overrides, "key.path=value");
  verb.callback([o, &run] { run = [o](Job& job) { return run_eval(job, *o); }; });
}

}  // namespace longsight::launch
