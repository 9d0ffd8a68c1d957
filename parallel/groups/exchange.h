// One exchange of a group, said once: forward runs it, the schedule lists it, the cost model reads it.
#pragma once

#include <string>

#include "parallel/groups/process_group.h"
#include "parallel/layout/counts.h"

namespace longsight::parallel {

struct Exchange {
  // all_to_all; all_gather (every rank gets the same from a rank) or reduce_scatter (every rank sends the
  // same to a rank, which sums).
  Operation operation = Operation::all_to_all;
  std::string label = {};
  Counts counts = {};  // elements, from rank to rank

  // Collective over `group`: blocks of `send`, one for each receiver, in rank order; blocks of `recv`, one
  // from each sender. all_gather: this rank's block, and all ranks'; reduce_scatter: all, and this rank's.
  // A group of a trace lists it, in no time of the ranks.
  void run(Tensor send, Tensor recv, ProcessGroup& group, Stream stream) const;

  Exchange times(i64 columns) const { return {operation, label, counts.times(columns)}; }
};

Exchange all_to_all(std::string label, Counts counts);
Exchange all_gather(std::string label, std::vector<i64> elements_of_rank);
Exchange reduce_scatter(std::string label, std::vector<i64> elements_for_rank);
// Of near-equal shares of `elements` (runtime/tensor/sharding.h).
Exchange all_gather(std::string label, i64 elements, i64 ranks);
Exchange reduce_scatter(std::string label, i64 elements, i64 ranks);

// What moves forward, and the gradient that moves back: in rows, or times columns in elements.
struct TwoWays {
  Exchange forth, back;
};

}  // namespace longsight::parallel
