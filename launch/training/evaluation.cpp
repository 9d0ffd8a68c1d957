#include "launch/training/evaluation.h"

#include <algorithm>

namespace longsight::launch {
namespace {

struct Prepared {
  i64 code = 0;
  i64 stop = 0;
};

// Samples and pictures are read here and not within the pass, where the other ranks would wait for this one.
std::optional<StepBatch> prepare(const HeldOutSet& set, i64 number, const model::Vlm& model,
                                 const StepRunner& runner, i64 limit, parallel::ProcessGroup& world,
                                 Stream stream, bool (*stop)()) {
  StepBatch step;
  std::string problem;
  auto code = static_cast<i64>(ExitCode::done);
  try {
    step = deal_step(set.make(number), model, runner.plan(), world.rank(), limit, runner.buffers());
  } catch (const Error& error) {
    code = static_cast<i64>(error.code());
    problem = error.what();
  } catch (const std::exception& error) {
    code = static_cast<i64>(ExitCode::internal);
    problem = error.what();
  }
  const std::vector<Prepared> all = world.all_gather(Prepared{code, i64{stop()}}, stream, "held-out samples");
  if (std::any_of(all.begin(), all.end(), [](const Prepared& p) { return p.stop != 0; })) return std::nullopt;
  const auto failed = std::find_if(all.begin(), all.end(), [](const Prepared& p) { return p.code != 0; });
  if (failed == all.end()) return step;
  const std::vector<std::string> problems = world.all_gather(problem, stream, "held-out samples");
  throw EvaluationFailed(static_cast<ExitCode>(failed->code),
                         problems[static_cast<std::size_t>(failed - all.begin())]);
}

}  // namespace

std::optional<EvalResult> evaluate_loss(const HeldOutSet& set, const model::Vlm& model, StepRunner& runner,
                                        i64 limit, parallel::ProcessGroup& world, Stream stream,
                                        bool (*stop)()) {
  EvalResult result;
  double sum = 0;
  for (i64 number = 0; number < set.steps; ++number) {
    const auto step = prepare(set, number, model, runner, limit, world, stream, stop);
    if (!step) return std::nullopt;
    sum += runner.evaluate(*step);
    result.samples += step->samples;
    result.supervised += step->supervised;
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
