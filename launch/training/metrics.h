// What a step measured: a line of metrics.jsonl; and what is the same for all steps of a run: run.json.
#pragma once

#include <nlohmann/json.hpp>

#include "launch/config.h"
#include "launch/training/train_step.h"
#include "parallel/plan.h"

namespace longsight::launch {

struct StepFigures {
  StepResult result = {};
  double lr = 0;
  double seconds = 0;       // of the whole step, with
  double data_seconds = 0;  // waiting for samples and
  double comm_seconds = 0;  // exchanges of this rank
  // Up to and with this step.
  double epoch = 0;  // samples seen / samples of an epoch
  i64 samples_seen = 0;
  i64 tokens_seen = 0;
  i64 skipped = 0;  // steps without an update
  i64 spikes = 0;   // steps whose loss or gradient norm stood out
  // What the plan had predicted for it.
  double predicted_seconds = 0;
  double predicted_memory_mib = 0;  // of the process, with what it has before it reads a model
};

nlohmann::ordered_json metrics_line(i64 step, const StepBatch&, const StepFigures&, const OptimizerSection&);

// `threads` of each rank, `hosts` they run on; `steps` of the run.
nlohmann::ordered_json run_facts(const LoadedConfig&, const parallel::Plan&, i64 steps,
                                 const std::vector<i64>& threads, const std::vector<std::string>& hosts);

}  // namespace longsight::launch
