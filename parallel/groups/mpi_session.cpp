#include "parallel/groups/mpi_session.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string_view>

#include "parallel/groups/flight_record.h"
#include "parallel/groups/mpi_group.h"
#include "parallel/groups/self_group.h"

namespace longsight::parallel {
namespace {

std::optional<int> environment_number(const char* name) {
  const char* const text = std::getenv(name);
  if (text == nullptr) return std::nullopt;
  const std::string_view digits(text);
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

// How many ranks the launcher started, where it says so.
std::optional<int> launched_ranks() {
  if (auto ranks = environment_number("OMPI_COMM_WORLD_SIZE")) return ranks;
  if (auto ranks = environment_number("PMI_SIZE")) return ranks;
  return environment_number("SLURM_STEP_NUM_TASKS");
}

void check_mpi(int status, const char* function) {
  check(status == MPI_SUCCESS, "{}: {}", function, mpi_error_text(status));
}

}  // namespace

bool started_by_launcher() {
  // What Open MPI's mpirun, and srun with its PMIx or PMI plugin, leave in the environment for the MPI
  // library.
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    if (std::getenv(name) != nullptr) return true;
  }
  const int tasks = environment_number("SLURM_STEP_NUM_TASKS").value_or(1);
  require(
      tasks <= 1, ExitCode::usage,
      "srun started {} tasks without PMI, so none of them finds the others: use srun --mpi=pmix, or mpirun",
      tasks);
  return false;
}

MpiFacts mpi_facts() {
  MpiFacts facts;
#ifdef OPEN_MPI
  facts.compiled =
      fmt::format("Open MPI {}.{}.{}", OMPI_MAJOR_VERSION, OMPI_MINOR_VERSION, OMPI_RELEASE_VERSION);
#else
  facts.compiled = fmt::format("MPI {}.{}", MPI_VERSION, MPI_SUBVERSION);
#endif
  // The first two may be called before MPI_Init, and without it; the texts of errors may not.
  const auto checked = [](int status) {
    check(status == MPI_SUCCESS, "the MPI library does not answer: {}", status);
  };
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  checked(MPI_Get_library_version(text.data(), &length));
  facts.running = text.data();
  facts.running.erase(std::min(facts.running.find_first_of(",\n"), facts.running.size()));
  int initialized = 0;
  checked(MPI_Initialized(&initialized));
  if (initialized == 0) return facts;
  int level = 0;
  checked(MPI_Query_thread(&level));
  facts.threads = level == MPI_THREAD_SINGLE       ? "single"
                  : level == MPI_THREAD_FUNNELED   ? "funneled"
                  : level == MPI_THREAD_SERIALIZED ? "serialized"
                                                   : "multiple";
  return facts;
}

MpiSession::MpiSession(int& argc, char**& argv) : exceptions_at_start_(std::uncaught_exceptions()) {
  const auto record = std::make_shared<FlightRecord>();
  if (!started_by_launcher()) {
    world_ = std::make_unique<SelfGroup>(kWorldLabel, record);
    node_ = std::make_unique<SelfGroup>("node", record);
    return;
  }
  int provided = 0;
  // Only the thread of the training loop communicates.
  check_mpi(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  check(provided >= MPI_THREAD_FUNNELED, "the MPI library does not allow threads");
  uses_mpi_ = true;
  std::unique_ptr<MpiGroup> world = MpiGroup::duplicate(MPI_COMM_WORLD, kWorldLabel, record);
  node_ = world->node();
  world_ = std::move(world);
  const int expected = launched_ranks().value_or(world_->size());
  require(expected == world_->size(), ExitCode::usage,
          "the launcher started {} ranks but MPI sees {}: start with the mpirun of the MPI library that "
          "longsight was "
          "built with, or with srun --mpi=pmix",
          expected, world_->size());
}

MpiSession::~MpiSession() {
  if (!uses_mpi_ || std::uncaught_exceptions() > exceptions_at_start_) return;
  try {
    world_->barrier({}, "end");  // MPI_Finalize waits as well, but does not sleep
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  node_.reset();
  world_.reset();
  if (const int status = MPI_Finalize(); status != MPI_SUCCESS)
    std::fprintf(stderr, "MPI_Finalize failed: %d\n", status);
}

void MpiSession::abort(int code) {
  std::fflush(nullptr);
  int initialized = 0;
  int finalized = 0;
  if (MPI_Initialized(&initialized) == MPI_SUCCESS && initialized != 0 &&
      MPI_Finalized(&finalized) == MPI_SUCCESS && finalized == 0) {
    MPI_Abort(MPI_COMM_WORLD, code);
  }
  std::_Exit(code);
}

}  // namespace longsight::parallel
