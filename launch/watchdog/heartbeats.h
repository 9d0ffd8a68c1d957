// What ranks tell each other without MPI, which helps nobody when a peer has stopped: one file that all of
// them see, with a page for each rank, which that rank writes again and again. It says where the rank stands;
// a page that does not change any more is that of a rank that has stopped.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "parallel/groups/flight_record.h"

namespace longsight::launch {

struct Heartbeat {
  i64 tick = 0;        // how often it was written; 0: never
  bool ended = false;  // the rank has left the run in order
  double quiet = 0;    // seconds since it last got on, when this was written
  std::string host = {};
  i64 process = 0;
  parallel::Standing standing = {};  // times: of no use to other processes
};

std::string text_of(const Heartbeat&);                      // JSON, one line
std::optional<Heartbeat> heartbeat_of(const std::string&);  // nothing: it is none

class Heartbeats {
 public:
  static constexpr const char* kFile = "heartbeats";  // in the folder of a run

  // The file before the first rank has written, for rank 0. cannot_write.
  static std::unique_ptr<Heartbeats> make(const std::string& file, i64 ranks);
  // Opens the one that is there; from then on it needs no name. cannot_write.
  Heartbeats(const std::string& file, i64 rank, i64 ranks);
  ~Heartbeats();
  Heartbeats(const Heartbeats&) = delete;
  Heartbeats& operator=(const Heartbeats&) = delete;

  void write(const Heartbeat&) noexcept;  // of this rank; what fails is written the next time
  std::vector<Heartbeat> read() const;    // of all ranks; of tick 0 where there is nothing to read

 private:
  int descriptor_ = -1;
  i64 rank_, ranks_;
};

}  // namespace longsight::launch
