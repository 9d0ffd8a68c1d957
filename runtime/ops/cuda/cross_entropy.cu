#include <cmath>
#include <limits>

#include "runtime/device/lanes/reduce.h"
#include "runtime/ops/cuda/cross_entropy.h"
#include "runtime/ops/cuda/views.h"
#include "runtime/ops/formulas/elementary.h"

namespace longsight::ops::cuda {
namespace {

// The largest of some elements, and the sum of the exponentials of what they are below it, which is kept in
// f64 so that the error does not grow with the vocabulary.
struct SumBelow {
  double top, sum;
};

struct AddSums {
  LANE_FN SumBelow operator()(const SumBelow& a, const SumBelow& b) const {
    const double top = a.top < b.top ? b.top : a.top;
    return {top, part(a, top) + part(b, top)};
  }
  LANE_FN static double part(const SumBelow& x, double top) {
    return x.sum == 0 ? 0 : x.sum * std::exp(x.top - top);
  }
};

// A block for each row, which it reads twice: for the sum of exponentials, and for the gradient. Element
// types: logits S, gradient D.
template <class S, class D, int N>
struct RowLosses {
  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    const i64 row = lane.block(), target = targets[row];
    S* const data = logits + row * ids;
    const double score = static_cast<double>(data[target]);
    S top = std::numeric_limits<S>::lowest(),
      sum = 0;  // less than any number: what is -infinity counts nothing
    for (i64 c = i64{lane.thread()} * N; c < ids; c += i64{lane.threads()} * N) {
      const Pack<S, N> values = load<N>(data + c);
      S largest = values[0];
      for (int i = 1; i < N; ++i) largest = values[i] > largest ? values[i] : largest;
      if (largest > top) {
        sum *= formulas::exp_of(top - largest);
        top = largest;
      }
      for (int i = 0; i < N; ++i) sum += formulas::exp_of(values[i] - top);
    }
    SumBelow all{static_cast<double>(top), static_cast<double>(sum)};
    all = lanes::block_reduce(lane, all, AddSums{});
    if (lane.thread() == 0) losses[row] = std::log(all.sum) - (score - all.top);
    if (gradient == nullptr) return;
    const S factor = static_cast<S>(scale / all.sum), highest = static_cast<S>(all.top);
    for (i64 c = i64{lane.thread()} * N; c < ids; c += i64{lane.threads()} * N) {
      const Pack<S, N> values = load<N>(data + c);
      Pack<D, N> out;
      for (int i = 0; i < N; ++i) {
        const S slope = formulas::exp_of(values[i] - highest) * factor;
        out[i] = c + i == target ? slope - static_cast<S>(scale) : slope;
      }
      store(gradient + row * ids + c, out);
    }
  }
  S* logits;
  D* gradient;  // may be the logits
  double* losses;
  const i64* targets;
  i64 ids;
  double scale;
};

// total += the losses of the rows, by one block.
struct AddLosses {
  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    double sum = 0;
    for (i64 i = lane.thread(); i < rows; i += lane.threads()) sum += losses[i];
    sum = lanes::block_reduce(lane, sum, lanes::Plus{});
    if (lane.thread() == 0) *total += sum;
  }
  double* total;
  const double* losses;
  i64 rows;
};

}  // namespace

void row_losses(Tensor total, Tensor logits, Tensor losses, const IndexList& targets, double scale,
                bool gradient, Tensor d_logits, Stream stream) {
  const i64 rows = logits.rows(), ids = logits.row_size();
  if (rows == 0) return;
  const auto run = [&](auto zero, auto d_zero) {
    using S = decltype(zero);
    using D = decltype(d_zero);
    with_pack<D>(ids, {logits, gradient ? Matrix(d_logits) : Matrix()}, [&](auto pack) {
      launch("row_losses", stream, {rows, 512, static_cast<i64>(lanes::kReduceBytes)},
             RowLosses<S, D, decltype(pack)::value>{
                 elements<S>(logits), gradient ? elements<D>(d_logits) : nullptr, elements<double>(losses),
                 targets.on(stream).data(), ids, scale});
    });
  };
  dispatch_statistics(logits.dtype(), [&](auto zero) {
    if (gradient && d_logits.dtype() == DType::BF16) return run(zero, bf16{});
    run(zero, zero);
  });
  launch("row_losses: total", stream, {1, 512, static_cast<i64>(lanes::kReduceBytes)},
         AddLosses{elements<double>(total), elements<const double>(losses), rows});
}

}  // namespace longsight::ops::cuda
