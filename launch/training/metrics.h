// What a step measured: a line of metrics.jsonl.
#pragma once

#include <nlohmann/json.hpp>

#include "launch/step.h"
#include "parallel/planner.h"

namespace longsight::launch {

struct StepFigures {
  double loss = 0;  // mean over the step's supervised tokens
  double gradient_norm = 0;
  double lr = 0;
  double seconds = 0;       // of the whole step, with
  double data_seconds = 0;  // waiting for samples and
  double comm_seconds = 0;  // exchanges of this rank
};

nlohmann::ordered_json metrics_line(i64 step, const StepBatch&, const StepFigures&, const model::ModelConfig&,
                                    const parallel::PlanResult&);

}  // namespace longsight::launch
