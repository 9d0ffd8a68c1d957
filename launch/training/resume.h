// Where a run begins: anew, or behind a checkpoint that was found whole and fits.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "launch/run_folder.h"
#include "launch/samples/data_sets.h"
#include "launch/training/train_step.h"
#include "launch/verb.h"
#include "parallel/checkpoint/manifest.h"

namespace longsight::launch {

struct Beginning {
  RunFolder::Begin folder = RunFolder::Begin::anew;
  std::string checkpoint;       // folder; empty: from the start
  parallel::Manifest manifest;  // of it
  std::string began_from;       // output.resume: PATH, of the run in output.dir from now on
  std::set<i64> refused;        // steps of checkpoints of output.dir that are damaged
  bool rolls_back = false;      // of output.dir, behind which later ones lie
};

// What output.resume says of the folders that are there. Collective: the ranks share the verification. Newest
// first; what is damaged is refused, with the reason in the log. bad_checkpoint where there are some, and
// none is whole; missing_input for a PATH that is not there.
Beginning find_beginning(const LoadedConfig&, Job&);

// The same for a run that goes back while it is under way: the newest whole one in RUN/checkpoints (of rank
// 0) of at most `step` steps; none where there is none. Collective.
Beginning find_rollback(const std::string& checkpoints, i64 step, Job&);

// The newest whole checkpoint of a checkpoint folder, RUN/checkpoints or RUN. Of one process.
struct FoundCheckpoint {
  std::string folder;
  parallel::Manifest manifest;
};
FoundCheckpoint open_checkpoint(const std::string& path);

// What makes the mathematics and the data order of a run; not where files lie, how many ranks compute, and
// what is written when.
std::vector<parallel::Fact> run_facts_of(DataSets&, const std::string& companions);

// Every fact and parameter must be as the checkpoint has it: usage for the first key of the configuration
// that is not, bad_data for data and model; with `force` the differences are warnings, but for parameters
// that do not fit at all.
void require_same_run(const Beginning&, const std::vector<parallel::Fact>& facts, const ParameterRegistry&,
                      const std::map<std::string, std::string>& frozen, bool force, Job&);

}  // namespace longsight::launch
