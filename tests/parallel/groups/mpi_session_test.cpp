#include "parallel/groups/mpi_session.h"

#include <cstdlib>
#include <map>
#include <optional>
#include <string>

#include <doctest/doctest.h>

using namespace longsight;
using namespace longsight::parallel;

namespace {

using Variables = std::map<std::string, std::string>;

// The launcher variables of this process, with the given ones only; restored at the end of the scope.
class LauncherEnvironment {
 public:
  explicit LauncherEnvironment(const Variables& given) {
    for (const char* name :
         {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
      const char* const old = std::getenv(name);
      before_[name] = old == nullptr ? std::nullopt : std::optional<std::string>(old);
      unsetenv(name);
    }
    for (const auto& [name, value] : given) setenv(name.c_str(), value.c_str(), 1);
  }
  LauncherEnvironment(const LauncherEnvironment&) = delete;
  LauncherEnvironment& operator=(const LauncherEnvironment&) = delete;
  ~LauncherEnvironment() {
    for (const auto& [name, value] : before_)
      value ? setenv(name.c_str(), value->c_str(), 1) : unsetenv(name.c_str());
  }

 private:
  std::map<std::string, std::optional<std::string>> before_;
};

}  // namespace

TEST_CASE("a process started by hand is one rank that works without MPI") {
  const LauncherEnvironment by_hand(Variables{});
  CHECK(!started_by_launcher());
  int argc = 0;
  char** argv = nullptr;
  MpiSession session(argc, argv);
  CHECK(session.world().size() == 1);
  CHECK(session.world().label() == "world");
  CHECK(session.node().size() == 1);
}

TEST_CASE("mpirun and srun with PMI are recognised, also inside one another") {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    CAPTURE(name);
    const LauncherEnvironment launched(Variables{{name, "1"}, {"SLURM_STEP_NUM_TASKS", "4"}});
    CHECK(started_by_launcher());
  }
}

TEST_CASE("several tasks of srun without PMI are refused, one task is a rank of its own") {
  {
    const LauncherEnvironment four(Variables{{"SLURM_STEP_NUM_TASKS", "4"}});
    CHECK_THROWS_WITH_AS(started_by_launcher(), doctest::Contains("use srun --mpi=pmix"), Error);
  }
  const LauncherEnvironment one(Variables{{"SLURM_STEP_NUM_TASKS", "1"}});
  CHECK(!started_by_launcher());
}
