#include "launch/training/trainer.h"

#include <cmath>
#include <limits>

#include <omp.h>

#include "launch/measure.h"
#include "launch/planning.h"
#include "launch/progress.h"
#include "launch/run_folder.h"
#include "launch/run_model.h"
#include "launch/same_on_all_ranks.h"
#include "launch/samples/check_sets.h"
#include "launch/schedule.h"
#include "launch/trainable.h"
#include "launch/training/evaluation.h"
#include "launch/training/failures.h"
#include "launch/training/metrics.h"
#include "launch/training/prefetch.h"
#include "launch/training/saving.h"
#include "launch/training_data.h"
#include "parallel/optimizer.h"
#include "parallel/plan_report.h"
#include "parallel/replica_check.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"

namespace longsight::launch {
namespace {

class Trainer {
 public:
  Trainer(Job& job, const LoadedConfig& loaded) : job_(job), loaded_(loaded), shape_(open_run_shape(loaded)) {
    // What can be known to be wrong is said before weights are read and a folder is made.
    const TrainSection& t = loaded.config.train;
    loaded.document.require_at(!loaded.config.output.dir.empty(), "output.dir", "name the folder of the run");
    loaded.document.require_at(t.steps || t.epochs, "train", "say how long to train: steps: N or epochs: X");
    check_parallel(loaded, *shape_.model, job.world.size());
    check_inputs_outside_output(loaded);
    if (job.leads()) RunFolder::require_usable(loaded.config.output.dir);
    sets_.emplace(loaded, shape_, WhichSets::both, job.open_data);
    data_ = open_training_data(*sets_);
    require_same_inputs(*sets_, shape_.companions, job.world);
    check_sets(*sets_, job);
    steps_ = begin_training(*data_, *sets_);
    eval_ = open_eval_data(*sets_);
    run_ = open_run_model(loaded, DType::F32, true);
    check_replicas(run_.model->parameters(), job.world, job.stream);
    if (job.leads()) saver_.emplace(loaded, run_);
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
    if (job_.leads()) saver_->require_space(steps_);
    // A run that cannot begin on some rank leaves no folder behind.
    prefetch.wait();
    const std::vector<i64> threads =
        job_.world.all_gather(static_cast<i64>(omp_get_max_threads()), job_.stream, "threads");
    const std::vector<std::string> hosts = job_.world.all_gather(host_name(), job_.stream, "hosts");
    if (job_.leads()) open_folder(planned, run_facts(loaded_, planned.plan, steps_, threads, hosts));
    log_info("{}", planned.plan.text());
    log_info("{}", job_.threads);

    Progress progress("training", steps_, job_.leads());
    for (i64 step = 1; step <= steps_; ++step) {
      const double start = now();
      const StepBatch batch = prefetch.take(step < steps_);
      StepFigures figures{.data_seconds = now() - start};
      groups.reset_counters();
      // Also of what is written at the end.
      const bool check =
          due(step, config.train.check_replicas) || (step == steps_ && config.train.check_replicas > 0);
      train_step(step, batch, check ? StepRunner::End::replica_check : StepRunner::End::gradients, runner,
                 optimizer, figures);
      figures.seconds = now() - start;
      figures.comm_seconds = groups.counters().seconds;
      count(step, batch, figures);
      if (job_.leads()) {
        failures_.attempt("writing metrics.jsonl", [&] {
          folder_->append_metrics(metrics_line(step, batch, figures, config.train.optimizer, planned));
        });
        progress.update(step, fmt::format("loss {:.4f}, {:.0f} tokens/s,", figures.loss,
                                          static_cast<double>(batch.tokens) / figures.seconds));
      }
      if (check) runner.check_replicas();
      if (step < steps_) save_and_evaluate(runner, step, progress);
    }
    progress.clear();
    end(runner, progress);
    return failures_.agree(job_.world, job_.stream);
  }

 private:
  // After every so many steps; 0: never.
  static bool due(i64 step, i64 every) { return every > 0 && step % every == 0; }

  void open_folder(const parallel::PlanResult& planned, const nlohmann::ordered_json& facts) {
    folder_.emplace(loaded_.config.output.dir);
    try {
      folder_->write_text("run.json", json_text(facts, 2) + "\n");
      // Of use in any working directory.
      folder_->write_text("config.yaml", to_yaml(with_absolute_paths(loaded_.config)));
      folder_->write_text("plan.txt", plan_table(planned));
      folder_->write_text("plan.json", json_text(plan_json(planned), 2) + "\n");
    } catch (...) {
      folder_->discard();
      throw;
    }
  }

  // What the job has done up to this step.
  void count(i64 step, const StepBatch& batch, StepFigures& figures) {
    samples_seen_ += batch.samples;
    tokens_seen_ += batch.tokens;
    figures.samples_seen = samples_seen_;
    figures.tokens_seen = tokens_seen_;
    // Of ready batches each counts as a sample.
    figures.epoch = static_cast<double>(sets_->train().front().ready() ? step : samples_seen_) /
                    static_cast<double>(data_->samples_per_epoch());
  }

  // Forward, backward, sum over ranks, update. Sets loss, FLOPs, gradient norm and learning rate of
  // `figures`.
  void train_step(i64 step, const StepBatch& batch, StepRunner::End end, StepRunner& runner,
                  parallel::AdamW& optimizer, StepFigures& figures) {
    const OptimizerSection& o = loaded_.config.train.optimizer;
    const auto reached = [&](const Parameter& p) { return StepRunner::reached(p, batch); };
    figures.lr = learning_rate(o, step, steps_);
    const StepSums sums = runner.run(batch, end);
    figures.loss = sums.loss / static_cast<double>(batch.supervised);
    figures.flops = sums.flops;
    runner.sum_gradients();
    figures.gradient_norm =
        without_nan_sign(parallel::gradient_norm(run_.model->parameters(), reached, job_.stream));
    // The norm is of the summed gradients and the same on every rank, so all stop here together, before any
    // update.
    require(std::isfinite(figures.loss) && std::isfinite(figures.gradient_norm), ExitCode::non_finite,
            "step {}: loss {} and gradient norm {}: lower train.optimizer.lr, or look at the samples of "
            "this step",
            step, figures.loss, figures.gradient_norm);
    optimizer.step(reached,
                   {.lr = figures.lr,
                    .beta1 = o.betas[0],
                    .beta2 = o.betas[1],
                    .eps = o.eps,
                    .weight_decay = o.weight_decay,
                    .gradient_scale = parallel::clip_factor(figures.gradient_norm, o.clip)},
                   job_.stream);
  }

  // Weights are written before anything else that can fail; old ones are removed last.
  void save_and_evaluate(StepRunner& runner, i64 step, Progress& progress) {
    const Config& config = loaded_.config;
    const bool save = due(step, config.output.save_every), eval = due(step, config.train.eval_every);
    if (save) {
      require_finite_weights(run_.model->parameters(), step);
      attempt("a save", [&] { saver_->save_step(*folder_, step); });
    }
    if (eval && evaluate(runner, step, progress)) {
      require_finite_weights(run_.model->parameters(), step);
      attempt("saving the best", [&] { saver_->save_best(*folder_); });
    }
    if (save) attempt("removing old saves", [&] { folder_->remove_old_saves(config.output.keep); });
  }

  void end(StepRunner& runner, Progress& progress) {
    require_finite_weights(run_.model->parameters(), steps_);
    attempt("writing the adapters", [&] { saver_->save_adapter(*folder_); });
    // On every rank: what is evaluated is what is written.
    merge_adapters(run_.model->ids(), run_.model->parameters());
    const auto write = [&] { saver_->save_model(*folder_); };
    // There is nothing to go back to: once more, in case what was wrong has passed.
    if (!attempt("writing the model", write) && attempt("writing the model again", write))
      log_info("the model was written at the second attempt");
    if (evaluate(runner, steps_, progress))
      attempt("saving the best", [&] { saver_->save_end_as_best(*folder_); });
    if (job_.leads() && folder_->displaced())
      failures_.add("writing to output.dir",
                    Error(ExitCode::cannot_write,
                          fmt::format("the folder was removed while the run wrote to it, and something else "
                                      "has its name: see {}",
                                      folder_->path())));
  }

  // On rank 0, whose files they are; true elsewhere.
  bool attempt(const char* task, const std::function<void()>& run) {
    return !job_.leads() || failures_.attempt(task, run);
  }

  // True: this is the best so far for the set of output.keep_best. non_finite, on every rank, where a loss is
  // no number.
  bool evaluate(StepRunner& runner, i64 step, Progress& progress) {
    bool best = false;
    for (const HeldOutSet& set : eval_) {
      EvalResult result;
      try {
        result = evaluate_loss(set, *run_.model, runner, loaded_.config.memory.micro_batch_tokens.value_or(0),
                               job_.world, job_.stream);
      } catch (const EvaluationFailed& error) {
        failures_.add("evaluation on " + set.name, error);
        continue;
      }
      progress.clear();
      log_info("step {}: {}", step, text_of(set.name, result));
      nlohmann::ordered_json line{{"step", step}, {"time", utc_now()}};
      line.update(json_of(set.name, result));
      require(std::isfinite(result.loss), ExitCode::non_finite,
              "step {}: the held-out loss of {} is {}: earlier saves stay; lower train.optimizer.lr", step,
              set.name, result.loss);
      attempt("writing eval.jsonl", [&] { folder_->append_eval(line); });
      if (set.name != loaded_.config.output.keep_best || result.loss >= best_loss_) continue;
      best_loss_ = result.loss;
      best = true;
    }
    return best;
  }

  Job& job_;
  const LoadedConfig& loaded_;
  RunModel shape_;  // its configuration is that of the data
  RunModel run_;
  std::optional<Saver> saver_;  // of rank 0
  std::optional<DataSets> sets_;
  std::unique_ptr<TrainingData> data_;  // of these sets
  i64 steps_ = 0;                       // of the run
  i64 samples_seen_ = 0, tokens_seen_ = 0;
  std::vector<HeldOutSet> eval_;
  double best_loss_ = std::numeric_limits<double>::infinity();  // on the set of output.keep_best
  Failures failures_{job_.leads()};
  std::optional<RunFolder> folder_;
};

}  // namespace

ExitCode train(Job& job, const LoadedConfig& loaded) {
  require_same_config(loaded.config, job.world);
  return Trainer(job, loaded).run();
}

}  // namespace longsight::launch
