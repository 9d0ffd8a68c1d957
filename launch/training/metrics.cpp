#include "launch/training/metrics.h"

#include "launch/measure.h"
#include "model/flops.h"

namespace longsight::launch {

nlohmann::ordered_json metrics_line(i64 step, const StepBatch& batch, const StepFigures& figures,
                                    const model::ModelConfig& config, const parallel::PlanResult& planned) {
  double flops = 0;
  for (const model::MicroBatch& m : batch.micro_batches)
    flops += 3 * model::forward_flops(config, m.geometry);
  flops *= static_cast<double>(planned.plan.mesh.data);  // of all groups, which share the tokens evenly
  nlohmann::ordered_json line;
  line["step"] = step;
  line["loss"] = figures.loss;
  line["grad_norm"] = figures.gradient_norm;
  line["lr"] = figures.lr;
  line["tokens"] = batch.tokens;
  line["visual_tokens"] = batch.visual_tokens;
  line["supervised_tokens"] = batch.supervised;
  line["seconds"] = figures.seconds;
  line["tokens_per_second"] = static_cast<double>(batch.tokens) / figures.seconds;
  line["gflops"] = flops / figures.seconds / 1e9;
  line["data_seconds"] = figures.data_seconds;
  line["comm_seconds"] = figures.comm_seconds;
  line["memory_mib"] = peak_memory_mib();
  line["predicted_seconds"] = planned.step.seconds;
  line["predicted_memory_mib"] = static_cast<double>(planned.step.memory.total()) / 1048576;
  return line;
}

}  // namespace longsight::launch
