// Elements that each rank of a group sends to each rank, as a formula that all of them know: a value, cheap
// to copy. What concerns one rank is told in time of the ranks; there is no table of ranks x ranks.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "parallel/layout/geometry.h"

namespace longsight::parallel {

class Counts {
 public:
  struct Pair {
    i64 from = 0;
    i64 to = 0;
    i64 count = 0;
  };

  Counts() = default;  // of no ranks
  // by_sender[from] * by_receiver[to]: every row of a sender goes to each receiver, as its columns. In groups
  // of so many neighbouring ranks, a divisor of the ranks, nothing goes from group to group; 0: one group.
  static Counts product(std::vector<i64> by_sender, std::vector<i64> by_receiver, i64 group = 0);
  // Rows that the ranges held[from] and wanted[to] have in common. Ranges may be empty, and those of several
  // ranks may overlap, those of one rank not.
  static Counts common(const std::vector<std::vector<RowRange>>& held,
                       const std::vector<std::vector<RowRange>>& wanted);
  // Every rank's part of so many elements (share_of in runtime/tensor/sharding.h) goes to each rank. Takes no
  // time of the ranks.
  static Counts equal_shares(i64 elements, i64 ranks);
  // Those that are listed; counts of a pair that comes several times add up.
  static Counts pairs(i64 ranks, std::vector<Pair> pairs);

  i64 ranks() const;
  i64 at(i64 from, i64 to) const;
  std::vector<i64> sent_by(i64 rank) const;      // to each rank
  std::vector<i64> received_by(i64 rank) const;  // from each rank
  i64 total_sent_by(i64 rank) const;
  i64 total_received_by(i64 rank) const;
  i64 total() const;                 // of all ranks, what stays on its rank included
  i64 receivers_of(i64 rank) const;  // how many ranks get something from it, itself included
  i64 senders_to(i64 rank) const;    // how many it gets something from
  // What goes to other ranks, of all ranks; the ranks [first, last) of which each is told apart here:
  struct Part {
    i64 elements = 0, ranks = 0;
  };
  Part sent_within(i64 rank, i64 first, i64 last) const;      // to them, and how many of them get something
  Part received_within(i64 rank, i64 first, i64 last) const;  // and from them
  i64 moved() const;                                          // of all ranks, what stays on its rank left out
  // Ranks of which some have most of anything that ranks send or receive, also of what leaves their nodes of
  // so many ranks (0: there is one).
  std::vector<i64> telling_ranks(i64 node) const;
  Counts transposed() const;        // the way back
  Counts times(i64 columns) const;  // rows to elements
  u64 fingerprint() const;          // of the formula and its numbers
  // Equal for copies of one value and of its way back, as long as one of them lives: what goes over the wire
  // is the same.
  std::pair<const void*, i64> identity() const {
    return {std::min<const void*>(forth_.get(), back_.get()), columns_};
  }

 private:
  class Form;
  class Product;
  class Common;
  class EqualShares;
  class Pairs;
  Counts(std::shared_ptr<const Form> forth, std::shared_ptr<const Form> back, i64 columns)
      : forth_(std::move(forth)), back_(std::move(back)), columns_(columns) {}

  std::shared_ptr<const Form> forth_, back_;  // as the senders and as the receivers see it
  i64 columns_ = 1;
};

// Bytes of one or several exchanges, from rank to rank: what stays on its rank is not counted.
struct Wire {
  i64 total = 0;     // of all ranks
  i64 fullest = 0;   // sent or received, the larger, by the rank where that is largest
  i64 messages = 0;  // of the rank that has most
  // Of these, what crosses from node to node, on the rank that has most of it.
  i64 fullest_between = 0;
  i64 messages_between = 0;

  Wire& operator+=(const Wire& other);
  friend bool operator==(const Wire&, const Wire&) = default;
};
// `node`: ranks of a node, neighbours, of whom rank 0 is the first; 0: all are on one.
Wire wire_of(const Counts& elements, i64 element_bytes, i64 node = 0);
// A sum over `ranks` of `elements` each, as ProcessGroup::all_reduce_sum moves them: slices to their ranks,
// sums to all.
Wire all_reduce_wire(i64 elements, i64 ranks, i64 element_bytes, i64 node = 0);

}  // namespace longsight::parallel
