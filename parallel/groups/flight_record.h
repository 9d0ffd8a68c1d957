// What a rank has done last: the collectives of all its groups, the newest 1,024 of them, and the phase of
// the run that it is in. Kept for the moment when the job hangs. Written by the thread that communicates,
// read by another one (a watchdog).
//
// Ranks are compared by their numbers: every rank issues the same calls of a group in the same order, so the
// rank that has issued fewer in the group of all ranks, and among those fewer in all, is the one behind.
#pragma once

#include <algorithm>
#include <array>
#include <mutex>
#include <string_view>
#include <vector>

#include "parallel/groups/process_group.h"

namespace longsight::parallel {

// What training does, between its collectives and in them.
enum class Phase : int {
  start,         // whatever comes before the first step
  data,          // waits for the samples of the next step
  compute,       // forward and backward
  gradient_sum,  // with the loss
  update,        // of the parameters
  evaluation,
  save,  // checkpoints, and what is due behind a step
  end,   // writes what the run leaves
};
inline constexpr int kPhases = 8;
const char* name_of(Phase);  // "forward and backward"

// As much of the text as there is room for in front of a NUL.
template <std::size_t N>
void copy_cut(std::string_view text, std::array<char, N>& to) {
  to.fill('\0');
  std::copy_n(text.begin(), std::min(text.size(), N - 1), to.begin());
}

// A fixed size, so that nothing is allocated where it is written. Longer names are cut.
struct CallRecord {
  i64 number = 0;    // of this rank's calls in all groups, from 1; 0: there was none
  i64 in_group = 0;  // of those in this one
  Operation operation = Operation::barrier;
  i64 bytes = 0;     // as Call::bytes
  double begun = 0;  // as steady_seconds
  double done = 0;   // 0: under way
  std::array<char, 16> group{};
  std::array<char, 64> label{};

  bool under_way() const { return number > 0 && done == 0; }
};

struct Standing {
  Phase phase = Phase::start;
  i64 step = 0;   // the last one that was done
  i64 world = 0;  // calls begun in the group of all ranks
  CallRecord call = {};
  double since = 0;  // s, steady clock: when any of these last changed
};

class FlightRecord {
 public:
  static constexpr std::size_t kCalls = 1024;

  FlightRecord();
  void begin(const Call&, const std::string& group, i64 in_group, double at);
  void end(double at);  // of the call that was begun last
  void enter(Phase);
  void step_done(i64 step);

  Standing standing() const;
  std::vector<CallRecord> calls() const;  // oldest first

 private:
  mutable std::mutex mutex_;  // never waited for long: a call is far longer than what is done under it
  std::vector<CallRecord> ring_;
  Standing now_;
};

}  // namespace longsight::parallel
