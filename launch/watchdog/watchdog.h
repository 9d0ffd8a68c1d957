// Ends a run that hangs, and says which rank is behind. A thread of each rank looks at what its rank does
// (parallel/groups/flight_record.h) and tells the others by a file, as MPI helps nobody whose peer has
// stopped.
//
// A rank gets on when a collective begins or ends and when it enters a phase. From the forward pass to the
// update that is all: deadlines are learnt from steps. Elsewhere (data, evaluation, saves, the end) a rank
// that is not within a collective gets on as long as its process computes, reads or writes: how long a save
// or a picture may take is not known. Where no rank has got on until the deadline the job hangs: a rank that
// waits for one that works does not.
//
// Then each rank whose thread still runs writes its record into RUN/hang-N/, the lowest of them who is
// behind, and all end with exit code 74; the launcher ends those that cannot. Before the run has a folder the
// lowest of them says it in the log alone.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "launch/watchdog/deadline.h"
#include "launch/watchdog/hang_report.h"
#include "launch/watchdog/heartbeats.h"

namespace longsight::launch {

class Watchdog {
 public:
  // Collective over `world`, for the time before there is a run folder, from data and weights to the first
  // samples. `folder`: one of rank 0 that is there and can be written, in which nothing stays. Null, on every
  // rank, where one of the others does not see it.
  static std::unique_ptr<Watchdog> start_before_run(const std::string& folder, double floor,
                                                    parallel::ProcessGroup& world, Stream);
  // Collective over `world`. Of rank 0: `run_folder`, and `made` in it. `floor` in seconds. Null, on every
  // rank, where one of the others cannot write that file; it says so.
  static std::unique_ptr<Watchdog> start(std::unique_ptr<Heartbeats> made, const std::string& run_folder,
                                         double floor, parallel::ProcessGroup& world, Stream);
  // Of a run: rank 0 removes the file.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  void step_done(i64 step, double seconds);

 private:
  // What the process has done so far, without this thread.
  struct Work {
    double processor = 0;  // s
    i64 bytes = 0;         // read and written
  };
  static Work work_so_far();

  // No `run_folder`, no `hang`: there is no run yet.
  Watchdog(std::unique_ptr<Heartbeats>, const std::string& run_folder, const std::string& hang, double floor,
           parallel::ProcessGroup& world);
  static bool on_all_ranks(const std::unique_ptr<Watchdog>&, parallel::ProcessGroup& world, Stream);
  void run();
  void look(double deadline);
  Heartbeat beat(double now, bool ended);
  bool works(const parallel::Standing&, double deadline);
  [[noreturn]] void end_job(const std::vector<LastSeen>&);
  void report(const std::vector<LastSeen>&) const;
  void report_without_run(const std::vector<LastSeen>&) const;

  parallel::FlightRecord& record_;
  int rank_;
  std::string folder_;  // the run's, by a name that holds wherever it is moved
  std::string shown_, hang_;
  int descriptor_ = -1;  // of the folder
  double period_;        // s between heartbeats
  std::unique_ptr<Heartbeats> heartbeats_;

  // Of the thread alone.
  i64 tick_ = 0;
  double got_on_, looked_;  // s, steady clock
  Work work_;
  std::vector<Heartbeat> before_;  // of all ranks, when the deadline came near
  double before_at_ = 0, not_before_ = 0;

  std::mutex mutex_;
  std::condition_variable ended_;
  Deadline deadline_;
  bool end_ = false;
  std::thread thread_;
};

}  // namespace longsight::launch
