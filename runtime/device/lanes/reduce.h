// Sums and other reductions over the threads of a warp, a block, or a team: the threads that share a row. The
// order is that of a fixed tree, so the result has the same bits in every thread and on every run.
#pragma once

#include "runtime/device/lanes/lane.h"

namespace longsight::lanes {

// Shared memory that reductions of a block use, at its beginning; what else a body keeps there lies behind
// it.
inline constexpr std::size_t kReduceBytes = 32 * 16;

struct Plus {
  template <class T>
  LANE_FN T operator()(const T& a, const T& b) const {
    return a + b;
  }
};

template <class Lane, class T, class Op>
LANE_FN T warp_reduce(Lane& lane, T value, Op op) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) value = op(value, lane.shuffle_xor(value, mask));
  return value;
}

template <class Lane, class T, class Op>
LANE_FN T block_reduce(Lane& lane, T value, Op op) {
  static_assert(sizeof(T) <= 16);
  T* const slots = lane.template shared<T>();
  value = warp_reduce(lane, value, op);
  if (lane.thread() % kWarp == 0) slots[lane.thread() / kWarp] = value;
  lane.sync();
  T total = slots[0];
  for (int warp = 1; warp < lane.threads() / kWarp; ++warp) total = op(total, slots[warp]);
  lane.sync();  // the slots may be used again
  return total;
}

// The threads that share a row: a warp, where it is short, or the whole block.
template <class Lane>
struct Team {
  LANE_FN Team(Lane& of, int team_size)
      : lane(of),
        size(team_size),
        rank(of.thread() % team_size),
        row(of.block() * (of.threads() / team_size) + of.thread() / team_size) {}

  template <class T, class Op>
  LANE_FN T reduce(const T& value, Op op) {
    return size == kWarp ? warp_reduce(lane, value, op) : block_reduce(lane, value, op);
  }
  template <class T>
  LANE_FN T sum(const T& value) {
    return reduce(value, Plus{});
  }
  LANE_FN void sync() { size == kWarp ? lane.sync_warp() : lane.sync(); }

  Lane& lane;
  int size, rank;
  i64 row;
};

}  // namespace longsight::lanes
