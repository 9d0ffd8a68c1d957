#include "launch/training/trainer.h"

#include <cmath>

#include "launch/measure.h"
#include "launch/output.h"
#include "launch/planning.h"
#include "launch/progress.h"
#include "launch/run_folder.h"
#include "launch/run_model.h"
#include "launch/same_on_all_ranks.h"
#include "launch/samples/check_sets.h"
#include "launch/schedule.h"
#include "launch/trainable.h"
#include "launch/training/evaluation.h"
#include "launch/training/metrics.h"
#include "launch/training/prefetch.h"
#include "launch/training/saving.h"
#include "launch/training_data.h"
#include "parallel/optimizer.h"
#include "parallel/plan_report.h"
#include "parallel/replica_check.h"
#include "runtime/base/log.h"

namespace longsight::launch {
namespace {

class Trainer {
 public:
  Trainer(Job& job, const LoadedConfig& loaded)
      : job_(job), loaded_(loaded), shape_(open_run_shape(loaded)), saver_(loaded, run_) {
    // What can be known to be wrong is said before weights are read and a folder is made.
    const TrainSection& t = loaded.config.train;
    loaded.document.require_at(!loaded.config.output.dir.empty(), "output.dir", "name the folder of the run");
    loaded.document.require_at(t.steps || t.epochs, "train", "say how long to train: steps: N or epochs: X");
    check_parallel(loaded, *shape_.model, job.world.size());
    if (job.leads()) require_writable_folder(loaded.config.output.dir);
    sets_.emplace(loaded, shape_, WhichSets::both);
    data_ = open_training_data(*sets_);
    require_same_inputs(*sets_, shape_.companions, job.world);
    check_sets(*sets_, job);
    steps_ = begin_training(*data_, *sets_);
    eval_ = open_eval_data(*sets_);
    run_ = open_run_model(loaded, DType::F32, true);
    check_replicas(run_.model->parameters(), job.world, job.stream);
  }

  ExitCode run() {
    const Config& config = loaded_.config;
    std::vector<model::Sample> first = data_->next();
    const parallel::PlanResult planned = plan_run(loaded_, *run_.model, job_.world.size(), first, DType::F32);
    parallel::MeshGroups groups(planned.plan.mesh, job_.world);
    StepRunner runner(*run_.model, planned.plan, groups, job_.stream);
    parallel::AdamW optimizer(run_.model->parameters(), optimizer_options(loaded_, run_.model->parameters()));
    Prefetch prefetch(*data_, config, run_.model->config(), planned.plan, job_.world.rank(),
                      std::move(first));
    // A run that cannot begin on some rank leaves no folder behind.
    prefetch.wait();
    job_.world.barrier(job_.stream);
    if (job_.leads()) open_folder(planned);
    log_info("{}", planned.plan.text());
    log_info("{}", job_.threads);

    Progress progress("training", steps_, job_.leads());
    for (i64 step = 1; step <= steps_; ++step) {
      const double start = now();
      const StepBatch batch = prefetch.take(step < steps_);
      StepFigures figures{.data_seconds = now() - start};
      groups.reset_counters();
      train_step(step, batch, runner, optimizer, figures);
      figures.seconds = now() - start;
      figures.comm_seconds = groups.counters().seconds;
      if (job_.leads()) {
        folder_->append_metrics(metrics_line(step, batch, figures, run_.model->config(), planned));
        progress.update(step, fmt::format("loss {:.4f}, {:.0f} tokens/s,", figures.loss,
                                          static_cast<double>(batch.tokens) / figures.seconds));
      }
      const bool last = step == steps_;
      // Also of what is written at the end.
      if (due(step, config.train.check_replicas) || (last && config.train.check_replicas > 0))
        check_replicas(run_.model->parameters(), job_.world, job_.stream);
      if (!eval_.empty() && (last || due(step, config.train.eval_every))) evaluate(runner, step, progress);
      if (job_.leads() && due(step, config.output.save_every) && !last) saver_.save_step(*folder_, step);
    }
    progress.clear();
    if (job_.leads()) saver_.save_end(*folder_);
    job_.world.barrier(job_.stream);
    return ExitCode::done;
  }

 private:
  // After every so many steps; 0: never.
  static bool due(i64 step, i64 every) { return every > 0 && step % every == 0; }

  void open_folder(const parallel::PlanResult& planned) {
    folder_.emplace(loaded_.config.output.dir);
    folder_->write_text("config.yaml", to_yaml(loaded_.config));
    folder_->write_text("plan.txt", plan_table(planned));
    folder_->write_text("plan.json", plan_json(planned).dump(2) + "\n");
  }

  // Forward, backward, sum over ranks, update. Sets loss, gradient norm and learning rate of `figures`.
  void train_step(i64 step, const StepBatch& batch, StepRunner& runner, parallel::AdamW& optimizer,
                  StepFigures& figures) {
    const OptimizerSection& o = loaded_.config.train.optimizer;
    const auto reached = [&](const Parameter& p) { return StepRunner::reached(p, batch); };
    figures.lr = learning_rate(o, step, steps_);
    figures.loss = runner.run(batch) / static_cast<double>(batch.supervised);
    runner.sum_gradients(batch);
    figures.gradient_norm = parallel::gradient_norm(run_.model->parameters(), reached, job_.stream);
    // The norm is of the summed gradients and the same on every rank, so all stop here together, before any
    // update.
    require(std::isfinite(figures.loss) && std::isfinite(figures.gradient_norm), ExitCode::non_finite,
            "step {}: loss {} and gradient norm {}: lower train.optimizer.lr, or look at the samples of "
            "this step",
            step, std::abs(figures.loss), std::abs(figures.gradient_norm));  // without the sign of a NaN
    optimizer.step(reached,
                   {.lr = figures.lr,
                    .beta1 = o.betas[0],
                    .beta2 = o.betas[1],
                    .eps = o.eps,
                    .weight_decay = o.weight_decay,
                    .gradient_scale = parallel::clip_factor(figures.gradient_norm, o.clip)},
                   job_.stream);
  }

  void evaluate(StepRunner& runner, i64 step, Progress& progress) {
    const EvalResult result = evaluate_loss(eval_, *run_.model, runner, job_.world.rank());
    progress.clear();
    log_info("step {}: held-out loss {:.4f} over {} samples", step, result.loss, result.samples);
    if (job_.leads())
      folder_->append_eval({{"step", step},
                            {"loss", result.loss},
                            {"samples", result.samples},
                            {"supervised_tokens", result.supervised}});
  }

  Job& job_;
  const LoadedConfig& loaded_;
  RunModel shape_;  // its configuration is that of the data
  RunModel run_;
  Saver saver_;
  std::optional<DataSets> sets_;
  std::unique_ptr<TrainingData> data_;  // of these sets
  i64 steps_ = 0;                       // of the run
  std::vector<std::vector<model::Sample>> eval_;
  std::optional<RunFolder> folder_;
};

}  // namespace

ExitCode train(Job& job, const LoadedConfig& loaded) {
  require_same_config(loaded.config, job.world);
  return Trainer(job, loaded).run();
}

}  // namespace longsight::launch
