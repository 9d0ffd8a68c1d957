// Whether this rank is slower than the others, step after step: a processor that is throttled, a neighbour, a
// slow disk. Ranks wait for the slowest, so what tells is the time that each spends outside of collectives.
#pragma once

#include <deque>

#include "runtime/base/number.h"

namespace longsight::launch {

class SlowRank {
 public:
  explicit SlowRank(i64 ranks) : ranks_(ranks) {}

  // Seconds of this rank outside of collectives in the step before: what it tells the others within the next
  // one (StepVotes::seconds).
  double told() const { return told_; }
  // Behind a step. `told_by_all`: sum of told() over the ranks. `seconds` outside of collectives, and `flops`
  // of this rank and of all, in this step; a rank that was given more of the work may take longer.
  // True: it has just become a slow rank.
  bool after_step(double told_by_all, double seconds, double own_flops, double all_flops);

  // Means over the steps that were looked at, in seconds.
  double own() const;
  double others() const;

 private:
  struct Step {
    double own = 0, others = 0;
    bool slow = false;
  };
  i64 ranks_;
  double told_ = 0, more_work_ = 1;  // of the step before
  i64 steps_ = 0;
  std::deque<Step> window_;
  bool is_slow_ = false;
};

}  // namespace longsight::launch
