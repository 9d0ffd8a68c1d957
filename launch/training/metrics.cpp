#include "launch/training/metrics.h"

#include <filesystem>

#include "launch/measure.h"

namespace longsight::launch {

nlohmann::ordered_json metrics_line(i64 step, const StepBatch& batch, const StepFigures& figures,
                                    const OptimizerSection& optimizer) {
  nlohmann::ordered_json line;
  line["step"] = step;
  line["epoch"] = figures.epoch;
  line["time"] = utc_now();
  line["loss"] = figures.result.loss;
  line["grad_norm"] = figures.result.gradient_norm;
  line["lr"] = figures.lr;
  line["group_lr"] = nlohmann::ordered_json::array();  // as train.optimizer.groups lists them
  for (const OptimizerGroup& group : optimizer.groups)
    line["group_lr"].push_back(group.lr ? figures.lr * (*group.lr / optimizer.lr) : figures.lr);
  line["tokens"] = batch.tokens;
  line["visual_tokens"] = batch.visual_tokens;
  line["supervised_tokens"] = batch.supervised;
  line["samples_seen"] = figures.samples_seen;
  line["tokens_seen"] = figures.tokens_seen;
  line["skipped"] = figures.skipped;
  line["spikes"] = figures.spikes;
  line["seconds"] = figures.seconds;
  line["tokens_per_second"] = static_cast<double>(batch.tokens) / figures.seconds;
  line["gflops"] = figures.result.flops / figures.seconds / 1e9;
  line["data_seconds"] = figures.data_seconds;
  line["comm_seconds"] = figures.comm_seconds;
  line["memory_mib"] = peak_memory_mib();
  line["predicted_seconds"] = figures.predicted_seconds;
  line["predicted_memory_mib"] = figures.predicted_memory_mib;
  return line;
}

nlohmann::ordered_json run_facts(const LoadedConfig& loaded, const parallel::Plan& plan, i64 steps,
                                 const std::vector<i64>& threads, const std::vector<std::string>& hosts) {
  nlohmann::ordered_json facts;
  facts["program"] = "longsight";
  facts["started"] = utc_now();
  facts["working_directory"] = std::filesystem::current_path().string();
  facts["ranks"] = threads.size();
  facts["threads"] = threads;
  facts["hosts"] = hosts;
  facts["data_groups"] = plan.mesh.data;
  facts["sequence_ranks"] = plan.mesh.sequence;
  facts["steps"] = steps;
  facts["held_out"] = nlohmann::ordered_json::array();
  for (const DataSource& source : loaded.config.data.eval) facts["held_out"].push_back(held_out_name(source));
  return facts;
}

}  // namespace longsight::launch
