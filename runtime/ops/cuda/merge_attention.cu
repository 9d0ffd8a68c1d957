#include "runtime/ops/cuda/merge_attention.h"
#include "runtime/ops/cuda/views.h"
#include "runtime/ops/formulas/merge.h"

namespace longsight::ops::cuda {
namespace {

// A warp for each head of a row. O: T or its statistics' type.
template <class O, class T, int N>
struct MergeHeads {
  using S = Statistics<T>;
  static constexpr int kWarps = 4, kMostThreads = kWarps * lanes::kWarp;
  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    const i64 item = lane.block() * kWarps + lane.thread() / lanes::kWarp;
    if (item >= rows * heads) return;
    const i64 row = quotient(item, heads), head = item - row * heads;
    const int rank = lane.thread() % lanes::kWarp;
    const S there = *part_lse.at(row, head);
    if (there == -std::numeric_limits<S>::infinity()) return;
    const formulas::MergeWeights<S> weights = formulas::merge_weights(*lse.at(row, head), there);
    lane.sync_warp();  // all have read the log-sum that is overwritten
    if (rank == 0) *lse.at(row, head) = weights.lse;
    for (i64 c = i64{rank} * N; c < width; c += lanes::kWarp * N) {
      O* const to = o.at(row, head * width + c);
      Pack<O, N> out = load<N>(to);
      const Pack<T, N> in = load<N>(part.at(row, head * width + c));
      for (int i = 0; i < N; ++i) out[i] = weights.keep * S(out[i]) + weights.add * S(in[i]);
      store(to, out);
    }
  }
  Rows<O> o;
  Rows<S> lse;
  Rows<const T> part;
  Rows<const S> part_lse;
  i64 rows, heads, width;
};

}  // namespace

void merge_attention(Heads o, Matrix lse, Heads part, Matrix part_lse, Stream stream) {
  dispatch(part.matrix.dtype, [&](auto zero) {
    using T = decltype(zero);
    using S = Statistics<T>;
    const auto merge_into = [&](auto o_zero) {
      using O = decltype(o_zero);
      with_pack<T>(o.width, {o.matrix, part.matrix}, [&](auto pack) {
        using Body = MergeHeads<O, T, decltype(pack)::value>;
        launch("merge_attention", stream, {ceil_div(o.rows() * o.heads, Body::kWarps), Body::kMostThreads},
               Body{Rows<O>(o.matrix), Rows<S>(lse), Rows<const T>(part.matrix), Rows<const S>(part_lse),
                    o.rows(), o.heads, o.width});
      });
    };
    if (o.matrix.dtype == part.matrix.dtype) return merge_into(T{});
    merge_into(S{});
  });
}

}  // namespace longsight::ops::cuda
