#include "launch/training/trainer.h"

#include <cmath>
#include <limits>

#include <omp.h>

#include "launch/learning_rate.h"
#include "launch/measure.h"
#include "launch/output.h"
#include "launch/plan_run.h"
#include "launch/planning/plan_report.h"
#include "launch/progress.h"
#include "launch/run_device.h"
#include "launch/run_folder.h"
#include "launch/run_model.h"
#include "launch/samples/check_sets.h"
#include "launch/samples/same_on_all_ranks.h"
#include "launch/samples/training_data.h"
#include "launch/training/checkpoint_folder.h"
#include "launch/training/checkpointing.h"
#include "launch/training/evaluation.h"
#include "launch/training/failures.h"
#include "launch/training/guard.h"
#include "launch/training/metrics.h"
#include "launch/training/prediction_errors.h"
#include "launch/training/prefetch.h"
#include "launch/training/resume.h"
#include "launch/training/saving.h"
#include "launch/training/spikes.h"
#include "launch/training/train_step.h"
#include "launch/training/trainable.h"
#include "launch/training/trained_values.h"
#include "launch/watchdog/slow_rank.h"
#include "launch/watchdog/watchdog.h"
#include "parallel/checkpoint/restore.h"
#include "parallel/groups/flight_record.h"
#include "parallel/replica_check.h"
#include "runtime/base/clock.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"

namespace longsight::launch {
namespace {

class Trainer {
 public:
  Trainer(Job& job, const LoadedConfig& loaded, bool force)
      : device_(choose_device(loaded, job)),
        computing_(device_.on(job)),
        job_(computing_),
        loaded_(loaded),
        force_(force),
        shape_(open_run_shape(loaded)) {
    budget_ = budget_of(device_, job);
    // What can be known to be wrong is said before weights are read and a folder is made.
    const TrainSection& t = loaded.config.train;
    loaded.document.require_at(!loaded.config.output.dir.empty(), "output.dir", "name the folder of the run");
    loaded.document.require_at(t.steps || t.epochs, "train", "say how long to train: steps: N or epochs: X");
    check_parallel(loaded, *shape_.model, job.world.size());
    check_inputs_outside_output(loaded);
    if (job.leads()) RunFolder::require_usable(loaded.config.output.dir, RunFolder::Begin::goes_on);
    if (loaded.config.train.watchdog.enabled)
      watchdog_ = Watchdog::start_before_run(job.leads() ? existing_folder(loaded.config.output.dir) : "",
                                             loaded.config.train.watchdog.floor, job.world, job.stream);
    {
      const NothingToSave checkpoints_are_read(job);
      beginning_ = find_beginning(loaded, job);
    }
    if (job.leads()) RunFolder::require_usable(loaded.config.output.dir, beginning_.folder);
    {
      const NothingToSave inputs_are_read(job);
      sets_.emplace(loaded, shape_, WhichSets::both, job.open_data);
      data_ = open_training_data(*sets_);
      require_same_inputs(*sets_, shape_.companions, job.world);
    }
    check_sets(*sets_, job);
    stopped_ = asked_to_stop();
    if (stopped_) return;
    steps_ = begin_training(*data_, *sets_);
    eval_ = open_eval_data(*sets_);
    // Planned before weights are read: how many of them a rank reads is a part of it. The samples are those
    // of the very first step, wherever this run begins.
    const DType precision = precision_of(loaded);
    shape_.model->parameters().allocate(precision, true, Backend::trace);
    first_ = data_->next();
    planned_ = plan_run(loaded, *shape_.model, job.world.size(), first_, budget_);
    require_fits(planned_);
    require_same_plan(planned_.plan, job.world);
    const NothingToSave weights_are_read(job);
    run_ = open_run_model(loaded, precision, true, false, planned_.plan.sharding(job.world.rank()));
    if (device_.device) run_.model->parameters().move_to(job_.stream);
    check_replicas(run_.model->parameters(), job_.world, job_.stream);
    values_.emplace(run_.model->parameters(), job_.world, job_.stream);
    values_->lend([&] { saver_.emplace(loaded, run_, *values_); });
  }

  ExitCode run() {
    if (stopped_) {
      log_info("stopped before the first step: start again with the same command");
      return ExitCode::stopped;
    }
    try {
      return run_steps();
    } catch (const OutOfDeviceMemory& error) {
      throw with_budget_that_fits(error, planned_.step.memory.total());
    }
  }

 private:
  ExitCode run_steps() {
    const Config& config = loaded_.config;
    const planning::PlanResult& planned = planned_;
    parallel::MeshGroups groups(planned.plan.mesh, job_.world);
    StepRunner runner(*run_.model, planned.plan, groups, job_.stream, device_.buffers.get());
    TrainState state{.model = *run_.model,
                     .optimizer = parallel::AdamW(run_.model->parameters(),
                                                  optimizer_options(loaded_, run_.model->parameters()))};
    checkpoints_.emplace(job_, config.output, state, failures_);
    frozen_ = parallel::hashes_of_frozen(
        run_.model->parameters(), [&](ParameterId id) { return run_.model->parameters().has_grad(id); },
        job_.stream, &job_.world);
    facts_ = run_facts_of(*sets_, shape_.companions);
    mesh_ = planned.plan.mesh;
    if (!beginning_.checkpoint.empty()) {
      const NothingToSave checkpoint_is_read(job_);
      resume(state);
    }
    if (state.step > 0) {
      first_.clear();
      data_->go_behind(state.step);
      require_same_order(state);
    }
    std::optional<Prefetch> prefetch;
    if (state.step < steps_)
      prefetch.emplace(*data_, config, *run_.model, planned.plan, job_.world.rank(), std::move(first_),
                       device_.buffers.get());
    if (job_.leads()) saver_->require_space(steps_ - state.step, checkpoints_->bytes_needed(steps_));
    // A run that cannot begin on some rank leaves no folder behind.
    if (prefetch) {
      const NothingToSave pictures_are_read(job_);
      prefetch->wait();
    }
    const std::vector<i64> threads =
        job_.world.all_gather(static_cast<i64>(omp_get_max_threads()), job_.stream, "threads");
    const std::vector<std::string> hosts = job_.world.all_gather(host_name(), job_.stream, "hosts");
    if (job_.leads()) open_folder(planned, run_facts(loaded_, planned.plan, steps_, threads, hosts));
    log_info("{}", planned.plan.text());
    log_info("{}", job_.threads);

    watchdog_.reset();
    if (config.train.watchdog.enabled)
      watchdog_ = Watchdog::start(std::move(heartbeats_), job_.leads() ? folder_->path() : "",
                                  config.train.watchdog.floor, job_.world, job_.stream);
    saved_at_ = steady_seconds();
    Progress progress("training", steps_, job_.leads(), state.step);
    if (!begin(runner, state, progress)) return end_stopped(state);
    compared_ = state.step;
    while (state.step < steps_) {
      const i64 step = state.step + 1;
      const double start = steady_seconds();
      job_.world.enter(parallel::Phase::data);
      const StepBatch batch = prefetch->take(step < steps_);
      StepFigures figures{.data_seconds = steady_seconds() - start};
      groups.reset_counters();
      const bool check = compares_replicas(step);
      figures.lr = learning_rate(config.train.optimizer, step, steps_);
      figures.result = train_step(state, batch, options(check, figures.lr), runner);
      figures.seconds = steady_seconds() - start;
      figures.comm_seconds = groups.counters().seconds;
      figures.predicted_seconds = predicted_seconds(planned, figures.result.flops);
      figures.predicted_memory_mib =
          resident_before_ + static_cast<double>(planned.step.memory.total()) / 1048576;
      watch(state, figures, runner.own_flops());
      std::optional<Error> fault;
      if (!figures.result.finite) fault = not_finite(runner, state, batch, figures.result, progress);
      job_.world.enter(parallel::Phase::save);
      if (!fault) count(state, figures, progress);
      if (!fault && job_.leads()) {
        failures_.attempt("writing metrics.jsonl", [&] {
          folder_->append_metrics(metrics_line(step, batch, figures, config.train.optimizer));
        });
        progress.update(step, fmt::format("loss {:.4f}, {:.0f} tokens/s,", figures.result.loss,
                                          static_cast<double>(batch.tokens) / figures.seconds));
      }
      if (!fault && check) fault = difference_of_replicas(runner, step);
      if (fault) {
        // The next step's samples are not those that come next.
        prefetch.reset();
        go_back(*fault, step, state, progress);
        prefetch.emplace(*data_, config, *run_.model, planned.plan, job_.world.rank(),
                         std::vector<model::Sample>{}, device_.buffers.get());
        if (!begin(runner, state, progress)) return end_stopped(state);
        continue;
      }
      checkpoints_->after_step(figures.result.votes.busy);
      if (!behind_step(runner, state, figures.result.votes, progress)) return end_stopped(state);
      if (state.step == steps_) break;  // nothing that failed stands in the way of the model
      const ExitCode failed = failures_.agree_to_stop(job_.world, job_.stream);
      if (failed != ExitCode::done) return end_failed(state, failed, progress);
    }
    progress.clear();
    checkpoints_->finish();
    if (!end(runner, state, progress)) return end_stopped(state);
    return failures_.agree(job_.world, job_.stream);
  }

  static constexpr double kNoLoss = std::numeric_limits<double>::infinity();

  // After every so many steps; 0: never.
  static bool due(i64 step, i64 every) { return every > 0 && step % every == 0; }

  // ---- where it begins

  bool goes_on() const { return beginning_.folder == RunFolder::Begin::goes_on; }

  void resume(TrainState& state) {
    const parallel::Manifest& from = beginning_.manifest;
    require_same_run(beginning_, facts_, run_.model->parameters(), frozen_, force_, job_);
    parallel::restore(beginning_.checkpoint, from, run_.model->parameters(), &state.optimizer, job_.stream,
                      &job_.world);
    parallel::check_replicas(run_.model->parameters(), job_.world, job_.stream);
    if (!run_.model->parameters().sharding().moments()) {
      parallel::check_replica(state.optimizer.first_moments(), "the first moments", job_.world, job_.stream);
      parallel::check_replica(state.optimizer.second_moments(), "the second moments", job_.world,
                              job_.stream);
    }
    state.step = from.step;
    state.samples_seen = from.samples_seen;
    state.tokens_seen = from.tokens_seen;
    state.skipped = from.skipped;
    state.skipped_in_a_row = from.skipped_in_a_row;
    if (goes_on()) best_loss_ = from.best_loss.value_or(kNoLoss);
    require(state.step <= steps_, ExitCode::usage,
            "checkpoint {} lies {} steps behind the end of this run: give a larger train.steps",
            beginning_.checkpoint, state.step - steps_);
    log_info("goes on behind step {}: {}", state.step, beginning_.checkpoint);
  }

  // Samples that the order has given up to here; ready batches are drawn whole.
  i64 samples_drawn(const TrainState& state) const {
    return sets_->train().front().ready() ? state.step : state.samples_seen;
  }

  void require_same_order(const TrainState& state) const {
    const i64 saved = beginning_.manifest.samples_drawn, drawn = data_->samples_drawn();
    if (saved == drawn) return;
    require(
        force_, ExitCode::bad_data,
        "checkpoint {}: its {} steps had {} samples, those of this run have {}: the data are not those that "
        "it was trained on",
        beginning_.checkpoint, state.step, saved, drawn);
    log_info("--force: the {} steps before had {} samples, those of these data have {}", state.step, saved,
             drawn);
  }

  // What comes again: what was due behind the step of the checkpoint. False: asked to stop.
  bool begin(StepRunner& runner, const TrainState& state, Progress& progress) {
    if (goes_on()) checkpoint_step_ = state.step;
    if (asked_to_stop()) {
      if (!goes_on()) save(state, place());
      return false;
    }
    if (!goes_on() || state.step == 0 || state.step == steps_) return true;
    return save_and_evaluate(runner, state, progress);
  }

  void open_folder(const planning::PlanResult& planned, nlohmann::ordered_json facts) {
    const std::string& path = loaded_.config.output.dir;
    const Json before = goes_on() ? facts_of_run_folder(path) : Json();
    for (const char* list : {"resumed", "rolled_back"})
      facts[list] = before.is_object() && before.contains(list) ? nlohmann::ordered_json(before[list])
                                                                : nlohmann::ordered_json::array();
    if (!beginning_.checkpoint.empty())
      facts["resumed"].push_back(
          {{"step", beginning_.manifest.step}, {"time", facts["started"]}, {"ranks", facts["ranks"]}});
    if (before.is_object() && before.contains("started")) facts["started"] = before["started"];
    if (!beginning_.began_from.empty()) facts["began_from"] = beginning_.began_from;
    run_facts_ = facts;
    folder_.emplace(path, beginning_.folder);
    try {
      folder_->write_text("run.json", json_text(facts, 2) + "\n");
      // Of use in any working directory.
      folder_->write_text("config.yaml", to_yaml(with_absolute_paths(loaded_.config)));
      folder_->write_text("plan.txt", plan_table(planned));
      folder_->write_text("plan.json", json_text(plan_json(planned), 2) + "\n");
      if (loaded_.config.train.watchdog.enabled)
        heartbeats_ = Heartbeats::make(folder_->path() + "/" + Heartbeats::kFile, job_.world.size());
      go_on_in_folder();
    } catch (...) {
      folder_->discard();
      throw;
    }
  }

  // Logs and checkpoints as they were at the beginning.
  void go_on_in_folder() {
    if (goes_on()) {
      folder_->cut_back(beginning_.manifest.logs, beginning_.manifest.step);
      spikes_.recall(folder_->last_metrics(SpikeWatch::kSteps));
    }
    if (beginning_.rolls_back) set_aside_checkpoints_behind(folder_->checkpoints(), beginning_.manifest.step);
    checkpoints_->open(*folder_, beginning_.refused);
  }

  // ---- faults

  // Also of what is written: of checkpoints whose step is known beforehand, and at the end.
  bool compares_replicas(i64 step) const {
    const Config& c = loaded_.config;
    return c.train.check_replicas > 0 &&
           (step == steps_ || due(step, c.train.check_replicas) || due(step, c.output.checkpoint_every) ||
            due(step, c.output.save_every));
  }

  std::optional<Error> not_finite(StepRunner& runner, TrainState& state, const StepBatch& batch,
                                  const StepResult& result, Progress& progress) {
    progress.clear();
    return guard_.not_finite(state, batch, result, where_not_finite(runner, batch, job_.world, job_.stream));
  }

  std::optional<Error> difference_of_replicas(StepRunner& runner, i64 step) {
    try {
      runner.check_replicas();
    } catch (const Error& error) {  // on every rank
      return Error(error.code(), fmt::format("step {}: {}", step, error.what()));
    }
    compared_ = step;
    return std::nullopt;
  }

  // The run begins once more, behind its newest checkpoint; where ranks differ behind the newest that was
  // written when they were known to be the same. Throws the fault where it must not, or there is none.
  void go_back(const Error& fault, i64 step, TrainState& state, Progress& progress) {
    // What is being written is whole, and gets its name though the run may end here; not of ranks that
    // differ.
    if (fault.code() == ExitCode::non_finite) checkpoints_->finish();
    guard_.require_rollback(fault, step);
    progress.clear();
    if (job_.leads()) log_warn("{}: the run goes back to a checkpoint", fault.what());
    checkpoints_->finish();
    const i64 trusted = fault.code() == ExitCode::non_finite ? state.step : compared_;
    Beginning found = find_rollback(job_.leads() ? folder_->checkpoints() : "", trusted, job_);
    require(!found.checkpoint.empty(), fault.code(),
            "{} (there is no checkpoint of up to step {} to go back to: output.checkpoint_every)",
            fault.what(), trusted);
    beginning_ = std::move(found);
    resume(state);
    compared_ = state.step;
    data_->go_behind(state.step);
    require_same_order(state);
    saved_at_ = steady_seconds();
    if (!job_.leads()) return;
    go_on_in_folder();
    run_facts_["rolled_back"].push_back({{"step", step}, {"to", state.step}, {"time", utc_now()}});
    folder_->write_text("run.json", json_text(run_facts_, 2) + "\n");
  }

  // ---- between steps

  // Collective: whether a signal has asked some rank.
  bool asked_to_stop() {
    return job_.world.all_reduce_max(i64{job_.stop_requested()}, job_.stream, "stop") > 0;
  }

  // What a checkpoint says of the place between two steps: whatever is due there comes behind it, so that a
  // run that goes on from it does it again.
  struct StepPlace {
    std::map<std::string, parallel::LogMark> logs;  // of rank 0
    double best_loss = 0;
  };
  StepPlace place() {
    StepPlace here{.logs = {}, .best_loss = best_loss_};
    attempt("writing metrics.jsonl", [&] { here.logs = folder_->mark_logs(); });
    return here;
  }

  void save(const TrainState& state, const StepPlace& place) {
    require_finite_weights(run_.model->parameters(), state.step, job_.world, job_.stream);
    parallel::Manifest head{.step = state.step,
                            .samples_seen = state.samples_seen,
                            .tokens_seen = state.tokens_seen,
                            .samples_drawn = samples_drawn(state),
                            .skipped = state.skipped,
                            .skipped_in_a_row = state.skipped_in_a_row,
                            .best_loss = {},
                            .written = utc_now(),
                            .ranks = mesh_.world,
                            .data_groups = mesh_.data,
                            .sequence_ranks = mesh_.sequence,
                            .logs = place.logs,
                            .facts = facts_,
                            .frozen = frozen_,
                            .files = {},
                            .tensors = {}};
    if (std::isfinite(place.best_loss)) head.best_loss = place.best_loss;
    checkpoints_->begin(head);
    checkpoint_step_ = state.step;
    saved_at_ = steady_seconds();
  }

  // False: asked to stop, and a checkpoint of this step is under way.
  bool behind_step(StepRunner& runner, const TrainState& state, const StepVotes& votes, Progress& progress) {
    const OutputSection& output = loaded_.config.output;
    const bool stop = votes.stop > 0, last = state.step == steps_;
    const bool checkpoint = stop || (!last && (votes.save > 0 || due(state.step, output.save_every) ||
                                               due(state.step, output.checkpoint_every)));
    if (!checkpoint && (last || !due(state.step, loaded_.config.train.eval_every))) return true;
    const StepPlace here = place();
    if (checkpoint) save(state, here);
    if (stop) return false;
    if (last || save_and_evaluate(runner, state, progress)) return true;
    if (checkpoint_step_ != state.step) save(state, here);
    return false;
  }

  ExitCode end_stopped(const TrainState& state) {
    checkpoints_->finish();
    const bool began_here = goes_on() && beginning_.manifest.step == state.step;
    if (!began_here && checkpoints_->written() != state.step) return failures_.agree(job_.world, job_.stream);
    log_info("stopped behind step {} of {}, with a checkpoint: start again with the same command", state.step,
             steps_);
    return ExitCode::stopped;
  }

  // output.on_save_failure: stop. Collective.
  ExitCode end_failed(const TrainState& state, ExitCode code, Progress& progress) {
    checkpoints_->finish();  // of a later step, it may be whole
    progress.clear();
    if (job_.leads())
      log_error(
          "stopped behind step {} of {}, as something could not be written (output.on_save_failure: stop): "
          "checkpoints and saves before it are as they were",
          state.step, steps_);
    return code;
  }

  // What the step says of hangs and of slow ranks.
  void watch(const TrainState& state, const StepFigures& figures, double own_flops) {
    if (watchdog_) watchdog_->step_done(state.step, figures.seconds);
    if (!loaded_.config.train.watchdog.enabled) return;
    const double outside = figures.seconds - figures.comm_seconds;
    if (!slow_.after_step(figures.result.votes.seconds, outside, own_flops, figures.result.flops)) return;
    log_warn(
        "step {}: rank {} on {} is slow: outside of collectives it took {:.3f} s a step, the others {:.3f} "
        "s: "
        "look at its processors, its memory and its disk",
        state.step, job_.world.rank(), host_name(), slow_.own(), slow_.others());
  }

  bool overdue() const {
    const double minutes = loaded_.config.output.checkpoint_minutes;
    return job_.leads() && minutes > 0 && steady_seconds() - saved_at_ > minutes * 60;
  }

  // What the job has done up to this step.
  void count(const TrainState& state, StepFigures& figures, Progress& progress) {
    figures.samples_seen = state.samples_seen;
    figures.tokens_seen = state.tokens_seen;
    // Of ready batches each counts as a sample.
    figures.epoch = static_cast<double>(sets_->train().front().ready() ? state.step : state.samples_seen) /
                    static_cast<double>(data_->samples_per_epoch());
    figures.skipped = state.skipped;
    if (!job_.leads()) return;
    prediction_errors_.add(state.step, figures, peak_memory_mib());
    const std::string spike = spikes_.add(figures.result.loss, figures.result.gradient_norm);
    figures.spikes = spikes_.spikes();
    if (spike.empty()) return;
    progress.clear();
    log_warn("step {}: a spike: {}", state.step, spike);
  }

  StepOptions options(bool check, double lr) const {
    const OptimizerSection& o = loaded_.config.train.optimizer;
    return {.adamw = {.lr = lr,
                      .beta1 = o.betas[0],
                      .beta2 = o.betas[1],
                      .eps = o.eps,
                      .weight_decay = o.weight_decay},
            .clip = o.clip,
            .end = check ? StepRunner::End::replica_check : StepRunner::End::update,
            .votes = {.stop = job_.stop_requested() ? 1.0 : 0.0,
                      .save = overdue() ? 1.0 : 0.0,
                      .busy = checkpoints_->busy() ? 1.0 : 0.0,
                      .seconds = slow_.told()}};
  }

  // Weights are written before anything else that can fail; old ones are removed last. False: asked to stop
  // on the way.
  bool save_and_evaluate(StepRunner& runner, const TrainState& state, Progress& progress) {
    const Config& config = loaded_.config;
    const i64 step = state.step;
    const bool save = due(step, config.output.save_every), eval = due(step, config.train.eval_every);
    if (save) {
      require_finite_weights(run_.model->parameters(), step, job_.world, job_.stream);
      attempt_with_values("a save", [&] { saver_->save_step(*folder_, step); });
    }
    if (eval) {
      const std::optional<bool> best = evaluate(runner, step, progress, job_.stop_requested);
      if (!best) return false;
      if (*best) {
        require_finite_weights(run_.model->parameters(), step, job_.world, job_.stream);
        attempt_with_values("saving the best", [&] { saver_->save_best(*folder_); });
      }
    }
    if (save) attempt("removing old saves", [&] { folder_->remove_old_saves(config.output.keep); });
    return true;
  }

  // False: asked to stop, and a checkpoint of the last step is under way: the end comes again.
  bool end(StepRunner& runner, const TrainState& state, Progress& progress) {
    job_.world.enter(parallel::Phase::end);
    require_finite_weights(run_.model->parameters(), steps_, job_.world, job_.stream);
    attempt_with_values("writing the adapters", [&] { saver_->save_adapter(*folder_); });
    std::optional<TrainedValues> unmerged;
    if (run_.model->adapters().any()) unmerged.emplace(run_.model->parameters(), job_.stream);
    // On every rank: what is evaluated is what is written.
    merge_adapters(run_.model->ids(), run_.model->parameters(), job_.stream, &job_.world);
    bool written = true;
    values_->lend([&] {
      const auto write = [&] { saver_->save_model(*folder_); };
      // There is nothing to go back to: once more, in case what was wrong has passed.
      written = attempt("writing the model", write);
      if (!written && (written = attempt("writing the model again", write)))
        log_info("the model was written at the second attempt");
    });
    const StepPlace here = eval_.empty() ? StepPlace{} : place();
    const std::optional<bool> best = evaluate(runner, steps_, progress, job_.stop_requested);
    if (!best) {
      if (unmerged) unmerged->put_back(run_.model->parameters(), job_.world, job_.stream);
      if (checkpoint_step_ != steps_) save(state, here);
      return false;
    }
    if (*best) attempt("saving the best", [&] { saver_->save_end_as_best(*folder_); });
    if (job_.leads() && folder_->displaced())
      failures_.add("writing to output.dir",
                    Error(ExitCode::cannot_write,
                          fmt::format("the folder was removed while the run wrote to it, and something else "
                                      "has its name: see {}",
                                      folder_->path())));
    if (!prediction_errors_.empty()) log_info("{}", prediction_errors_.text());
    if (written)
      attempt("writing run.json", [&] {
        if (!prediction_errors_.empty()) run_facts_["prediction"] = prediction_errors_.json();
        run_facts_["finished"] = utc_now();
        folder_->write_text("run.json", json_text(run_facts_, 2) + "\n");
      });
    return true;
  }

  // On rank 0, whose files they are; true elsewhere.
  bool attempt(const char* task, const std::function<void()>& run) {
    return !job_.leads() || failures_.attempt(task, run);
  }

  // The same of what writes values of parameters, which all ranks may have to lend.
  void attempt_with_values(const char* task, const std::function<void()>& run) {
    values_->lend([&] { attempt(task, run); });
  }

  // True: this is the best so far for the set of output.keep_best; nothing: `stop` said so on some rank.
  // non_finite, on every rank, where a loss is no number.
  std::optional<bool> evaluate(StepRunner& runner, i64 step, Progress& progress, bool (*stop)()) {
    bool best = false;
    job_.world.enter(parallel::Phase::evaluation);
    for (const HeldOutSet& set : eval_) {
      EvalResult result;
      try {
        const auto all = evaluate_loss(set, *run_.model, runner, runner.plan().micro_batch_tokens, job_.world,
                                       job_.stream, stop);
        if (!all) return std::nullopt;
        result = *all;
      } catch (const EvaluationFailed& error) {
        failures_.add("evaluation on " + set.name, error, Failures::Of::evaluation);
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

  double resident_before_ = resident_memory_mib();  // MiB; before a model is read
  RunDevice device_;
  Job computing_;  // on the device
  Job& job_;       // the same
  const LoadedConfig& loaded_;
  bool force_ = false;
  AutoBudget budget_;
  Beginning beginning_;
  bool stopped_ = false;  // before it began
  RunModel shape_;        // its configuration is that of the data
  RunModel run_;
  std::vector<model::Sample> first_;  // those of the first step, until they are taken
  planning::PlanResult planned_;
  std::optional<parallel::WholeValues> values_;
  std::optional<Saver> saver_;  // of rank 0
  std::optional<DataSets> sets_;
  std::unique_ptr<TrainingData> data_;  // of these sets
  i64 steps_ = 0;                       // of the run
  std::vector<HeldOutSet> eval_;
  double best_loss_ = kNoLoss;  // on the set of output.keep_best
  Failures failures_{job_.leads(), loaded_.config.output.on_save_failure == "stop"};
  Guard guard_{loaded_.config.train.guard, job_.leads()};
  SpikeWatch spikes_;                   // of rank 0
  PredictionErrors prediction_errors_;  // of rank 0
  i64 compared_ = 0;                    // the last step behind which the ranks were the same
  std::optional<RunFolder> folder_;
  nlohmann::ordered_json run_facts_;  // run.json
  // What checkpoints say.
  std::optional<Checkpointing> checkpoints_;
  parallel::Mesh mesh_;
  std::vector<parallel::Fact> facts_;
  std::map<std::string, std::string> frozen_;
  i64 checkpoint_step_ = -1;  // of the last one that was begun
  double saved_at_ = 0;       // when
  SlowRank slow_{job_.world.size()};
  std::unique_ptr<Heartbeats> heartbeats_;  // of rank 0, until the watchdog has them
  std::unique_ptr<Watchdog> watchdog_;      // null: switched off. Last: that of the run uses its folder
};

}  // namespace

ExitCode train(Job& job, const LoadedConfig& loaded, bool force) {
  require_same_config(loaded.config, job.world);
  return Trainer(job, loaded, force).run();
}

}  // namespace longsight::launch
