#include "parallel/gradient_sync.h"

#include <algorithm>

namespace longsight::parallel {
namespace {

constexpr const char* kGradients = "gradients";

Tensor interval_of(Tensor flat, Interval interval) {
  return flat.row_range(interval.offset, interval.count);
}

enum class Direction { pack, unpack };

void move_bucket(Tensor flat, const GradientBucket& bucket, Tensor packed, Direction direction,
                 Stream stream) {
  i64 done = 0;
  for (const Interval& interval : bucket.intervals) {
    const Tensor there = interval_of(flat, interval);
    const Tensor here = packed.row_range(done, interval.count);
    const bool packing = direction == Direction::pack;
    copy(packing ? here : there, packing ? there : here, stream);
    done += interval.count;
  }
}

}  // namespace

std::vector<GradientBucket> gradient_buckets(std::span<const Interval> intervals, i64 in_place, i64 packed) {
  std::vector<Interval> joined;
  i64 end = 0;
  for (const Interval& interval : intervals) {
    check(interval.count >= 0 && interval.offset >= end,
          "gradient interval [{}, +{}) after one that ends at {}", interval.offset, interval.count, end);
    end = interval.offset + interval.count;
    if (interval.count == 0) continue;
    if (!joined.empty() && joined.back().offset + joined.back().count == interval.offset) {
      joined.back().count += interval.count;
    } else {
      joined.push_back(interval);
    }
  }
  std::vector<GradientBucket> buckets;
  GradientBucket open;
  const auto close = [&] {
    if (open.count > 0) buckets.push_back(std::move(open));
    open = {};
  };
  for (const Interval& interval : joined) {
    if (interval.count >= in_place) {
      buckets.push_back({{interval}, interval.count});
      continue;
    }
    if (open.count + interval.count > packed) close();
    open.intervals.push_back(interval);
    open.count += interval.count;
  }
  close();
  return buckets;
}

void sum_gradients(Tensor gradients, std::span<const GradientBucket> buckets, ProcessGroup& group,
                   Arena& scratch, Stream stream) {
  check(gradients.shape().rank() == 1, "gradients of shape {} are not one flat buffer", gradients.shape());
  for (const GradientBucket& bucket : buckets) {
    if (bucket.intervals.size() == 1) {
      group.all_reduce_sum(interval_of(gradients, bucket.intervals.front()), stream, kGradients);
      continue;
    }
    const ArenaScope scope(scratch);
    const Tensor packed = scratch.take(gradients.dtype(), {bucket.count}, "gradient bucket");
    move_bucket(gradients, bucket, packed, Direction::pack, stream);
    group.all_reduce_sum(packed, stream, kGradients);
    move_bucket(gradients, bucket, packed, Direction::unpack, stream);
  }
}

}  // namespace longsight::parallel
