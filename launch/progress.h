// Progress of long work on stderr: a bar on a terminal, one line per interval in a log, with the time left.
#pragma once

#include <chrono>
#include <string>

#include "runtime/base/number.h"

namespace longsight::launch {

class Progress {
 public:
  // Silent unless `shown` (rank 0). `what` begins each line. `before`: of the total, done already.
  Progress(std::string what, i64 total, bool shown, i64 before = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(i64 done, const std::string& detail);
  void clear();  // the bar, before other text is written

 private:
  double elapsed() const;
  std::string what_;
  i64 total_, before_;
  bool shown_;
  bool terminal_;
  bool bar_visible_ = false;
  std::chrono::steady_clock::time_point start_, last_line_;
};

std::string time_text(double seconds);  // "1:02:03", "2:03"

}  // namespace longsight::launch
