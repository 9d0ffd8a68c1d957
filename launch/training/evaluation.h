// Loss on held-out samples.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "launch/samples/held_out.h"
#include "launch/training/step.h"

namespace longsight::launch {

struct EvalResult {
  double loss = 0;  // mean over supervised tokens
  i64 samples = 0;
  i64 supervised = 0;
};

// An evaluation that could not be made: the same error on every rank, between collectives.
class EvaluationFailed : public Error {
 public:
  using Error::Error;
};

// The samples of each step are dealt over the data groups and packed as in training, `limit` being the most
// tokens of a micro-batch (0: none). Collective over `world`, that of the runner's groups. EvaluationFailed
// where a picture of some rank cannot be read. Nothing, on every rank, where `stop` said so on one of them on
// the way.
std::optional<EvalResult> evaluate_loss(const HeldOutSet&, const model::Vlm&, StepRunner&, i64 limit,
                                        parallel::ProcessGroup& world, Stream, bool (*stop)());

// "held-out loss of NAME 1.234567 over 5 samples, 60 supervised tokens": what is printed to the same digits
// wherever a loss is said.
std::string text_of(const std::string& name, const EvalResult&);
// {"name", "loss", "samples", "supervised_tokens"}
nlohmann::ordered_json json_of(const std::string& name, const EvalResult&);

}  // namespace longsight::launch
