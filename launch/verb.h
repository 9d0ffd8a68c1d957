// What main and the verbs share. A verb is one file: it adds its options to the command line and returns
// through `run` what to do when it is chosen.
#pragma once

#include <functional>

#include "parallel/mpi_session.h"

// Not its header, which takes the compiler longer than all of ours: a verb's file includes that itself.
namespace CLI {
class App;
}

namespace longsight::launch {

// The ranks that run the verb, and how they do it.
struct Job {
  parallel::ProcessGroup& world;
  Stream stream;
  bool leads() const { return world.rank() == 0; }  // writes results and files
};

// Returns the exit code; errors are thrown.
using Run = std::function<ExitCode(Job&)>;

void add_train(CLI::App& app, Run& run);
void add_plan(CLI::App& app, Run& run);
void add_audit(CLI::App& app, Run& run);
void add_gradients(CLI::App& app, Run& run);
void add_batch(CLI::App& app, Run& run);
void add_generate(CLI::App& app, Run& run);
void add_eval(CLI::App& app, Run& run);
void add_export(CLI::App& app, Run& run);
void add_inspect(CLI::App& app, Run& run);
void add_data(CLI::App& app, Run& run);
void add_bench(CLI::App& app, Run& run);
void add_bench_images(CLI::App& bench, Run& run);  // a part of bench

}  // namespace longsight::launch
