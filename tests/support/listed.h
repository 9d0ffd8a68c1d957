// The collectives of a program on this rank of the world, in order.
#pragma once

#include <utility>

#include "parallel/groups/trace_group.h"
#include "runtime/device/trace.h"
#include "tests/support/rank_test.h"

namespace longsight::parallel {

// run(group, stream), on the group and stream of a trace.
template <class F>
Schedule listed(F&& run) {
  Trace trace;
  TraceGroup group(test_world().rank(), test_world().size(), test_world().label());
  std::forward<F>(run)(group, trace.stream());
  return group.take_schedule();
}

}  // namespace longsight::parallel
