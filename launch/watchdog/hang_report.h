// What the ranks of a job that hangs have said last, merged: who is behind, and in what.
#pragma once

#include <string>
#include <vector>

#include "launch/watchdog/heartbeats.h"

namespace longsight::launch {

struct LastSeen {
  Heartbeat beat = {};
  bool heard = true;  // its heart still beats: the process runs, whatever its training thread does
};

// In one sentence; `ranks` by rank, those that have left the run in order among them.
//   rank 2 has not been heard of since step 17, when it was in 4711 all_to_all "vision.0.qkv" of group
//   sequence; the others wait in 4712 all_reduce_sum "loss" of group world
// A rank is behind that has stopped; where none has, the one that has issued fewest calls.
std::string who_is_behind(const std::vector<LastSeen>& ranks);

// That sentence, and a line for each rank.
std::string hang_report(const std::vector<LastSeen>& ranks);

// The flight record of this process: a line of JSON for where its rank stood, one for its threads, then one
// for each call, oldest first, with the time of day of its begin and end.
std::string record_text(const Heartbeat&, const std::vector<parallel::CallRecord>& calls);

}  // namespace longsight::launch
