// longsight eval: held-out loss of a run or of a configuration's model.
#include <cmath>
#include <filesystem>

#include "launch/output.h"
#include "launch/plan_run.h"
#include "launch/run_folder.h"
#include "launch/run_model.h"
#include "launch/samples/check_sets.h"
#include "launch/samples/model_source.h"
#include "launch/samples/same_on_all_ranks.h"
#include "launch/samples/training_data.h"
#include "launch/training/evaluation.h"
#include "launch/verb.h"
#include "parallel/replica_check.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

struct EvalOptions {
  std::string target;
  bool json = false;
  std::vector<std::string> overrides;
};

// The configuration of a run names the model that the run began with.
void point_to_trained_model(const std::string& config) {
  const std::string folder = fs::path(config).parent_path().string(), run = folder.empty() ? "." : folder;
  if (is_run_folder(run) && fs::exists(run + "/model/config.json"))
    log_info(
        "{} names the model that the run began with: the one that it trained is evaluated by longsight eval "
        "{}",
        config, run);
}

struct Target {
  LoadedConfig loaded;
  std::optional<ModelSource> source;  // none: the configuration's own model
};

Target find_target(const EvalOptions& o) {
  if (!fs::is_directory(o.target)) {
    point_to_trained_model(o.target);
    return {load_config(o.target, o.overrides), {}};
  }
  const ModelSource source = find_source(o.target);
  return {source_config(source, o.overrides), source};
}

ExitCode run_eval(Job& job, const EvalOptions& o) {
  const Target target = find_target(o);
  const LoadedConfig& loaded = target.loaded;
  require_same_config(loaded.config, job.world);
  loaded.document.require_at(!loaded.config.data.eval.empty(), "data.eval",
                             "name held-out data to evaluate on: [{{messages: FILE.jsonl}}]");
  RunModel run = open_run_model(loaded, precision_of(loaded), false);
  if (target.source) restore_source(*target.source, run);
  check_replicas(run.model->parameters(), job.world, job.stream);
  DataSets data(loaded, run, WhichSets::held_out, job.open_data);
  require_same_inputs(data, run.companions, job.world);
  check_sets(data, job);
  const auto sets = open_eval_data(data);
  const planning::PlanResult planned = plan_run(loaded, *run.model, job.world.size(), sets.front().make(0));
  run.model->parameters().shard(planned.plan.sharding(job.world.rank()));
  parallel::MeshGroups groups(planned.plan.mesh, job.world);
  StepRunner runner(*run.model, planned.plan, groups, job.stream);
  for (const HeldOutSet& set : sets) {
    const EvalResult result = evaluate_loss(set, *run.model, runner, planned.plan.micro_batch_tokens,
                                            job.world, job.stream, job.stop_requested)
                                  .value();
    if (job.leads()) print_line(o.json ? json_text(json_of(set.name, result)) : text_of(set.name, result));
    // The sum over all ranks, so all of them stop here.
    require(std::isfinite(result.loss), ExitCode::non_finite,
            "{}: the held-out loss of {} is {}: the weights are damaged, or too large for {}", o.target,
            set.name, result.loss, loaded.config.train.precision);
  }
  return ExitCode::done;
}

}  // namespace

void add_eval(Command app, Run& run) {
  const Command verb =
      app.add_command("eval", "Held-out loss; exact match is what `generate --data` reports");
  auto o = std::make_shared<EvalOptions>();
  verb.add_option("target", o->target, "YAML configuration, run, save, checkpoint, adapters or model folder")
      .required();
  verb.add_flag("--json", o->json, "one line of JSON");
  verb.add_option("overrides", o->overrides, "key.path=value");
  verb.callback([o, &run] { run = [o](Job& job) { return run_eval(job, *o); }; });
}

}  // namespace longsight::launch
