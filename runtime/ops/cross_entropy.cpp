#include "runtime/ops/cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "runtime/ops/host_math.h"
#include "runtime/ops/host_threads.h"
#include "runtime/ops/linear.h"

namespace longsight::ops {
namespace {

void check_loss(const ProjectedLoss& p) {
  check(p.x.shape().rank() == 2 && p.weight.shape().rank() == 2 && p.x.extent(1) == p.weight.extent(1) &&
            p.x.dtype() == p.weight.dtype(),
        "projected loss: hidden states {} {}, weight {} {}", name_of(p.x.dtype()), p.x.shape().text(),
        name_of(p.weight.dtype()), p.weight.shape().text());
  check(static_cast<i64>(p.targets.size()) == p.x.rows(), "projected loss: {} targets for {} rows",
        p.targets.size(), p.x.rows());
  check(p.chunk_rows > 0, "projected loss: chunks of {} rows", p.chunk_rows);
  for (std::size_t i = 0; i < p.targets.size(); ++i) {
    check(p.targets[i] >= 0 && p.targets[i] < p.weight.rows(),
          "projected loss: target {} of row {}, but {} ids", p.targets[i], i, p.weight.rows());
  }
}

// -log softmax(row)[target]; with kGradient the row becomes scale * (softmax - one hot).
template <bool kGradient, class T>
double row_loss(T* row, i64 size, i64 target, double scale) {
  T top = row[0];
#pragma omp simd reduction(max : top)
  for (i64 c = 0; c < size; ++c) top = row[c] > top ? row[c] : top;
  const double score = static_cast<double>(row[target]) - static_cast<double>(top);
  double total = 0;
  // Parts are added in f64, so that the error does not grow with the vocabulary.
  constexpr i64 kPart = 1024;
  for (i64 first = 0; first < size; first += kPart) {
    const i64 last = std::min(size, first + kPart);
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (i64 c = first; c < last; ++c) {
      const T e = exp_of(row[c] - top);
      if constexpr (kGradient) row[c] = e;
      sum += e;
    }
    total += static_cast<double>(sum);
  }
  if constexpr (kGradient) {
    const T factor = static_cast<T>(scale / total);
#pragma omp simd
    for (i64 c = 0; c < size; ++c) row[c] *= factor;
    row[target] -= static_cast<T>(scale);
  }
  return std::log(total) - score;
}

// The logits of a chunk are its largest buffer; they become their own gradient. The chunk's losses go to
// `losses`.
template <bool kGradient>
void chunk_loss(Tensor logits, double* losses, const ProjectedLoss& p, i64 first, Stream stream) {
  const i64 rows = logits.rows(), ids = logits.row_size();
  linear(logits, p.x.row_range(first, rows), p.weight, {}, stream);
  dispatch(logits.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* const data = logits.as<T>();
    parallel_items(rows, rows * ids, [&](i64 r) {
      losses[r] =
          row_loss<kGradient>(data + r * ids, ids, p.targets[static_cast<std::size_t>(first + r)], p.scale);
    });
  });
}

template <bool kGradient, class F>
double loss_over_chunks(const ProjectedLoss& p, Arena& scratch, Stream stream, F&& after_chunk) {
  const i64 rows = p.x.rows(), chunk = std::min(p.chunk_rows, std::max<i64>(rows, 1));
  const ArenaScope scope(scratch);
  const Tensor logits = scratch.take(p.x.dtype(), {chunk, p.weight.rows()}, "loss.logits");
  const Tensor losses = scratch.take(DType::F64, {chunk}, "loss.rows");
  double total = 0;
  for (i64 first = 0; first < rows; first += chunk) {
    const Tensor part = logits.row_range(0, std::min(chunk, rows - first));
    chunk_loss<kGradient>(part, losses.as<double>(), p, first, stream);
    for (i64 r = 0; r < part.rows(); ++r) total += losses.as<double>()[r];
    after_chunk(part, first);
  }
  return total;
}

}  // namespace

double projected_loss(const ProjectedLoss& p, Arena& scratch, Stream stream) {
  check_loss(p);
  return loss_over_chunks<false>(p, scratch, stream, [](const Tensor&, i64) {});
}

double projected_loss_with_gradient(Tensor dx, Tensor d_weight, const ProjectedLoss& p, Arena& scratch,
                                    Stream stream) {
  check_loss(p);
  check(dx.shape() == p.x.shape() && dx.dtype() == p.x.dtype(),
        "projected loss: gradient {} {} of hidden states {} {}", name_of(dx.dtype()), dx.shape().text(),
        name_of(p.x.dtype()), p.x.shape().text());
  check(!d_weight || (d_weight.shape() == p.weight.shape() && d_weight.dtype() == p.weight.dtype()),
        "projected loss: gradient {} {} of the weight {} {}", name_of(d_weight.dtype()),
        d_weight.shape().text(), name_of(p.weight.dtype()), p.weight.shape().text());
  return loss_over_chunks<true>(p, scratch, stream, [&](const Tensor& d_logits, i64 first) {
    linear_backward_input(dx.row_range(first, d_logits.rows()), d_logits, p.weight, Write::overwrite, stream);
    if (d_weight) {
      linear_backward_weight(d_weight, {}, d_logits, p.x.row_range(first, d_logits.rows()), stream);
    }
  });
}

}  // namespace longsight::ops
