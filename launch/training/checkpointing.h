// Writes checkpoints while training goes on. A share of the state is copied on every rank and written by a
// thread of its own; MPI is called by the training thread alone, between steps.
#pragma once

#include <future>
#include <memory>
#include <optional>
#include <set>

#include "launch/run_folder.h"
#include "launch/training/failures.h"
#include "launch/training/train_step.h"
#include "launch/verb.h"
#include "parallel/checkpoint/snapshot.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {

class Checkpointing {
 public:
  Checkpointing(Job&, const OutputSection&, const TrainState&, Failures&);

  // Of rank 0: where they are written. `refused`: steps whose checkpoints were found to be damaged. What was
  // left unfinished there is removed.
  void open(RunFolder&, std::set<i64> refused);

  // Collective. Begins to write the state as it is now under the name of its step; `head` (of rank 0) says
  // what is known besides the tensors. Waits for the one before. A failure is told to Failures, and leaves
  // nothing.
  void begin(const parallel::Manifest& head);
  // Whether this rank's thread still writes.
  bool busy() const;
  // Collective: waits for what is being written, and gives it its name. False: it failed, or nothing was.
  bool finish();
  // Collective, after a step: `busy_ranks` as they said before it.
  void after_step(double busy_ranks) {
    if (under_way() && busy_ranks == 0) finish();
  }
  bool under_way() const { return writing_.valid(); }
  // The step of the last one that got its name; -1: none did.
  i64 written() const { return written_; }

  // Of rank 0: that the disk has room for what `steps` steps will leave there. cannot_write.
  i64 bytes_needed(i64 steps) const;

 private:
  struct Outcome {
    parallel::CheckpointFile file;
    ExitCode code = ExitCode::done;
    std::string problem;
  };
  std::string make_folder(i64 step);  // of rank 0; empty: it failed
  bool commit(std::vector<parallel::CheckpointFile> files);

  Job& job_;
  const OutputSection& output_;
  const TrainState& state_;
  Failures& failures_;
  RunFolder* run_ = nullptr;
  std::set<i64> refused_;
  i64 written_ = -1;
  // Of the one that is being written.
  parallel::Manifest manifest_;
  std::string folder_;  // RUN/checkpoints
  std::unique_ptr<io::TemporaryFolder> temporary_;
  std::future<Outcome> writing_;
};

}  // namespace longsight::launch
