#include "launch/training/guard.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/ranges.h>

#include "parallel/groups/rank_text.h"
#include "runtime/base/log.h"

namespace longsight::launch {
namespace {

constexpr const char* kTold = "not finite";
constexpr std::size_t kSamplesNamed = 8;

std::string samples_text(const std::vector<std::string>& ids) {
  if (ids.empty()) return "no sample";
  const std::size_t named = std::min(ids.size(), kSamplesNamed);
  std::string text =
      fmt::format("sample{} {}", ids.size() == 1 ? "" : "s",
                  fmt::join(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(named), ", "));
  if (named < ids.size()) text += fmt::format(" and {} more", ids.size() - named);
  return text;
}

// Of this rank: its first micro-batch that is not finite. Empty: none.
std::string own_finding(StepRunner& runner, const StepBatch& step) {
  std::string found;
  std::size_t pass = 0;
  for (const PassValues& values : runner.run_alone(step)) {
    const bool loss = !std::isfinite(values.loss), gradients = !std::isfinite(values.squares);
    if (found.empty() && (loss || gradients))
      found = fmt::format("{} in micro-batch {} of {}: {}",
                          loss && gradients ? "loss and gradients"
                          : loss            ? "loss"
                                            : "gradients",
                          pass + 1, step.passes.size(), samples_text(step.ids[pass]));
    pass += 1;
  }
  return found;
}

}  // namespace

std::string where_not_finite(StepRunner& runner, const StepBatch& step, parallel::ProcessGroup& world,
                             Stream stream) {
  std::map<std::string, std::vector<int>> ranks_by_finding;
  int rank = 0;
  for (const std::string& finding : world.all_gather(own_finding(runner, step), stream, kTold)) {
    if (!finding.empty()) ranks_by_finding[finding].push_back(rank);
    rank += 1;
  }
  if (ranks_by_finding.empty())
    return "computed again, each rank's own are finite: a fault that has passed, or a sum beyond all numbers";
  std::vector<std::string> texts;
  for (const auto& [finding, ranks] : ranks_by_finding)
    texts.push_back(fmt::format("{} ({})", parallel::ranks_text(ranks), finding));
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::optional<Error> Guard::not_finite(TrainState& state, const StepBatch& step, const StepResult& result,
                                       const std::string& where) {
  const std::string what = fmt::format("step {}: loss {} and gradient norm {}: {}", state.step + 1,
                                       result.loss, result.gradient_norm, where);
  const auto fault = [&](const std::string& remedy) {
    return Error(ExitCode::non_finite, what + ": nothing was updated: " + remedy);
  };
  if (section_.on_fault != "skip")
    return fault(
        "lower train.optimizer.lr, look at these samples, or leave such steps out with "
        "train.guard.on_fault=skip");
  const auto too_many = [&](i64 before, const char* how, const char* key) {
    return fault(
        fmt::format("{} such steps{} were left out before: lower train.optimizer.lr, look at these "
                    "samples, or raise train.guard.{}",
                    before, how, key));
  };
  if (state.skipped_in_a_row >= section_.skips_in_a_row)
    return too_many(state.skipped_in_a_row, " in a row", "skips_in_a_row");
  if (state.skipped >= section_.skips) return too_many(state.skipped, "", "skips");
  count_skipped_step(state, step);
  if (speaks_)
    log_warn("{}: no update, its {} samples are left out (so far {} in a row, {} in all)", what, step.samples,
             state.skipped_in_a_row, state.skipped);
  return std::nullopt;
}

void Guard::require_rollback(const Error& fault, i64 step) {
  if (section_.on_fault != "rollback") throw fault;
  require(step != rolled_back_, fault.code(),
          "{} (again, after the run had gone back and computed the steps before once more: it does not pass)",
          fault.what());
  require(rollbacks_ < section_.rollbacks, fault.code(),
          "{} (the run has gone back {} times: no more than train.guard.rollbacks)", fault.what(),
          rollbacks_);
  rollbacks_ += 1;
  rolled_back_ = step;
}

}  // namespace longsight::launch
