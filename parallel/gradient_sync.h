// The sum of gradients over a group, for intervals of one flat buffer. Every element is the sum over the
// ranks in rank order, so its bits depend neither on the buckets nor on the run.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "parallel/groups/process_group.h"
#include "runtime/tensor/arena.h"

namespace longsight::parallel {

struct Interval {
  i64 offset = 0;  // elements
  i64 count = 0;
  friend bool operator==(const Interval&, const Interval&) = default;
};

// What one collective sums: a long interval in place, or several short ones packed into scratch memory.
struct GradientBucket {
  std::vector<Interval> intervals;
  i64 count = 0;  // elements of all of them
};

// Buckets of ascending, disjoint intervals (checked); neighbours without a gap become one, empty ones vanish.
// Intervals of at least `in_place` elements are buckets of their own, shorter ones share buckets of at most
// `packed` elements.
std::vector<GradientBucket> gradient_buckets(std::span<const Interval> intervals,
                                             i64 in_place = i64{64} << 10, i64 packed = i64{1} << 20);

// Collective over `group`, with the same buckets on every rank: the intervals of `gradients` [elements]
// become their sum. Scratch: the largest packed bucket, and what a reduction needs.
void sum_gradients(Tensor gradients, std::span<const GradientBucket> buckets, ProcessGroup& group,
                   Arena& scratch, Stream stream);

}  // namespace longsight::parallel
