// What was queued on a simulated device and which memory each piece of work touched, and whether events order
// all that must be ordered: two pieces of work that touch the same page, one of them writing, without a chain
// of streams and events from the one to the other, are a race, in whatever order they happened to run.
#pragma once

#include <string>
#include <vector>

#include "runtime/base/number.h"

namespace longsight {

struct DeviceLog {
  enum class Kind {
    work,       // of a stream
    record,     // of an event, on a stream
    wait,       // of a stream, for an event
    host_wait,  // for an event
    host_sync,  // for a stream
  };
  struct Entry {
    Kind kind = Kind::work;
    int stream = 0;
    i64 event = -1;  // a number for each time that some event was recorded
    const char* name = "";
    std::vector<i64> read = {}, written = {};  // pages
  };

  std::vector<Entry> entries;  // in the order in which they were queued

  // Which entries are waits of streams for events that were recorded in this log.
  std::vector<std::size_t> waits() const;
  // "copy on stream 1 reads page 7, written by linear (entry 12) on stream 0, and nothing orders them"; empty
  // where there is no race. As if the wait `without` (an index of waits()) had been forgotten.
  std::string race(std::ptrdiff_t without = -1) const;
};

}  // namespace longsight
