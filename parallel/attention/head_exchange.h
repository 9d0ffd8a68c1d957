// Rows of a group of neighbouring ranks, which hold some of them with all heads, to ranks that hold all of
// them with some heads, and back (Ulysses, Jacobs et al. 2023). Any head count and any cut; a KV head goes to
// just those ranks whose query heads use it, and its gradient comes back as their sum.
#pragma once

#include <array>

#include "parallel/attention/attention.h"
#include "parallel/attention/head_split.h"
#include "parallel/attention/row_moves.h"

namespace longsight::parallel {

// What forward leaves of this rank's heads.
struct HeadFrame {
  Tensor qkv;  // [rows of the exchange, (q + 2 kv) D]
  Tensor lse;  // [rows of the exchange, q]
};

class HeadExchange {
 public:
  // Of `rank`, in groups of `size` ranks. `label` names the tower in schedules.
  HeadExchange(const AttentionShape&, const Cuts&, i64 rank, i64 size, const std::string& label);

  const HeadRange& heads() const { return mine_; }  // of this rank
  i64 rows() const { return rows_; }                // of the group; with some heads, in the stream's order

  // All of them are collective over the workspace's group. D: width of a head; T: this rank's rows.
  // q, k, v of this rank's heads [rows(), (q + 2 kv) D], taken from the saved arena; qkv [T, (H + 2 Hkv) D].
  Tensor to_heads(Tensor qkv, const Workspace&) const;
  // o [T, H D] is overwritten; o_heads [rows(), q D].
  void to_rows(Tensor o, Tensor o_heads, const Workspace&) const;
  // Of d_o, o [T, H D]; in the scratch arena.
  struct ResultGradient {
    Matrix d_o;    // [rows(), q D]
    Matrix delta;  // [rows(), q], in the statistics' type
  };
  ResultGradient gradient_to_heads(Tensor d_o, Tensor o, const Workspace&) const;
  // d_qkv is overwritten; d_heads [rows(), (q + 2 kv) D].
  void gradient_to_rows(Tensor d_qkv, Tensor d_heads, const Workspace&) const;

 private:
  void receive(Tensor in_order, const Exchange&, Tensor send, const char* label, const Workspace&) const;
  void send(Tensor received, const Exchange&, Tensor in_order, const char* label, const Workspace&) const;

  AttentionShape shape_;
  i64 me_, my_rows_, rows_;
  std::vector<HeadRange> heads_;  // of the ranks of the group that have any, in rank order
  HeadRange mine_;
  RowMoves to_stream_;  // from the order of the ranks to that of the stream
  Exchange qkv_to_heads_, result_to_rows_, d_qkv_to_rows_;
  std::array<Exchange, 2> gradient_to_heads_;  // where delta takes one element, and where it takes two
};

}  // namespace longsight::parallel
