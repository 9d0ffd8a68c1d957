#include "launch/training/evaluation.h"

#include <algorithm>

namespace longsight::launch {
namespace {

// Samples and pictures are read here and not within the pass, where the other ranks would wait for this one.
StepBatch prepare(const HeldOutSet& set, i64 number, const model::Vlm& model, const parallel::Plan& plan,
                  i64 limit, parallel::ProcessGroup& world, Stream stream) {
  StepBatch step;
  std::string problem;
  auto code = static_cast<i64>(ExitCode::done);
  try {
    step = deal_step(set.make(number), model.config(), plan.mesh, plan.mesh.data_rank(world.rank()), limit);
    prepare_images(step, plan, plan.mesh.sequence_rank(world.rank()));
  } catch (const Error& error) {
    code = static_cast<i64>(error.code());
    problem = error.what();
  } catch (const std::exception& error) {
    code = static_cast<i64>(ExitCode::internal);
    problem = error.what();
  }
  const std::vector<i64> codes = world.all_gather(code, stream, "held-out samples");
  const auto failed = std::find_if(codes.begin(), codes.end(), [](i64 c) { return c != 0; });
  if (failed == codes.end()) return step;
  const std::vector<std::string> problems = world.all_gather(problem, stream, "held-out samples");
  throw EvaluationFailed(static_cast<ExitCode>(*failed),
                         problems[static_cast<std::size_t>(failed - codes.begin())]);
}

}  // namespace

EvalResult evaluate_loss(const HeldOutSet& set, const model::Vlm& model, StepRunner& runner, i64 limit,
                         parallel::ProcessGroup& world, Stream stream) {
  EvalResult result;
  double sum = 0;
  for (i64 number = 0; number < set.steps; ++number) {
    const StepBatch step = prepare(set, number, model, runner.plan(), limit, world, stream);
    sum += runner.evaluate(step);
    result.samples += step.samples;
    result.supervised += step.supervised;
  }
  require(result.supervised > 0, ExitCode::bad_data, "{}: the held-out data have no supervised token",
          set.name);
  result.loss = sum / static_cast<double>(result.supervised);
  return result;
}

std::string text_of(const std::string& name, const EvalResult& result) {
  return fmt::format("held-out loss of {} {:.6f} over {} samples, {} supervised tokens", name, result.loss,
                     result.samples, result.supervised);
}

nlohmann::ordered_json json_of(const std::string& name, const EvalResult& result) {
  return {{"name", name},
          {"loss", result.loss},
          {"samples", result.samples},
          {"supervised_tokens", result.supervised}};
}

}  // namespace longsight::launch
