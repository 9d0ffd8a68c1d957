// The longsight command: starts MPI, chooses the verb, and turns errors into one line and an exit code.
#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <optional>
#include <thread>

#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include "launch/verb.h"
#include "runtime/base/log.h"
#include "runtime/base/suggest.h"

namespace {

using namespace longsight;

// One thread per core that this rank may use: all of those it is bound to, or its share of the node's.
void choose_threads(int local_ranks) {
  if (std::getenv("OMP_NUM_THREADS") != nullptr) return;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  const long usable = sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? CPU_COUNT(&allowed) : online;
  omp_set_num_threads(static_cast<int>(std::max(1L, usable < online ? usable : online / local_ranks)));
}

// The ranks often fail alike (a wrong key in the configuration): the first speaks for all, others only if it
// has nothing to say.
int end_job(int rank, int ranks, ExitCode code, const std::string& message) {
  if (rank > 0) std::this_thread::sleep_for(std::chrono::milliseconds(500));
  log_error("{}", message);
  if (ranks > 1) parallel::MpiSession::abort(static_cast<int>(code));
  return static_cast<int>(code);
}

// CLI11 says only that a command is required.
void refuse_unknown_command(CLI::App& app, int argc, char** argv) {
  CLI::App* at = &app;
  for (int i = 1; i < argc && at->get_require_subcommand_min() > 0 && argv[i][0] != '-'; ++i) {
    std::vector<std::string> names;
    CLI::App* next = nullptr;
    for (CLI::App* command : at->get_subcommands(nullptr)) {
      names.push_back(command->get_name());
      if (command->get_name() == argv[i]) next = command;
    }
    require(next != nullptr, ExitCode::usage,
            "unknown command \"{}\"{} (longsight{} --help lists the commands)", argv[i],
            did_you_mean(argv[i], names), at == &app ? "" : " " + at->get_name());
    at = next;
  }
}

int run(int argc, char** argv, int& rank, int& ranks) {
  parallel::MpiSession session(argc, argv);
  rank = session.world().rank();
  ranks = session.world().size();
  init_log(rank, ranks);
  choose_threads(session.local_size());

  CLI::App app("Longsight trains vision-language models on fused sequences too long for one device.",
               "longsight");
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  launch::Run verb;
  for (auto* add : {launch::add_train, launch::add_plan, launch::add_audit, launch::add_gradients,
                    launch::add_batch, launch::add_generate, launch::add_eval, launch::add_export,
                    launch::add_inspect, launch::add_data, launch::add_bench}) {
    add(app, verb);
  }
  refuse_unknown_command(app, argc, argv);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    if (rank == 0) app.exit(help, std::cout, std::cerr);
    return 0;
  } catch (const CLI::ParseError& error) {
    fail(ExitCode::usage, "{} (longsight --help lists the commands, longsight COMMAND --help its options)",
         error.what());
  }
  launch::Job job{session.world(), {}};
  return static_cast<int>(verb(job));
}

}  // namespace

int main(int argc, char** argv) {
  int rank = 0, ranks = 1;
  try {
    return run(argc, argv, rank, ranks);
  } catch (const Error& error) {
    return end_job(rank, ranks, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return end_job(rank, ranks, ExitCode::internal,
                   "out of memory: use more ranks per sequence, or fewer tokens per step");
  } catch (const std::exception& error) {
    return end_job(rank, ranks, ExitCode::internal, error.what());
  }
}
