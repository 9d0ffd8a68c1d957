#include "runtime/ops/host/cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "runtime/ops/formulas/elementary.h"
#include "runtime/ops/host/threads.h"

namespace longsight::ops::host {
namespace {

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
      const T e = formulas::exp_of(row[c] - top);
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

template <class T>
void round_row(bf16* to, const T* from, i64 size) {
#pragma omp simd
  for (i64 c = 0; c < size; ++c) to[c] = static_cast<float>(from[c]);
}

}  // namespace

void row_losses(Tensor total, Tensor logits, Tensor losses, std::span<const i64> targets, double scale,
                bool gradient, Tensor d_logits) {
  const i64 rows = logits.rows(), ids = logits.row_size();
  double* const out = losses.host<double>();
  dispatch_statistics(logits.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* const data = logits.host<T>();
    bf16* const rounded = gradient && d_logits.dtype() == DType::BF16 ? d_logits.host<bf16>() : nullptr;
    const auto all_rows = [&](auto with_gradient) {
      parallel_items(rows, rows * ids, [&](i64 r) {
        T* const row = data + r * ids;
        out[r] =
            row_loss<decltype(with_gradient)::value>(row, ids, targets[static_cast<std::size_t>(r)], scale);
        if (rounded != nullptr) round_row(rounded + r * ids, row, ids);
      });
    };
    gradient ? all_rows(std::true_type()) : all_rows(std::false_type());
  });
  double& sum = *total.host<double>();
  for (i64 r = 0; r < rows; ++r) sum += out[r];
}

}  // namespace longsight::ops::host
