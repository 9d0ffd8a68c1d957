// Attention of queries that stay where they are, over keys and values that pass from rank to rank (Liu et al.
// 2023): each rank merges what its queries make of one block after the other by their log-sums, and holds no
// more than its own rows and one block at a time; backward sends the blocks round again, and their gradients
// with them. With the log-sums of all keys each block's part of every gradient is exact.
//
// Of `size` neighbouring ranks that hold the same rows, each with some of the heads, every one has a ring of
// its own: of the ranks that hold the same heads.
#pragma once

#include <array>

#include "parallel/attention/attention_tile.h"
#include "parallel/attention/head_split.h"
#include "parallel/attention/ring_route.h"

namespace longsight::parallel {

class RingPass {
 public:
  // Of `rank`. `label` names the tower in schedules.
  RingPass(const AttentionShape&, const AttentionStream&, i64 rank, i64 size, const std::string& label);
  RingPass(const RingPass&) = delete;
  RingPass& operator=(const RingPass&) = delete;

  i64 rows() const { return blocks_.rows(me_); }     // R: of this rank's block, in the stream's order
  const HeadRange& heads() const { return heads_; }  // q query heads and kv heads, of width D
  // Pairs of a query and a key that a rank looks at, for every query head that it does so for; by rank.
  std::vector<double> head_pairs(const AttentionStream&) const;

  // o [R, q D] and lse [R, q] are overwritten; qkv [R, (q + 2 kv) D]. Collective over the workspace's group.
  void forward(Matrix o, Matrix lse, Matrix qkv, const Workspace&) const;
  // d_qkv is overwritten; delta [R, q], and lse as forward wrote it. Collective over the workspace's group.
  void backward(Matrix d_qkv, Matrix d_o, Matrix delta, Matrix lse, Matrix qkv, const Workspace&) const;

 private:
  struct Round {
    RingRound route;
    Exchange keys, gradients;          // elements
    std::vector<AttentionTile> tiles;  // of this rank's queries and the rows `held`
  };

  // Keys and values as they go round: two buffers, of which one is sent from and the other received into.
  class Travelling {
   public:
    Travelling(const RingPass&, Matrix mine, const Workspace&);
    // Rows route.held, of the next round. Collective.
    Tensor next(const Round&);

   private:
    const Workspace& w_;
    std::array<Tensor, 2> buffers_;
    Tensor held_;
    RowRange rows_;
  };

  std::vector<Counts::Pair> elements(const std::vector<Counts::Pair>& rows) const;
  Matrix keys_of(Matrix qkv) const;
  ops::AttentionProblem problem(const AttentionTile&) const;
  // What needs a result of its own before it is merged: tiles other than the first of their queries.
  bool merges() const { return !more_of_own_.empty() || !rounds_.empty(); }
  template <class Rows>
  i64 most(Rows&& rows) const;  // of all tiles that are merged
  i64 most_held() const;
  i64 most_summed() const;
  i64 most_arriving() const;

  AttentionShape shape_;
  HeadRange heads_;                         // of this rank
  i64 size_, ranks_;                        // of neighbours that share rows; of all
  Cuts blocks_;                             // of the groups of neighbours
  i64 me_;                                  // this rank's block
  std::vector<AttentionTile> own_;          // each of this rank's ranges with itself,
  std::vector<AttentionTile> more_of_own_;  // and with another of them
  std::vector<Round> rounds_;               // the others' blocks
};

}  // namespace longsight::parallel
