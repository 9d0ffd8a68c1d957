// What main and the verbs share. A verb is one file: it adds its options to the command line and returns
// through `run` what to do when it is chosen.
#pragma once

#include <functional>

#include "launch/command_line.h"
#include "launch/samples/data_files.h"
#include "parallel/groups/process_group.h"

namespace longsight::launch {

// The ranks that run the verb, and how they do it.
struct Job {
  parallel::ProcessGroup& world;
  Stream stream;
  parallel::ProcessGroup* node = nullptr;  // the ranks of this rank's node; none: this rank alone
  std::string threads = {};                // how many this rank has and why, for the log
  OpenFile open_data = open_alone();       // collective over the ranks of a node: for what all of them read
  bool (*stop_requested)() = [] { return false; };  // by a signal to this rank
  void (*nothing_to_save)(bool) = [](bool) {};      // see NothingToSave
  bool leads() const { return world.rank() == 0; }  // writes results and files
};

// While it lives nothing is half written, and nothing is there to be saved: a signal to stop may end the job
// at once, with ExitCode::stopped, however long it takes to read data or weights, or to wait for a rank.
class NothingToSave {
 public:
  explicit NothingToSave(const Job& job) : says_(job.nothing_to_save) { says_(true); }
  ~NothingToSave() { says_(false); }
  NothingToSave(const NothingToSave&) = delete;
  NothingToSave& operator=(const NothingToSave&) = delete;

 private:
  void (*says_)(bool);
};

// Returns the exit code; errors are thrown.
using Run = std::function<ExitCode(Job&)>;

void add_train(Command app, Run& run);
void add_plan(Command app, Run& run);
void add_audit(Command app, Run& run);
void add_gradients(Command app, Run& run);
void add_batch(Command app, Run& run);
void add_generate(Command app, Run& run);
void add_eval(Command app, Run& run);
void add_export(Command app, Run& run);
void add_inspect(Command app, Run& run);
void add_data(Command app, Run& run);
void add_doctor(Command app, Run& run);
void add_bench(Command app, Run& run);
void add_bench_checkpoint(Command bench, Run& run);  // parts of bench
void add_bench_images(Command bench, Run& run);
void add_bench_step(Command bench, Run& run);

}  // namespace longsight::launch
