#include "launch/training/evaluation.h"

namespace longsight::launch {

EvalResult evaluate_loss(const std::vector<std::vector<model::Sample>>& steps, const model::Vlm& model,
                         StepRunner& runner, i64 rank) {
  EvalResult result;
  double sum = 0;
  const parallel::Mesh& mesh = runner.plan().mesh;
  for (const auto& samples : steps) {
    const StepBatch step = deal_step(samples, model.config(), mesh, mesh.data_rank(rank), 0);
    sum += runner.evaluate(step);
    result.samples += step.samples;
    result.supervised += step.supervised;
  }
  require(result.supervised > 0, ExitCode::bad_data, "the held-out data have no supervised token");
  result.loss = sum / static_cast<double>(result.supervised);
  return result;
}

}  // namespace longsight::launch
