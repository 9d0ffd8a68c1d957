// longsight train: the training loop.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <future>

#include "launch/evaluate.h"
#include "launch/measure.h"
#include "launch/output.h"
#include "launch/planning.h"
#include "launch/progress.h"
#include "launch/run_folder.h"
#include "launch/run_model.h"
#include "launch/schedule.h"
#include "launch/step.h"
#include "launch/trainable.h"
#include "launch/training_data.h"
#include "launch/verb.h"
#include "model/adapter_files.h"
#include "model/checkpoint.h"
#include "model/flops.h"
#include "parallel/optimizer.h"
#include "parallel/plan_report.h"
#include "runtime/base/log.h"

namespace longsight::launch {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
};

// The next step's samples and images, made while the current one runs.
class Prefetch {
 public:
  Prefetch(TrainingData& data, const model::ModelConfig& config, const parallel::Plan& plan, i64 rank,
           i64 limit, std::vector<model::Sample> first)
      : data_(data), config_(config), plan_(plan), rank_(rank), limit_(limit) {
    start(std::move(first));
  }
  // Returns when the next step is ready; throws what went wrong with it.
  void wait() { ready_ = next_.get(); }
  StepBatch take(bool more) {
    StepBatch step = ready_ ? std::move(*ready_) : next_.get();
    ready_.reset();
    if (more) start({});
    return step;
  }

 private:
  void start(std::vector<model::Sample> given) {
    next_ = std::async(std::launch::async, [this, given = std::move(given)] {
      const std::vector<model::Sample> samples = given.empty() ? data_.next() : given;
      StepBatch step = deal_step(samples, config_, plan_.mesh, plan_.mesh.data_rank(rank_), limit_);
      prepare_images(step, plan_, plan_.mesh.sequence_rank(rank_));
      return step;
    });
  }

  TrainingData& data_;
  const model::ModelConfig& config_;
  const parallel::Plan& plan_;
  i64 rank_, limit_;
  std::future<StepBatch> next_;
  std::optional<StepBatch> ready_;
};

i64 step_count(const LoadedConfig& loaded, i64 samples_per_epoch, i64 samples_per_step) {
  const TrainSection& t = loaded.config.train;
  if (t.steps) return *t.steps;
  // Steps hold as many samples as fit; their mean over the first step stands for all.
  return std::max<i64>(1, static_cast<i64>(std::ceil(*t.epochs * static_cast<double>(samples_per_epoch) /
                                                     static_cast<double>(samples_per_step))));
}

class Trainer {
 public:
  Trainer(Job& job, const LoadedConfig& loaded) : job_(job), loaded_(loaded), shape_(open_run_shape(loaded)) {
    // What can be known to be wrong is said before weights are read and a folder is made.
    const TrainSection& t = loaded.config.train;
    loaded.document.require_at(!loaded.config.output.dir.empty(), "output.dir", "name the folder of the run");
    loaded.document.require_at(t.steps || t.epochs, "train", "say how long to train: steps: N or epochs: X");
    check_parallel(loaded, *shape_.model, job.world.size());
    if (job.leads()) require_writable_folder(loaded.config.output.dir);
    data_ = open_training_data(loaded, shape_);
    eval_ = open_eval_data(loaded, shape_);
    check_data();
    run_ = open_run_model(loaded, DType::F32, true);
  }

  ExitCode run() {
    const Config& config = loaded_.config;
    std::vector<model::Sample> first = data_->next();
    const i64 steps = step_count(loaded_, samples_per_epoch_, static_cast<i64>(first.size()));
    const parallel::PlanResult planned = plan_run(loaded_, *run_.model, job_.world.size(), first, DType::F32);
    parallel::MeshGroups groups(planned.plan.mesh, job_.world);
    StepRunner runner(*run_.model, planned.plan, groups, job_.stream);
    parallel::AdamW optimizer(run_.model->parameters(), optimizer_options(loaded_, run_.model->parameters()));
    Prefetch prefetch(*data_, run_.model->config(), planned.plan, job_.world.rank(),
                      config.memory.micro_batch_tokens.value_or(0), std::move(first));
    // A run that cannot begin on some rank leaves no folder behind.
    prefetch.wait();
    job_.world.barrier(job_.stream);
    if (job_.leads()) open_folder(planned);
    log_info("{}", planned.plan.text());

    Progress progress("training", steps, job_.leads());
    for (i64 step = 1; step <= steps; ++step) {
      const double start = now();
      const StepBatch batch = prefetch.take(step < steps);
      const double data_seconds = now() - start;
      groups.reset_counters();
      const double loss = runner.run(batch) / static_cast<double>(batch.supervised);
      runner.sum_gradients(batch);
      const auto reached = [&](const Parameter& p) { return StepRunner::reached(p, batch); };
      const double norm = parallel::gradient_norm(run_.model->parameters(), reached, job_.stream);
      // The norm is of the summed gradients and the same on every rank, so all stop here together, before any
      // update.
      require(std::isfinite(loss) && std::isfinite(norm), ExitCode::non_finite,
              "step {}: loss {} and gradient norm {}: lower train.optimizer.lr, or look at the samples of "
              "this step",
              step, std::abs(loss), std::abs(norm));  // without the sign of a NaN
      const OptimizerSection& o = config.train.optimizer;
      const double lr = learning_rate(o, step, steps);
      optimizer.step(reached,
                     {.lr = lr,
                      .beta1 = o.betas[0],
                      .beta2 = o.betas[1],
                      .eps = o.eps,
                      .weight_decay = o.weight_decay,
                      .gradient_scale = parallel::clip_factor(norm, o.clip)},
                     job_.stream);
      const double seconds = now() - start;
      if (job_.leads()) {
        write_metrics(step, batch, loss, norm, lr, seconds, data_seconds, groups.counters().seconds, planned);
        progress.update(step, fmt::format("loss {:.4f}, {:.0f} tokens/s,", loss,
                                          static_cast<double>(batch.tokens) / seconds));
      }
      const bool last = step == steps;
      if (!eval_.empty() && (last || (config.train.eval_every > 0 && step % config.train.eval_every == 0)))
        evaluate(runner, step, progress);
      if (job_.leads() && config.output.save_every > 0 && step % config.output.save_every == 0 && !last) {
        // With adapters nothing else has changed.
        folder_->save(step, config.output.keep, [&](const std::string& folder) {
          run_.model->adapters().any() ? write_adapter(folder) : write_model(folder);
        });
      }
    }
    progress.clear();
    if (job_.leads()) {
      if (run_.model->adapters().any()) {
        folder_->save_adapter([&](const std::string& folder) { write_adapter(folder); });
        merge_adapters(run_.model->ids(), run_.model->parameters());
        log_info("adapters written to {}/adapter, and merged into the model", folder_->path());
      }
      folder_->save_final([&](const std::string& folder) { write_model(folder); });
      log_info("model written to {}/model", folder_->path());
    }
    job_.world.barrier(job_.stream);
    return ExitCode::done;
  }

 private:
  // The ranks share the samples among them.
  void check_data() {
    const double start = now();
    const i64 ranks = job_.world.size();
    Progress progress("checking data", ceil_div(data_->samples_per_epoch(), ranks), job_.leads());
    const FitCounts mine =
        data_->check_share(job_.world.rank(), ranks, [&](i64 done) { progress.update(done, "samples,"); });
    progress.clear();
    const auto sum = [this](i64 count) {
      return job_.world.all_reduce_sum(count, job_.stream, "data check");
    };
    const FitCounts all{
        .samples = sum(mine.samples), .dropped = sum(mine.dropped), .shrunk = sum(mine.shrunk)};
    samples_per_epoch_ = data_->samples_per_epoch() - all.dropped;
    log_info("data: {}; checked in {:.1f} s", text_of(all, sample_limit(loaded_.config)), now() - start);
  }

  void write_model(const std::string& folder) const {
    model::write_model_files(*run_.model, folder, {.dtype = DType::F32, .companions_from = run_.companions});
    complete_model_folder(loaded_, run_, folder);
  }

  void write_adapter(const std::string& folder) const {
    const ModelSection& m = loaded_.config.model;
    const std::string base = m.of_parts() ? m.language_from : m.from.empty() ? m.config : m.from;
    model::write_adapter_files(*run_.model, folder, base);
  }

  void open_folder(const parallel::PlanResult& planned) {
    folder_.emplace(loaded_.config.output.dir);
    folder_->write_text("config.yaml", to_yaml(loaded_.config));
    folder_->write_text("plan.txt", plan_table(planned));
    folder_->write_text("plan.json", plan_json(planned).dump(2) + "\n");
  }

  void write_metrics(i64 step, const StepBatch& b, double loss, double norm, double lr, double seconds,
                     double data_seconds, double comm_seconds, const parallel::PlanResult& planned) {
    double flops = 0;
    for (const model::MicroBatch& m : b.micro_batches)
      flops += 3 * model::forward_flops(run_.model->config(), m.geometry);
    flops *= static_cast<double>(planned.plan.mesh.data);  // of all groups, which share the tokens evenly
    nlohmann::ordered_json line;
    line["step"] = step;
    line["loss"] = loss;
    line["grad_norm"] = norm;
    line["lr"] = lr;
    line["tokens"] = b.tokens;
    line["visual_tokens"] = b.visual_tokens;
    line["supervised_tokens"] = b.supervised;
    line["seconds"] = seconds;
    line["tokens_per_second"] = static_cast<double>(b.tokens) / seconds;
    line["gflops"] = flops / seconds / 1e9;
    line["data_seconds"] = data_seconds;
    line["comm_seconds"] = comm_seconds;
    line["memory_mib"] = peak_memory_mib();
    line["predicted_seconds"] = planned.step.seconds;
    line["predicted_memory_mib"] = static_cast<double>(planned.step.memory.total()) / 1048576;
    folder_->append_metrics(line);
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
  std::unique_ptr<TrainingData> data_;
  i64 samples_per_epoch_ = 0;  // without those that are left out
  std::vector<std::vector<model::Sample>> eval_;
  std::optional<RunFolder> folder_;
};

}  // namespace

void add_train(CLI::App& app, Run& run) {
  CLI::App* verb = app.add_subcommand("train", "Train a model");
  auto o = std::make_shared<Options>();
  verb->add_option("config", o->config, "YAML configuration")->required();
  verb->add_option("overrides", o->overrides, "key.path=value");
  verb->callback([o, &run] {
    run = [o](Job& job) {
      const LoadedConfig loaded = load_config(o->config, o->overrides);
      return Trainer(job, loaded).run();
    };
  });
}

}  // namespace longsight::launch
