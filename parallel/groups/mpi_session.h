// The ranks of the job: MPI's life time, the world group with this rank's flight record, and how the ranks
// share their node.
#pragma once

#include <memory>
#include <string>

#include "parallel/groups/process_group.h"

namespace longsight::parallel {

// True if mpirun or srun (with PMI) started this process. A process started by hand is one rank and needs no
// MPI, whose initialisation alone costs several tenths of a second. Throws usage where srun started several
// tasks without PMI: each would take itself for the only rank.
bool started_by_launcher();

// The MPI library, for reports.
struct MpiFacts {
  std::string compiled;  // "Open MPI 4.1.4": whose headers this program was compiled with
  std::string running;   // "Open MPI v4.1.4": what the library that was loaded says of itself
  std::string threads;   // "funneled": the level of threads that it provides; empty: it was not started
};
MpiFacts mpi_facts();

class MpiSession {
 public:
  // Collective over the job. Makes no MPI call at all unless started_by_launcher().
  // Throws usage if the launcher's number of ranks is not MPI's (a launcher of another MPI library).
  MpiSession(int& argc, char**& argv);
  // Ends MPI, together with all ranks, for which it waits asleep. While an exception is on its way the peers
  // are waiting elsewhere, so nothing is called: whoever catches it ends the job with abort().
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  ProcessGroup& world() { return *world_; }
  ProcessGroup& node() { return *node_; }  // the ranks of this rank's node

  // Ends the whole job with this exit code; from any one rank, also when no session is left.
  [[noreturn]] static void abort(int code);

 private:
  bool uses_mpi_ = false;
  int exceptions_at_start_ = 0;
  std::unique_ptr<ProcessGroup> world_;
  std::unique_ptr<ProcessGroup> node_;
};

}  // namespace longsight::parallel
