// The longsight command: starts MPI, chooses the verb, and turns errors into one line and an exit code.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <thread>

#include "launch/samples/processors.h"
#include "launch/samples/same_on_all_ranks.h"
#include "launch/training/stop_request.h"
#include "launch/verb.h"
#include "parallel/groups/mpi_session.h"
#include "runtime/base/log.h"
#include "runtime/base/shorten.h"
#include "runtime/device/cuda_device.h"

namespace {

using namespace longsight;

// One line, however long the values are that an error carries.
constexpr std::size_t kMostOfMessage = 2000;

// The ranks often fail alike (a wrong key in the configuration): the first speaks for all, others only if it
// has nothing to say.
int end_job(int rank, int ranks, ExitCode code, const std::string& message) {
  // A SIGTERM in this time says that another rank has spoken, and that the launcher ends the job.
  const int before = launch::terminations();
  for (int i = 0; rank > 0 && i < 50; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (launch::terminations() > before) std::_Exit(static_cast<int>(code));
  }
  log_error("{}", shortened(message, kMostOfMessage));
  if (ranks > 1) parallel::MpiSession::abort(static_cast<int>(code));
  return static_cast<int>(code);
}

std::string version() {
  const CudaFacts cuda = cuda_facts();
  return fmt::format("longsight {}, {}", LONGSIGHT_VERSION,
                     cuda.built ? "built for CUDA " + cuda.runtime : "built without CUDA");
}

int run(int argc, char** argv, int& rank, int& ranks) {
  parallel::MpiSession session(argc, argv);
  rank = session.world().rank();
  ranks = session.world().size();
  init_log(rank, ranks);
  const std::string threads = launch::choose_threads(session.node());

  launch::CommandLine line(
      "Longsight trains vision-language models on fused sequences too long for one device.", "longsight",
      version);
  launch::Run verb;
  for (auto* add : {launch::add_train, launch::add_plan, launch::add_audit, launch::add_gradients,
                    launch::add_batch, launch::add_generate, launch::add_eval, launch::add_export,
                    launch::add_inspect, launch::add_data, launch::add_doctor, launch::add_bench}) {
    add(line.root(), verb);
  }
  if (const auto help = line.parse({argv + 1, argv + argc})) {
    if (rank == 0) std::cout << *help;
    return 0;
  }
  launch::require_same_program(session.world());
  launch::Job job{.world = session.world(),
                  .stream = {},
                  .node = &session.node(),
                  .threads = threads,
                  .open_data = launch::open_on_node(session.node(), {}),
                  .stop_requested = launch::stop_requested,
                  .nothing_to_save = launch::end_at_once_when_stopped};
  return static_cast<int>(verb(job));
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond a limit of files fails then, and is an error like others
  const bool trains =
      argc > 1 && std::string_view(argv[1]) == "train";  // the others have nothing to save, and end
  if (trains) launch::hold_stop_signals();
  launch::ask_for_short_slices();
  launch::let_idle_threads_sleep(argv);
  if (trains) launch::listen_for_stop();
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
