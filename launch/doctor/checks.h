// What `longsight doctor` looks at. A check gathers facts and judges them; the judges are pure, so that tests
// can show them what this machine does not have. Nothing that a check does stays behind.
#pragma once

#include <optional>

#include "launch/doctor/finding.h"
#include "launch/samples/processors.h"
#include "runtime/device/cuda_device.h"

namespace longsight::launch::doctor {

// --- of a node: one of its ranks looks ------------------------------------------------------------------

// How long the system takes to find the address of this host's own name.
struct Resolution {
  std::string host;
  bool answered = true;
  double seconds = 0;
  std::string error = {};  // empty: there is an address
};
Resolution resolve(const std::string& host, double longest_wait);
Finding judge_host_name(const Resolution&);

// Open MPI keeps what the ranks of a node send each other in files of /dev/shm.
struct SharedMemory {
  bool there = true;
  i64 total = 0, free = 0;
  i64 ranks = 1;  // of this node
};
Finding judge_shared_memory(const SharedMemory&);

// Where mpirun keeps its session.
struct TemporaryFolder {
  std::string path;
  std::string error = {};  // why nothing can be written there
  i64 free = 0;
};
Finding judge_temporary_folder(const TemporaryFolder&);

// What the processor can do, and what this program and oneDNN were made for.
struct Instructions {
  bool avx2 = false, avx512 = false, bf16 = false, amx = false;
  bool built_for_avx512 = false;
  std::string onednn = {};      // the widest set that it uses
  const char* limit = nullptr;  // the variable of the environment that holds it back
  std::string processor = {};   // its name
};
Finding judge_instructions(const Instructions&);

// Memory of the node and of the control group (container, batch job) that this process is in.
struct Memory {
  i64 total = 0, available = 0;
  std::optional<i64> group_limit = {}, group_used = {};
  bool strict_commit = false;  // vm.overcommit_memory is 2
  i64 commit_left = 0;
};
std::optional<i64> control_group_memory(const char* file_v2, const char* file_v1,
                                        const std::string& root = "");  // the least of all groups
Finding judge_memory(const Memory&);

// What this program can compute on. `driver`: the version of the one of NVIDIA's kernel; empty: there is
// none.
Finding judge_gpu(const CudaFacts&, const std::string& driver);
Finding judge_load(double runnable, i64 processors);

Findings check_node(i64 ranks);

// --- of each rank ---------------------------------------------------------------------------------------

struct Limits {  // of this process; nothing: unlimited
  std::optional<i64> address_space = {}, data = {}, locked = {}, open_files = {}, file_size = {},
                     processes = {};
  i64 memory = 0;  // of the node
  bool infiniband = false;
};
Findings judge_limits(const Limits&);

// mpirun refuses to start as root unless two variables are set.
Finding judge_root(bool root, bool allowed, bool launched);

Findings check_process(bool launched);

// Of the libraries that this program is made of, and those that the system loaded.
Findings check_libraries();

// --- of the ranks together (collective) -------------------------------------------------------------------

struct RankProcessors {
  ProcessorLimits limits;
  i64 threads = 1;
};
struct Binding {       // of OpenMP threads, from the environment
  std::string places;  // what OMP_PROC_BIND or OMP_PLACES says; empty: nothing
};
Finding judge_processors(std::span<const RankProcessors> node, int rank, const Binding&);
Finding check_processors(parallel::ProcessGroup& node, Stream);

// Whether a rank may read the memory of its neighbour: Open MPI copies large messages so.
Finding check_direct_copies(parallel::ProcessGroup& node, Stream);

// How many ranks there are, on how many nodes, with which MPI.
Finding check_ranks(parallel::ProcessGroup& world, bool launched, Stream);

// Latency and bandwidth of neighbours, and of all to all; system clocks against that of rank 0. On every
// rank the same.
Findings check_links(parallel::ProcessGroup& world, Stream);

// The file system of a folder, by a folder made in it (or in the nearest one above that is there): files,
// renaming, sync, the lock of a run, free space, speed of writing; and whether all ranks see what one writes.
Findings check_folder(const std::string& folder, parallel::ProcessGroup& world, Stream);

}  // namespace longsight::launch::doctor
